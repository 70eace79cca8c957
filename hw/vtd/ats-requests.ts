/**
 * Requests of devices with a translation cache of their own: translation requests and translated requests (ATS), page
 * requests (PRI). VT-d 4, 7.4.
 */
import { Access, ANY_PRIVILEGED, ANY_WRITE, privileged } from './access.ts';
import { Fault } from './fault-reasons.ts';
import type { FaultingRequest } from './faults.ts';
import type { PageRequest, PageRequestQueue } from './page-requests.ts';
import type { ProtectedMemory } from './protected-memory.ts';
import { ABORTED, RequestKind } from './structure-walker.ts';
import { inInterruptRange, type Translator } from './translator.ts';

/** A translation that an ATS completion carries. Rights are false where nothing is granted. */
export interface AtsTranslation {
  /** Size of the page in bytes: 4 KiB, 2 MiB or 1 GiB. */
  readonly sizeBytes: number;
  readonly physical: bigint;
  readonly read: boolean;
  readonly write: boolean;
  readonly execute: boolean;
}

/** What an ATS translation request asks for. */
export interface AtsRequest {
  readonly requesterId: number;
  /** -1: none. */
  readonly pasid: number;
  readonly address: bigint;
  /** The device promises not to write. */
  readonly noWrite: boolean;
  readonly privileged: boolean;
  readonly execute: boolean;
}

/** Faults of a translation request that mean "no rights here", which the completion says without a record. */
const MERELY_NO_RIGHTS: ReadonlySet<number> = new Set([
  Fault.write,
  Fault.read,
  Fault.scalableWrite,
  Fault.scalableRead,
  Fault.secondLevelNotPresent,
  Fault.firstLevelNotPresent,
  Fault.userToSupervisor,
  Fault.execute,
]);

/** By size: 4 KiB, 2 MiB, 1 GiB. */
const PAGE_BYTES = [0x1000, 0x200000, 0x40000000];

/** The answer that grants nothing. */
const NOTHING: AtsTranslation = { sizeBytes: 4096, physical: 0n, read: false, write: false, execute: false };

/** Reports a refusal to the fault log. */
type Reporter = (reason: number, faultDisable: boolean, request: FaultingRequest) => void;

export class AtsRequests {
  private readonly translator: Translator;
  private readonly protectedMemory: ProtectedMemory;
  private readonly pageRequests: PageRequestQueue;
  private readonly report: Reporter;

  constructor(
    translator: Translator,
    protectedMemory: ProtectedMemory,
    pageRequests: PageRequestQueue,
    report: Reporter,
  ) {
    this.translator = translator;
    this.protectedMemory = protectedMemory;
    this.pageRequests = pageRequests;
    this.report = report;
  }

  /** An ATS translation request for the page that holds the address. */
  translation(request: AtsRequest): AtsTranslation {
    const pageHigh = Number(BigInt.asIntN(32, request.address >> 32n));
    const pageLow = Number((request.address >> 12n) & 0xfffffn);
    if (!this.translator.enabled) return NOTHING;
    // A page of the interrupt range holds no memory: there is nothing to cache.
    if (inInterruptRange(pageHigh, pageLow) && request.pasid < 0) return NOTHING;
    const refusal = this.ask(request, pageHigh, pageLow, Access.read);
    const read = refusal === 0;
    let found = read ? this.place() : NOTHING;
    const write = !request.noWrite && this.ask(request, pageHigh, pageLow, Access.write) === 0;
    if (write && !read) found = this.place();
    if (read || write) {
      // The mark of an execute request is part of the PASID prefix: there is none without a PASID.
      const wantsExecute = request.execute && request.pasid >= 0;
      const execute = read && wantsExecute && this.ask(request, pageHigh, pageLow, Access.execute) === 0;
      return { ...found, read, write, execute };
    }
    if (refusal === ABORTED || MERELY_NO_RIGHTS.has(refusal)) return NOTHING;
    this.report(refusal, this.translator.faultDisable, {
      requesterId: request.requesterId,
      pasid: request.pasid,
      addressHigh: pageHigh,
      addressLow: pageLow << 12,
      read: true,
      typeHigh: false,
      privileged: request.privileged,
      execute: request.execute,
      addressType: RequestKind.translation,
    });
    return NOTHING;
  }

  /** Asks for one right. 0, or the reason why not. */
  private ask(request: AtsRequest, pageHigh: number, pageLow: number, access: number): number {
    const wanted = request.privileged ? privileged(access) : access;
    const { requesterId, pasid } = request;
    return this.translator.translationRequest(requesterId, pasid, pageHigh, pageLow, wanted);
  }

  /** Where the last question that was granted leads. */
  private place(): AtsTranslation {
    const { frameHigh, frameLow, size } = this.translator;
    const sizeBytes = PAGE_BYTES[size];
    const address = (BigInt(frameHigh >>> 0) << 32n) | (BigInt(frameLow) << 12n);
    return { ...NOTHING, sizeBytes, physical: address & ~BigInt(sizeBytes - 1) };
  }

  /** Tests a request whose address the device has translated before (ATS). 0, a fault reason, or ABORTED. */
  admitTranslated(
    requesterId: number,
    pasid: number,
    pageHigh: number,
    pageLow: number,
    access: number,
  ): number {
    if (!this.translator.enabled) return ABORTED;
    let reason = this.translator.admit(requesterId, pasid, RequestKind.translated);
    if (reason === 0 && this.protectedMemory.covers(pageHigh, pageLow)) reason = ABORTED;
    if (reason === 0 || reason === ABORTED) return reason;
    this.report(reason, this.translator.faultDisable, {
      requesterId,
      pasid,
      addressHigh: pageHigh,
      addressLow: pageLow << 12,
      read: (access & ANY_WRITE) === 0,
      typeHigh: false,
      privileged: (access & ANY_PRIVILEGED) !== 0,
      execute: false,
      addressType: RequestKind.translated,
    });
    return reason;
  }

  /** A page request (PRI). False: it is answered with "invalid request" or "failure" at once. */
  page(request: PageRequest): boolean {
    if (!this.translator.enabled) return false;
    const reason = this.translator.admit(request.requesterId, request.pasid, RequestKind.page);
    if (reason === 0) return this.pageRequests.add(request);
    if (reason === ABORTED) return false;
    this.report(reason, this.translator.faultDisable, {
      requesterId: request.requesterId,
      pasid: request.pasid,
      addressHigh: Number(BigInt.asIntN(32, request.address >> 32n)),
      addressLow: Number(BigInt.asIntN(32, request.address)),
      read: false,
      typeHigh: true,
      privileged: request.privileged,
      execute: request.execute,
      addressType: RequestKind.untranslated,
    });
    return false;
  }
}
