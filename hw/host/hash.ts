/**
 * A 128-bit hash of 32-bit words (MurmurHash3, the x86 variant, by Austin Appleby, in the public domain): tells two
 * machines apart, keeps nobody out. Fast on the millions of words of page tables, and needs nothing of the platform.
 */
const C1 = 0x239b961b;
const C2 = 0xab0e9789 | 0;
const C3 = 0x38b34ae5;
const C4 = 0xa1e38b93 | 0;

const rotate = (value: number, by: number): number => (value << by) | (value >>> (32 - by));

function mix(value: number): number {
  let h = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}

export class Hash128 {
  private h1 = 0;
  private h2 = 0;
  private h3 = 0;
  private h4 = 0;
  private words = 0;
  private readonly pending = new Uint32Array(4);
  private pendingCount = 0;

  /** Adds one 32-bit word. */
  word(value: number): void {
    this.pending[this.pendingCount] = value;
    this.pendingCount += 1;
    if (this.pendingCount === 4) {
      this.block(this.pending[0], this.pending[1], this.pending[2], this.pending[3]);
      this.pendingCount = 0;
    }
  }

  /** Adds a whole number below 2^53. */
  integer(value: number): void {
    this.word(value >>> 0);
    this.word(Math.floor(value / 0x100000000));
  }

  big(value: bigint): void {
    this.word(Number(value & 0xffffffffn));
    this.word(Number((value >> 32n) & 0xffffffffn));
  }

  text(value: string): void {
    this.word(value.length);
    for (let index = 0; index < value.length; index += 1) this.word(value.charCodeAt(index));
  }

  bytes(value: Uint8Array): void {
    this.word(value.length);
    for (let index = 0; index < value.length; index += 4)
      this.word(
        value[index] | (value[index + 1] << 8) | (value[index + 2] << 16) | ((value[index + 3] ?? 0) << 24),
      );
  }

  /** The hash of all that was added so far, 32 hexadecimal digits. Adding may go on. */
  hex(): string {
    let { h1, h2, h3, h4 } = this;
    const rest = this.pending;
    if (this.pendingCount > 2) h3 ^= Math.imul(rotate(Math.imul(rest[2], C3), 17), C4);
    if (this.pendingCount > 1) h2 ^= Math.imul(rotate(Math.imul(rest[1], C2), 16), C3);
    if (this.pendingCount > 0) h1 ^= Math.imul(rotate(Math.imul(rest[0], C1), 15), C2);
    const length = (this.words + this.pendingCount) * 4;
    h1 ^= length;
    h2 ^= length;
    h3 ^= length;
    h4 ^= length;
    h1 = (h1 + h2 + h3 + h4) | 0;
    h2 = (h2 + h1) | 0;
    h3 = (h3 + h1) | 0;
    h4 = (h4 + h1) | 0;
    h1 = mix(h1);
    h2 = mix(h2);
    h3 = mix(h3);
    h4 = mix(h4);
    h1 = (h1 + h2 + h3 + h4) | 0;
    h2 = (h2 + h1) | 0;
    h3 = (h3 + h1) | 0;
    h4 = (h4 + h1) | 0;
    return [h1, h2, h3, h4].map((part) => (part >>> 0).toString(16).padStart(8, '0')).join('');
  }

  private block(k1: number, k2: number, k3: number, k4: number): void {
    this.words += 4;
    this.h1 ^= Math.imul(rotate(Math.imul(k1, C1), 15), C2);
    this.h1 = (Math.imul(rotate(this.h1, 19) + this.h2, 5) + 0x561ccd1b) | 0;
    this.h2 ^= Math.imul(rotate(Math.imul(k2, C2), 16), C3);
    this.h2 = (Math.imul(rotate(this.h2, 17) + this.h3, 5) + 0x0bcaa747) | 0;
    this.h3 ^= Math.imul(rotate(Math.imul(k3, C3), 17), C4);
    this.h3 = (Math.imul(rotate(this.h3, 15) + this.h4, 5) + 0x96cd1c35) | 0;
    this.h4 ^= Math.imul(rotate(Math.imul(k4, C4), 18), C1);
    this.h4 = (Math.imul(rotate(this.h4, 13) + this.h1, 5) + 0x32ac3b17) | 0;
  }
}
