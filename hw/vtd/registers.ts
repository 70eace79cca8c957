/** Every register of a remapping unit, declared once: offset, width, fields, access, reset value. VT-d 11.4. */
export * from './registers/capabilities.ts';
export * from './registers/declarations.ts';
export type { Register } from './registers/register.ts';
