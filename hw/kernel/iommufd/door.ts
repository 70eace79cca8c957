/** What the application uses of IOMMUFD. */
export { dumpTranslation } from '../intel/translation-dump.ts';
export { MemoryFile } from '../process/memory-file.ts';
export { IommufdContext, IommufdModule } from './context.ts';
export { DeviceNodeFile, openDeviceNode } from './device-node.ts';
export {
  destroy,
  faultQueueAlloc,
  getHardwareInfo,
  hwptAlloc,
  hwptGetDirtyBitmap,
  hwptInvalidate,
  hwptSetDirtyTracking,
  ioasAlloc,
} from './hwpt-requests.ts';
export {
  checkRoom,
  ioasAllowIovas,
  ioasChangeProcess,
  ioasCopy,
  ioasIovaRanges,
  ioasMap,
  ioasMapFile,
  ioasUnmap,
  option,
} from './ioas-requests.ts';
export { checkStructureSize, type IommufdRequestName } from './ioctls.ts';
export { rawRequest } from './raw-request.ts';
export { IommufdSelftest, MockAccess } from './selftest/selftest.ts';
export {
  apiVersion,
  checkExtension,
  dirtyPages,
  iommuInfo,
  mapDma,
  setIommu,
  unmapDma,
  vfioIoas,
} from './vfio-compat.ts';
