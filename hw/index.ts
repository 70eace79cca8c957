/**
 * The only door of the emulated host: what src/ and views/ may use of it.
 */

export type {
  DmaRequest,
  HostOperations,
  HostQueries,
  MachineOptions,
  WalkRequest,
} from './host/operations.ts';
export type * from './host/state.ts';
export type { Host, ProfileName } from './host.ts';
export type { FunctionDescription, HostDescription, UnitDescription } from './host-description.ts';
export { KernelError } from './kernel/errno.ts';
export type { TraceEvent } from './trace.ts';
