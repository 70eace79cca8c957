/**
 * The port in the middle of the machine: all that the kernel half may touch of the hardware. It stands for what a
 * driver has on a real machine: memory, memory-mapped registers of the remapping units, configuration space, ACPI
 * tables at boot, and the interrupts that come in.
 */
import type { PciAddress } from './pci/address.ts';

/** Physical memory as the CPU sees it. Byte addresses. */
export interface MemoryPort {
  read32(address: number): number;
  write32(address: number, value: number): boolean;
  read64(address: number): bigint;
  write64(address: number, value: bigint): boolean;
  read(address: number, length: number): Uint8Array | undefined;
  write(address: number, bytes: Uint8Array): boolean;
  zero(address: number, length: number): boolean;
  /**
   * The CPU's own view of the 2 MiB with this number (address / 2 MiB) as little-endian words, for code that fills
   * tables. Only for frames that an allocator gave out: nothing tests that they are installed.
   */
  chunkForWrite(number: number): Uint32Array;
}

/** One remapping unit's registers. `size` is 4 or 8; offsets are relative to the unit's base. */
export interface MmioPort {
  read(offset: number, size: 4 | 8): bigint;
  write(offset: number, size: 4 | 8, value: bigint): void;
}

/** Configuration space of all functions. Absent functions read all ones; writes to them are lost. */
export interface ConfigSpacePort {
  read(at: PciAddress, offset: number, size: 1 | 2 | 4): number;
  write(at: PciAddress, offset: number, size: 1 | 2 | 4, value: number): void;
}

/** A message interrupt that reached the CPU. */
export interface DeliveredInterrupt {
  readonly destination: number;
  readonly vector: number;
}

export interface HardwarePort {
  readonly memory: MemoryPort;
  readonly configSpace: ConfigSpacePort;
  /** Registers of the remapping unit at this physical base address (from the DMAR), or undefined: nothing there. */
  mmio(baseAddress: bigint): MmioPort | undefined;
  /** An ACPI table by signature, or undefined. */
  acpiTable(signature: string): Uint8Array | undefined;
  /** Sets who handles interrupts of the CPU. One handler: the kernel. */
  onInterrupt(handler: (interrupt: DeliveredInterrupt) => void): void;
}
