/**
 * Page requests (prq.c): what devices with PRI ask for. The kernel half hands each to whoever registered for the
 * device; what nobody wants is answered "invalid", so that the device does not wait for ever.
 */
import type { Frame } from '../../memory/types.ts';
import { PageRequestDescriptor } from '../../vtd/layouts.ts';
import { EventControlBit, registers } from '../../vtd/registers.ts';
import type { KernelLog } from '../kernel-log.ts';
import type { TableWriter } from './table-writer.ts';
import type { IntelUnit } from './unit.ts';

/** struct iommu_page_response codes. */
export const PageResponse = { success: 0, invalid: 1, failure: 15 } as const;

export interface PageRequestReport {
  readonly unit: IntelUnit;
  readonly requesterId: number;
  /** Undefined: none on the request. */
  readonly pasid: number | undefined;
  readonly address: bigint;
  readonly read: boolean;
  readonly write: boolean;
  readonly execute: boolean;
  readonly privileged: boolean;
  /** The last request of its group: the one that is answered. */
  readonly last: boolean;
  readonly group: number;
}

/** Takes a request on (true) or leaves it. Who takes it answers by `respond`. */
export type PageRequestListener = (request: PageRequestReport) => boolean;

/** PRQ_ORDER: 2^4 pages, 2048 requests. */
const ORDER = 4;
const PAGES = 1 << ORDER;
const DESCRIPTOR_BYTES = 32;
const FIRST_VECTOR = 0x61;
const APIC_ADDRESS = 0xfee00000n;

interface Queue {
  readonly unit: IntelUnit;
  readonly frame: Frame;
}

export class PageRequestHandler {
  private readonly tables: TableWriter;
  private readonly log: KernelLog;
  private readonly byVector = new Map<number, Queue>();
  private readonly listeners = new Set<PageRequestListener>();

  constructor(tables: TableWriter, log: KernelLog) {
    this.tables = tables;
    this.log = log;
  }

  onRequest(listener: PageRequestListener): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** intel_enable_prq: the queue's memory and its interrupt. Units without page requests are left alone. */
  program(unit: IntelUnit): void {
    if (unit.capabilities.pageRequests === 0 || !unit.scalable) return;
    const vector = FIRST_VECTOR + unit.index;
    const frame = this.byVector.get(vector)?.frame ?? this.tables.allocate(PAGES);
    this.byVector.set(vector, { unit, frame });
    unit.mmio.write(registers.PEDATA.offset, 4, BigInt(vector));
    unit.mmio.write(registers.PEADDR.offset, 4, APIC_ADDRESS);
    unit.mmio.write(registers.PEUADDR.offset, 4, 0n);
    unit.mmio.write(registers.PECTL.offset, 4, 0n);
    unit.mmio.write(registers.PQH.offset, 8, 0n);
    unit.mmio.write(registers.PQT.offset, 8, 0n);
    unit.mmio.write(registers.PQA.offset, 8, (BigInt(frame) << 12n) | BigInt(ORDER));
  }

  mask(unit: IntelUnit): void {
    if (unit.capabilities.pageRequests === 1 && unit.scalable) {
      unit.mmio.write(registers.PECTL.offset, 4, BigInt(EventControlBit.mask >>> 0));
    }
  }

  /** An interrupt came in. False: it is not one of the units' page-request interrupts. */
  handle(vector: number): boolean {
    const queue = this.byVector.get(vector);
    if (queue === undefined) return false;
    const { unit, frame } = queue;
    unit.mmio.write(registers.PRS.offset, 4, 1n);
    const tail = Number(unit.mmio.read(registers.PQT.offset, 8));
    for (let head = Number(unit.mmio.read(registers.PQH.offset, 8)); head !== tail; ) {
      this.take(unit, this.tables.read(frame * 4096 + head, DESCRIPTOR_BYTES / 4));
      head = (head + DESCRIPTOR_BYTES) % (PAGES * 4096);
    }
    unit.mmio.write(registers.PQH.offset, 8, BigInt(tail));
    if ((Number(unit.mmio.read(registers.PRS.offset, 4)) & 2) !== 0) {
      this.log.write(`DMAR: IOMMU: ${unit.name}: PRQ overflow detected`);
      unit.mmio.write(registers.PRS.offset, 4, 2n);
      this.log.write(`DMAR: IOMMU: ${unit.name}: PRQ overflow cleared`);
    }
    return true;
  }

  /** Answers a group of requests. @param code One of PageResponse. */
  respond(request: PageRequestReport, code: number): void {
    request.unit.flush.respond(request, code);
  }

  private take(unit: IntelUnit, words: Uint32Array): void {
    const field = PageRequestDescriptor.fields;
    const request: PageRequestReport = {
      unit,
      requesterId: field.requesterId.get(words),
      pasid: field.pasidPresent.isSet(words) ? field.pasid.get(words) : undefined,
      address: field.address.getBig(words),
      read: field.read.isSet(words),
      write: field.write.isSet(words),
      execute: field.execute.isSet(words),
      privileged: field.privileged.isSet(words),
      last: field.last.isSet(words),
      group: field.group.get(words),
    };
    const problem = problemOf(request);
    if (problem !== undefined) {
      this.log.write(`DMAR: IOMMU: ${unit.name}: ${problem}`);
      if (request.last) this.respond(request, PageResponse.invalid);
      return;
    }
    // A stop marker: the device has sent everything that belongs to the PASID.
    if (request.last && !request.read && !request.write) return;
    for (const listener of this.listeners) if (listener(request)) return;
    if (request.last) this.respond(request, PageResponse.invalid);
  }
}

/** What prq_event_thread refuses before it looks for a handler. */
function problemOf(request: PageRequestReport): string | undefined {
  const upper = request.address >> 47n;
  if (upper !== 0n && upper !== 0x1ffffn) return 'Address is not canonical';
  if (request.privileged && (request.read || request.write)) return 'Page request in Privilege Mode';
  if (request.execute && request.read) return 'Execution request not supported';
  return undefined;
}
