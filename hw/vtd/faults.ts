/**
 * Primary fault logging: fault records, fault status, fault event. VT-d 7.2.1.
 */

import { EventInterrupt, type MessageSender } from './event-interrupt.ts';
import { isQualified } from './fault-reasons.ts';
import { decodeRecord, type FaultRecordState } from './fault-record.ts';
import { FaultRecord } from './layouts.ts';
import type { RegisterFile } from './register-file.ts';
import { FaultStatusBit } from './registers.ts';

/** What a fault record tells of a request. */
export interface FaultingRequest {
  readonly requesterId: number;
  /** -1: none. */
  readonly pasid: number;
  /** Bits 63:32 and 31:0 of what the record's address field holds. */
  readonly addressHigh: number;
  readonly addressLow: number;
  /** The request reads (T1 set): reads and translation requests. */
  readonly read: boolean;
  /** A page request, or an atomic (T2 set). */
  readonly typeHigh: boolean;
  readonly privileged: boolean;
  readonly execute: boolean;
  /** Address-type field: 0 untranslated, 1 translation request, 2 translated. */
  readonly addressType: number;
}

/** Status bits any of which keeps a further fault event from being sent. */
const SUPPRESSING =
  FaultStatusBit.overflow |
  FaultStatusBit.pending |
  FaultStatusBit.queueError |
  FaultStatusBit.completionError |
  FaultStatusBit.timeOutError;

/** Bit F of a record, in its fourth word. */
const RECORD_VALID = FaultRecord.fields.fault.mask;
const RECORD_INDEX_SHIFT = 8;

export class FaultLog {
  private readonly file: RegisterFile;
  private readonly event: EventInterrupt;
  /** Where the next record goes. */
  private next = 0;

  constructor(file: RegisterFile, send: MessageSender) {
    this.file = file;
    this.event = new EventInterrupt(
      file,
      { control: 'FECTL', data: 'FEDATA', address: 'FEADDR', upperAddress: 'FEUADDR' },
      send,
    );
  }

  /**
   * A request was refused.
   * @param faultDisable Fault processing was disabled on the way.
   * @returns True when it is reported: recorded, or dropped for want of room.
   */
  report(reason: number, faultDisable: boolean, request: FaultingRequest): boolean {
    if (faultDisable && isQualified(reason)) return false;
    const status = this.file.get('FSTS');
    if ((status & FaultStatusBit.overflow) !== 0) return true;
    // A requester that goes on faulting shows one record until that is cleared.
    if (this.hasRecordOf(request.requesterId)) return true;
    const index = this.file.recordIndex(this.next);
    if ((this.file.words[index + 3] & RECORD_VALID) !== 0) {
      this.setStatus(FaultStatusBit.overflow);
      return true;
    }
    this.write(index, reason, request);
    if ((status & FaultStatusBit.pending) === 0)
      this.file.set('FSTS', (status & ~0xff00) | (this.next << RECORD_INDEX_SHIFT));
    this.next = (this.next + 1) % this.file.faultRecords;
    this.setStatus(FaultStatusBit.pending);
    return true;
  }

  private hasRecordOf(requesterId: number): boolean {
    for (let record = 0; record < this.file.faultRecords; record += 1) {
      const index = this.file.recordIndex(record);
      const valid = (this.file.words[index + 3] & RECORD_VALID) !== 0;
      if (valid && (this.file.words[index + 2] & 0xffff) === requesterId) return true;
    }
    return false;
  }

  private write(index: number, reason: number, request: FaultingRequest): void {
    const words = this.file.words;
    const fields = FaultRecord.fields;
    words.fill(0, index, index + 4);
    words[index] = request.addressLow & 0xfffff000;
    words[index + 1] = request.addressHigh;
    fields.sourceId.set(words, request.requesterId, index);
    fields.reason.set(words, reason, index);
    fields.typeLow.set(words, Number(request.read), index);
    fields.typeHigh.set(words, Number(request.typeHigh), index);
    fields.addressType.set(words, request.addressType, index);
    if (request.pasid >= 0) {
      fields.pasidPresent.set(words, 1, index);
      fields.pasid.set(words, request.pasid, index);
      fields.privileged.set(words, Number(request.privileged), index);
      fields.execute.set(words, Number(request.execute), index);
    }
    words[index + 3] |= RECORD_VALID;
  }

  /** Sets a status bit and sends the fault event unless one is still unanswered. */
  setStatus(bit: number): void {
    const status = this.file.get('FSTS');
    this.file.set('FSTS', status | bit);
    if ((status & SUPPRESSING) === 0) this.event.raise();
  }

  /** Software wrote the status register or a record: derived bits follow. */
  statusWritten(): void {
    let pending = 0;
    for (let record = 0; record < this.file.faultRecords; record += 1)
      pending |= this.file.words[this.file.recordIndex(record) + 3] & RECORD_VALID;
    const status = this.file.get('FSTS') & ~FaultStatusBit.pending;
    this.file.set('FSTS', status | (pending !== 0 ? FaultStatusBit.pending : 0));
    if ((this.file.get('FSTS') & SUPPRESSING) === 0) this.event.clearPending();
  }

  controlWritten(): void {
    this.event.controlWritten();
  }

  /** Software writes the last word of a record: F is cleared by a one. */
  recordWritten(index: number, value: number): void {
    if ((value & RECORD_VALID) !== 0) this.file.words[index] &= ~RECORD_VALID;
    this.statusWritten();
  }

  /** The records that are valid, oldest first. */
  records(): FaultRecordState[] {
    const found: FaultRecordState[] = [];
    for (let step = 0; step < this.file.faultRecords; step += 1) {
      const record = (this.next + step) % this.file.faultRecords;
      const index = this.file.recordIndex(record);
      if ((this.file.words[index + 3] & RECORD_VALID) !== 0)
        found.push(decodeRecord(this.file.words, index, record));
    }
    return found;
  }
}
