/**
 * One remapping unit: registers, tables in memory, caches, and everything a device sends through it. What software
 * sees goes through `mmioRead` and `mmioWrite`; what devices do through the other methods. Nothing here throws for
 * what software or a device did wrong: the unit records a fault or a queue error, as hardware does.
 */

import type { PhysicalMemory } from '../memory/physical-memory.ts';
import type { Frame, Page } from '../memory/types.ts';
import type { Trace } from '../trace.ts';
import { ANY_EXECUTE, ANY_PRIVILEGED, ANY_WRITE } from './access.ts';
import { type AtsRequest, AtsRequests, type AtsTranslation } from './ats-requests.ts';
import { InterruptCache } from './caches/interrupt-cache.ts';
import { Iotlb } from './caches/iotlb.ts';
import { PagingCache } from './caches/paging-cache.ts';
import { StructureCaches } from './caches/structure-caches.ts';
import { Tags } from './caches/tags.ts';
import { capabilitiesOf, type UnitConfiguration } from './configuration.ts';
import type { PageGroupResponse } from './descriptor-execution.ts';
import { decodeDescriptor } from './descriptors.ts';
import { faultMeaning } from './fault-reasons.ts';
import { type FaultingRequest, FaultLog } from './faults.ts';
import {
  type BlockedInterrupt,
  decodeCompatible,
  type Interrupt,
  type InterruptMessage,
  InterruptRemapper,
} from './interrupt-remapping.ts';
import { type DeviceTlbAnswer, type DeviceTlbInvalidation, Invalidator } from './invalidation.ts';
import { InvalidationQueue } from './invalidation-queue.ts';
import { type PageRequest, PageRequestQueue } from './page-requests.ts';
import { ProtectedMemory } from './protected-memory.ts';
import { RegisterFile } from './register-file.ts';
import { RegisterInvalidation } from './register-invalidation.ts';
import { type Capabilities, FaultStatusBit, GlobalBit, TableMode } from './registers.ts';
import { ReservedBits } from './reserved-bits.ts';
import { ABORTED, RequestKind } from './structure-walker.ts';
import { MEMO_TAIL_WORDS, Translator } from './translator.ts';
import { VirtualCommands } from './virtual-commands.ts';

/** What a unit is built into. */
export interface UnitSurroundings {
  readonly memory: PhysicalMemory;
  readonly configuration: UnitConfiguration;
  /** For the trace: "dmar0". */
  readonly name?: string;
  readonly trace?: Trace;
  /** An interrupt leaves for the CPUs: the unit's own messages and what became of devices' messages. */
  readonly onInterrupt?: (interrupt: Interrupt) => void;
  /** A device-TLB is told to drop translations; without it every device answers "done". */
  readonly onDeviceTlbInvalidation?: (invalidation: DeviceTlbInvalidation) => DeviceTlbAnswer;
  /** Software answered a group of page requests. */
  readonly onPageGroupResponse?: (response: PageGroupResponse) => void;
}

/** Everything a unit remembers until software invalidates it. */
export interface UnitCaches {
  readonly tags: Tags;
  readonly structures: StructureCaches;
  readonly iotlb: Iotlb;
  readonly paging: PagingCache;
  readonly interrupts: InterruptCache;
}

const COMMANDED_LEVELS = GlobalBit.queuedInvalidation | GlobalBit.interruptRemapping | GlobalBit.translation;

export class VtdUnit {
  readonly name: string;
  readonly configuration: UnitConfiguration;
  readonly capabilities: Capabilities;
  readonly memory: PhysicalMemory;
  readonly file: RegisterFile;
  readonly caches: UnitCaches;
  readonly faults: FaultLog;
  readonly queue: InvalidationQueue;
  readonly protectedMemory: ProtectedMemory;
  readonly reserved: ReservedBits;
  /** The hot path; what it found stays in its fields until the next request. */
  readonly translator: Translator;

  private readonly surroundings: UnitSurroundings;
  private readonly invalidator: Invalidator;
  private readonly registerInvalidation: RegisterInvalidation;
  private readonly remapper: InterruptRemapper;
  private readonly pageRequests: PageRequestQueue;
  private readonly requests: AtsRequests;
  /** What happens after software wrote a word, by offset. */
  private readonly effects: ReadonlyMap<number, (value: number) => void>;

  constructor(surroundings: UnitSurroundings) {
    const { memory, configuration } = surroundings;
    this.surroundings = surroundings;
    this.name = surroundings.name ?? 'dmar';
    this.configuration = configuration;
    this.capabilities = capabilitiesOf(configuration);
    this.memory = memory;
    this.file = new RegisterFile(configuration);
    const tags = new Tags();
    this.caches = {
      tags,
      structures: new StructureCaches(),
      iotlb: new Iotlb(MEMO_TAIL_WORDS),
      paging: new PagingCache(),
      interrupts: new InterruptCache(),
    };
    this.protectedMemory = new ProtectedMemory(this.file);
    this.reserved = new ReservedBits(configuration);
    this.translator = new Translator(
      configuration,
      this.reserved,
      memory,
      this.protectedMemory,
      tags,
      this.caches,
      undefined,
    );
    const send = (addressHigh: number, addressLow: number, data: number): void =>
      this.sendOwnMessage(addressHigh, addressLow, data);
    this.faults = new FaultLog(this.file, send);
    this.invalidator = new Invalidator(this.caches, () => this.translator.forgetSpaces());
    this.registerInvalidation = new RegisterInvalidation(configuration, this.file, this.invalidator);
    this.remapper = new InterruptRemapper(configuration, memory, this.caches.interrupts);
    this.pageRequests = new PageRequestQueue(this.file, memory, send);
    this.requests = new AtsRequests(
      this.translator,
      this.protectedMemory,
      this.pageRequests,
      (reason, faultDisable, request) => this.report(reason, faultDisable, request),
    );
    this.queue = new InvalidationQueue(
      configuration,
      this.file,
      memory,
      this.invalidator,
      this.faults,
      {
        scalableTables: () => this.rootSet && this.translator.root.mode === TableMode.scalable,
        deviceTlb: (invalidation) => surroundings.onDeviceTlbInvalidation?.(invalidation) ?? 'done',
        pageGroupResponse: (response) => surroundings.onPageGroupResponse?.(response),
        executed: (words, address) => this.traceDescriptor(words, address),
      },
      send,
    );
    this.effects = this.makeEffects();
  }

  private get rootSet(): boolean {
    return (this.file.get('GSTS') & GlobalBit.rootTable) !== 0;
  }

  // --- registers -----------------------------------------------------------------------------------------------

  /**
   * A register read by the CPU. @param offset Bytes from the unit's base. @param size 4 or 8.
   * @returns Zero for other sizes and for offsets that aren't a multiple of 4.
   */
  mmioRead(offset: number, size: number): bigint {
    if ((size !== 4 && size !== 8) || offset % 4 !== 0 || offset < 0) return 0n;
    const low = BigInt(this.file.readWord(offset));
    return size === 4 ? low : low | (BigInt(this.file.readWord(offset + 4)) << 32n);
  }

  /** A register write by the CPU; other sizes and offsets than `mmioRead` takes write nothing. */
  mmioWrite(offset: number, size: number, value: bigint): void {
    if ((size !== 4 && size !== 8) || offset % 4 !== 0 || offset < 0) return;
    this.writeWord(offset, Number(value & 0xffffffffn));
    if (size === 8) this.writeWord(offset + 4, Number((value >> 32n) & 0xffffffffn));
  }

  private writeWord(offset: number, value: number): void {
    this.file.writeWord(offset, value);
    this.effects.get(offset)?.(value);
  }

  private makeEffects(): Map<number, (value: number) => void> {
    const at = (name: Parameters<RegisterFile['offsetOf']>[0]): number => this.file.offsetOf(name);
    const effects = new Map<number, (value: number) => void>([
      [at('GCMD'), (value) => this.globalCommand(value)],
      [at('CCMD') + 4, (value) => this.registerInvalidation.contextCommand(value, this.queue.enabled)],
      [at('IOTLB') + 4, (value) => this.registerInvalidation.iotlbCommand(value, this.queue.enabled)],
      [at('FSTS'), () => this.faultStatusWritten()],
      [at('FECTL'), () => this.faults.controlWritten()],
      [at('PMEN'), () => this.protectedMemory.enableWritten()],
      [at('IQT'), () => this.queue.run()],
      [at('ICS'), () => this.queue.completionStatusWritten()],
      [at('IECTL'), () => this.queue.eventControlWritten()],
      [at('PRS'), () => this.pageRequests.statusWritten()],
      [at('PECTL'), () => this.pageRequests.controlWritten()],
    ]);
    if (this.capabilities.virtualCommands) {
      const virtualCommands = new VirtualCommands(this.configuration, this.file);
      effects.set(at('VCMD') + 4, () => virtualCommands.commandWritten());
    }
    for (let record = 0; record < this.file.faultRecords; record += 1) {
      const index = this.file.recordIndex(record) + 3;
      effects.set(index * 4, (value) => this.faults.recordWritten(index, value));
    }
    return effects;
  }

  private faultStatusWritten(): void {
    this.faults.statusWritten();
    this.queue.errorCleared();
  }

  /** GCMD: one change at a time is what software should write; several are taken in this order. VT-d 11.4.4. */
  private globalCommand(value: number): void {
    const changed = (this.file.get('GSTS') ^ value) & COMMANDED_LEVELS;
    if ((changed & GlobalBit.translation) !== 0 && this.translates)
      this.setTranslation((value & GlobalBit.translation) !== 0);
    if ((value & GlobalBit.rootTable) !== 0) this.latchRootTable();
    if ((changed & GlobalBit.queuedInvalidation) !== 0 && this.capabilities.queuedInvalidation) {
      if ((value & GlobalBit.queuedInvalidation) !== 0) this.queue.enable();
      else this.queue.disable();
    }
    if (!this.capabilities.interruptRemapping) return;
    if ((value & GlobalBit.interruptTable) !== 0) this.latchInterruptTable();
    if ((changed & GlobalBit.interruptRemapping) !== 0) {
      this.remapper.enabled = (value & GlobalBit.interruptRemapping) !== 0;
      this.setStatusBit(GlobalBit.interruptRemapping, this.remapper.enabled);
    }
    const passes = this.remapper.enabled && (value & GlobalBit.compatibilityFormat) !== 0;
    this.remapper.compatibilityFormatPasses = passes;
    this.setStatusBit(GlobalBit.compatibilityFormat, passes);
  }

  /** A unit without any page-table width remaps interrupts only. */
  private get translates(): boolean {
    return this.capabilities.addressWidths !== 0 || this.capabilities.firstLevelTranslation !== 0;
  }

  private setStatusBit(bit: number, on: boolean): void {
    const status = this.file.get('GSTS');
    this.file.set('GSTS', on ? status | bit : status & ~bit);
  }

  private setTranslation(on: boolean): void {
    this.translator.enabled = on;
    this.translator.forgetSpaces();
    this.setStatusBit(GlobalBit.translation, on);
    this.emit('translation', `translation ${on ? 'on' : 'off'}`);
  }

  private latchRootTable(): void {
    const low = this.file.get('RTADDR');
    this.translator.root = {
      high: this.file.getHigh('RTADDR'),
      low: low & 0xfffff000,
      mode: (low >>> 10) & 3,
    };
    this.setStatusBit(GlobalBit.rootTable, true);
    if (this.capabilities.setRootTableInvalidates) this.invalidator.all();
    this.translator.forgetSpaces();
    this.emit(
      'root table',
      `root table set to 0x${this.mmioRead(this.file.offsetOf('RTADDR'), 8).toString(16)}`,
    );
  }

  private latchInterruptTable(): void {
    this.remapper.latch(this.file.getHigh('IRTA'), this.file.get('IRTA'));
    this.setStatusBit(GlobalBit.interruptTable, true);
    if (this.capabilities.setInterruptTableInvalidates) this.caches.interrupts.invalidateAll();
  }

  // --- requests of devices -------------------------------------------------------------------------------------

  /**
   * Translates one page of an untranslated request, and records the fault when it is refused.
   * @param access Bits of Access. @param pasid -1: none.
   * @returns The frame, or a negative number: minus the fault reason, or -256 when the request is aborted without one.
   */
  translate(requesterId: number, page: Page, access: number, pasid = -1): Frame | number {
    const translator = this.translator;
    const pageHigh = (page / 0x100000) | 0;
    const pageLow = page & 0xfffff;
    const reason = translator.translate(requesterId, pasid, pageHigh, pageLow, access);
    if (reason === 0) return (translator.frameHigh >>> 0) * 0x100000 + translator.frameLow;
    this.recordFault(reason, requesterId, pasid, pageHigh, pageLow, access);
    return -reason;
  }

  /** Records the refusal of an untranslated request, unless nothing is to be recorded. */
  recordFault(
    reason: number,
    requesterId: number,
    pasid: number,
    pageHigh: number,
    pageLow: number,
    access: number,
  ): void {
    if (reason === ABORTED) return;
    this.report(reason, this.translator.faultDisable, {
      requesterId,
      pasid,
      addressHigh: pageHigh,
      addressLow: pageLow << 12,
      read: (access & ANY_WRITE) === 0,
      typeHigh: false,
      privileged: (access & ANY_PRIVILEGED) !== 0,
      execute: (access & ANY_EXECUTE) !== 0,
      addressType: RequestKind.untranslated,
    });
  }

  private report(reason: number, faultDisable: boolean, request: FaultingRequest): void {
    const recorded = this.faults.report(reason, faultDisable, request);
    const trace = this.surroundings.trace;
    if (trace?.active !== true) return;
    const meaning = faultMeaning(reason);
    this.emit('fault', `${meaning} (reason 0x${reason.toString(16)})`, {
      reason,
      recorded,
      requesterId: request.requesterId,
      pasid: request.pasid < 0 ? null : request.pasid,
      addressHigh: request.addressHigh >>> 0,
      addressLow: request.addressLow >>> 0,
    });
  }

  /** An ATS translation request for the page that holds the address. */
  translationRequest(request: AtsRequest): AtsTranslation {
    return this.requests.translation(request);
  }

  /** Tests a request whose address the device has translated before (ATS). 0, a fault reason, or ABORTED. */
  admitTranslated(
    requesterId: number,
    pasid: number,
    pageHigh: number,
    pageLow: number,
    access: number,
  ): number {
    return this.requests.admitTranslated(requesterId, pasid, pageHigh, pageLow, access);
  }

  /** A page request (PRI). False: it is answered with "invalid request" or "failure" at once. */
  pageRequest(request: PageRequest): boolean {
    if (!this.capabilities.pageRequests) return false;
    return this.requests.page(request);
  }

  /** A device's message interrupt: a DWORD write to 0xfee00000-0xfeefffff. False: blocked. */
  messageInterrupt(message: InterruptMessage): boolean {
    const result = this.remapper.remap(message);
    if (result === undefined) return true;
    if ('reason' in result) {
      this.reportInterrupt(result, message.requesterId);
      return false;
    }
    this.surroundings.onInterrupt?.(result);
    return true;
  }

  private reportInterrupt(blocked: BlockedInterrupt, requesterId: number): void {
    this.report(blocked.reason, blocked.faultDisable, {
      requesterId,
      pasid: -1,
      addressHigh: blocked.index << 16,
      addressLow: 0,
      read: false,
      typeHigh: false,
      privileged: false,
      execute: false,
      addressType: RequestKind.untranslated,
    });
  }

  private sendOwnMessage(addressHigh: number, addressLow: number, data: number): void {
    const message = { requesterId: undefined, addressHigh, addressLow, data };
    this.surroundings.onInterrupt?.(decodeCompatible('unit', message));
  }

  // --- trace ---------------------------------------------------------------------------------------------------

  private traceDescriptor(words: Uint32Array, address: number): void {
    if (this.surroundings.trace?.active !== true) return;
    const { name } = decodeDescriptor(words);
    const halves = { word0: words[0], word1: words[1], word2: words[2], word3: words[3] };
    this.emit('descriptor', name, { address, ...halves });
  }

  private emit(
    kind: string,
    text: string,
    data: Record<string, string | number | boolean | null> = {},
  ): void {
    const trace = this.surroundings.trace;
    if (trace?.active !== true) return;
    trace.emit({ part: 'vtd', kind, text: `${this.name}: ${text}`, data: { unit: this.name, ...data } });
  }

  /** Faults that software has yet to see, as bits of FSTS. */
  get faultPending(): boolean {
    return (this.file.get('FSTS') & (FaultStatusBit.pending | FaultStatusBit.overflow)) !== 0;
  }
}
