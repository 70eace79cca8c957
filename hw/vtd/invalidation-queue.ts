/**
 * The invalidation queue: fetches descriptors from memory, tests them, carries them out in order, signals waits. VT-d
 * 6.5.2. A queue error leaves the head at the bad descriptor until software clears the error.
 */

import type { PhysicalMemory } from '../memory/physical-memory.ts';
import { capabilitiesOf, type UnitConfiguration } from './configuration.ts';
import { descriptorError, QueueError } from './descriptor-check.ts';
import {
  deviceTlbInvalidation,
  invalidateOwnCaches,
  type PageGroupResponse,
  pageGroupResponse,
} from './descriptor-execution.ts';
import { DescriptorType, descriptorType, WaitDescriptor } from './descriptors.ts';
import { EventInterrupt, type MessageSender } from './event-interrupt.ts';
import type { FaultLog } from './faults.ts';
import type { DeviceTlbAnswer, DeviceTlbInvalidation, Invalidator } from './invalidation.ts';
import type { RegisterFile } from './register-file.ts';
import { type Capabilities, FaultStatusBit, GlobalBit } from './registers.ts';

const HALTED = FaultStatusBit.queueError | FaultStatusBit.timeOutError;
const WAIT_COMPLETE = 1;

/** Whom the queue's descriptors reach outside the unit, and the unit itself. */
export interface QueueTargets {
  /** True when the unit translates by scalable-mode tables: 128-bit descriptors are then wrong. */
  scalableTables(): boolean;
  deviceTlb(invalidation: DeviceTlbInvalidation): DeviceTlbAnswer;
  pageGroupResponse(response: PageGroupResponse): void;
  /** A descriptor was carried out: for the trace. */
  executed(words: Uint32Array, address: number): void;
}

/** Where a wait descriptor writes its status. */
function statusAddress(words: Uint32Array): number {
  return words[3] * 2 ** 32 + ((words[2] & 0xfffffffc) >>> 0);
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
    const isNarrow = this.widthBytes === 16;
    if (isNarrow && this.targets.scalableTables()) return QueueError.width;
    const address = this.baseAddress + head;
    const words = this.descriptor;
    words.fill(0);
    if (!this.memory.contains(address, this.widthBytes)) return QueueError.fetch;
    for (let word = 0; word < this.widthBytes / 4; word += 1)
      words[word] = this.memory.read32(address + word * 4);
    const error = descriptorError(words, isNarrow, this.has) || this.statusWriteError(words);
    if (error !== 0) return error;
    this.advance();
    this.targets.executed(words, address);
    this.execute(descriptorType(words[0]));
    return 0;
  }

  /** A wait whose status no memory takes can't complete. The specification names no cause for it but the access. */
  private statusWriteError(words: Uint32Array): number {
    if (descriptorType(words[0]) !== DescriptorType.wait) return 0;
    if (!WaitDescriptor.fields.statusWrite.isSet(words)) return 0;
    return this.memory.writable(statusAddress(words), 4) ? 0 : QueueError.fetch;
  }

  private advance(): void {
    this.file.set('IQH', (this.file.get('IQH') + this.widthBytes) % this.sizeBytes);
  }

  private execute(type: number): void {
    const words = this.descriptor;
    if (type === DescriptorType.wait) this.wait();
    else if (type === DescriptorType.pageGroupResponse)
      this.targets.pageGroupResponse(pageGroupResponse(words));
    else {
      const invalidation = deviceTlbInvalidation(type, words);
      if (invalidation === undefined) invalidateOwnCaches(type, words, this.invalidator);
      else this.deviceTlb(invalidation);
    }
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
    if (statusWrite.isSet(words)) this.memory.write32(statusAddress(words), words[1]);
    if (!interrupt.isSet(words)) return;
    if ((this.file.get('ICS') & WAIT_COMPLETE) !== 0) return;
    this.file.set('ICS', this.file.get('ICS') | WAIT_COMPLETE);
    this.event.raise();
  }
}
