/**
 * What an operation of a VFIO transcript is: a function of its arguments that does what the system call did, and says
 * what came out. An error of the kernel half is thrown as KernelError and becomes `ret` and `errno`.
 */
import type { JsonObject } from '../runner.ts';

/** What a process of a transcript knows by name: descriptors, addresses of buffers and registers, object numbers. */
export type Symbols = Map<string, number>;

const HEX = /^-?(0x[0-9a-f]+|\d+)$/i;
const WITH_OFFSET = /^(.+)\+(0x[0-9a-f]+)$/i;

/** The arguments of one operation, with the symbols of the process that performs it. */
export class Arguments {
  readonly raw: JsonObject;
  private readonly symbols: Symbols;

  constructor(raw: JsonObject, symbols: Symbols) {
    this.raw = raw;
    this.symbols = symbols;
  }

  has(name: string): boolean {
    return this.raw[name] !== undefined;
  }

  text(name: string): string | undefined {
    const value = this.raw[name];
    return typeof value === 'string' ? value : undefined;
  }

  boolean(name: string): boolean {
    return this.raw[name] === true;
  }

  /** A 64-bit number, possibly a symbol with an offset ("buf0+0x1000"). Absent: `otherwise`. */
  wide(name: string, otherwise = 0n): bigint {
    const value = this.raw[name];
    return value === undefined ? otherwise : this.toWide(value);
  }

  /** The same where it fits a Number. */
  number(name: string, otherwise = 0): number {
    const value = this.raw[name];
    if (value === undefined) return otherwise;
    return typeof value === 'number' ? value : Number(this.toWide(value));
  }

  /** A 32-bit set of flags: a number, or names of a table (and numbers) in a list. */
  flags(name: string, table: Readonly<Record<string, number>>, otherwise = 0): number {
    const value = this.raw[name];
    if (value === undefined) return otherwise;
    if (!Array.isArray(value)) return Number(this.toWide(value));
    let flags = 0;
    for (const each of value) flags |= table[String(each)] ?? Number(this.toWide(each));
    return flags >>> 0;
  }

  /** A list; what is none counts as empty. */
  list(name: string): readonly unknown[] {
    const value = this.raw[name];
    return Array.isArray(value) ? value : [];
  }

  /** What a symbol stands for; -1 for one that was never made. */
  symbol(name: string): number {
    const value = this.raw[name];
    if (typeof value === 'number') return value;
    if (typeof value !== 'string') return -1;
    return this.symbols.get(value) ?? (HEX.test(value) ? Number(value) : -1);
  }

  private toWide(value: unknown): bigint {
    if (typeof value === 'number') return BigInt.asUintN(64, BigInt(value));
    const text = String(value);
    const known = this.symbols.get(text);
    if (known !== undefined) return BigInt(known);
    if (HEX.test(text)) return BigInt.asUintN(64, BigInt(text));
    const match = WITH_OFFSET.exec(text);
    const base = match === null ? undefined : this.symbols.get(match[1]);
    return match === null || base === undefined ? BigInt.asUintN(64, -1n) : BigInt(base) + BigInt(match[2]);
  }
}

/** A running operation. `out` may be filled before an error is thrown: some calls answer and fail. */
export interface OperationCall<Process> {
  readonly process: Process;
  readonly symbols: Symbols;
  readonly args: Arguments;
  readonly out: Record<string, unknown>;
}

/** Returns what the system call returned; nothing means 0. */
export type Operation<World, Process> = (world: World, call: OperationCall<Process>) => number | undefined;

export const hex = (value: bigint | number): string => `0x${value.toString(16)}`;
