/**
 * The invalidation queue as the driver uses it (dmar.c, qi_submit_sync): descriptors, then a wait descriptor that
 * writes a status word, then the tail; the call returns when the word is there.
 */
import type { HardwarePort, MmioPort } from '../../port.ts';
import type { Trace } from '../../trace.ts';
import { DescriptorType, decodeDescriptor, encodeDescriptor, WaitDescriptor } from '../../vtd/descriptors.ts';
import { FaultStatusBit, GlobalBit, registers } from '../../vtd/registers.ts';
import { KernelError } from '../errno.ts';
import type { PageAllocator } from '../page-allocator.ts';

/** Descriptors in the ring, whatever their width (QI_LENGTH). */
const LENGTH = 256;
const DONE = 2;
const CHUNK_BYTES = 0x200000;

export class InvalidationQueue {
  private readonly port: HardwarePort;
  private readonly mmio: MmioPort;
  private readonly trace: Trace;
  private readonly unitName: string;
  private readonly wide: boolean;
  private readonly queueAddress: number;
  private readonly statusAddress: number;
  private readonly waits: (Uint32Array | undefined)[] = [];
  private next = 0;

  /**
   * Allocates the ring and switches it on. @param wide 256-bit descriptors: where the unit reports scalable mode.
   * @param globalBits Level bits of GCMD that are on now.
   */
  constructor(
    port: HardwarePort,
    mmio: MmioPort,
    allocator: PageAllocator,
    options: { wide: boolean; unitName: string; trace: Trace },
  ) {
    this.port = port;
    this.mmio = mmio;
    this.trace = options.trace;
    this.unitName = options.unitName;
    this.wide = options.wide;
    const pages = options.wide ? 2 : 1;
    const queue = allocator.allocateRun(pages, pages);
    this.queueAddress = queue * 4096;
    this.statusAddress = allocator.allocate() * 4096;
    port.memory.zero(this.queueAddress, pages * 4096);
    port.memory.zero(this.statusAddress, 4096);
  }

  /** Programs IQT and IQA and sets GCMD.QIE; also after a resume. @param globalBits Level bits that stay on. */
  enable(globalBits: number): void {
    this.next = 0;
    this.mmio.write(registers.IQT.offset, 8, 0n);
    const size = this.wide ? 1n : 0n;
    this.mmio.write(registers.IQA.offset, 8, BigInt(this.queueAddress) | (this.wide ? 1n << 11n : 0n) | size);
    this.mmio.write(registers.GCMD.offset, 4, BigInt((globalBits | GlobalBit.queuedInvalidation) >>> 0));
  }

  /**
   * Queues the descriptors and waits until the unit has done them.
   * @throws KernelError EINVAL: the unit refused a descriptor; ETIMEDOUT: a device did not answer an invalidation of
   * its device-TLB.
   */
  submit(descriptors: readonly Uint32Array[]): void {
    for (const descriptor of descriptors) {
      this.write(this.next, descriptor);
      this.next = (this.next + 1) % LENGTH;
      if (this.trace.active) this.report(descriptor);
    }
    const waitIndex = this.next;
    const status = this.statusAddress + waitIndex * 4;
    const wait = this.waitFor(waitIndex);
    this.port.memory.write32(status, 1);
    this.write(waitIndex, wait);
    this.next = (this.next + 1) % LENGTH;
    this.mmio.write(registers.IQT.offset, 8, BigInt(this.next * this.entryBytes));
    if (this.port.memory.read32(status) !== DONE) this.recover(status, wait);
  }

  private get entryBytes(): number {
    return this.wide ? 32 : 16;
  }

  private write(index: number, descriptor: Uint32Array): void {
    const address = this.queueAddress + index * this.entryBytes;
    const words = this.port.memory.chunkForWrite(Math.floor(address / CHUNK_BYTES));
    const at = (address % CHUNK_BYTES) / 4;
    for (let word = 0; word < this.entryBytes / 4; word += 1) {
      words[at + word] = word < 4 ? descriptor[word] : 0;
    }
  }

  /** The wait descriptor of each place in the ring, made when first needed. */
  private waitFor(index: number): Uint32Array {
    const made =
      this.waits[index] ??
      encodeDescriptor(WaitDescriptor, DescriptorType.wait, {
        statusWrite: 1,
        statusData: DONE,
        statusAddress: this.statusAddress + index * 4,
      });
    this.waits[index] = made;
    return made;
  }

  /** qi_check_fault: the unit stopped. The bad descriptor becomes a wait, the queue goes on, the caller gets an error. */
  private recover(status: number, wait: Uint32Array): never {
    const faults = Number(this.mmio.read(registers.FSTS.offset, 4));
    if ((faults & FaultStatusBit.queueError) !== 0) {
      const head = Number(this.mmio.read(registers.IQH.offset, 8)) / this.entryBytes;
      this.write(head, wait);
      this.mmio.write(registers.FSTS.offset, 4, BigInt(FaultStatusBit.queueError));
      throw new KernelError(
        'EINVAL',
        'invalidation descriptor refused',
        `${this.unitName} refused the descriptor at index ${head} of its invalidation queue (IQE).`,
      );
    }
    if ((faults & FaultStatusBit.timeOutError) !== 0) {
      this.mmio.write(registers.FSTS.offset, 4, BigInt(FaultStatusBit.timeOutError));
      throw new KernelError(
        'ETIMEDOUT',
        'device-TLB invalidation unanswered',
        `A device behind ${this.unitName} did not answer an invalidation of its device-TLB (ITE).`,
        'The device is hung or gone: reset or remove it.',
      );
    }
    throw new KernelError(
      'EIO',
      'invalidation queue stopped',
      `${this.unitName} did not complete its invalidation queue (status word 0x${this.port.memory.read32(status).toString(16)}, FSTS 0x${faults.toString(16)}).`,
    );
  }

  private report(descriptor: Uint32Array): void {
    const decoded = decodeDescriptor(descriptor);
    const quad = (index: number): bigint =>
      BigInt(descriptor[index]) | (BigInt(descriptor[index + 1]) << 32n);
    this.trace.emit({
      part: 'kernel/intel',
      kind: 'descriptor',
      text: `${this.unitName}: ${decoded.name} ${decoded.fields
        .filter((field) => !field.name.startsWith('type') && field.value !== 0n)
        .map((field) => `${field.name}=${field.meaning ?? field.text}`)
        .join(' ')}`,
      data: { unit: this.unitName, type: decoded.type, low: quad(0), high: quad(2) },
    });
  }
}
