/**
 * Memory access of mediated devices whose driver isolates by software: pages pinned on demand, and reads and writes by
 * the CPU through the mappings. vfio_iommu_type1.c: vfio_iommu_type1_pin_pages, _unpin_pages, _dma_rw.
 *
 * Addresses come as the driver names them, in bytes, not necessarily page aligned: a pin is known by that very number.
 */

import { KernelError } from '../../errno.ts';
import { IommuProt } from '../../iommu/types.ts';
import type { PinnedRun } from '../../process/address-space.ts';
import { markDirty } from './dirty.ts';
import { NONE } from './mapping-table.ts';
import type { AttachedGroup, ExternalPin, MappingOwner, Type1State } from './state.ts';

const PAGE = 4096n;
const found: PinnedRun = { frame: 0, count: 0, reserved: false };

function unknownAddress(iova: bigint): KernelError {
  return new KernelError('EINVAL', 'address not mapped', `nothing is mapped at 0x${iova.toString(16)}`);
}

function pinOne(
  state: Type1State,
  owner: MappingOwner,
  userPage: number,
  write: boolean,
): { frame: number; reserved: boolean } {
  if (!owner.memory.alive)
    throw new KernelError(
      'ENODEV',
      'owner gone',
      `process ${owner.process.name} that made the mapping has ended`,
    );
  owner.memory.pin(userPage, 1, write, found);
  const { frame, reserved } = found;
  // With an IOMMU domain in the container every page is pinned and charged already.
  if (state.domains.length === 0 && !reserved) {
    try {
      state.charge(owner, 1);
    } catch (error) {
      owner.memory.unpin(frame, 1);
      throw error;
    }
  }
  return { frame, reserved };
}

function release(
  state: Type1State,
  slot: number,
  pins: Map<number, ExternalPin>,
  key: number,
  pin: ExternalPin,
): void {
  pin.references -= 1;
  if (pin.references > 0) return;
  const owner = state.ownerOf(slot);
  if (!pin.reserved) {
    owner.memory.unpin(pin.frame, 1);
    if (state.domains.length === 0) owner.memory.lockedPages -= 1;
  }
  pins.delete(key);
  if (pins.size === 0) state.externalPins.delete(slot);
}

/** @throws KernelError EACCES: version 1 containers have no pins. */
function requireVersion2(state: Type1State): void {
  if (!state.version2)
    throw new KernelError(
      'EACCES',
      'type1 version',
      'a version 1 container has no page pinning',
      'set TYPE1v2_IOMMU',
    );
}

/**
 * Pins `count` pages from `iova` for a mediated device of `group`; the frames. All or nothing.
 * @throws KernelError EACCES (version 1), EBUSY (addresses suspended), EINVAL (no mapping, or no device that could be
 * told about an unmap), EPERM (rights), EFAULT, ENOMEM.
 */
export function pinPages(
  state: Type1State,
  group: AttachedGroup,
  iova: bigint,
  count: number,
  prot: number,
): number[] {
  requireVersion2(state);
  if (state.suspendedMappings > 0)
    throw new KernelError('EBUSY', 'addresses suspended', 'user addresses are suspended (UNMAP_FLAG_VADDR)');
  if (state.pinningDevices.length === 0)
    throw new KernelError('EINVAL', 'no unmap notification', 'no device of the container listens for unmaps');
  const frames: number[] = [];
  try {
    for (let index = 0; index < count; index += 1) {
      const at = iova + BigInt(index) * PAGE;
      const page = Number(at / PAGE);
      const slot = state.mappings.find(page, page + 1);
      if (slot === NONE) throw unknownAddress(at);
      const rights = state.mappings.flags(slot);
      if ((rights & prot) !== prot)
        throw new KernelError(
          'EPERM',
          'mapping rights',
          `the mapping at 0x${at.toString(16)} doesn't allow this access`,
        );
      const key = Number(at);
      let pins = state.externalPins.get(slot);
      const known = pins?.get(key);
      if (known !== undefined) {
        known.references += 1;
        frames.push(known.frame);
        continue;
      }
      const userPage = state.mappings.userPage(slot) + page - state.mappings.start(slot);
      const pinned = pinOne(state, state.ownerOf(slot), userPage, (rights & IommuProt.write) !== 0);
      pins ??= new Map();
      state.externalPins.set(slot, pins);
      pins.set(key, { page, frame: pinned.frame, reserved: pinned.reserved, references: 1 });
      frames.push(pinned.frame);
      markDirty(state, slot, page, 1);
    }
  } catch (error) {
    unpinPages(state, iova, frames.length);
    throw error;
  }
  if (!group.pinnedPageDirtyScope) {
    group.pinnedPageDirtyScope = true;
    state.nonPinnedGroups -= 1;
  }
  return frames;
}

/** Drops one reference on each of `count` pages; pages that aren't pinned are passed over. */
export function unpinPages(state: Type1State, iova: bigint, count: number): void {
  requireVersion2(state);
  for (let index = 0; index < count; index += 1) {
    const at = iova + BigInt(index) * PAGE;
    const page = Number(at / PAGE);
    const slot = state.mappings.find(page, page + 1);
    if (slot === NONE) return;
    const pins = state.externalPins.get(slot);
    const pin = pins?.get(Number(at));
    if (pins !== undefined && pin !== undefined) release(state, slot, pins, Number(at), pin);
  }
}

/**
 * Reads or writes through the mappings by the CPU. Parts before a hole or a mapping without rights are done.
 * @returns the bytes read; for a write, what was given.
 * @throws KernelError EINVAL (no mapping), EPERM (a read right is always needed, or the owner has ended), EFAULT.
 */
export function accessMemory(state: Type1State, iova: bigint, bytes: Uint8Array, write: boolean): Uint8Array {
  if (state.suspendedMappings > 0)
    throw new KernelError('EBUSY', 'addresses suspended', 'user addresses are suspended (UNMAP_FLAG_VADDR)');
  for (let done = 0; done < bytes.length; ) {
    const at = iova + BigInt(done);
    const page = Number(at / PAGE);
    const slot = state.mappings.find(page, page + 1);
    if (slot === NONE) throw unknownAddress(at);
    const rights = state.mappings.flags(slot);
    if ((write && (rights & IommuProt.write) === 0) || (rights & IommuProt.read) === 0)
      throw new KernelError(
        'EPERM',
        'mapping rights',
        `the mapping at 0x${at.toString(16)} doesn't allow this access`,
      );
    const owner = state.ownerOf(slot);
    if (!owner.memory.alive)
      throw new KernelError(
        'EPERM',
        'owner gone',
        `process ${owner.process.name} that made the mapping has ended`,
      );
    const offset = Number(at % PAGE);
    const left = (state.mappings.end(slot) - page) * 4096 - offset;
    const take = Math.min(bytes.length - done, left);
    const address = (state.mappings.userPage(slot) + page - state.mappings.start(slot)) * 4096 + offset;
    if (write) {
      owner.memory.write(address, bytes.subarray(done, done + take));
      const last = Math.floor((offset + take - 1) / 4096);
      markDirty(state, slot, page, last + 1);
    } else bytes.set(owner.memory.read(address, take), done);
    done += take;
  }
  return bytes;
}
