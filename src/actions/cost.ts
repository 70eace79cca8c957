/**
 * About how long a piece of work takes that can't be divided: one kernel call over all memory of a machine, the boot of a
 * large host. Nobody waits for what these say; whoever shows progress announces the piece before it begins.
 */
import type { Host, HostDescription } from '../../hw/index.ts';

/** Milliseconds to pin and map, or unmap, a page of 4 KiB; twice what a quiet computer takes. */
const PAGE = 0.00025;
/** Milliseconds to scan a PCI function and give it a group and a driver. */
const PCI_FUNCTION = 0.1;

/** To map so many bytes of a machine's memory, or to unmap them. Milliseconds. */
export function mappingCost(bytes: bigint): number {
  return Number(bytes / 4096n) * PAGE;
}

export function bootCost({ functions }: HostDescription): number {
  return (functions?.length ?? 0) * PCI_FUNCTION;
}

/** To give a machine a device: its memory is mapped with the first one. Milliseconds. */
export function attachCost(host: Host, vm: string): number {
  const machine = host.machineState(vm);
  const first = machine?.state === 'running' && machine.lockedBytes === 0n;
  return first && !inLargePages(host, vm) ? mappingCost(machine.memoryBytes) : 0;
}

/** To take all devices from a machine: what is locked is unmapped. Milliseconds. */
export function detachCost(host: Host, vm: string): number {
  return inLargePages(host, vm) ? 0 : mappingCost(host.machineState(vm)?.lockedBytes ?? 0n);
}

/** Mapped 2 MiB at a time. */
function inLargePages(host: Host, vm: string): boolean {
  return host.machines.find(vm)?.definition.hugePages === true;
}
