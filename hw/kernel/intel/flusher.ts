/**
 * The flush operations of one unit: each builds the descriptor that VT-d 6.5.2 defines for it and waits for the unit.
 * Units without a queue are told through the CCMD and IOTLB registers, which know fewer kinds.
 */
import type { MmioPort } from '../../port.ts';
import {
  ContextCacheDescriptor,
  DescriptorType,
  DeviceTlbDescriptor,
  encodeDescriptor,
  InterruptEntryCacheDescriptor,
  IotlbDescriptor,
  PageGroupResponseDescriptor,
  PasidCacheDescriptor,
  PasidDeviceTlbDescriptor,
  PasidIotlbDescriptor,
} from '../../vtd/descriptors.ts';
import { type Capabilities, registers } from '../../vtd/registers.ts';
import type { InvalidationQueue } from './invalidation-queue.ts';

/** Where a device-TLB invalidation goes. */
export interface DeviceTlbTarget {
  readonly requesterId: number;
  /** Requester id of the physical function on units with DIT, else 0. */
  readonly physicalFunctionId: number;
  /** 1 to 32. */
  readonly queueDepth: number;
}

/** Order that stands for "the whole address space": 2^52 pages. */
const EVERYTHING = 52;
/** Descriptors in one submission at most (QI_MAX_BATCHED_DESC_COUNT). */
const BATCH = 16;
const GLOBAL = 1;
const DOMAIN = 2;
const SELECTIVE = 3;

export class Flusher {
  private readonly queue: InvalidationQueue | undefined;
  private readonly mmio: MmioPort;
  private readonly capabilities: Capabilities;
  private readonly translating: () => boolean;
  private collected: Uint32Array[] | undefined;

  constructor(
    queue: InvalidationQueue | undefined,
    mmio: MmioPort,
    capabilities: Capabilities,
    translating: () => boolean,
  ) {
    this.queue = queue;
    this.mmio = mmio;
    this.capabilities = capabilities;
    this.translating = translating;
  }

  allContexts(): void {
    this.context(0, 0, GLOBAL);
  }

  /** Device-selective: drops the context entries cached for one requester. */
  deviceContext(domainId: number, requesterId: number): void {
    this.context(domainId, requesterId, SELECTIVE);
  }

  /** Every PASID entry that is cached. */
  allPasids(): void {
    this.pasidCache(0, 0, SELECTIVE);
  }

  /** Every PASID entry of a domain id. */
  pasidsOfDomain(domainId: number): void {
    this.pasidCache(domainId, 0, 0);
  }

  onePasid(domainId: number, pasid: number): void {
    this.pasidCache(domainId, pasid, 1);
  }

  /** IOTLB, global. */
  everything(): void {
    this.iotlb(0, 0, 0, GLOBAL);
  }

  /** IOTLB, all of one domain id (second level, nested). */
  domain(domainId: number): void {
    this.iotlb(domainId, 0, 0, DOMAIN);
  }

  /**
   * IOTLB, 2^order pages from `page` of one domain id. Linux never sets the invalidation hint here: it loses it on the
   * way from the caller to the descriptor.
   */
  pages(domainId: number, page: number, order: number): void {
    this.iotlb(domainId, page, order, SELECTIVE);
  }

  /** PASID-based IOTLB: everything of a PASID (first level, pass-through). */
  allOfPasid(domainId: number, pasid: number): void {
    this.submit(
      encodeDescriptor(PasidIotlbDescriptor, DescriptorType.pasidIotlb, { granularity: 2, domainId, pasid }),
    );
  }

  /** PASID-based IOTLB: 2^order pages from `page`. */
  pagesOfPasid(domainId: number, pasid: number, page: number, order: number, leavesOnly: boolean): void {
    this.submit(
      encodeDescriptor(PasidIotlbDescriptor, DescriptorType.pasidIotlb, {
        granularity: SELECTIVE,
        domainId,
        pasid,
        address: page * 4096,
        addressMask: order,
        invalidationHint: leavesOnly,
      }),
    );
  }

  /** Device-TLB, requests without PASID: 2^order pages from `page`. Not sent while the unit doesn't translate. */
  deviceTlb(target: DeviceTlbTarget, page = 0, order = EVERYTHING): void {
    if (!this.translating()) return;
    this.submit(
      encodeDescriptor(DeviceTlbDescriptor, DescriptorType.deviceTlb, {
        ...pending(target),
        sourceId: target.requesterId,
        ...range(page, order),
      }),
    );
  }

  /** Device-TLB, one PASID. */
  deviceTlbOfPasid(target: DeviceTlbTarget, pasid: number, page = 0, order = EVERYTHING): void {
    if (!this.translating()) return;
    this.submit(
      encodeDescriptor(PasidDeviceTlbDescriptor, DescriptorType.pasidDeviceTlb, {
        ...pending(target),
        sourceId: target.requesterId,
        pasid,
        ...range(page, order),
      }),
    );
  }

  /** Interrupt entry cache: all of it, or 2^order entries from `index`. */
  interruptEntries(index?: number, order = 0): void {
    this.submit(
      encodeDescriptor(
        InterruptEntryCacheDescriptor,
        DescriptorType.interruptEntryCache,
        index === undefined ? {} : { granularity: 1, index, indexMask: order },
      ),
    );
  }

  /** Answers a group of page requests. @param code 0 success, 1 invalid request, 15 failure. */
  respond(request: { requesterId: number; pasid: number | undefined; group: number }, code: number): void {
    this.submit(
      encodeDescriptor(PageGroupResponseDescriptor, DescriptorType.pageGroupResponse, {
        requesterId: request.requesterId,
        group: request.group,
        responseCode: code,
        pasidPresent: request.pasid !== undefined,
        pasid: request.pasid ?? 0,
      }),
    );
  }

  private context(domainId: number, sourceId: number, granularity: number): void {
    if (this.queue === undefined) {
      const command =
        (1n << 63n) | (BigInt(granularity) << 61n) | (BigInt(sourceId) << 16n) | BigInt(domainId);
      this.mmio.write(registers.CCMD.offset, 8, command);
      return;
    }
    this.submit(
      encodeDescriptor(ContextCacheDescriptor, DescriptorType.contextCache, {
        granularity,
        domainId,
        sourceId,
      }),
    );
  }

  private pasidCache(domainId: number, pasid: number, granularity: number): void {
    this.submit(
      encodeDescriptor(PasidCacheDescriptor, DescriptorType.pasidCache, { granularity, domainId, pasid }),
    );
  }

  private iotlb(domainId: number, page: number, order: number, granularity: number): void {
    const { writeDraining, readDraining, iotlbRegisterOffset } = this.capabilities;
    if (this.queue === undefined) {
      const base = iotlbRegisterOffset * 16;
      if (granularity === SELECTIVE) {
        this.mmio.write(base, 8, (BigInt(page) << 12n) | BigInt(order));
      }
      const drains = (writeDraining === 1 ? 1n << 48n : 0n) | (readDraining === 1 ? 1n << 49n : 0n);
      const command = (1n << 63n) | (BigInt(granularity) << 60n) | drains | (BigInt(domainId) << 32n);
      this.mmio.write(base + 8, 8, command);
      return;
    }
    this.submit(
      encodeDescriptor(IotlbDescriptor, DescriptorType.iotlb, {
        granularity,
        domainId,
        drainWrites: writeDraining,
        drainReads: readDraining,
        address: page * 4096,
        addressMask: order,
      }),
    );
  }

  /** What `body` flushes goes to the queue at once, with one wait at the end (cache.c, qi_batch). */
  batch(body: () => void): void {
    if (this.collected !== undefined) {
      body();
      return;
    }
    const collected: Uint32Array[] = [];
    this.collected = collected;
    try {
      body();
    } finally {
      this.collected = undefined;
    }
    for (let first = 0; first < collected.length; first += BATCH) {
      this.queue?.submit(collected.slice(first, first + BATCH));
    }
  }

  private submit(descriptor: Uint32Array): void {
    if (this.collected === undefined) this.queue?.submit([descriptor]);
    else this.collected.push(descriptor);
  }
}

function pending(target: DeviceTlbTarget) {
  return {
    maximumPending: target.queueDepth >= 32 ? 0 : target.queueDepth,
    physicalFunctionLow: target.physicalFunctionId & 0xf,
    physicalFunctionHigh: target.physicalFunctionId >>> 4,
  };
}

/** Address and size bit: the number of ones from bit 12 up tells the order (6.5.2.5). */
function range(page: number, order: number) {
  if (order === 0) return { address: page * 4096 };
  if (order >= EVERYTHING) return { address: 0x7ffffffffffff000n, size: 1 };
  return { address: (BigInt(page) << 12n) | ((1n << BigInt(11 + order)) - 1n), size: 1 };
}
