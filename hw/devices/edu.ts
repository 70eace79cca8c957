/**
 * A teaching device with one DMA engine: a 4 KiB buffer in the device, moved to or from memory in one transfer by a
 * command. Register map as in docs/specs/edu of QEMU (facts: offsets, command bits, 28-bit mask by default).
 */
import type { MmioPort } from '../port.ts';
import {
  type DeviceBus,
  type DeviceModel,
  issueTransfer,
  refusedTransfer,
  type TransferJob,
  type TransferResult,
} from './model.ts';

/** Offsets in BAR 0. */
export const EduRegister = {
  identification: 0x00,
  liveness: 0x04,
  dmaSource: 0x80,
  dmaDestination: 0x88,
  dmaCount: 0x90,
  dmaCommand: 0x98,
} as const;

/** Bits of the DMA command. */
export const EduCommand = { run: 1, toMemory: 2, interrupt: 4 } as const;

/** Where the buffer sits in the device's own address space. */
export const EDU_BUFFER = 0x40000n;
export const EDU_BUFFER_BYTES = 4096;

const IDENTIFICATION = 0x010000edn;

export class Edu implements DeviceModel {
  readonly kind = 'edu';
  private readonly bus: DeviceBus;
  /** Address bits that leave the device. */
  private readonly addressMask: bigint;
  private readonly buffer = new Uint8Array(EDU_BUFFER_BYTES);
  private readonly registers = new BigUint64Array(4);
  private liveness = 0n;

  constructor(bus: DeviceBus, options: { addressBits: number }) {
    this.bus = bus;
    this.addressMask = (1n << BigInt(options.addressBits)) - 1n;
  }

  region(bar: number): MmioPort | undefined {
    if (bar !== 0) return undefined;
    return {
      read: (offset) => this.readRegister(offset),
      write: (offset, _size, value) => this.writeRegister(offset, value),
    };
  }

  transfer(job: TransferJob): TransferResult {
    if (job.channel !== 0) return refusedTransfer(`edu has no channel ${job.channel}`);
    return issueTransfer(this.bus, { ...job, address: job.address & this.addressMask }, job.forcedPasid);
  }

  reset(): void {
    this.registers.fill(0n);
    this.buffer.fill(0);
    this.liveness = 0n;
  }

  state(): Uint32Array {
    return new Uint32Array([
      ...new Uint32Array(this.registers.buffer),
      ...new Uint32Array(this.buffer.buffer),
    ]);
  }

  private readRegister(offset: number): bigint {
    if (offset === EduRegister.identification) return IDENTIFICATION;
    if (offset === EduRegister.liveness) return this.liveness;
    const index = (offset - EduRegister.dmaSource) / 8;
    return this.registers[index] ?? 0n;
  }

  private writeRegister(offset: number, value: bigint): void {
    if (offset === EduRegister.liveness) {
      this.liveness = ~value & 0xffffffffn;
      return;
    }
    const index = (offset - EduRegister.dmaSource) / 8;
    if (!Number.isInteger(index) || index < 0 || index >= this.registers.length) return;
    this.registers[index] = value;
    if (offset === EduRegister.dmaCommand && (value & BigInt(EduCommand.run)) !== 0n) this.run(Number(value));
  }

  /** One transfer; a range outside the buffer moves nothing. The run bit falls when it is done. */
  private run(command: number): void {
    const [source, destination, count] = this.registers;
    const toMemory = (command & EduCommand.toMemory) !== 0;
    const inside = toMemory ? source : destination;
    const start = Number(inside - EDU_BUFFER);
    const length = Number(count);
    this.registers[3] = BigInt(command & ~EduCommand.run);
    if (start < 0 || length > EDU_BUFFER_BYTES || start + length > EDU_BUFFER_BYTES) return;
    const address = (toMemory ? destination : source) & this.addressMask;
    if (toMemory) {
      this.bus.write(address, this.buffer.slice(start, start + length), undefined);
      return;
    }
    // A refused part comes back as zeros; a request that never left changes nothing.
    const { bytes } = this.bus.read(address, length, undefined);
    if (bytes !== undefined) this.buffer.set(bytes.subarray(0, length), start);
  }
}
