/** Numbers of include/uapi/linux/vfio.h. */

/** VFIO_CHECK_EXTENSION and VFIO_SET_IOMMU. */
export const Extension = {
  TYPE1_IOMMU: 1,
  SPAPR_TCE_IOMMU: 2,
  TYPE1v2_IOMMU: 3,
  DMA_CC_IOMMU: 4,
  EEH: 5,
  /** Nesting until 6.11, reserved since. */
  TYPE1_NESTING_IOMMU: 6,
  SPAPR_TCE_v2_IOMMU: 7,
  NOIOMMU_IOMMU: 8,
  UNMAP_ALL: 9,
  UPDATE_VADDR: 10,
} as const;

/** ioctl request numbers: type ';' (0x3b), base 100. 112 to 120 mean other things on a device than on a container. */
export const Request = {
  GET_API_VERSION: 0x3b64,
  CHECK_EXTENSION: 0x3b65,
  SET_IOMMU: 0x3b66,
  GROUP_GET_STATUS: 0x3b67,
  GROUP_SET_CONTAINER: 0x3b68,
  GROUP_UNSET_CONTAINER: 0x3b69,
  GROUP_GET_DEVICE_FD: 0x3b6a,
  DEVICE_GET_INFO: 0x3b6b,
  DEVICE_GET_REGION_INFO: 0x3b6c,
  DEVICE_GET_IRQ_INFO: 0x3b6d,
  DEVICE_SET_IRQS: 0x3b6e,
  DEVICE_RESET: 0x3b6f,
  DEVICE_GET_PCI_HOT_RESET_INFO: 0x3b70,
  DEVICE_PCI_HOT_RESET: 0x3b71,
  DEVICE_IOEVENTFD: 0x3b74,
  DEVICE_FEATURE: 0x3b75,
  DEVICE_BIND_IOMMUFD: 0x3b76,
  DEVICE_ATTACH_IOMMUFD_PT: 0x3b77,
  DEVICE_DETACH_IOMMUFD_PT: 0x3b78,
  IOMMU_GET_INFO: 0x3b70,
  IOMMU_MAP_DMA: 0x3b71,
  IOMMU_UNMAP_DMA: 0x3b72,
  IOMMU_DIRTY_PAGES: 0x3b75,
} as const;

export const GroupStatus = { viable: 1, containerSet: 2 } as const;

export const MapFlag = { read: 1, write: 2, vaddr: 4 } as const;
export const UnmapFlag = { getDirtyBitmap: 1, all: 2, vaddr: 4 } as const;
export const DirtyFlag = { start: 1, stop: 2, getBitmap: 4 } as const;

/** Sizes of the structures that come in, up to their last mandatory field. */
export const StructureBytes = {
  groupStatus: 8,
  iommuInfoMinimum: 16,
  iommuInfo: 24,
  mapDma: 32,
  unmapDma: 24,
  /** With struct vfio_bitmap behind it. */
  unmapDmaWithBitmap: 48,
  dirtyBitmap: 8,
  /** struct vfio_iommu_type1_dirty_bitmap_get behind it. */
  dirtyBitmapGet: 40,
  deviceInfo: 16,
  regionInfo: 32,
  irqInfo: 16,
  /** Of the hot reset requests, up to `count`; and of each function in the answer. */
  hotReset: 12,
  affectedFunction: 8,
  feature: 8,
} as const;

export const RegionFlag = { read: 1, write: 2, mmap: 4, capabilities: 8 } as const;
export const IrqFlag = { eventfd: 1, maskable: 2, automasked: 4, noResize: 8 } as const;
export const DeviceFlag = { reset: 1, pci: 2, capabilities: 128 } as const;

/** Flags of VFIO_DEVICE_FEATURE beside the number of the feature, and the numbers that vfio-pci knows. */
export const FeatureFlag = { number: 0xffff, get: 0x10000, set: 0x20000, probe: 0x40000 } as const;
export const Feature = {
  PCI_VF_TOKEN: 0,
  LOW_POWER_ENTRY: 3,
  LOW_POWER_ENTRY_WITH_WAKEUP: 4,
  LOW_POWER_EXIT: 5,
} as const;

/** A mapping may have at most 2^31 pages tracked: a bitmap of 256 MiB. */
export const DIRTY_BITMAP_BYTES_MAXIMUM = 0x10000000n;
