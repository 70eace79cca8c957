/**
 * The back end of a container for IOMMUs with a map and unmap interface: what its ioctls check, in the order the
 * kernel checks it, and what they answer. vfio_iommu_type1.c: vfio_dma_do_map, vfio_dma_do_unmap,
 * vfio_iommu_type1_get_info, vfio_iommu_type1_dirty_pages.
 */
import type { Page } from '../../../memory/types.ts';
import { KernelError } from '../../errno.ts';
import { IommuProt } from '../../iommu/types.ts';
import type { Process } from '../../process/process.ts';
import {
  DIRTY_BITMAP_BYTES_MAXIMUM,
  DirtyFlag,
  Extension,
  MapFlag,
  StructureBytes,
  UnmapFlag,
} from '../uapi.ts';
import { addressAllowed, attachGroup, detachGroup, findGroup } from './attachment.ts';
import { allocateBitmap, collectDirty, startTracking, stopTracking, verifyBitmapSize } from './dirty.ts';
import { accessMemory, pinPages, unpinPages } from './external.ts';
import { MappingFlag, NONE } from './mapping-table.ts';
import { pinAndMap } from './pinning.ts';
import {
  capabilityBytes,
  type DirtyPagesRequest,
  type InfoCapability,
  type MapDmaRequest,
  type Type1Info,
  type UnmapDmaRequest,
} from './requests.ts';
import { type ContainerGroup, type PinningDevice, type Type1Environment, Type1State } from './state.ts';
import { removeMapping, unmapRangeOf } from './unmap.ts';

const U64 = 1n << 64n;

function invalid(rule: string, detail: string): KernelError {
  return new KernelError('EINVAL', rule, detail);
}

const hex = (value: bigint): string => `0x${value.toString(16)}`;

/** Version 2 for this SET_IOMMU argument? @throws KernelError EINVAL: none of this back end's types. */
function versionFor(type: number): boolean {
  if (type === Extension.TYPE1_IOMMU) return false;
  if (type === Extension.TYPE1v2_IOMMU || type === Extension.TYPE1_NESTING_IOMMU) return true;
  throw invalid('IOMMU type', `type1 does not implement type ${type}`);
}

/** One container's back end. */
export class Type1 {
  readonly state: Type1State;

  /** @param type Argument of SET_IOMMU. @throws KernelError EINVAL: none of this back end's types. */
  constructor(environment: Type1Environment, type: number) {
    const nesting = type === Extension.TYPE1_NESTING_IOMMU && environment.profile.type1Nesting;
    this.state = new Type1State(environment, versionFor(type), nesting);
  }

  /** What the back end answers before it is chosen, and what a chosen one adds. */
  static checkExtension(extension: number, environment: Type1Environment, chosen: Type1 | undefined): number {
    const { profile } = environment;
    switch (extension) {
      case Extension.TYPE1_IOMMU:
      case Extension.TYPE1v2_IOMMU:
      case Extension.UNMAP_ALL:
        return 1;
      case Extension.TYPE1_NESTING_IOMMU:
        return profile.type1Nesting ? 1 : 0;
      case Extension.UPDATE_VADDR:
        if (!profile.reworkedVaddrUpdate) return 1;
        return chosen !== undefined && chosen.state.emulated.length === 0 ? 1 : 0;
      case Extension.DMA_CC_IOMMU:
        return chosen?.state.domains.every(({ domain }) => domain.enforcesCoherency) ? 1 : 0;
      default:
        return 0;
    }
  }

  attachGroup(group: ContainerGroup): void {
    attachGroup(this.state, group);
  }

  detachGroup(group: ContainerGroup): void {
    detachGroup(this.state, group);
  }

  registerDevice(device: PinningDevice): void {
    this.state.pinningDevices.push(device);
  }

  unregisterDevice(device: PinningDevice): void {
    const index = this.state.pinningDevices.indexOf(device);
    if (index >= 0) this.state.pinningDevices.splice(index, 1);
  }

  /**
   * VFIO_IOMMU_MAP_DMA. @throws KernelError EINVAL (structure, flags, alignment, range), EOVERFLOW or EINVAL (wrap),
   * EEXIST, ENOENT (vaddr update of nothing), ENOSPC (entries), ENOMEM (limit), EFAULT (user memory), and what the
   * IOMMU driver says.
   */
  mapDma(process: Process, request: MapDmaRequest): void {
    const { state } = this;
    const { iova, size, vaddr, flags } = request;
    if (
      request.argsz < StructureBytes.mapDma ||
      (flags & ~(MapFlag.read | MapFlag.write | MapFlag.vaddr)) !== 0
    )
      throw invalid('map structure', `argsz ${request.argsz}, flags 0x${flags.toString(16)}`);
    if (size === 0n) throw invalid('map size', 'a mapping of 0 bytes');
    this.refuseWrap(iova, size);
    this.refuseWrap(vaddr, size);
    const rights = flags & (MapFlag.read | MapFlag.write);
    const update = (flags & MapFlag.vaddr) !== 0;
    if ((rights !== 0) === update)
      throw invalid('map flags', `flags 0x${flags.toString(16)}: rights or VADDR, one of them`);
    if (((size | iova | vaddr) & (state.smallestPage - 1n)) !== 0n)
      throw invalid(
        'map alignment',
        `iova ${hex(iova)}, size ${hex(size)}, vaddr ${hex(vaddr)} by ${hex(state.smallestPage)}`,
      );
    const first = Number(iova >> 12n);
    const pages = Number(size >> 12n);
    const userPage = Number(vaddr >> 12n);
    const known = state.mappings.find(first, first + pages);
    if (update) {
      this.updateAddress(process, known, first, pages, userPage);
      return;
    }
    if (known !== NONE) {
      throw new KernelError(
        'EEXIST',
        'mapping overlap',
        `the range meets the mapping at ${hex(BigInt(state.mappings.start(known)) << 12n)}`,
      );
    }
    if (state.mappingsAvailable === 0) {
      throw new KernelError(
        'ENOSPC',
        'mapping entries used up',
        `the container may hold ${state.mappings.count} mappings`,
        'raise dma_entry_limit of vfio_iommu_type1 before the container is set up',
      );
    }
    if (!addressAllowed(state, first, first + pages - 1))
      throw invalid('address range', `${hex(iova)} + ${hex(size)} does not lie inside one usable range`);
    this.insert(process, first, pages, userPage, rights);
  }

  /**
   * VFIO_IOMMU_UNMAP_DMA; the bytes unmapped (or suspended).
   * @throws KernelError EINVAL, EOVERFLOW (wrap), EBUSY (suspend beside a mediated device), EFAULT (bitmap).
   */
  unmapDma(process: Process, request: UnmapDmaRequest): bigint {
    const { state } = this;
    const { flags, iova, size } = request;
    const withBitmap = (flags & UnmapFlag.getDirtyBitmap) !== 0;
    const all = (flags & UnmapFlag.all) !== 0;
    const suspend = (flags & UnmapFlag.vaddr) !== 0;
    if (
      request.argsz < StructureBytes.unmapDma ||
      (flags & ~(UnmapFlag.getDirtyBitmap | UnmapFlag.all | UnmapFlag.vaddr)) !== 0
    )
      throw invalid('unmap structure', `argsz ${request.argsz}, flags 0x${flags.toString(16)}`);
    if (withBitmap) {
      if (all || suspend) throw invalid('unmap flags', 'a dirty bitmap goes with neither ALL nor VADDR');
      if (request.argsz < StructureBytes.unmapDmaWithBitmap)
        throw invalid('unmap structure', `argsz ${request.argsz}`);
      verifyBitmapSize(pagesOf(size, request.bitmap?.pgsize ?? 0n), request.bitmap?.sizeBytes ?? 0n);
    }
    if (suspend && state.environment.profile.reworkedVaddrUpdate && state.emulated.length > 0) {
      throw new KernelError(
        'EBUSY',
        'mediated device present',
        'user addresses can not be suspended while a mediated device is in the container',
      );
    }
    const mask = state.smallestPage - 1n;
    if ((iova & mask) !== 0n) throw invalid('unmap alignment', `iova ${hex(iova)}`);
    if (all) {
      if (iova !== 0n || size !== 0n) throw invalid('unmap range', 'ALL goes with iova 0 and size 0');
    } else {
      if (size === 0n || (size & mask) !== 0n) throw invalid('unmap range', `size ${hex(size)}`);
      this.refuseWrap(iova, size);
    }
    if (withBitmap && (!state.dirtyTracking || request.bitmap?.pgsize !== state.smallestPage))
      throw invalid('dirty bitmap', 'tracking is off, or the bitmap does not count in the smallest page');
    const first = Number(iova >> 12n);
    const end = all ? 2 ** 52 : first + Number(size >> 12n);
    const bitmap = withBitmap ? request.bitmap?.user : undefined;
    const pages = unmapRangeOf(state, { first, end, suspend, bitmap, caller: process.memory }, all);
    // The size field has 64 bits: 2^52 pages come back as 0.
    return (BigInt(pages) << 12n) % U64;
  }

  /** VFIO_IOMMU_GET_INFO. @throws KernelError EINVAL below 16 bytes; too small for the capabilities is no error. */
  info(argsz: number): Type1Info {
    const { state } = this;
    if (argsz < StructureBytes.iommuInfoMinimum) throw invalid('info structure', `argsz ${argsz}`);
    const capabilities: InfoCapability[] = [
      {
        id: 2,
        version: 1,
        flags: 0,
        pageSizes: state.smallestPage,
        maximumDirtyBitmapBytes: DIRTY_BITMAP_BYTES_MAXIMUM,
      },
      { id: 3, version: 1, available: state.mappingsAvailable },
    ];
    if (state.ranges.length > 0) {
      capabilities.push({
        id: 1,
        version: 1,
        ranges: state.ranges.map(({ first, last }) => ({
          start: BigInt(first) << 12n,
          end: (BigInt(last) << 12n) | 0xfffn,
        })),
      });
    }
    let needed: number = StructureBytes.iommuInfo;
    const unit = state.environment.profile.alignedCapabilities ? 8 : 4;
    for (const capability of capabilities) needed += Math.ceil(capabilityBytes(capability) / unit) * unit;
    const fits = argsz >= needed;
    return {
      argsz: fits ? argsz : needed,
      flags: 3,
      pageSizes: state.pageSizes,
      capabilityOffset: fits ? StructureBytes.iommuInfo : 0,
      capabilities: fits ? capabilities : [],
    };
  }

  /** VFIO_IOMMU_DIRTY_PAGES. @throws KernelError EACCES (version 1), EINVAL, EOVERFLOW (wrap), ENOMEM, EFAULT. */
  dirtyPages(request: DirtyPagesRequest): void {
    const { state } = this;
    const { flags } = request;
    if (!state.version2)
      throw new KernelError(
        'EACCES',
        'type1 version',
        'a version 1 container tracks nothing',
        'set TYPE1v2_IOMMU',
      );
    if (request.argsz < StructureBytes.dirtyBitmap)
      throw invalid('dirty structure', `argsz ${request.argsz}`);
    if (flags !== DirtyFlag.start && flags !== DirtyFlag.stop && flags !== DirtyFlag.getBitmap)
      throw invalid('dirty flags', `flags 0x${flags.toString(16)}: one of START, STOP, GET_BITMAP`);
    if (flags === DirtyFlag.start) startTracking(state);
    else if (flags === DirtyFlag.stop) stopTracking(state);
    else this.dirtyBitmap(request);
  }

  /** vfio_pin_pages of a device in `group`; the frames. */
  pinPages(group: ContainerGroup, iova: bigint, count: number, prot: number): number[] {
    const member = findGroup(this.state, group);
    if (member === undefined) throw invalid('group not attached', 'the group is not in this container');
    return pinPages(this.state, member, iova, count, prot);
  }

  unpinPages(iova: bigint, count: number): void {
    unpinPages(this.state, iova, count);
  }

  /** vfio_dma_rw. */
  accessMemory(iova: bigint, bytes: Uint8Array, write: boolean): Uint8Array {
    return accessMemory(this.state, iova, bytes, write);
  }

  private refuseWrap(start: bigint, size: bigint): void {
    if (start + size <= U64) return;
    throw new KernelError(
      this.state.environment.profile.vfioWrapErrno,
      'address wrap',
      `${hex(start)} + ${hex(size)} goes beyond 2^64`,
    );
  }

  private insert(process: Process, first: number, pages: number, userPage: number, rights: number): void {
    const { state } = this;
    state.mappingsAvailable -= 1;
    const prot =
      ((rights & MapFlag.read) !== 0 ? IommuProt.read : 0) |
      ((rights & MapFlag.write) !== 0 ? IommuProt.write : 0);
    const slot = state.mappings.insert(first, pages, userPage, prot, state.ownerIndex(process));
    try {
      if (state.domains.length > 0) pinAndMap(state, slot);
    } catch (error) {
      state.mappings.remove(slot);
      state.mappingsAvailable += 1;
      throw error;
    }
    if (!state.dirtyTracking) return;
    try {
      allocateBitmap(state, slot);
    } catch (error) {
      removeMapping(state, slot);
      throw error;
    }
  }

  /** MAP_FLAG_VADDR: a suspended mapping gets a new user address, and the caller becomes its owner. */
  private updateAddress(
    process: Process,
    slot: number,
    first: number,
    pages: number,
    userPage: number,
  ): void {
    const { state } = this;
    const { mappings } = state;
    if (slot === NONE) throw new KernelError('ENOENT', 'no mapping', 'there is no mapping to update');
    if (
      (mappings.flags(slot) & MappingFlag.vaddrInvalid) === 0 ||
      mappings.start(slot) !== first ||
      mappings.pages(slot) !== pages
    ) {
      throw invalid('address update', 'the mapping is not suspended, or the range is not exactly its own');
    }
    const before = state.ownerOf(slot);
    if (before.memory !== process.memory && state.environment.profile.reworkedVaddrUpdate) {
      const owner = state.ownerIndex(process);
      const charged = this.chargedPages(slot);
      state.charge(state.owners[owner], charged);
      before.memory.lockedPages -= charged;
      mappings.setOwner(slot, owner);
    }
    mappings.setUserPage(slot, userPage);
    mappings.setFlag(slot, MappingFlag.vaddrInvalid, false);
    state.suspendedMappings -= 1;
  }

  /** Pages of a mapping that its owner is charged for (locked_vm of struct vfio_dma). */
  private chargedPages(slot: number): number {
    const { mappings, domains } = this.state;
    let charged = 0;
    for (let page = mappings.start(slot); page < mappings.end(slot); page += 1) {
      const frame = domains[0]?.domain.iovaToFrame(page as Page);
      if (frame !== undefined && this.state.ownerOf(slot).memory.pages.references(frame) > 0) charged += 1;
    }
    return charged;
  }

  private dirtyBitmap(request: DirtyPagesRequest): void {
    const { state } = this;
    const { iova = 0n, size = 0n, bitmap } = request;
    if (bitmap === undefined || request.argsz < StructureBytes.dirtyBitmap + StructureBytes.dirtyBitmapGet)
      throw invalid('dirty structure', `argsz ${request.argsz}`);
    if (size !== 0n) this.refuseWrap(iova, size);
    verifyBitmapSize(pagesOf(size, bitmap.pgsize), bitmap.sizeBytes);
    if (bitmap.pgsize !== state.smallestPage)
      throw invalid('dirty page size', `${hex(bitmap.pgsize)}: only ${hex(state.smallestPage)} is tracked`);
    const mask = state.smallestPage - 1n;
    if ((iova & mask) !== 0n || size === 0n || (size & mask) !== 0n)
      throw invalid('dirty range', `${hex(iova)} + ${hex(size)}`);
    if (!state.dirtyTracking) throw invalid('dirty tracking', 'tracking is off');
    const first = Number(iova >> 12n);
    collectDirty(state, first, first + Number(size >> 12n), bitmap.user);
  }
}

/** size >> __ffs(pgsize); the shift of a page size of 0 is undefined in the kernel and counted as none here. */
function pagesOf(size: bigint, pgsize: bigint): bigint {
  let shift = 0n;
  for (let rest = pgsize; rest !== 0n && (rest & 1n) === 0n; rest >>= 1n) shift += 1n;
  return size >> shift;
}
