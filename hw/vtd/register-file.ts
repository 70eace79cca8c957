/**
 * The registers of one unit as stored words: what software may write, what it clears by writing ones, what reads
 * back. Side effects are the unit's. VT-d 11.2: 32- and 64-bit accesses, naturally aligned (a 64-bit access may also
 * stand at a 4-byte boundary, as two halves); anything else reads zero and writes nothing.
 */
import { capabilitiesOf, type UnitConfiguration } from './configuration.ts';
import { type Register, type RegisterName, registerList, registers } from './registers.ts';

/** Bytes of one page of registers. */
const PAGE_BYTES = 4096;
/** Words of a fault record. */
const RECORD_WORDS = 4;

/** A register with its place in one unit. */
export interface PlacedRegister {
  readonly register: Register;
  readonly offset: number;
}

export class RegisterFile {
  /** By word (offset / 4). */
  readonly words: Uint32Array;
  private readonly writable: Uint32Array;
  private readonly clearable: Uint32Array;
  /** Write-only bits: stored for the unit, read as zero by software. */
  private readonly hidden: Uint32Array;
  private readonly offsets: Readonly<Record<RegisterName, number>>;
  /** Registers that this unit has, by offset. */
  readonly placed: readonly PlacedRegister[];
  readonly faultRecordOffset: number;
  readonly faultRecords: number;

  constructor(configuration: UnitConfiguration) {
    const has = capabilitiesOf(configuration);
    this.faultRecordOffset = has.faultRecordOffset * 16;
    this.faultRecords = has.faultRecords + 1;
    const placed = registerList.map((register) => ({ register, offset: register.offsetIn(has) }));
    const end = Math.max(
      this.faultRecordOffset + this.faultRecords * 16,
      ...placed.map(({ register, offset }) => offset + register.widthBytes),
    );
    const bytes = Math.ceil(end / PAGE_BYTES) * PAGE_BYTES;
    this.words = new Uint32Array(bytes / 4);
    this.writable = new Uint32Array(bytes / 4);
    this.clearable = new Uint32Array(bytes / 4);
    this.hidden = new Uint32Array(bytes / 4);
    const width = configuration.hostAddressWidth;
    for (const { register, offset } of placed) {
      if (!register.implementedBy(has)) continue;
      const rw = register.maskFor('RW', has, width);
      const rw1c = register.maskFor('RW1C', has, width);
      const wo = register.maskFor('WO', has, width);
      for (let word = 0; word < register.widthBytes / 4; word += 1) {
        const shift = BigInt(word * 32);
        this.writable[offset / 4 + word] = Number(((rw | wo) >> shift) & 0xffffffffn);
        this.hidden[offset / 4 + word] = Number((wo >> shift) & 0xffffffffn);
        this.clearable[offset / 4 + word] = Number((rw1c >> shift) & 0xffffffffn);
        this.words[offset / 4 + word] = Number((register.reset >> shift) & 0xffffffffn);
      }
    }
    this.placed = placed
      .filter(({ register }) => register.implementedBy(has))
      .sort((a, b) => a.offset - b.offset);
    this.offsets = Object.fromEntries(
      Object.entries(registers).map(([name, register]) => [name, (register as Register).offsetIn(has)]),
    ) as Record<RegisterName, number>;
    this.set('VER', configuration.version);
    this.set64('CAP', configuration.cap);
    this.set64('ECAP', configuration.ecap);
  }

  /** Bytes from the base. */
  offsetOf(name: RegisterName): number {
    return this.offsets[name];
  }

  /** Low 32 bits of a register. */
  get(name: RegisterName): number {
    return this.words[this.offsets[name] >>> 2];
  }

  /** High 32 bits of a 64-bit register. */
  getHigh(name: RegisterName): number {
    return this.words[(this.offsets[name] >>> 2) + 1];
  }

  set(name: RegisterName, value: number): void {
    this.words[this.offsets[name] >>> 2] = value;
  }

  setHigh(name: RegisterName, value: number): void {
    this.words[(this.offsets[name] >>> 2) + 1] = value;
  }

  private set64(name: RegisterName, value: bigint): void {
    this.set(name, Number(value & 0xffffffffn));
    this.setHigh(name, Number((value >> 32n) & 0xffffffffn));
  }

  /** What software reads at a word. */
  readWord(offset: number): number {
    const word = offset >>> 2;
    return word < this.words.length ? (this.words[word] & ~this.hidden[word]) >>> 0 : 0;
  }

  /** Software writes a word: writable bits follow it, clearable bits that are one in it go to zero. */
  writeWord(offset: number, value: number): void {
    const word = offset >>> 2;
    if (word >= this.words.length) return;
    const writable = this.writable[word];
    const kept = (this.words[word] & ~writable) | (value & writable);
    this.words[word] = kept & ~(value & this.clearable[word]);
  }

  /** First word of fault record i, an index into `words`. */
  recordIndex(record: number): number {
    return (this.faultRecordOffset >>> 2) + record * RECORD_WORDS;
  }
}
