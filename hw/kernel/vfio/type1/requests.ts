/** The structures of type1's ioctls (include/uapi/linux/vfio.h). 64-bit fields are bigint. */
import type { UserBitmap } from './dirty.ts';

/** struct vfio_iommu_type1_dma_map. 64-bit fields as bigint. */
export interface MapDmaRequest {
  argsz: number;
  flags: number;
  vaddr: bigint;
  iova: bigint;
  size: bigint;
}

/** struct vfio_bitmap: page size it counts in, its size in bytes, and where it is. */
export interface BitmapRequest {
  pgsize: bigint;
  sizeBytes: bigint;
  user: UserBitmap;
}

/** struct vfio_iommu_type1_dma_unmap. */
export interface UnmapDmaRequest {
  argsz: number;
  flags: number;
  iova: bigint;
  size: bigint;
  bitmap?: BitmapRequest;
}

/** struct vfio_iommu_type1_dirty_bitmap, with the range of GET_BITMAP. */
export interface DirtyPagesRequest {
  argsz: number;
  flags: number;
  iova?: bigint;
  size?: bigint;
  bitmap?: BitmapRequest;
}

/** The capability chain of VFIO_IOMMU_GET_INFO, in its order. */
export type InfoCapability =
  | { id: 2; version: 1; flags: number; pageSizes: bigint; maximumDirtyBitmapBytes: bigint }
  | { id: 3; version: 1; available: number }
  | { id: 1; version: 1; ranges: readonly { start: bigint; end: bigint }[] };

/** struct vfio_iommu_type1_info. */
export interface Type1Info {
  /** What the caller gave, or what it should have given. */
  argsz: number;
  /** 1: page sizes, 2: capabilities. */
  flags: number;
  pageSizes: bigint;
  /** 0: the capabilities did not fit. */
  capabilityOffset: number;
  capabilities: readonly InfoCapability[];
}

/** Bytes of a capability: header 8, then its fields. */
export function capabilityBytes(capability: InfoCapability): number {
  if (capability.id === 2) return 32;
  return capability.id === 3 ? 12 : 16 + 16 * capability.ranges.length;
}
