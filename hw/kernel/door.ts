/** What the application may use of the kernel half, under the name `kernel` of hw/index.ts. */
export { Completion } from './completion.ts';
export type { Device } from './device.ts';
export { PciDriver, writeDriverOverride } from './drivers/pci-driver.ts';
export { VfioPciOperations } from './drivers/vfio-pci.ts';
export { Errno } from './errno.ts';
export type { IommuGroup } from './iommu/types.ts';
export { PinningFunction } from './mdev/drivers/pinning-test.ts';
export { VirtualFunction } from './mdev/drivers/virtual-function.ts';
export { type Mdev, type MdevDriver, type MdevParent, typeId } from './mdev/mdev-driver.ts';
export { SampleModules } from './mdev/sample-modules.ts';
export type { Protection } from './process/address-space.ts';
export { OpenFile, type OpenFileObject } from './process/file.ts';
export { DeviceMemory, PagedMemory } from './process/memory-object.ts';
export { Container } from './vfio/container.ts';
export { DeviceFile } from './vfio/device.ts';
export { GroupFile, VfioGroup } from './vfio/group.ts';
export type { BitmapRequest, Type1Info } from './vfio/type1/requests.ts';
export { DirtyFlag, Extension, MapFlag, Request, UnmapFlag } from './vfio/uapi.ts';
