/** iommu_map, iommu_unmap, iommu_iova_to_phys: what callers with byte addresses use. */
import type { Frame, Page } from '../../memory/types.ts';
import { KernelError } from '../errno.ts';
import type { KernelLog } from '../kernel-log.ts';
import type { IommuDomain } from './types.ts';

const PAGE = 0xfffn;
const hex = (value: bigint): string => `0x${value.toString(16)}`;

/** @throws KernelError EINVAL: not a multiple of 4 KiB; else as the domain's `map`. */
export function mapRange(
  domain: IommuDomain,
  iova: bigint,
  physical: bigint,
  size: bigint,
  prot: number,
  log: KernelLog,
): void {
  if (((iova | physical | size) & PAGE) !== 0n) {
    const pa = `0x${physical.toString(16).padStart(16, '0')}`;
    log.write(`iommu: unaligned: iova ${hex(iova)} pa ${pa} size ${hex(size)} min_pagesz 0x1000`);
    throw new KernelError(
      'EINVAL',
      'range not aligned',
      'IOVA, physical address and size must be multiples of 4 KiB.',
    );
  }
  if (size === 0n) return;
  domain.map(Number(iova >> 12n) as Page, Number(physical >> 12n) as Frame, Number(size >> 12n), prot);
}

/** Bytes unmapped; 0, and a line in the log, for a range that is not aligned. */
export function unmapRange(domain: IommuDomain, iova: bigint, size: bigint, log: KernelLog): bigint {
  if (((iova | size) & PAGE) !== 0n) {
    log.write(`iommu: unaligned: iova ${hex(iova)} size ${hex(size)} min_pagesz 0x1000`);
    return 0n;
  }
  return BigInt(domain.unmap(Number(iova >> 12n) as Page, Number(size >> 12n))) << 12n;
}

/** The physical address, or 0: not mapped. */
export function iovaToPhysical(domain: IommuDomain, iova: bigint): bigint {
  const frame = domain.iovaToFrame(Number(iova >> 12n) as Page);
  return frame === undefined ? 0n : (BigInt(frame) << 12n) | (iova & PAGE);
}
