/** VFIO_DEVICE_FEATURE: what a device can do besides, asked for, read or set by number. drivers/vfio/vfio_main.c. */
import { KernelError } from '../errno.ts';
import type { VfioDevice } from './device.ts';
import { FeatureFlag, StructureBytes } from './uapi.ts';

/** struct vfio_device_feature: `flags` holds the number and FeatureFlag; `data` what follows it (argsz - 8 bytes). */
export interface FeatureRequest {
  readonly argsz: number;
  readonly flags: number;
  readonly data?: Uint8Array;
}

/** A request for one feature, with its structure checked. */
export interface FeatureCall {
  readonly feature: number;
  readonly get: boolean;
  readonly set: boolean;
  readonly probe: boolean;
  /** Bytes behind the header. */
  readonly room: number;
  readonly data: Uint8Array;
}

const KNOWN = FeatureFlag.number | FeatureFlag.get | FeatureFlag.set | FeatureFlag.probe;

/** @throws KernelError EINVAL (structure, flags), ENOTTY (the device has no such feature), and what the driver says. */
export function deviceFeature(device: VfioDevice, request: FeatureRequest): void {
  const { argsz, flags } = request;
  const probe = (flags & FeatureFlag.probe) !== 0;
  const get = (flags & FeatureFlag.get) !== 0;
  const set = (flags & FeatureFlag.set) !== 0;
  if (argsz < StructureBytes.feature || (flags & ~KNOWN) !== 0 || (!probe && get && set))
    throw new KernelError('EINVAL', 'feature structure', `argsz ${argsz}, flags 0x${flags.toString(16)}`);
  const feature = flags & FeatureFlag.number;
  const call: FeatureCall = {
    feature,
    get,
    set,
    probe,
    room: argsz - StructureBytes.feature,
    data: request.data ?? new Uint8Array(0),
  };
  if (device.operations.feature?.(call) === true) return;
  throw new KernelError('ENOTTY', 'unknown feature', `${device.name} has no feature ${feature}`);
}

/**
 * vfio_check_feature, for a feature that can only be set. True: it is to be set now; false: it was only asked for.
 * @throws KernelError EINVAL: to be read, neither read nor set, or too small.
 */
export function mustSetFeature(call: FeatureCall, bytes: number): boolean {
  if (!call.get) {
    if (call.probe) return false;
    if (call.set && call.room >= bytes) return true;
  }
  throw new KernelError(
    'EINVAL',
    'feature request',
    `feature ${call.feature} can be set, with ${bytes} bytes, and nothing else`,
  );
}
