/** A remapping unit on a bench: memory, tables made by hand, requests. For tests of hw/vtd. */
import { PhysicalMemory } from '../../hw/memory/physical-memory.ts';
import type { Page } from '../../hw/memory/types.ts';
import { Access } from '../../hw/vtd/access.ts';
import { serverUnit, type UnitConfiguration } from '../../hw/vtd/configuration.ts';
import type { FaultRecordState } from '../../hw/vtd/fault-record.ts';
import type { Interrupt } from '../../hw/vtd/interrupt-remapping.ts';
import type { DeviceTlbAnswer, DeviceTlbInvalidation } from '../../hw/vtd/invalidation.ts';
import { LegacyContextEntry, PasidTableEntry, ScalableContextEntry } from '../../hw/vtd/layouts.ts';
import { GlobalBit, type RegisterName } from '../../hw/vtd/registers.ts';
import { VtdUnit } from '../../hw/vtd/unit.ts';

/** 64 MiB, and a read-only page range at 64 MiB for tables that can't be updated. */
export const MEMORY_BYTES = 0x4000000;
export const ROM_START = 0x4000000;
export const ROM_BYTES = 0x10000;

/** The function that the tests' requests come from: 01:02.3. */
export const REQUESTER = 0x0113;

type Values<L> = L extends { encode(values: infer V): Uint32Array } ? V : never;

export interface LabOptions {
  readonly configuration?: UnitConfiguration;
  readonly onDeviceTlbInvalidation?: (invalidation: DeviceTlbInvalidation) => DeviceTlbAnswer;
}

export class VtdLab {
  readonly memory = new PhysicalMemory([
    { start: 0, end: MEMORY_BYTES },
    { start: ROM_START, end: ROM_START + ROM_BYTES, readOnly: true },
  ]);
  readonly unit: VtdUnit;
  readonly interrupts: Interrupt[] = [];
  private nextPage = 0x100000;
  private queueTail = 0;
  private queueBase = 0;
  private queueWidth = 16;

  constructor(options: LabOptions = {}) {
    this.unit = new VtdUnit({
      memory: this.memory,
      configuration: options.configuration ?? serverUnit(),
      onInterrupt: (interrupt) => this.interrupts.push(interrupt),
      onDeviceTlbInvalidation: options.onDeviceTlbInvalidation,
    });
  }

  /** Pages of zeros, side by side. */
  page(count = 1): number {
    const at = this.nextPage;
    this.nextPage += 4096 * count;
    return at;
  }

  put(address: number, words: ArrayLike<number>): void {
    for (let index = 0; index < words.length; index += 1)
      this.memory.write32(address + index * 4, words[index]);
  }

  read(name: RegisterName): bigint {
    const offset = this.unit.file.offsetOf(name);
    const placed = this.unit.file.placed.find(({ register }) => register.name === name);
    return this.unit.mmioRead(offset, placed?.register.widthBytes ?? 4);
  }

  write(name: RegisterName, value: bigint | number): void {
    const placed = this.unit.file.placed.find(({ register }) => register.name === name);
    this.unit.mmioWrite(this.unit.file.offsetOf(name), placed?.register.widthBytes ?? 4, BigInt(value));
  }

  /** One GCMD write that keeps the levels and adds these bits. */
  command(bits: number): void {
    const levels =
      GlobalBit.translation |
      GlobalBit.queuedInvalidation |
      GlobalBit.interruptRemapping |
      GlobalBit.compatibilityFormat;
    this.write('GCMD', BigInt(((Number(this.read('GSTS')) & levels) | bits) >>> 0));
  }

  /** Sets the root table and switches translation on. @param mode 0 legacy, 1 scalable. */
  start(rootTable: number, mode: number): void {
    this.write('RTADDR', BigInt(rootTable) | (BigInt(mode) << 10n));
    this.command(GlobalBit.rootTable);
    this.command(GlobalBit.translation);
  }

  /** Legacy tables for the requester with this context entry; started. Returns where the entry is. */
  legacy(values: Values<typeof LegacyContextEntry>, requesterId = REQUESTER): number {
    const root = this.page();
    const contexts = this.page();
    this.memory.write64(root + (requesterId >>> 8) * 16, BigInt(contexts) | 1n);
    const entry = contexts + (requesterId & 0xff) * 16;
    this.put(entry, LegacyContextEntry.encode({ present: 1, addressWidth: 2, domainId: 5, ...values }));
    this.start(root, 0);
    return entry;
  }

  /**
   * Scalable-mode tables for the requester, with these PASID-table entries; started. Returns where things are.
   */
  scalable(
    entries: Readonly<Record<number, Values<typeof PasidTableEntry>>>,
    context: Values<typeof ScalableContextEntry> = {},
    requesterId = REQUESTER,
  ): { root: number; context: number; directory: number; entry: (pasid: number) => number } {
    const root = this.page();
    const contexts = this.page();
    const directory = this.page(4);
    const half = (requesterId & 0x80) !== 0 ? 8 : 0;
    this.memory.write64(root + (requesterId >>> 8) * 16 + half, BigInt(contexts) | 1n);
    const contextEntry = contexts + (requesterId & 0x7f) * 32;
    this.put(
      contextEntry,
      ScalableContextEntry.encode({
        present: 1,
        pasidEnable: 1,
        pasidDirectoryPointer: directory,
        ...context,
      }),
    );
    const tables = new Map<number, number>();
    const entry = (pasid: number): number => {
      const index = pasid >>> 6;
      let table = tables.get(index);
      if (table === undefined) {
        table = this.page();
        tables.set(index, table);
        this.memory.write64(directory + index * 8, BigInt(table) | 1n);
      }
      return table + (pasid & 63) * 64;
    };
    for (const [pasid, values] of Object.entries(entries))
      this.put(
        entry(Number(pasid)),
        PasidTableEntry.encode({ present: 1, domainId: 7, pageWalkSnoop: 1, ...values }),
      );
    this.start(root, 1);
    return { root, context: contextEntry, directory, entry };
  }

  /**
   * Puts an entry into tables of this depth below `top`, making tables on the way.
   * @param link What the entries that lead on hold beside the address. @returns Where the entry is.
   */
  map(top: number, levels: number, address: bigint, leafLevel: number, entry: bigint, link = 7n): number {
    let table = top;
    for (let level = levels; ; level -= 1) {
      const index = Number((address >> BigInt(12 + 9 * (level - 1))) & 511n);
      const at = table + index * 8;
      if (level === leafLevel) {
        this.memory.write64(at, entry);
        return at;
      }
      if (this.memory.read64(at) === 0n) this.memory.write64(at, BigInt(this.page()) | link);
      table = Number(this.memory.read64(at) & 0xffffffffff000n);
    }
  }

  /** Translates; the physical address, or undefined when refused. */
  translate(
    address: bigint,
    access: number = Access.read,
    pasid = -1,
    requesterId = REQUESTER,
  ): bigint | undefined {
    const frame = this.unit.translate(requesterId, Number(address >> 12n) as Page, access, pasid);
    return frame < 0 ? undefined : (BigInt(frame) << 12n) | (address & 0xfffn);
  }

  /** The one fault now recorded, with its reason; then the records are cleared. */
  takeFaults(): FaultRecordState[] {
    const records = this.unit.faults.records();
    for (const record of records)
      this.unit.mmioWrite(this.unit.file.faultRecordOffset + record.index * 16 + 12, 4, 0x80000000n);
    this.write('FSTS', 0x7d);
    return records;
  }

  /** The reason of the fault that this refused request records; undefined: it went through or nothing was recorded. */
  reasonOf(
    address: bigint,
    access: number = Access.read,
    pasid = -1,
    requesterId = REQUESTER,
  ): number | undefined {
    this.translate(address, access, pasid, requesterId);
    return this.takeFaults()[0]?.reason;
  }

  /** Switches the queue on. @param width Bytes of a descriptor. */
  startQueue(width: 16 | 32 = 16, sizeCode = 0): void {
    this.queueBase = this.page(1 << sizeCode);
    this.queueWidth = width;
    this.queueTail = 0;
    this.write('IQT', 0);
    this.write('IQA', BigInt(this.queueBase) | BigInt(sizeCode) | (width === 32 ? 0x800n : 0n));
    this.command(GlobalBit.queuedInvalidation);
  }

  /** Writes descriptors behind the tail and moves it. */
  submit(...descriptors: readonly Uint32Array[]): void {
    for (const descriptor of descriptors) {
      this.put(this.queueBase + this.queueTail, descriptor);
      this.queueTail += this.queueWidth;
    }
    this.write('IQT', this.queueTail);
  }

  /** Puts another descriptor in the place of one that was submitted. */
  replace(index: number, descriptor: Uint32Array): void {
    this.put(this.queueBase + index * this.queueWidth, descriptor);
  }

  /** Drops everything cached, as software would by registers. */
  flush(): void {
    this.write('CCMD', 0xa000000000000000n);
    this.write('IOTLB', 0x9000000000000000n);
  }
}
