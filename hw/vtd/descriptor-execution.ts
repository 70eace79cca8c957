/** What descriptors ask of the caches and of devices, read from their fields. VT-d 6.5.2. */
import {
  ContextCacheDescriptor,
  DescriptorType,
  DeviceTlbDescriptor,
  InterruptEntryCacheDescriptor,
  IotlbDescriptor,
  PageGroupResponseDescriptor,
  PasidCacheDescriptor,
  PasidDeviceTlbDescriptor,
  PasidIotlbDescriptor,
} from './descriptors.ts';
import type { DeviceTlbInvalidation, Invalidator, PageRange } from './invalidation.ts';

/** An answer of software to a group of page requests. */
export interface PageGroupResponse {
  readonly requesterId: number;
  readonly pasid: number | undefined;
  readonly group: number;
  /** 0 success, 1 invalid request, 15 failure. */
  readonly code: number;
}

/** Carries out a descriptor that concerns the unit's own caches; does nothing for other types. */
export function invalidateOwnCaches(type: number, words: Uint32Array, invalidator: Invalidator): void {
  switch (type) {
    case DescriptorType.contextCache:
      contextCache(words, invalidator);
      break;
    case DescriptorType.iotlb:
      iotlb(words, invalidator);
      break;
    case DescriptorType.interruptEntryCache:
      interruptEntryCache(words, invalidator);
      break;
    case DescriptorType.pasidIotlb:
      pasidIotlb(words, invalidator);
      break;
    case DescriptorType.pasidCache:
      pasidCache(words, invalidator);
      break;
  }
}

function contextCache(words: Uint32Array, invalidator: Invalidator): void {
  const { granularity, domainId, sourceId, functionMask } = ContextCacheDescriptor.fields;
  const kind = granularity.get(words);
  if (kind === 1) invalidator.contexts();
  else if (kind === 2) invalidator.contextsOfDomain(domainId.get(words));
  else invalidator.contextsOfDevice(sourceId.get(words), functionMask.get(words));
}

function iotlb(words: Uint32Array, invalidator: Invalidator): void {
  const { granularity, domainId, addressMask, invalidationHint } = IotlbDescriptor.fields;
  const kind = granularity.get(words);
  const domain = domainId.get(words);
  if (kind === 1) invalidator.translations();
  else if (kind === 2) invalidator.translationsOfDomain(domain);
  else
    invalidator.pagesOfDomain(
      domain,
      maskedRange(words, addressMask.get(words)),
      invalidationHint.isSet(words),
    );
}

function interruptEntryCache(words: Uint32Array, invalidator: Invalidator): void {
  const { granularity, index, indexMask } = InterruptEntryCacheDescriptor.fields;
  if (granularity.get(words) === 0) invalidator.interrupts.invalidateAll();
  else invalidator.interrupts.invalidateIndex(index.get(words), indexMask.get(words));
}

function pasidIotlb(words: Uint32Array, invalidator: Invalidator): void {
  const fields = PasidIotlbDescriptor.fields;
  const domain = fields.domainId.get(words);
  const pasid = fields.pasid.get(words);
  if (fields.granularity.get(words) === 2) invalidator.translationsOfPasid(domain, pasid);
  else
    invalidator.pagesOfPasid(
      domain,
      pasid,
      maskedRange(words, fields.addressMask.get(words)),
      fields.invalidationHint.isSet(words),
    );
}

function pasidCache(words: Uint32Array, invalidator: Invalidator): void {
  const { granularity, domainId, pasid } = PasidCacheDescriptor.fields;
  const kind = granularity.get(words);
  if (kind === 3) invalidator.pasids(-1, -1);
  else invalidator.pasids(domainId.get(words), kind === 0 ? -1 : pasid.get(words));
}

/** What a device-TLB descriptor of either type tells the device, or undefined for other types. */
export function deviceTlbInvalidation(type: number, words: Uint32Array): DeviceTlbInvalidation | undefined {
  if (type === DescriptorType.deviceTlb) {
    const { sourceId, size } = DeviceTlbDescriptor.fields;
    const range = sizedRange(words, size.isSet(words));
    return { ...range, requesterId: sourceId.get(words), pasid: -1, allPasids: false };
  }
  if (type !== DescriptorType.pasidDeviceTlb) return undefined;
  const { sourceId, pasid, global, size } = PasidDeviceTlbDescriptor.fields;
  return {
    ...sizedRange(words, size.isSet(words)),
    requesterId: sourceId.get(words),
    pasid: pasid.get(words),
    allPasids: global.isSet(words),
  };
}

/** The answer that a page group response carries. */
export function pageGroupResponse(words: Uint32Array): PageGroupResponse {
  const fields = PageGroupResponseDescriptor.fields;
  return {
    requesterId: fields.requesterId.get(words),
    pasid: fields.pasidPresent.isSet(words) ? fields.pasid.get(words) : undefined,
    group: fields.group.get(words),
    code: fields.responseCode.get(words),
  };
}

/** The range of a descriptor with an address mask, in words 2 and 3. */
function maskedRange(words: Uint32Array, mask: number): PageRange {
  return { pageHigh: words[3] | 0, pageLow: words[2] >>> 12, mask };
}

/**
 * The range of a device-TLB descriptor: one page, or twice as many as the ones above bit 11 of the address say; all
 * ones mean everything.
 */
function sizedRange(words: Uint32Array, sized: boolean): PageRange {
  const pageHigh = words[3] | 0;
  const pageLow = words[2] >>> 12;
  if (!sized) return { pageHigh, pageLow, mask: 0 };
  let mask = 1;
  for (let position = 0; position < 51; position += 1) {
    const set = position < 20 ? (pageLow >>> position) & 1 : (pageHigh >>> (position - 20)) & 1;
    if (set === 0) break;
    mask += 1;
  }
  return { pageHigh, pageLow, mask };
}
