/**
 * Layouts as data. A register, a table entry, a descriptor or a capability is declared once, as named bit fields
 * beside the section of the specification that defines it. The walker, the driver, the decode view, the JSON and the
 * tests all read that one declaration.
 *
 * An entry in memory is seen as little-endian 32-bit words (a `Uint32Array` and the index of its first word): on the
 * hot path a field costs one load, one shift and one mask, and no bigint is made.
 */

/** What a value of a field stands for, by value: `{1: 'first-level', 2: 'second-level'}`. */
export type Meanings = Readonly<Record<number, string>>;

export type FieldKind = 'bit' | 'bits' | 'address';

/** What `bit`, `bits` and `address` return: a field before it knows its name and its layout. */
export interface FieldDeclaration {
  readonly kind: FieldKind;
  readonly low: number;
  readonly high: number;
  readonly meanings?: Meanings;
}

/** One bit. */
export function bit(position: number, meanings?: Meanings): FieldDeclaration {
  return { kind: 'bit', low: position, high: position, meanings };
}

/** Bits `low` to `high`, both included, as an unsigned integer (at most 64 bits). */
export function bits(low: number, high: number, meanings?: Meanings): FieldDeclaration {
  return { kind: 'bits', low, high, meanings };
}

/** Bits `low` to `high` of an address that stands in place: the value keeps its low zero bits. */
export function address(low: number, high: number): FieldDeclaration {
  return { kind: 'address', low, high };
}

/** A named field of a layout with its accessors. */
export class Field {
  readonly name: string;
  readonly kind: FieldKind;
  /** First and last bit within the whole layout. */
  readonly low: number;
  readonly high: number;
  readonly width: number;
  readonly meanings: Meanings | undefined;
  /** Index of the 32-bit word that holds the first bit. */
  readonly word: number;
  /** Position of the first bit in that word. */
  readonly shift: number;
  /** Mask of the field inside that word, in place (of its first word when it spans several). */
  readonly mask: number;
  /** Where an address field starts within its 64-bit unit: the value is shifted left by so many bits. */
  private readonly scale: bigint;

  constructor(name: string, declaration: FieldDeclaration) {
    this.name = name;
    this.kind = declaration.kind;
    this.low = declaration.low;
    this.high = declaration.high;
    this.width = declaration.high - declaration.low + 1;
    this.meanings = declaration.meanings;
    this.word = declaration.low >>> 5;
    this.shift = declaration.low & 31;
    const inWord = Math.min(this.width, 32 - this.shift);
    this.mask = inWord === 32 ? 0xffffffff : (((1 << inWord) - 1) << this.shift) >>> 0;
    this.scale = declaration.kind === 'address' ? BigInt(declaration.low & 63) : 0n;
  }

  /** True when the field lies in one 32-bit word: `get` is then one shift and one mask. */
  get inOneWord(): boolean {
    return this.shift + this.width <= 32;
  }

  /**
   * The value as a Number. Address fields give the byte address.
   * @throws RangeError for a value beyond 2^53; use `getBig` where a field can be that wide.
   */
  get(words: ArrayLike<number>, base = 0): number {
    if (this.inOneWord && this.kind !== 'address') {
      return (words[base + this.word] & this.mask) >>> this.shift;
    }
    const value = this.getBig(words, base);
    if (value > 0x1fffffffffffffn)
      throw new RangeError(`${this.name} holds 0x${value.toString(16)}: too wide for a Number`);
    return Number(value);
  }

  /** True when any bit of the field is set. */
  isSet(words: ArrayLike<number>, base = 0): boolean {
    return (
      (words[base + this.word] & this.mask) !== 0 || (!this.inOneWord && this.getBig(words, base) !== 0n)
    );
  }

  /** The value as a bigint, whatever its width. */
  getBig(words: ArrayLike<number>, base = 0): bigint {
    let value = 0n;
    let taken = 0;
    let word = base + this.word;
    let shift = this.shift;
    while (taken < this.width) {
      const take = Math.min(32 - shift, this.width - taken);
      const mask = take === 32 ? 0xffffffff : (1 << take) - 1;
      value |= BigInt(((words[word] >>> shift) & mask) >>> 0) << BigInt(taken);
      taken += take;
      word += 1;
      shift = 0;
    }
    return value << this.scale;
  }

  /** Writes the value; bits of other fields stay. Address fields take the byte address. */
  set(words: Uint32Array, value: number | bigint, base = 0): void {
    if (typeof value === 'number' && this.inOneWord && this.kind !== 'address') {
      if (!Number.isInteger(value) || value < 0 || value >= 2 ** this.width) throw this.tooWide(value);
      const word = base + this.word;
      words[word] = ((words[word] & ~this.mask) | (value << this.shift)) >>> 0;
      return;
    }
    let rest = BigInt(value) >> this.scale;
    if (rest < 0n || rest >> BigInt(this.width) !== 0n) throw this.tooWide(value);
    let left = this.width;
    let word = base + this.word;
    let shift = this.shift;
    while (left > 0) {
      const take = Math.min(32 - shift, left);
      const mask = take === 32 ? 0xffffffff : (1 << take) - 1;
      const part = Number(rest & BigInt(mask >>> 0));
      words[word] = ((words[word] & ~(mask << shift)) | (part << shift)) >>> 0;
      rest >>= BigInt(take);
      left -= take;
      word += 1;
      shift = 0;
    }
  }

  private tooWide(value: number | bigint): RangeError {
    return new RangeError(
      `${this.name} (bits ${this.low}-${this.high}) can't hold ${typeof value === 'number' ? value : `0x${value.toString(16)}`}`,
    );
  }
}

/** One decoded field, as the screens and the JSON show it. */
export interface DecodedField {
  readonly name: string;
  readonly low: number;
  readonly high: number;
  readonly value: bigint;
  /** `0x…` for addresses and wide fields, decimal for small ones. */
  readonly text: string;
  readonly meaning: string | undefined;
}

/** A declared entry, register or descriptor. */
export class Layout<Name extends string = string> {
  readonly name: string;
  /** Where it is defined: "VT-d 9.6". */
  readonly source: string;
  readonly widthBits: number;
  readonly fields: Readonly<Record<Name, Field>>;
  /** The fields in order of their first bit. */
  readonly ordered: readonly Field[];
  /** Per 32-bit word, the bits that no field covers. */
  readonly reserved: Uint32Array;

  constructor(name: string, widthBits: number, declarations: Record<Name, FieldDeclaration>, source: string) {
    this.name = name;
    this.source = source;
    this.widthBits = widthBits;
    const fields = {} as Record<Name, Field>;
    this.reserved = new Uint32Array(Math.ceil(widthBits / 32)).fill(0xffffffff);
    for (const key of Object.keys(declarations) as Name[]) {
      const field = new Field(key, declarations[key]);
      if (field.low < 0 || field.high >= widthBits || field.width < 1 || field.width > 64) {
        throw new RangeError(`${name}.${key}: bits ${field.low}-${field.high} don't fit ${widthBits} bits`);
      }
      for (let position = field.low; position <= field.high; position += 1) {
        const before = this.reserved[position >>> 5];
        if (((before >>> (position & 31)) & 1) === 0)
          throw new RangeError(`${name}.${key}: bit ${position} is declared twice`);
        this.reserved[position >>> 5] = before & ~(1 << (position & 31));
      }
      fields[key] = field;
    }
    if (widthBits % 32 !== 0) {
      this.reserved[this.reserved.length - 1] &= 2 ** (widthBits % 32) - 1;
    }
    this.fields = fields;
    this.ordered = (Object.values(fields) as Field[]).sort((a, b) => a.low - b.low);
  }

  get widthBytes(): number {
    return Math.ceil(this.widthBits / 8);
  }

  get widthWords(): number {
    return this.reserved.length;
  }

  /** True when a bit that no field covers is set. */
  reservedSet(words: ArrayLike<number>, base = 0): boolean {
    for (let index = 0; index < this.reserved.length; index += 1) {
      if ((words[base + index] & this.reserved[index]) !== 0) return true;
    }
    return false;
  }

  /** Words with the named fields set and all others zero. */
  encode(values: Partial<Record<Name, number | bigint | boolean>>): Uint32Array {
    const words = new Uint32Array(this.widthWords);
    for (const key of Object.keys(values) as Name[]) {
      const value = values[key];
      if (value !== undefined)
        this.fields[key].set(words, typeof value === 'boolean' ? Number(value) : value);
    }
    return words;
  }

  /** All fields with value, text and meaning, in order of bits. */
  decode(words: ArrayLike<number>, base = 0): DecodedField[] {
    return this.ordered.map((field) => {
      const narrow = field.inOneWord && field.kind !== 'address';
      const value = narrow ? BigInt(field.get(words, base)) : field.getBig(words, base);
      const text =
        field.kind === 'address' || field.width > 16 ? `0x${value.toString(16)}` : value.toString();
      return {
        name: field.name,
        low: field.low,
        high: field.high,
        value,
        text,
        meaning: field.meanings?.[Number(value)],
      };
    });
  }
}

/** Declares a layout. `source` names the section that defines it. */
export function layout<Name extends string>(
  name: string,
  widthBits: number,
  declarations: Record<Name, FieldDeclaration>,
  source: string,
): Layout<Name> {
  return new Layout(name, widthBits, declarations, source);
}

/** Little-endian bytes as 32-bit words; a missing tail reads as zero. */
export function wordsOf(bytes: Uint8Array): Uint32Array {
  const words = new Uint32Array(Math.ceil(bytes.length / 4));
  for (let index = 0; index < bytes.length; index += 1)
    words[index >>> 2] |= bytes[index] << ((index & 3) * 8);
  return words;
}

/** 32-bit words as little-endian bytes. */
export function bytesOf(words: ArrayLike<number>): Uint8Array {
  const bytes = new Uint8Array(words.length * 4);
  for (let index = 0; index < bytes.length; index += 1)
    bytes[index] = words[index >>> 2] >>> ((index & 3) * 8);
  return bytes;
}
