/** Whether a unit takes a descriptor: its type, its reserved bits, what its fields ask for. VT-d 6.5.2. */
import {
  ContextCacheDescriptor,
  DescriptorType,
  DeviceTlbDescriptor,
  descriptorLayout,
  descriptorType,
  InterruptEntryCacheDescriptor,
  IotlbDescriptor,
  PasidCacheDescriptor,
  PasidDeviceTlbDescriptor,
  PasidIotlbDescriptor,
  WaitDescriptor,
} from './descriptors.ts';
import type { Capabilities } from './registers.ts';

/** Causes of a queue error, as IQERCD.IQEI reports them. */
export const QueueError = {
  tailBeyondEnd: 1,
  fetch: 2,
  type: 3,
  reserved: 4,
  width: 5,
  tailMisaligned: 6,
} as const;

/** Types that came with scalable mode: they have no 128-bit form. */
const WIDE_TYPES: readonly number[] = [
  DescriptorType.pasidIotlb,
  DescriptorType.pasidCache,
  DescriptorType.pasidDeviceTlb,
];

/**
 * Tests a descriptor of 8 words. @param isNarrow It came from a queue of 128-bit descriptors; its upper words are zero.
 * @returns 0, or a QueueError.
 */
export function descriptorError(words: Uint32Array, isNarrow: boolean, has: Capabilities): number {
  const type = descriptorType(words[0]);
  const layout = descriptorLayout(type);
  if (layout === undefined || !typeOffered(type, has)) return QueueError.type;
  if (isNarrow && WIDE_TYPES.includes(type)) return QueueError.width;
  // The upper half of a page group response is private data of the requester.
  const isReservedUpper = type !== DescriptorType.pageGroupResponse;
  const upper = words[4] | words[5] | words[6] | words[7];
  if (layout.reservedSet(words) || (isReservedUpper && upper !== 0)) return QueueError.reserved;
  return meaningful(type, words, has) ? 0 : QueueError.reserved;
}

function typeOffered(type: number, has: Capabilities): boolean {
  switch (type) {
    case DescriptorType.deviceTlb:
      return has.deviceTlb !== 0;
    case DescriptorType.interruptEntryCache:
      return has.interruptRemapping !== 0;
    case DescriptorType.pasidIotlb:
    case DescriptorType.pasidCache:
      return has.scalableMode !== 0;
    case DescriptorType.pasidDeviceTlb:
      return has.scalableMode !== 0 && has.deviceTlb !== 0;
    case DescriptorType.pageGroupResponse:
      return has.pageRequests !== 0;
    default:
      return true;
  }
}

/** Granularities and sizes that exist, and no field of a feature that the unit lacks. */
function meaningful(type: number, words: Uint32Array, has: Capabilities): boolean {
  switch (type) {
    case DescriptorType.contextCache:
      return ContextCacheDescriptor.fields.granularity.get(words) !== 0;
    case DescriptorType.iotlb: {
      const { granularity, addressMask } = IotlbDescriptor.fields;
      if (granularity.get(words) !== 3) return granularity.get(words) !== 0;
      return has.pageSelectiveInvalidation !== 0 && addressMask.get(words) <= has.maximumAddressMask;
    }
    case DescriptorType.deviceTlb: {
      const { physicalFunctionLow, physicalFunctionHigh } = DeviceTlbDescriptor.fields;
      return (
        has.deviceTlbThrottle !== 0 ||
        (!physicalFunctionLow.isSet(words) && !physicalFunctionHigh.isSet(words))
      );
    }
    case DescriptorType.interruptEntryCache: {
      const { granularity, indexMask } = InterruptEntryCacheDescriptor.fields;
      return granularity.get(words) === 0 || indexMask.get(words) <= has.maximumHandleMask;
    }
    case DescriptorType.wait:
      return has.pageRequestDrain !== 0 || !WaitDescriptor.fields.pageRequestDrain.isSet(words);
    case DescriptorType.pasidIotlb:
      return PasidIotlbDescriptor.fields.granularity.get(words) >= 2;
    case DescriptorType.pasidCache:
      return PasidCacheDescriptor.fields.granularity.get(words) !== 2;
    case DescriptorType.pasidDeviceTlb: {
      const { physicalFunctionLow, physicalFunctionHigh } = PasidDeviceTlbDescriptor.fields;
      return (
        has.deviceTlbThrottle !== 0 ||
        (!physicalFunctionLow.isSet(words) && !physicalFunctionHigh.isSet(words))
      );
    }
    default:
      return true;
  }
}
