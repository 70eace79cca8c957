/** Removal of mappings from a type1 container, with the notifications and the bitmap that go with it. */
import { KernelError } from '../../errno.ts';
import { copyBits, type UserBitmap } from './dirty.ts';
import { MappingFlag, NONE } from './mapping-table.ts';
import { unmapAndUnpin } from './pinning.ts';
import type { Type1State } from './state.ts';

/** A driver that keeps its pins after so many notifications makes Linux stop (BUG_ON); here it is an error. */
const NOTIFICATION_ROUNDS = 10;

/** vfio_remove_dma: out of the domains, pages unpinned and given back, the entry free again. */
export function removeMapping(state: Type1State, slot: number): void {
  unmapAndUnpin(state, slot, true);
  if ((state.mappings.flags(slot) & MappingFlag.vaddrInvalid) !== 0) state.suspendedMappings -= 1;
  state.mappings.remove(slot);
  state.dirtyBitmaps.delete(slot);
  state.externalPins.delete(slot);
  state.mappingsAvailable += 1;
}

/** What an unmap is asked for, in pages, end exclusive. */
export interface UnmapRange {
  readonly first: number;
  readonly end: number;
  /** Suspends user addresses and unmaps nothing. */
  readonly suspend: boolean;
  readonly bitmap: UserBitmap | undefined;
  /** Address space of the caller: 5.15 stops at a mapping of somebody else. */
  readonly caller: object;
}

/** Suspends the user addresses of whole mappings; one that is suspended already undoes all of this call. */
function suspend(state: Type1State, range: UnmapRange): number {
  const { mappings } = state;
  const marked: number[] = [];
  let pages = 0;
  for (
    let slot = mappings.firstFrom(range.first);
    slot !== NONE && mappings.start(slot) < range.end;
    slot = mappings.next(slot)
  ) {
    if (!state.version2 && range.first > mappings.start(slot)) break;
    if ((mappings.flags(slot) & MappingFlag.vaddrInvalid) !== 0) {
      for (const each of marked) mappings.setFlag(each, MappingFlag.vaddrInvalid, false);
      state.suspendedMappings -= marked.length;
      throw new KernelError('EINVAL', 'address suspended', 'a mapping of the range is suspended already');
    }
    mappings.setFlag(slot, MappingFlag.vaddrInvalid, true);
    state.suspendedMappings += 1;
    marked.push(slot);
    pages += mappings.pages(slot);
  }
  return pages;
}

/**
 * Unmaps (or suspends) the mappings of a range and returns the pages they had.
 * @throws KernelError EINVAL when version 2 would cut a mapping, EFAULT for the bitmap (mappings before are gone then).
 */
export function unmapRangeOf(state: Type1State, range: UnmapRange, all: boolean): number {
  const { mappings } = state;
  if (state.version2 && !all) {
    const head = mappings.find(range.first, range.first + 1);
    const tail = mappings.find(range.end - 1, range.end);
    if (
      (head !== NONE && mappings.start(head) !== range.first) ||
      (tail !== NONE && mappings.end(tail) !== range.end)
    )
      throw new KernelError('EINVAL', 'mapping cut', 'the range would cut a mapping', 'unmap whole mappings');
  }
  if (range.suspend) return suspend(state, range);
  let pages = 0;
  let rounds = 0;
  let notified = NONE;
  for (let slot = mappings.firstFrom(range.first); slot !== NONE && mappings.start(slot) < range.end; ) {
    if (!state.version2 && range.first > mappings.start(slot)) break;
    if (state.environment.profile.unmapStopsAtOtherProcess && state.ownerOf(slot).memory !== range.caller)
      break;
    if (state.externalPins.has(slot)) {
      rounds = slot === notified ? rounds + 1 : 0;
      notified = slot;
      if (rounds > NOTIFICATION_ROUNDS)
        throw new KernelError(
          'EBUSY',
          'pins kept',
          'a device driver does not let go of pages that are being unmapped',
        );
      notifyUnmap(state, slot);
      slot = mappings.firstFrom(range.first);
      continue;
    }
    if (range.bitmap !== undefined) copyBits(state, slot, range.first, range.bitmap);
    pages += mappings.pages(slot);
    const next = mappings.next(slot);
    removeMapping(state, slot);
    slot = next;
  }
  return pages;
}

/** Tells every pinning device of the container that a mapping goes. */
function notifyUnmap(state: Type1State, slot: number): void {
  const iova = BigInt(state.mappings.start(slot)) * 4096n;
  const length = BigInt(state.mappings.pages(slot)) * 4096n;
  for (const device of [...state.pinningDevices]) device.dmaUnmap(iova, length);
}
