/**
 * The requests of /dev/iommu by number (include/uapi/linux/iommufd.h), and the rule of their structures: each starts
 * with its size; too small is refused, larger is taken as long as the unknown rest is zero.
 */
import { KernelError } from '../errno.ts';

export const IOMMUFD_TYPE = 0x3b;
const FIRST_NUMBER = 0x80;
/** Position of the self-test's request after the first. */
const SELFTEST_NUMBER = 0xa0;

interface Request {
  readonly number: number;
  /** Bytes that must be there, and bytes of the whole structure. */
  readonly minimum: number;
  readonly size: number;
}

const request = (number: number, size: number, minimum = size): Request => ({ number, minimum, size });

export const IommufdRequest = {
  DESTROY: request(0x80, 8),
  IOAS_ALLOC: request(0x81, 12),
  IOAS_ALLOW_IOVAS: request(0x82, 24),
  IOAS_COPY: request(0x83, 40),
  IOAS_IOVA_RANGES: request(0x84, 32),
  IOAS_MAP: request(0x85, 40),
  IOAS_UNMAP: request(0x86, 24),
  OPTION: request(0x87, 24),
  VFIO_IOAS: request(0x88, 12),
  HWPT_ALLOC: request(0x89, 48, 24),
  GET_HW_INFO: request(0x8a, 40, 32),
  HWPT_SET_DIRTY_TRACKING: request(0x8b, 16),
  HWPT_GET_DIRTY_BITMAP: request(0x8c, 48),
  HWPT_INVALIDATE: request(0x8d, 32),
  FAULT_QUEUE_ALLOC: request(0x8e, 16),
  IOAS_MAP_FILE: request(0x8f, 40),
  VIOMMU_ALLOC: request(0x90, 40, 24),
  VDEVICE_ALLOC: request(0x91, 24),
  IOAS_CHANGE_PROCESS: request(0x92, 8),
  VEVENTQ_ALLOC: request(0x93, 28),
  HW_QUEUE_ALLOC: request(0x94, 40),
} as const satisfies Record<string, Request>;

export type IommufdRequestName = keyof typeof IommufdRequest;

const LAST_NUMBER = 0x94;

/**
 * The size rule. @param size what the structure says of itself. @param tailIsZero what lies beyond the known structure.
 * @throws KernelError EINVAL too small, E2BIG unknown fields that are not zero.
 */
export function checkStructureSize(name: IommufdRequestName, size: number, tailIsZero: boolean): void {
  const { minimum, size: known } = IommufdRequest[name];
  if (size < minimum)
    throw new KernelError('EINVAL', 'structure size', `${name} takes at least ${minimum} bytes, not ${size}`);
  if (size > known && !tailIsZero)
    throw new KernelError('E2BIG', 'structure size', `${name} has ${known} bytes; what follows is not zero`);
}

/**
 * Who answers a request number: IOMMUFD itself, the VFIO compatibility, or nobody.
 * @param command the whole ioctl number: type in bits 15:8, number in bits 7:0.
 */
export function classifyRequest(
  command: number,
  selftest: boolean,
): { kind: 'iommufd'; name: IommufdRequestName | undefined } | { kind: 'vfio' } {
  const number = command & 0xff;
  const last = selftest ? SELFTEST_NUMBER : LAST_NUMBER;
  if (number < FIRST_NUMBER || number > last) return { kind: 'vfio' };
  for (const [name, known] of Object.entries(IommufdRequest)) {
    if (known.number === number && command === ((IOMMUFD_TYPE << 8) | number))
      return { kind: 'iommufd', name: name as IommufdRequestName };
  }
  return { kind: 'iommufd', name: undefined };
}
