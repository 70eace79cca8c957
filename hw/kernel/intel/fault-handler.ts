/**
 * How the driver learns of faults (drivers/iommu/intel/dmar.c: dmar_set_interrupt, dmar_fault): each unit's fault event
 * is a message interrupt; the handler reads the fault recording registers, clears them, and tells what it found.
 */
import type { DeliveredInterrupt, HardwarePort, MmioPort } from '../../port.ts';
import { faultMeaning } from '../../vtd/fault-reasons.ts';
import { FaultRecord } from '../../vtd/layouts.ts';
import { decodeCapabilities, FaultStatusBit, registers } from '../../vtd/registers.ts';
import type { KernelLog } from '../kernel-log.ts';

/** One fault as the registers told it. */
export interface FaultReport {
  /** "dmar0" */
  readonly unit: string;
  readonly segment: number;
  readonly requesterId: number;
  /** Undefined: the request had none. */
  readonly pasid: number | undefined;
  /** Page of the request, or for an interrupt the index of its entry in bits 63:48. */
  readonly address: bigint;
  readonly access: 'read' | 'write' | 'execute' | 'interrupt';
  readonly reason: number;
}

interface FaultingUnit {
  readonly name: string;
  readonly segment: number;
  readonly registerBase: bigint;
}

/** Vectors from here on belong to fault events, one a unit. */
const FIRST_VECTOR = 0x20;
const MESSAGE_ADDRESS = 0xfee00000;
const FAULT_BIT = 0x80000000;

export class FaultHandler {
  private readonly port: HardwarePort;
  private readonly units: readonly FaultingUnit[];
  private readonly log: KernelLog;
  private readonly report: (fault: FaultReport) => void;

  /** Sets the fault event of each unit up; `start` unmasks it. */
  constructor(
    port: HardwarePort,
    units: readonly FaultingUnit[],
    log: KernelLog,
    report: (fault: FaultReport) => void,
  ) {
    this.port = port;
    this.units = units;
    this.log = log;
    this.report = report;
  }

  /** dmar_set_interrupt on each unit: message first, then the mask goes. Old faults are read before. */
  start(): void {
    for (const [index, unit] of this.units.entries()) {
      const mmio = this.port.mmio(unit.registerBase);
      if (mmio === undefined) continue;
      mmio.write(registers.FEDATA.offset, 4, BigInt(FIRST_VECTOR + index));
      mmio.write(registers.FEADDR.offset, 4, BigInt(MESSAGE_ADDRESS));
      this.read(unit, mmio);
      mmio.write(registers.FECTL.offset, 4, 0n);
    }
  }

  /** Takes an interrupt; false when it is none of these. */
  handle(interrupt: DeliveredInterrupt): boolean {
    const unit = this.units[interrupt.vector - FIRST_VECTOR];
    if (unit === undefined) return false;
    const mmio = this.port.mmio(unit.registerBase);
    if (mmio !== undefined) this.read(unit, mmio);
    return true;
  }

  /** dmar_fault. */
  private read(unit: FaultingUnit, mmio: MmioPort): void {
    const status = Number(mmio.read(registers.FSTS.offset, 4));
    if ((status & FaultStatusBit.pending) !== 0) this.readRecords(unit, mmio, status);
    const clear = FaultStatusBit.overflow;
    if ((status & clear) !== 0) {
      this.log.write(`DMAR: ${unit.name}: fault overflow: a fault could not be recorded`);
      mmio.write(registers.FSTS.offset, 4, BigInt(clear));
    }
  }

  private readRecords(unit: FaultingUnit, mmio: MmioPort, status: number): void {
    const capabilities = decodeCapabilities(
      mmio.read(registers.CAP.offset, 8),
      mmio.read(registers.ECAP.offset, 8),
    );
    const count = capabilities.faultRecords + 1;
    let index = (status >>> 8) & 0xff;
    for (let seen = 0; seen < count; seen += 1) {
      const offset = capabilities.faultRecordOffset * 16 + index * 16;
      const words = new Uint32Array(4);
      words[3] = Number(mmio.read(offset + 12, 4));
      if (!FaultRecord.fields.fault.isSet(words)) break;
      for (let word = 0; word < 3; word += 1) words[word] = Number(mmio.read(offset + word * 4, 4));
      mmio.write(offset + 12, 4, BigInt(FAULT_BIT));
      const fault = this.decode(unit, words);
      this.tell(fault);
      this.report(fault);
      index = (index + 1) % count;
    }
  }

  private decode(unit: FaultingUnit, words: Uint32Array): FaultReport {
    const { reason, sourceId, pasidPresent, pasid, address, execute, typeLow } = FaultRecord.fields;
    const code = reason.get(words);
    let access: FaultReport['access'] = typeLow.isSet(words) ? 'read' : 'write';
    if (execute.isSet(words)) access = 'execute';
    if (code >= 0x20 && code < 0x30) access = 'interrupt';
    return {
      unit: unit.name,
      segment: unit.segment,
      requesterId: sourceId.get(words),
      pasid: pasidPresent.isSet(words) ? pasid.get(words) : undefined,
      address: address.getBig(words),
      access,
      reason: code,
    };
  }

  private tell(fault: FaultReport): void {
    const hex = (value: number, digits: number): string => value.toString(16).padStart(digits, '0');
    const id = fault.requesterId;
    const device = `${hex(id >>> 8, 2)}:${hex((id >>> 3) & 31, 2)}.${id & 7}`;
    const pasid = fault.pasid === undefined ? 'NO_PASID' : `PASID 0x${fault.pasid.toString(16)}`;
    const kind = fault.access === 'interrupt' ? 'INTR-REMAP' : `DMA ${fault.access} ${pasid}`;
    this.log.write(
      `DMAR: [${kind}] Request device [${device}] fault addr 0x${fault.address.toString(16)} [fault reason 0x${hex(fault.reason, 2)}] ${faultMeaning(fault.reason)}`,
    );
  }
}
