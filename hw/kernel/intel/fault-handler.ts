/**
 * The handler of fault interrupts (dmar.c, dmar_fault): reads the fault records of a unit, tells of each, and clears
 * them so that the unit can record the next.
 */
import type { Trace } from '../../trace.ts';
import { faultMeaning } from '../../vtd/fault-reasons.ts';
import { FaultRecord } from '../../vtd/layouts.ts';
import { EventControlBit, FaultStatusBit, registers } from '../../vtd/registers.ts';
import type { KernelLog } from '../kernel-log.ts';
import type { IntelUnit } from './unit.ts';

/** A fault as its record tells it. */
export interface FaultReport {
  /** "dmar0". */
  readonly unit: string;
  readonly requesterId: number;
  /** Undefined: the request carried none. */
  readonly pasid: number | undefined;
  /** Page of the request; for interrupts the index into the remapping table. */
  readonly address: bigint;
  readonly access: 'read' | 'write' | 'execute' | 'interrupt';
  readonly reason: number;
}

export type FaultListener = (fault: FaultReport) => void;

/** First vector of the units' fault interrupts; each unit has its own. */
const FIRST_VECTOR = 0x21;
/** Messages go to the local APIC of CPU 0. */
const APIC_ADDRESS = 0xfee00000n;
/** Reasons from here to 0x2f belong to interrupt remapping. */
const FIRST_INTERRUPT_REASON = 0x20;
const LAST_INTERRUPT_REASON = 0x2f;
const RECORD_BYTES = 16;
/** The deprecated page-request overflow bit of FSTS, which the driver clears along with the others. */
const OLD_PAGE_REQUEST_OVERFLOW = 1 << 7;

export class FaultHandler {
  private readonly log: KernelLog;
  private readonly trace: Trace;
  private readonly byVector = new Map<number, IntelUnit>();
  private readonly listeners = new Set<FaultListener>();

  constructor(log: KernelLog, trace: Trace) {
    this.log = log;
    this.trace = trace;
  }

  /** Calls `listener` for each fault until the returned function is called. */
  onFault(listener: FaultListener): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** dmar_set_interrupt: programs the unit's fault message and unmasks it. */
  program(unit: IntelUnit): void {
    const vector = FIRST_VECTOR + unit.index;
    this.byVector.set(vector, unit);
    unit.mmio.write(registers.FEDATA.offset, 4, BigInt(vector));
    unit.mmio.write(registers.FEADDR.offset, 4, APIC_ADDRESS);
    unit.mmio.write(registers.FEUADDR.offset, 4, 0n);
    unit.mmio.write(registers.FECTL.offset, 4, 0n);
    // Anything that was recorded before must not keep the next event from coming.
    this.drain(unit);
  }

  /** Stops the unit's fault messages. */
  mask(unit: IntelUnit): void {
    unit.mmio.write(registers.FECTL.offset, 4, BigInt(EventControlBit.mask >>> 0));
  }

  /** An interrupt came in. False: it is not one of the units' fault interrupts. */
  handle(vector: number): boolean {
    const unit = this.byVector.get(vector);
    if (unit === undefined) return false;
    this.drain(unit);
    return true;
  }

  private drain(unit: IntelUnit): void {
    const status = Number(unit.mmio.read(registers.FSTS.offset, 4));
    if (status === 0) return;
    this.log.write(`DMAR: DRHD: handling fault status reg ${status.toString(16)}`);
    if ((status & FaultStatusBit.pending) !== 0) this.readRecords(unit, (status >>> 8) & 0xff);
    const clear = FaultStatusBit.overflow | FaultStatusBit.pending | OLD_PAGE_REQUEST_OVERFLOW;
    unit.mmio.write(registers.FSTS.offset, 4, BigInt(clear));
  }

  /** From the first record on, as long as they are filled. */
  private readRecords(unit: IntelUnit, first: number): void {
    const count = unit.capabilities.faultRecords + 1;
    const base = unit.capabilities.faultRecordOffset * RECORD_BYTES;
    for (let done = 0, index = first; done < count; done += 1, index = (index + 1) % count) {
      const at = base + index * RECORD_BYTES;
      const words = Uint32Array.from([0, 4, 8, 12], (offset) => Number(unit.mmio.read(at + offset, 4)));
      if (!FaultRecord.fields.fault.isSet(words)) return;
      unit.mmio.write(at + 12, 4, BigInt(0x80000000));
      this.report(unit, words);
    }
  }

  private report(unit: IntelUnit, words: Uint32Array): void {
    const field = FaultRecord.fields;
    const reason = field.reason.get(words);
    const ofInterrupt = reason >= FIRST_INTERRUPT_REASON && reason <= LAST_INTERRUPT_REASON;
    const address = field.address.getBig(words);
    const fault: FaultReport = {
      unit: unit.name,
      requesterId: field.sourceId.get(words),
      pasid: field.pasidPresent.isSet(words) ? field.pasid.get(words) : undefined,
      address: ofInterrupt ? address >> 48n : address,
      access: ofInterrupt ? 'interrupt' : accessOf(words),
      reason,
    };
    this.log.write(messageOf(fault));
    this.trace.emit({
      part: 'kernel/intel',
      kind: 'fault',
      text: messageOf(fault),
      data: {
        unit: fault.unit,
        requesterId: fault.requesterId,
        pasid: fault.pasid ?? null,
        address: fault.address,
        access: fault.access,
        reason,
      },
    });
    for (const listener of this.listeners) listener(fault);
  }
}

function accessOf(words: Uint32Array): 'read' | 'write' | 'execute' {
  const field = FaultRecord.fields;
  if (field.execute.isSet(words) && field.pasidPresent.isSet(words)) return 'execute';
  return field.typeLow.isSet(words) ? 'read' : 'write';
}

/** As the kernel prints it. */
function messageOf({ requesterId, pasid, address, access, reason }: FaultReport): string {
  const hex = (value: number, digits: number): string => value.toString(16).padStart(digits, '0');
  const device = `[${hex(requesterId >>> 8, 2)}:${hex((requesterId >>> 3) & 31, 2)}.${requesterId & 7}]`;
  const why = `[fault reason 0x${hex(reason, 2)}] ${faultMeaning(reason)}`;
  if (access === 'interrupt') {
    return `DMAR: [INTR-REMAP] Request device ${device} fault index 0x${address.toString(16)} ${why}`;
  }
  const kind = access === 'write' ? 'DMA Write' : 'DMA Read';
  const tag = pasid === undefined ? 'NO_PASID' : `PASID 0x${pasid.toString(16)}`;
  return `DMAR: [${kind} ${tag}] Request device ${device} fault addr 0x${address.toString(16)} ${why}`;
}
