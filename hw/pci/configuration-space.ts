/**
 * The configuration space of one function as hardware holds it: bytes, which bits software may change, and what a
 * write sets off. It knows offsets only, never its address.
 */
import type { CapabilityDeclaration } from './capabilities/declaration.ts';
import { MSI_MASK_FIELDS, Msi } from './capabilities/msi.ts';
import { declarationAt } from './capabilities/registry.ts';
import { walkCapabilities } from './capabilities/walk.ts';

/** Called after a write that touched bytes `start` to `end - 1` of the watched range. */
type WriteEffect = () => void;

interface Watch {
  readonly start: number;
  readonly end: number;
  readonly effect: WriteEffect;
}

export class ConfigurationSpace {
  /** 64, 256 or 4096. */
  readonly size: number;
  /** May be shorter than `size`: the rest reads as zero. */
  private bytes: Uint8Array;
  private writable: Uint8Array | undefined;
  private clearable: Uint8Array | undefined;
  private readonly watches: Watch[] = [];

  /** @param bytes at most `size` bytes; a shorter array stands for a tail of zeros. The array is kept. */
  constructor(bytes: Uint8Array, size = bytes.length) {
    this.bytes = bytes;
    this.size = size;
  }

  /** Little endian; bytes beyond the space read as all ones. */
  read(offset: number, size: 1 | 2 | 4): number {
    if (offset < 0 || offset + size > this.size) return size === 4 ? 0xffffffff : (1 << (size * 8)) - 1;
    let value = 0;
    for (let index = size - 1; index >= 0; index -= 1) {
      value = (value << 8) | (this.bytes[offset + index] ?? 0);
    }
    return value >>> 0;
  }

  /** A write by software: read-only bits stay, write-1-to-clear bits clear, then effects run. Beyond the space: lost. */
  write(offset: number, size: 1 | 2 | 4, value: number): void {
    if (offset < 0 || offset + size > this.size) return;
    if (this.writable === undefined || this.clearable === undefined) this.prepareMasks();
    this.reach(offset + size);
    for (let index = 0; index < size; index += 1) {
      const place = offset + index;
      const byte = (value >>> (index * 8)) & 0xff;
      const writable = this.writable?.[place] ?? 0;
      const clearable = this.clearable?.[place] ?? 0;
      this.bytes[place] = ((this.bytes[place] & ~writable) | (byte & writable)) & ~(byte & clearable);
    }
    for (const watch of this.watches) {
      if (offset < watch.end && offset + size > watch.start) watch.effect();
    }
  }

  /** A change by the hardware itself: no masks, no effects. */
  set(offset: number, size: 1 | 2 | 4, value: number): void {
    this.reach(offset + size);
    for (let index = 0; index < size; index += 1) this.bytes[offset + index] = value >>> (index * 8);
  }

  /** Calls `effect` after each software write that touches `length` bytes from `offset`. */
  watch(offset: number, length: number, effect: WriteEffect): void {
    this.watches.push({ start: offset, end: offset + length, effect });
  }

  /** Lets software change these bits as well (a model's own registers). */
  allowWrites(offset: number, size: 1 | 2 | 4, mask: number): void {
    if (this.writable === undefined) this.prepareMasks();
    for (let index = 0; index < size; index += 1) {
      if (this.writable !== undefined) this.writable[offset + index] |= (mask >>> (index * 8)) & 0xff;
    }
  }

  /**
   * Lets software move a base address register and find its size by writing ones. PCI 3.0, 6.2.5.1.
   * @param index 0 to 5, or 6 for the expansion ROM of an endpoint
   * @param bytes a power of two; anything else is left alone
   */
  sizeBar(index: number, bytes: number): void {
    const bits = Math.log2(bytes);
    if (!Number.isInteger(bits) || bits < 2 || bits > 63) return;
    const offset = index === 6 ? 0x30 : 0x10 + index * 4;
    if (index === 6) {
      this.allowWrites(offset, 4, (maskFrom(Math.max(bits, 11)) | 1) >>> 0);
      return;
    }
    const low = this.read(offset, 4);
    const io = (low & 1) !== 0;
    if (bits < 32) this.allowWrites(offset, 4, maskFrom(io ? bits : Math.max(bits, 4)));
    if (!io && (low & 6) === 4 && index < 5) {
      this.allowWrites(offset + 4, 4, bits > 32 ? maskFrom(bits - 32) : 0xffffffff);
    }
  }

  /** Makes bits read-only again (capability bits that the function lacks). */
  forbidWrites(offset: number, size: 1 | 2 | 4, mask: number): void {
    if (this.writable === undefined) this.prepareMasks();
    for (let index = 0; index < size; index += 1) {
      if (this.writable !== undefined) this.writable[offset + index] &= ~(mask >>> (index * 8)) & 0xff;
    }
  }

  /** A copy of all bytes. */
  snapshot(): Uint8Array {
    const copy = new Uint8Array(this.size);
    copy.set(this.bytes.subarray(0, Math.min(this.bytes.length, this.size)));
    return copy;
  }

  private reach(end: number): void {
    if (end <= this.bytes.length) return;
    const longer = new Uint8Array(end);
    longer.set(this.bytes);
    this.bytes = longer;
  }

  /** Derives from header and capabilities which bits software may change. */
  private prepareMasks(): void {
    const writable = new Uint8Array(this.size);
    const clearable = new Uint8Array(this.size);
    const put = (mask: Uint8Array, offset: number, bytes: readonly number[]): void => mask.set(bytes, offset);
    put(writable, 0x04, [0x47, 0x05]);
    put(clearable, 0x07, [0xf9]);
    put(writable, 0x0c, [0xff, 0xff]);
    put(writable, 0x3c, [0xff]);
    if ((this.read(0x0e, 1) & 0x7f) === 1) {
      put(writable, 0x18, [0xff, 0xff, 0xff, 0xff, 0xf0, 0xf0]);
      put(clearable, 0x1f, [0xf9]);
      put(writable, 0x20, [0xf0, 0xff, 0xf0, 0xff, 0xf0, 0xff, 0xf0, 0xff]);
      writable.fill(0xff, 0x28, 0x34);
      put(writable, 0x3e, [0x7f]);
    }
    const read = (offset: number, size: 1 | 2 | 4): number => this.read(offset, size);
    for (const one of walkCapabilities(read, this.size).found) {
      const declaration = declarationAt(one.list, one.id, one.offset, read);
      if (declaration === undefined) continue;
      const masks =
        one.id !== Msi.id || one.list !== 'standard' || (this.read(one.offset + 2, 2) & 0x100) !== 0;
      const names = masks
        ? declaration.writable
        : declaration.writable.filter((name) => !MSI_MASK_FIELDS.includes(name));
      maskFields(declaration, names, one.offset, writable);
      maskFields(declaration, declaration.writeOneToClear, one.offset, clearable);
    }
    this.writable = writable;
    this.clearable = clearable;
  }
}

/** Bits from `low` to 31. */
function maskFrom(low: number): number {
  return low >= 32 ? 0 : (0xffffffff << low) >>> 0;
}

/** Sets the bits of the named fields in a byte mask; what lies beyond the space is left out. */
function maskFields(
  declaration: CapabilityDeclaration,
  names: readonly string[],
  offset: number,
  mask: Uint8Array,
): void {
  for (const name of names) {
    const field = declaration.layout.fields[name];
    for (let position = field.low; position <= field.high; position += 1) {
      const place = offset + (position >>> 3);
      if (place < mask.length) mask[place] |= 1 << (position & 7);
    }
  }
}
