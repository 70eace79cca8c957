/**
 * DMA of a device through its unit: a transfer is one request for each page it touches. VT-d 3.
 */
import { Access, privileged } from './access.ts';
import { explain } from './explain.ts';
import { Fault } from './fault-reasons.ts';
import { ABORTED } from './structure-walker.ts';
import { inInterruptRange } from './translator.ts';
import type { VtdUnit } from './unit.ts';

const PAGE = 4096;

/** What became of a transfer. */
export interface DmaOutcome {
  readonly ok: boolean;
  /** Reads that went through: what came back. */
  readonly bytes: Uint8Array | undefined;
  /** The fault reason of the first page that was refused; undefined when none was, or the request was aborted. */
  readonly reason: number | undefined;
  /** Bytes before the first page that was refused. */
  readonly bytesBefore: number;
}

/** How the requests of a transfer are marked. */
export interface DmaMarks {
  /** -1: no PASID. */
  readonly pasid: number;
  readonly privileged?: boolean;
  readonly execute?: boolean;
}

interface Piece {
  readonly physical: number;
  /** Bytes from the start of the transfer. */
  readonly offset: number;
  readonly length: number;
}

/** Sends the DWORD at this offset of a write as an interrupt. False: blocked. */
type SendInterrupt = (address: number, offset: number) => boolean;

/**
 * Splits a transfer by page and translates each piece: the refusal of one doesn't keep the next from being asked for.
 * @param sendInterrupt For writes that may be interrupts: a piece that is a DWORD in the interrupt range is one.
 */
function translatePieces(
  unit: VtdUnit,
  requesterId: number,
  address: bigint,
  length: number,
  access: number,
  pasid: number,
  sendInterrupt?: SendInterrupt,
): { pieces: Piece[]; reason: number; bytesBefore: number } {
  const pieces: Piece[] = [];
  let first = 0;
  let bytesBefore = length;
  const refuse = (reason: number, at: number): void => {
    if (first !== 0) return;
    first = reason;
    bytesBefore = at;
  };
  let take = 0;
  for (let done = 0; done < length; done += take) {
    const at = BigInt.asUintN(64, address + BigInt(done));
    const offset = Number(at & 0xfffn);
    take = Math.min(length - done, PAGE - offset);
    const pageHigh = Number(BigInt.asIntN(32, at >> 32n));
    const pageLow = Number((at >> 12n) & 0xfffffn);
    const isDword = take === 4 && offset % 4 === 0;
    if (sendInterrupt !== undefined && isDword && inInterruptRange(pageHigh, pageLow)) {
      if (!sendInterrupt(Number(at), done)) refuse(ABORTED, done);
      continue;
    }
    const translator = unit.translator;
    const reason = translator.translate(requesterId, pasid, pageHigh, pageLow, access);
    if (reason !== 0) {
      unit.recordFault(reason, requesterId, pasid, pageHigh, pageLow, access);
      refuse(reason, done);
      continue;
    }
    const frame = (translator.frameHigh >>> 0) * 0x100000 + translator.frameLow;
    const physical = frame * PAGE + offset;
    // What the tables lead to need not be memory: the access fails there, which is no fault of the tables.
    if (unit.memory.contains(physical, take)) pieces.push({ physical, offset: done, length: take });
    else refuse(ABORTED, done);
  }
  return { pieces, reason: first, bytesBefore };
}

const refusal = (reason: number, bytesBefore: number): DmaOutcome => ({
  ok: false,
  bytes: undefined,
  reason: reason === ABORTED ? undefined : reason,
  bytesBefore,
});

function accessOf(kind: number, marks: DmaMarks): number {
  const access = kind | (marks.execute ? Access.execute : 0);
  return marks.privileged ? privileged(access) : access;
}

/** A device reads memory. */
export function dmaRead(
  unit: VtdUnit,
  requesterId: number,
  address: bigint,
  length: number,
  marks: DmaMarks,
): DmaOutcome {
  const access = accessOf(Access.read, marks);
  if (length === 0) return zeroLengthRead(unit, requesterId, address, access, marks.pasid);
  const found = translatePieces(unit, requesterId, address, length, access, marks.pasid);
  if (found.reason !== 0) return refusal(found.reason, found.bytesBefore);
  const bytes = new Uint8Array(length);
  for (const { physical, offset, length: size } of found.pieces) {
    const part = unit.memory.read(physical, size);
    if (part === undefined) return refusal(ABORTED, offset);
    bytes.set(part, offset);
  }
  return { ok: true, bytes, reason: undefined, bytesBefore: length };
}

/**
 * A read of no bytes, by which a device makes sure that its writes have arrived: translated as a read, but units with
 * CAP.ZLR let it through to pages that may only be written.
 */
function zeroLengthRead(
  unit: VtdUnit,
  requesterId: number,
  address: bigint,
  access: number,
  pasid: number,
): DmaOutcome {
  const pageHigh = Number(BigInt.asIntN(32, address >> 32n));
  const pageLow = Number((address >> 12n) & 0xfffffn);
  const reason = unit.translator.translate(requesterId, pasid, pageHigh, pageLow, access);
  const unreadable = reason === Fault.read || reason === Fault.scalableRead;
  const passes =
    unreadable &&
    unit.capabilities.zeroLengthRead !== 0 &&
    explain(unit, requesterId, address, Access.write, pasid).ok;
  if (reason === 0 || passes)
    return { ok: true, bytes: new Uint8Array(0), reason: undefined, bytesBefore: 0 };
  unit.recordFault(reason, requesterId, pasid, pageHigh, pageLow, access);
  return refusal(reason, 0);
}

/**
 * A device writes memory. A DWORD written without PASID to the interrupt range is an interrupt. When a page is refused
 * no memory is written.
 */
export function dmaWrite(
  unit: VtdUnit,
  requesterId: number,
  address: bigint,
  bytes: Uint8Array,
  marks: DmaMarks,
): DmaOutcome {
  const access = accessOf(Access.write, { ...marks, execute: false });
  const sendInterrupt: SendInterrupt = (addressLow, offset) => {
    const data = new DataView(bytes.buffer, bytes.byteOffset).getUint32(offset, true);
    return unit.messageInterrupt({ requesterId, addressHigh: 0, addressLow, data });
  };
  const found = translatePieces(
    unit,
    requesterId,
    address,
    bytes.length,
    access,
    marks.pasid,
    marks.pasid < 0 ? sendInterrupt : undefined,
  );
  if (found.reason !== 0) return refusal(found.reason, found.bytesBefore);
  if (found.pieces.some((piece) => !unit.memory.writable(piece.physical, piece.length)))
    return refusal(ABORTED, 0);
  for (const { physical, offset, length } of found.pieces)
    unit.memory.write(physical, bytes.subarray(offset, offset + length));
  return { ok: true, bytes: undefined, reason: undefined, bytesBefore: bytes.length };
}
