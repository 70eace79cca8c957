/**
 * The invalidation queue: fetches descriptors from memory, tests them, carries them out in order, signals waits. VT-d
 * 6.5.2. A queue error leaves the head at the bad descriptor until software clears the error.
 */

import type { PhysicalMemory } from '../memory/physical-memory.ts';
import { capabilitiesOf, type UnitConfiguration } from './configuration.ts';
import {
  ContextCacheDescriptor,
  DescriptorType,
  DeviceTlbDescriptor,
  descriptorLayout,
  descriptorType,
  InterruptEntryCacheDescriptor,
  IotlbDescriptor,
  PageGroupResponseDescriptor,
  PasidCacheDescriptor,
  PasidDeviceTlbDescriptor,
  PasidIotlbDescriptor,
  WaitDescriptor,
} from './descriptors.ts';
import { EventInterrupt, type MessageSender } from './event-interrupt.ts';
import type { FaultLog } from './faults.ts';
import type { DeviceTlbAnswer, DeviceTlbInvalidation, Invalidator, PageRange } from './invalidation.ts';
import type { RegisterFile } from './register-file.ts';
import { type Capabilities, FaultStatusBit, GlobalBit } from './registers.ts';

/** Causes of a queue error, as IQERCD.IQEI reports them. */
export const QueueError = {
  tailBeyondEnd: 1,
  fetch: 2,
  type: 3,
  reserved: 4,
  width: 5,
  tailMisaligned: 6,
} as const;

const HALTED = FaultStatusBit.queueError | FaultStatusBit.timeOutError;
const WAIT_COMPLETE = 1;

/** An answer of software to a group of page requests. */
export interface PageGroupResponse {
  readonly requesterId: number;
  readonly pasid: number | undefined;
  readonly group: number;
  readonly code: number;
}

/** Whom the queue's descriptors reach outside the unit, and the unit itself. */
export interface QueueTargets {
  /** True when the unit translates by scalable-mode tables: 128-bit descriptors are then wrong. */
  scalableTables(): boolean;
  deviceTlb(invalidation: DeviceTlbInvalidation): DeviceTlbAnswer;
  pageGroupResponse(response: PageGroupResponse): void;
  /** A descriptor was carried out: for the trace. */
  executed(words: Uint32Array, address: number): void;
}

export class InvalidationQueue {
  private readonly file: RegisterFile;
  private readonly memory: PhysicalMemory;
  private readonly invalidator: Invalidator;
  private readonly faults: FaultLog;
  private readonly targets: QueueTargets;
  private readonly event: EventInterrupt;
  private readonly has: Capabilities;
  private readonly descriptor = new Uint32Array(8);
  /** Base, size in bytes and descriptor width as they were when the queue was enabled. */
  private baseAddress = 0;
  private sizeBytes = 4096;
  private widthBytes = 16;

  constructor(
    configuration: UnitConfiguration,
    file: RegisterFile,
    memory: PhysicalMemory,
    invalidator: Invalidator,
    faults: FaultLog,
    targets: QueueTargets,
    send: MessageSender,
  ) {
    this.has = capabilitiesOf(configuration);
    this.file = file;
    this.memory = memory;
    this.invalidator = invalidator;
    this.faults = faults;
    this.targets = targets;
    this.event = new EventInterrupt(
      file,
      { control: 'IECTL', data: 'IEDATA', address: 'IEADDR', upperAddress: 'IEUADDR' },
      send,
    );
  }

  get enabled(): boolean {
    return (this.file.get('GSTS') & GlobalBit.queuedInvalidation) !== 0;
  }

  /** Where the ring is, as latched. */
  get ring(): { readonly base: number; readonly sizeBytes: number; readonly widthBytes: number } {
    return { base: this.baseAddress, sizeBytes: this.sizeBytes, widthBytes: this.widthBytes };
  }

  enable(): void {
    const low = this.file.get('IQA');
    this.baseAddress = this.file.getHigh('IQA') * 2 ** 32 + ((low & 0xfffff000) >>> 0);
    this.sizeBytes = 4096 << (low & 7);
    this.widthBytes = (low & 0x800) !== 0 ? 32 : 16;
    this.file.set('IQH', 0);
    this.file.set('GSTS', this.file.get('GSTS') | GlobalBit.queuedInvalidation);
    this.run();
  }

  disable(): void {
    this.file.set('IQH', 0);
    this.file.set('GSTS', this.file.get('GSTS') & ~GlobalBit.queuedInvalidation);
  }

  eventControlWritten(): void {
    this.event.controlWritten();
  }

  completionStatusWritten(): void {
    if ((this.file.get('ICS') & WAIT_COMPLETE) === 0) this.event.clearPending();
  }

  /** Carries out descriptors from head to tail, as far as nothing halts the queue. */
  run(): void {
    while (this.enabled && (this.file.get('FSTS') & HALTED) === 0) {
      const head = this.file.get('IQH');
      const tail = this.file.get('IQT');
      if (head === tail) return;
      const error = this.tailError(tail) || this.step(head);
      if (error !== 0) {
        this.file.set('IQERCD', error);
        this.faults.setStatus(FaultStatusBit.queueError);
        return;
      }
    }
  }

  /** Software cleared the error: it is no longer reported, and the queue goes on. */
  errorCleared(): void {
    if ((this.file.get('FSTS') & FaultStatusBit.queueError) === 0) this.file.set('IQERCD', 0);
    if ((this.file.get('FSTS') & (FaultStatusBit.timeOutError | FaultStatusBit.completionError)) === 0)
      this.file.setHigh('IQERCD', 0);
    this.run();
  }

  private tailError(tail: number): number {
    if (tail >= this.sizeBytes) return QueueError.tailBeyondEnd;
    return (tail & (this.widthBytes - 1)) !== 0 ? QueueError.tailMisaligned : 0;
  }

  /** Fetches, tests and carries out the descriptor at the head. 0, or a queue error. */
  private step(head: number): number {
    if (this.widthBytes === 16 && this.targets.scalableTables()) return QueueError.width;
    const address = this.baseAddress + head;
    const words = this.descriptor;
    words.fill(0);
    if (!this.memory.contains(address, this.widthBytes)) return QueueError.fetch;
    for (let word = 0; word < this.widthBytes / 4; word += 1)
      words[word] = this.memory.read32(address + word * 4);
    const type = descriptorType(words[0]);
    const error = this.check(type);
    if (error !== 0) return error;
    this.advance();
    this.targets.executed(words, address);
    this.execute(type);
    return 0;
  }

  private advance(): void {
    this.file.set('IQH', (this.file.get('IQH') + this.widthBytes) % this.sizeBytes);
  }

  private check(type: number): number {
    const layout = descriptorLayout(type);
    if (layout === undefined || !this.typeOffered(type)) return QueueError.type;
    const words = this.descriptor;
    const upper = words[4] | words[5] | words[6] | words[7];
    if (layout.reservedSet(words) || upper !== 0) return QueueError.reserved;
    return this.meaningful(type) ? 0 : QueueError.reserved;
  }

  private typeOffered(type: number): boolean {
    switch (type) {
      case DescriptorType.deviceTlb:
        return this.has.deviceTlb !== 0;
      case DescriptorType.interruptEntryCache:
        return this.has.interruptRemapping !== 0;
      case DescriptorType.pasidIotlb:
      case DescriptorType.pasidCache:
        return this.has.scalableMode !== 0;
      case DescriptorType.pasidDeviceTlb:
        return this.has.scalableMode !== 0 && this.has.deviceTlb !== 0;
      case DescriptorType.pageGroupResponse:
        return this.has.pageRequests !== 0;
      default:
        return true;
    }
  }

  /** Granularities and sizes that exist, and no field of a feature that the unit lacks. */
  private meaningful(type: number): boolean {
    const words = this.descriptor;
    switch (type) {
      case DescriptorType.contextCache:
        return ContextCacheDescriptor.fields.granularity.get(words) !== 0;
      case DescriptorType.iotlb: {
        const { granularity, addressMask } = IotlbDescriptor.fields;
        if (granularity.get(words) !== 3) return granularity.get(words) !== 0;
        return (
          this.has.pageSelectiveInvalidation !== 0 && addressMask.get(words) <= this.has.maximumAddressMask
        );
      }
      case DescriptorType.deviceTlb: {
        const { physicalFunctionLow, physicalFunctionHigh } = DeviceTlbDescriptor.fields;
        return (
          this.has.deviceTlbThrottle !== 0 ||
          (!physicalFunctionLow.isSet(words) && !physicalFunctionHigh.isSet(words))
        );
      }
      case DescriptorType.interruptEntryCache: {
        const { granularity, indexMask } = InterruptEntryCacheDescriptor.fields;
        return granularity.get(words) === 0 || indexMask.get(words) <= this.has.maximumHandleMask;
      }
      case DescriptorType.wait:
        return this.has.pageRequestDrain !== 0 || !WaitDescriptor.fields.pageRequestDrain.isSet(words);
      case DescriptorType.pasidIotlb:
        return PasidIotlbDescriptor.fields.granularity.get(words) >= 2;
      case DescriptorType.pasidCache:
        return PasidCacheDescriptor.fields.granularity.get(words) !== 2;
      case DescriptorType.pasidDeviceTlb: {
        const { physicalFunctionLow, physicalFunctionHigh } = PasidDeviceTlbDescriptor.fields;
        return (
          this.has.deviceTlbThrottle !== 0 ||
          (!physicalFunctionLow.isSet(words) && !physicalFunctionHigh.isSet(words))
        );
      }
      default:
        return true;
    }
  }

  private execute(type: number): void {
    const words = this.descriptor;
    switch (type) {
      case DescriptorType.contextCache:
        return this.contextCache();
      case DescriptorType.iotlb:
        return this.iotlb();
      case DescriptorType.interruptEntryCache: {
        const { granularity, index, indexMask } = InterruptEntryCacheDescriptor.fields;
        const { interrupts } = this.invalidator;
        if (granularity.get(words) === 0) return interrupts.invalidateAll();
        return interrupts.invalidateIndex(index.get(words), indexMask.get(words));
      }
      case DescriptorType.wait:
        return this.wait();
      case DescriptorType.pasidIotlb:
        return this.pasidIotlb();
      case DescriptorType.pasidCache: {
        const { granularity, domainId, pasid } = PasidCacheDescriptor.fields;
        const kind = granularity.get(words);
        if (kind === 3) return this.invalidator.pasids(-1, -1);
        return this.invalidator.pasids(domainId.get(words), kind === 0 ? -1 : pasid.get(words));
      }
      case DescriptorType.deviceTlb: {
        const { sourceId, size } = DeviceTlbDescriptor.fields;
        const requesterId = sourceId.get(words);
        return this.deviceTlb({
          ...sizedRange(words, size.get(words) !== 0),
          requesterId,
          pasid: -1,
          allPasids: false,
        });
      }
      case DescriptorType.pasidDeviceTlb: {
        const { sourceId, pasid, global, size } = PasidDeviceTlbDescriptor.fields;
        return this.deviceTlb({
          ...sizedRange(words, size.get(words) !== 0),
          requesterId: sourceId.get(words),
          pasid: pasid.get(words),
          allPasids: global.get(words) !== 0,
        });
      }
      case DescriptorType.pageGroupResponse: {
        const fields = PageGroupResponseDescriptor.fields;
        return this.targets.pageGroupResponse({
          requesterId: fields.requesterId.get(words),
          pasid: fields.pasidPresent.get(words) ? fields.pasid.get(words) : undefined,
          group: fields.group.get(words),
          code: fields.responseCode.get(words),
        });
      }
    }
  }

  private contextCache(): void {
    const { granularity, domainId, sourceId, functionMask } = ContextCacheDescriptor.fields;
    const words = this.descriptor;
    switch (granularity.get(words)) {
      case 1:
        return this.invalidator.contexts();
      case 2:
        return this.invalidator.contextsOfDomain(domainId.get(words));
      default:
        return this.invalidator.contextsOfDevice(sourceId.get(words), functionMask.get(words));
    }
  }

  private iotlb(): void {
    const { granularity, domainId, addressMask, invalidationHint } = IotlbDescriptor.fields;
    const words = this.descriptor;
    switch (granularity.get(words)) {
      case 1:
        return this.invalidator.translations();
      case 2:
        return this.invalidator.translationsOfDomain(domainId.get(words));
      default:
        return this.invalidator.pagesOfDomain(
          domainId.get(words),
          maskedRange(words, addressMask.get(words)),
          invalidationHint.isSet(words),
        );
    }
  }

  private pasidIotlb(): void {
    const { granularity, domainId, pasid, addressMask, invalidationHint } = PasidIotlbDescriptor.fields;
    const words = this.descriptor;
    const domain = domainId.get(words);
    if (granularity.get(words) === 2) return this.invalidator.translationsOfPasid(domain, pasid.get(words));
    this.invalidator.pagesOfPasid(
      domain,
      pasid.get(words),
      maskedRange(words, addressMask.get(words)),
      invalidationHint.isSet(words),
    );
  }

  private deviceTlb(invalidation: DeviceTlbInvalidation): void {
    const answer = this.targets.deviceTlb(invalidation);
    if (answer === 'done') return;
    const high = this.file.getHigh('IQERCD');
    if (answer === 'malformed') {
      this.file.setHigh('IQERCD', (high & 0xffff) | (invalidation.requesterId << 16));
      this.faults.setStatus(FaultStatusBit.completionError);
      return;
    }
    this.abortWaits();
    this.file.setHigh('IQERCD', (high & 0xffff0000) | invalidation.requesterId);
    this.faults.setStatus(FaultStatusBit.timeOutError);
  }

  /** A time-out takes with it what was fetched meanwhile, up to the next wait: it never signals. */
  private abortWaits(): void {
    const tail = this.file.get('IQT');
    while (this.file.get('IQH') !== tail && this.tailError(tail) === 0) {
      const first = this.memory.read32(this.baseAddress + this.file.get('IQH'));
      this.advance();
      if (descriptorType(first) === DescriptorType.wait) return;
    }
  }

  private wait(): void {
    const words = this.descriptor;
    const { interrupt, statusWrite } = WaitDescriptor.fields;
    if (statusWrite.isSet(words)) {
      const address = words[3] * 2 ** 32 + ((words[2] & 0xfffffffc) >>> 0);
      this.memory.write32(address, words[1]);
    }
    if (!interrupt.isSet(words)) return;
    if ((this.file.get('ICS') & WAIT_COMPLETE) !== 0) return;
    this.file.set('ICS', this.file.get('ICS') | WAIT_COMPLETE);
    this.event.raise();
  }
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
