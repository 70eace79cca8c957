/** Which caches a change of a domain's page table concerns, and the descriptors that reach them (cache.c, iommu.c). */
import type { DeviceInfo } from './device-info.ts';
import type { IntelDomain } from './domain.ts';
import type { IntelUnit } from './unit.ts';

/** A run of pages as invalidations can name it: 2^order pages, aligned. */
interface Span {
  readonly page: number;
  readonly order: number;
}

/** The smallest aligned power of two that covers the pages (calculate_psi_aligned_address). */
export function coveringSpan(page: number, count: number): Span {
  let order = 0;
  while (
    2 ** order < count ||
    Math.floor(page / 2 ** order) !== Math.floor((page + count - 1) / 2 ** order)
  ) {
    order += 1;
  }
  return { page: page - (page % 2 ** order), order };
}

/** The least power of two that is not below the count. */
function orderOf(count: number): number {
  let order = 0;
  while (2 ** order < count) order += 1;
  return order;
}

/** Something became mapped. Only caching mode keeps absent second-level entries; first level never does. */
export function flushMapped(domain: IntelDomain, page: number, count: number): void {
  for (const unit of domain.unitUses.keys()) {
    if (unit.capabilities.cachingMode === 1 && !domain.firstLevel) {
      flushIotlb(domain, unit, page, count, coveringSpan(page, count), false);
    } else {
      unit.flushWriteBuffer();
    }
  }
}

/** Something is mapped no longer: IOTLBs first, then the device-TLBs. `leavesOnly`: no table was freed. */
export function flushUnmapped(domain: IntelDomain, page: number, count: number, leavesOnly: boolean): void {
  if (domain.unitUses.size === 0 && domain.nestedDomains.size === 0) return;
  const span = coveringSpan(page, count);
  const short = domain.firstLevel && domain.profile.shortFirstLevelFlush;
  // The size of a descriptor lies in the address: one that is not aligned to it may name more.
  const ofDevices = short ? { page, order: orderOf(count) } : span;
  for (const unit of domain.unitUses.keys()) {
    const flush = (): void => {
      flushIotlb(domain, unit, page, count, span, leavesOnly);
      flushDeviceTlbs(domain, unit, ofDevices);
    };
    // Old kernels wait for each descriptor.
    if (domain.profile.unmapInRuns) flush();
    else unit.flush.batch(flush);
  }
  for (const nested of domain.nestedDomains) flushNested(nested);
}

/**
 * What a parent no longer maps may be cached as part of any nested translation: its ids go as a whole, and the
 * device-TLBs (CACHE_TAG_NESTING_IOTLB, CACHE_TAG_NESTING_DEVTLB).
 */
function flushNested(nested: IntelDomain): void {
  for (const unit of nested.unitUses.keys()) {
    unit.flush.domain(nested.domainIdOn(unit));
    flushDeviceTlbs(nested, unit, { page: 0, order: 52 });
  }
}

function flushIotlb(
  domain: IntelDomain,
  unit: IntelUnit,
  page: number,
  count: number,
  span: Span,
  leavesOnly: boolean,
): void {
  const { pageSelectiveInvalidation, maximumAddressMask } = unit.capabilities;
  const domainId = domain.domainIdOn(unit);
  if (domain.firstLevel) {
    const order = domain.profile.shortFirstLevelFlush ? orderOf(count) : span.order;
    if (page % 2 ** order !== 0) domain.driver.log.warnOnce('qi_flush_piotlb');
    if (order < span.order)
      domain.driver.quirks.show(
        'first-level-short-flush',
        `${domain.name}: ${count} pages from 0x${page.toString(16)}`,
      );
    for (const pasid of pasidsOn(domain, unit)) {
      unit.flush.pagesOfPasid(domainId, pasid, page - (page % 2 ** order), order, leavesOnly);
    }
  } else if (pageSelectiveInvalidation === 0 || span.order > maximumAddressMask) {
    unit.flush.domain(domainId);
  } else {
    // The unit ignores the address bits below the mask.
    unit.flush.pages(domainId, domain.profile.exactFlushAddress ? page : span.page, span.order);
  }
}

/** PASIDs under which a first-level domain is cached on a unit: its own first, then 0 for requests without one. */
export function pasidsOn(domain: IntelDomain, unit: IntelUnit): number[] {
  const pasids = new Set<number>();
  if (domain.profile.auxiliaryDomains) {
    if (domain.defaultPasid > 0) pasids.add(domain.defaultPasid);
    if (domain.devices.size > 0) pasids.add(0);
  } else {
    for (const info of domain.devices) if (info.unit === unit) pasids.add(0);
  }
  for (const [info, attached] of domain.pasidAttachments) {
    if (info.unit === unit) for (const pasid of attached) pasids.add(pasid);
  }
  return [...pasids];
}

export function flushDeviceTlbs(domain: IntelDomain, unit: IntelUnit, span: Span): void {
  const old = domain.profile.unmapInRuns;
  // Old kernels keep these lists newest first, and go through all of them for each unit.
  const order = <T>(list: Iterable<T>): T[] => (old ? [...list].reverse() : [...list]);
  const concerns = (info: DeviceInfo): boolean => (old || info.unit === unit) && info.atsEnabled;
  const looks = !old || domain.hasDeviceTlb;
  for (const info of looks ? order(domain.devices) : []) {
    if (concerns(info)) info.unit.flush.deviceTlb(info, span.page, span.order);
  }
  for (const { info } of order(domain.auxiliaryRecords)) {
    if (!concerns(info)) continue;
    const { quirks } = domain.driver;
    const where = `${info.device.name}, PASID ${domain.defaultPasid}`;
    if (!looks) {
      quirks.show('aux-missed-device-tlb', where);
      continue;
    }
    info.unit.flush.deviceTlb(info, span.page, span.order);
    quirks.show('aux-unmap-plain-device-tlb', where);
  }
  for (const [info, pasids] of domain.pasidAttachments) {
    if (info.unit !== unit || !info.atsEnabled) continue;
    for (const pasid of pasids) unit.flush.deviceTlbOfPasid(info, pasid, span.page, span.order);
  }
}
