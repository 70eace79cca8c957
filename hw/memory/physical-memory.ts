import { PAGE_SIZE } from './types.ts';

/** 2 MiB: one chunk of the directory. */
const CHUNK_BYTES = 0x200000;
const CHUNK_WORDS = CHUNK_BYTES / 4;
/** Chunks below this address (1 TiB) stand in the directory; those above are looked up by number. */
const DIRECTORY_BYTES = 2 ** 40;

/** What every chunk reads as that nobody wrote to. Never written itself. */
let zeros: Uint32Array | undefined;
function zeroChunk(): Uint32Array {
  zeros ??= new Uint32Array(CHUNK_WORDS);
  return zeros;
}

/** A range of installed memory: `start` inclusive, `end` exclusive, in bytes. */
export interface MemoryRange {
  readonly start: number;
  readonly end: number;
  /** Memory that can be read but not written by anybody (a boot ROM). */
  readonly readOnly?: boolean;
}

/**
 * Physical memory: a directory of 2 MiB chunks that come into being when first written. Memory that nobody wrote
 * reads as zero. Addresses outside the installed ranges are not memory: reads of them fail with `undefined`, writes
 * with `false`; nothing throws. Byte addresses are Numbers (exact to 2^53, wider than any host address width).
 */
export class PhysicalMemory {
  readonly ranges: readonly MemoryRange[];
  private readonly readOnlyRanges: readonly MemoryRange[];
  private readonly chunks = new Map<number, Uint32Array>();
  /** Chunks by number, each entered when first touched: what the hot path reads. */
  private readonly directory: (Uint32Array | undefined)[];

  constructor(ranges: readonly MemoryRange[]) {
    this.ranges = [...ranges].sort((a, b) => a.start - b.start);
    this.readOnlyRanges = this.ranges.filter((range) => range.readOnly);
    const end = this.ranges.reduce((highest, range) => Math.max(highest, range.end), 0);
    this.directory = new Array(Math.ceil(Math.min(end, DIRECTORY_BYTES) / CHUNK_BYTES)).fill(undefined);
  }

  /**
   * Hot path: the words of the 2 MiB chunk that holds this address, or undefined when the address is not installed.
   * The word's index is `(low & 0x1fffff) >>> 2`. For reading only: a chunk that nobody wrote to is shared.
   * @param high Bits 51:32 of the address. @param low Bits 31:0.
   */
  chunkAt(high: number, low: number): Uint32Array | undefined {
    const directory = this.directory;
    const number = (high << 11) | (low >>> 21);
    const words = number < directory.length ? directory[number] : undefined;
    return words === undefined ? this.chunkAtFirst(high, low) : words;
  }

  /** The first touch of a chunk, chunks that are installed only in part, addresses where nothing is. */
  private chunkAtFirst(high: number, low: number): Uint32Array | undefined {
    const address = (high >>> 0) * 2 ** 32 + (low >>> 0);
    if (!this.contains(address, 4)) return undefined;
    const number = Math.floor(address / CHUNK_BYTES);
    const words = this.chunks.get(number) ?? zeroChunk();
    this.enter(number, words);
    return words;
  }

  /** Chunks that are installed only in part stay out of the directory: their addresses are tested one by one. */
  private enter(number: number, words: Uint32Array): void {
    if (number < this.directory.length && this.contains(number * CHUNK_BYTES, CHUNK_BYTES))
      this.directory[number] = words;
  }

  /** True when every byte of [address, address + length) is installed. */
  contains(address: number, length: number): boolean {
    let at = address;
    const end = address + length;
    // Beyond 2^53 Numbers have gaps, and nothing is installed there.
    if (end > Number.MAX_SAFE_INTEGER) return false;
    for (const range of this.ranges) {
      if (at >= range.start && at < range.end) at = Math.min(end, range.end);
      if (at >= end) return true;
    }
    return length === 0;
  }

  /** True when every byte of [address, address + length) is installed and can be written. */
  writable(address: number, length: number): boolean {
    if (!this.contains(address, length)) return false;
    if (this.readOnlyRanges.length === 0) return true;
    return !this.readOnlyRanges.some((range) => address < range.end && address + length > range.start);
  }

  /** Bytes that chunks now hold: what the model costs. */
  get residentBytes(): number {
    return this.chunks.size * CHUNK_BYTES;
  }

  /**
   * The words of the 2 MiB chunk with this number (address / 2 MiB), or undefined when nobody wrote to it: it then
   * reads as zero. For the hot path only, which has tested `contains` before.
   */
  chunk(number: number): Uint32Array | undefined {
    return this.chunks.get(number);
  }

  /** The same, made when missing. */
  chunkForWrite(number: number): Uint32Array {
    let words = this.chunks.get(number);
    if (words === undefined) {
      words = new Uint32Array(CHUNK_WORDS);
      this.chunks.set(number, words);
      this.enter(number, words);
    }
    return words;
  }

  /** A 32-bit word at a 4-byte aligned address. Zero outside installed memory. */
  read32(address: number): number {
    const number = Math.floor(address / CHUNK_BYTES);
    const words = number < this.directory.length ? this.directory[number] : undefined;
    if (words !== undefined) return words[(address & (CHUNK_BYTES - 1)) >>> 2];
    return this.chunks.get(number)?.[(address & (CHUNK_BYTES - 1)) >>> 2] ?? 0;
  }

  /**
   * Writes a 32-bit word at a 4-byte aligned address. False, and nothing written, outside installed memory or where it
   * is read-only.
   */
  write32(address: number, value: number): boolean {
    const number = Math.floor(address / CHUNK_BYTES);
    const words = number < this.directory.length ? this.directory[number] : undefined;
    // What is in the directory is installed as a whole; shared zeros have to be replaced first.
    if (words !== undefined && words !== zeros && this.readOnlyRanges.length === 0) {
      words[(address & (CHUNK_BYTES - 1)) >>> 2] = value;
      return true;
    }
    if (!this.writable(address, 4)) return false;
    this.chunkForWrite(number)[(address & (CHUNK_BYTES - 1)) >>> 2] = value;
    return true;
  }

  /** A 64-bit word at an 8-byte aligned address. */
  read64(address: number): bigint {
    return BigInt(this.read32(address)) | (BigInt(this.read32(address + 4)) << 32n);
  }

  /** Writes a 64-bit word at an 8-byte aligned address. False, and nothing written, outside installed memory or where it is read-only. */
  write64(address: number, value: bigint): boolean {
    if (!this.writable(address, 8)) return false;
    this.write32(address, Number(value & 0xffffffffn));
    this.write32(address + 4, Number((value >> 32n) & 0xffffffffn));
    return true;
  }

  /** A copy of the bytes, or undefined when a part is not installed memory. */
  read(address: number, length: number): Uint8Array | undefined {
    if (!this.contains(address, length)) return undefined;
    const bytes = new Uint8Array(length);
    for (let done = 0; done < length; ) {
      const at = address + done;
      const offset = at % CHUNK_BYTES;
      const take = Math.min(length - done, CHUNK_BYTES - offset);
      const words = this.chunks.get(Math.floor(at / CHUNK_BYTES));
      if (words !== undefined) bytes.set(new Uint8Array(words.buffer, offset, take), done);
      done += take;
    }
    return bytes;
  }

  /** Writes the bytes. False, and nothing written, when a part is not installed or is read-only. */
  write(address: number, bytes: Uint8Array): boolean {
    if (!this.writable(address, bytes.length)) return false;
    for (let done = 0; done < bytes.length; ) {
      const at = address + done;
      const offset = at % CHUNK_BYTES;
      const take = Math.min(bytes.length - done, CHUNK_BYTES - offset);
      const words = this.chunkForWrite(Math.floor(at / CHUNK_BYTES));
      new Uint8Array(words.buffer, offset, take).set(bytes.subarray(done, done + take));
      done += take;
    }
    return true;
  }

  /** Clears the bytes. False, and nothing cleared, when a part is not installed or is read-only. */
  zero(address: number, length: number): boolean {
    if (!this.writable(address, length)) return false;
    for (let done = 0; done < length; ) {
      const at = address + done;
      const offset = at % CHUNK_BYTES;
      const take = Math.min(length - done, CHUNK_BYTES - offset);
      const words = this.chunks.get(Math.floor(at / CHUNK_BYTES));
      if (words !== undefined) new Uint8Array(words.buffer, offset, take).fill(0);
      done += take;
    }
    return true;
  }

  /** Numbers of the pages (address / 4096) that hold anything but zeros, ascending: what a snapshot keeps. */
  writtenPages(): number[] {
    const pages: number[] = [];
    for (const [number, words] of [...this.chunks].sort((a, b) => a[0] - b[0])) {
      for (let page = 0; page < CHUNK_BYTES / PAGE_SIZE; page += 1) {
        const first = page * (PAGE_SIZE / 4);
        for (let word = first; word < first + PAGE_SIZE / 4; word += 1) {
          if (words[word] !== 0) {
            pages.push(number * (CHUNK_BYTES / PAGE_SIZE) + page);
            break;
          }
        }
      }
    }
    return pages;
  }
}
