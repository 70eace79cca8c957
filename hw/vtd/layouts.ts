/** Everything a remapping unit and its driver put in memory, declared once. */
export * from './layouts/interrupt-entries.ts';
export * from './layouts/legacy-entries.ts';
export * from './layouts/paging-entries.ts';
export * from './layouts/records.ts';
export * from './layouts/scalable-entries.ts';
