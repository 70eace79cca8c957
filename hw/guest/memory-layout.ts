/**
 * Where a virtual machine's memory lies in its physical address space: below the hole for devices under 4 GiB, and
 * from 4 GiB up. QEMU's q35 (hw/i386/pc_q35.c): up to 2.75 GiB fit below, larger machines keep 2 GiB there.
 */
export interface MemorySlot {
  readonly slot: number;
  readonly name: string;
  /** Guest physical byte address. */
  readonly guestAddress: bigint;
  readonly lengthBytes: bigint;
}

export const MEBIBYTE = 0x100000n;
const HOLE_END = 0x100000000n;
const ALL_BELOW = 0xb0000000n;
const SPLIT_BELOW = 0x80000000n;

/** Memory comes in blocks of 2 MiB. */
export const MEMORY_BLOCK_BYTES = 2n * MEBIBYTE;

/** Slots for a machine of this size. */
export function initialSlots(memoryBytes: bigint): MemorySlot[] {
  if (memoryBytes <= ALL_BELOW)
    return [{ slot: 0, name: 'ram-below-4g', guestAddress: 0n, lengthBytes: memoryBytes }];
  return [
    { slot: 0, name: 'ram-below-4g', guestAddress: 0n, lengthBytes: SPLIT_BELOW },
    { slot: 1, name: 'ram-above-4g', guestAddress: HOLE_END, lengthBytes: memoryBytes - SPLIT_BELOW },
  ];
}

/** The slot of a memory device that is plugged in: above all others, from 4 GiB up, on a GiB boundary (pc-dimm). */
export function hotplugSlot(present: readonly MemorySlot[], lengthBytes: bigint): MemorySlot {
  const slot = Math.max(-1, ...present.map((one) => one.slot)) + 1;
  let guestAddress = HOLE_END;
  for (const one of present) {
    const end = one.guestAddress + one.lengthBytes;
    if (end > guestAddress) guestAddress = end;
  }
  const gibibyte = 1024n * MEBIBYTE;
  guestAddress = ((guestAddress + gibibyte - 1n) / gibibyte) * gibibyte;
  return { slot, name: `dimm${slot}`, guestAddress, lengthBytes };
}
