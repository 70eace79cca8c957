/**
 * A second walker, for property tests: straight from the pseudo-rules, with bigints, nothing cached, nothing shared
 * with hw/vtd but memory. Legacy and scalable mode, second level, first level, nested, pass-through.
 */
import type { PhysicalMemory } from '../../hw/memory/physical-memory.ts';

export interface NaiveUnit {
  readonly memory: PhysicalMemory;
  readonly hostAddressWidth: number;
  readonly guestAddressWidth: number;
  /** SAGAW. */
  readonly widths: number;
  readonly has: Readonly<
    Record<
      | 'deviceTlb'
      | 'passThrough'
      | 'snoop'
      | 'page2M'
      | 'page1G'
      | 'first1G'
      | 'pasid'
      | 'pri'
      | 'ridPasid'
      | 'secondLevel'
      | 'firstLevel'
      | 'nested'
      | 'fiveLevels'
      | 'secondFlags'
      | 'walkSnoop'
      | 'supervisor'
      | 'extendedAccessed',
      boolean
    >
  >;
  readonly root: bigint;
  readonly scalable: boolean;
}

export interface NaiveRequest {
  readonly requesterId: number;
  readonly pasid: number;
  readonly address: bigint;
  readonly write: boolean;
}

export type NaiveAnswer =
  | { readonly physical: bigint }
  | { readonly reason: number; readonly quiet: boolean };

class Refusal extends Error {
  readonly reason: number;
  constructor(reason: number) {
    super(`reason ${reason.toString(16)}`);
    this.reason = reason;
  }
}

const mask = (low: number, high: number): bigint => ((1n << BigInt(high - low + 1)) - 1n) << BigInt(low);
const bit = (value: bigint, position: number): boolean => ((value >> BigInt(position)) & 1n) === 1n;
const field = (value: bigint, low: number, high: number): number =>
  Number((value & mask(low, high)) >> BigInt(low));

/** Bits at and above the host address width, up to bit `top`. */
const tooWide = (unit: NaiveUnit, top: number): bigint =>
  unit.hostAddressWidth > top ? 0n : mask(unit.hostAddressWidth, top);

function fetch(unit: NaiveUnit, address: bigint, reason: number): bigint {
  if (!unit.memory.contains(Number(address), 8)) throw new Refusal(reason);
  return unit.memory.read64(Number(address));
}

interface Rights {
  readonly physical: bigint;
  readonly read: boolean;
  readonly write: boolean;
}

/** Second-level walk. */
function secondLevel(
  unit: NaiveUnit,
  space: { root: bigint; levels: number; flags: boolean; snoops: boolean },
  address: bigint,
  need: { read: boolean; write: boolean },
  mode: 'legacy' | 'scalable' | 'nested',
): Rights {
  const legacy = mode === 'legacy';
  const width = Math.min(12 + 9 * space.levels, unit.guestAddressWidth);
  if (address >> BigInt(width) !== 0n) throw new Refusal(legacy ? 0x04 : 0x84);
  let table = space.root;
  let read = true;
  let write = true;
  for (let level = space.levels; ; level -= 1) {
    const top = level === space.levels;
    const unreadable = legacy ? (top ? 0x03 : 0x07) : top ? 0x7b : 0x78;
    const entry = fetch(unit, table + ((address >> BigInt(3 + 9 * level)) & 511n) * 8n, unreadable);
    read &&= bit(entry, 0);
    write &&= bit(entry, 1);
    if (!read && !write && mode === 'nested') throw new Refusal(0x79);
    if (need.write && !write) throw new Refusal(legacy ? 0x05 : 0x85);
    if ((need.read && !read) || (!read && !write)) throw new Refusal(legacy ? 0x06 : 0x86);
    const leaf = level === 1 || (level <= 3 && bit(entry, 7));
    let reserved = tooWide(unit, 51) | (1n << 62n);
    if (!leaf || !unit.has.snoop) reserved |= 1n << 11n;
    if (leaf && level === 2) reserved |= mask(12, 20);
    if (leaf && level === 3) reserved |= mask(12, 29);
    if (level === 2 && !unit.has.page2M) reserved |= 1n << 7n;
    if (level === 3 && !unit.has.page1G) reserved |= 1n << 7n;
    if (level >= 4) reserved |= 1n << 7n;
    if ((entry & reserved) !== 0n) throw new Refusal(legacy ? 0x0c : 0x7a);
    if (space.flags) {
      const wanted = leaf && need.write ? 0x300n : 0x100n;
      if ((entry & wanted) !== wanted && !space.snoops) throw new Refusal(0x7c);
    }
    if (leaf) {
      const offset = (1n << BigInt(3 + 9 * level)) - 1n;
      return { physical: (entry & mask(12, 51) & ~offset) | (address & offset), read, write };
    }
    table = entry & mask(12, 51);
  }
}

/** First-level walk; nested when `through` is given. */
function firstLevel(
  unit: NaiveUnit,
  space: { root: bigint; levels: number; snoops: boolean; writeProtect: boolean; extended: boolean },
  address: bigint,
  write: boolean,
  through: ((address: bigint, need: { read: boolean; write: boolean }) => Rights) | undefined,
): bigint {
  const sign = address >> BigInt(11 + 9 * space.levels);
  const ones = (1n << BigInt(64 - (11 + 9 * space.levels))) - 1n;
  if (sign !== 0n && sign !== ones) throw new Refusal(0x80);
  let table = space.root;
  let canWrite = true;
  for (let level = space.levels; ; level -= 1) {
    const top = level === space.levels;
    let place = table;
    if (through !== undefined) {
      try {
        place = through(table, { read: true, write: false }).physical;
      } catch (error) {
        const reason = (error as Refusal).reason;
        if (reason === 0x84) throw new Refusal(0x74);
        if (reason === 0x79 || reason === 0x86) throw new Refusal(top ? 0x75 : 0x76);
        throw error;
      }
    }
    const at = place + ((address >> BigInt(3 + 9 * level)) & 511n) * 8n;
    const entry = fetch(unit, at, top ? 0x73 : 0x70);
    if (!bit(entry, 0)) throw new Refusal(0x71);
    canWrite &&= bit(entry, 1);
    if (!bit(entry, 2)) throw new Refusal(0x81);
    if (write && !canWrite) throw new Refusal(0x85);
    const leaf = level === 1 || (level <= 3 && bit(entry, 7));
    let reserved = tooWide(unit, 51);
    if (level >= 4) reserved |= 1n << 7n;
    if (level === 3 && !unit.has.first1G) reserved |= 1n << 7n;
    if (leaf && level === 2) reserved |= mask(13, 20);
    if (leaf && level === 3) reserved |= mask(13, 29);
    if ((entry & reserved) !== 0n) throw new Refusal(0x72);
    let wanted = leaf && write ? 0x60n : 0x20n;
    if (space.extended) wanted |= 0x400n;
    if ((entry & wanted) !== wanted) {
      try {
        through?.(table, { read: false, write: true });
      } catch (error) {
        const { reason } = error as Refusal;
        throw reason === 0x85 || reason === 0x79 ? new Refusal(0x77) : error;
      }
      if (!space.snoops) throw new Refusal(0x90);
    }
    if (leaf) {
      const offset = (1n << BigInt(3 + 9 * level)) - 1n;
      const result = (entry & mask(12, 51) & ~offset) | (address & offset);
      if (through === undefined) return result;
      try {
        return through(result, { read: !write, write }).physical;
      } catch (error) {
        if ((error as Refusal).reason === 0x84) throw new Refusal(0x74);
        throw error;
      }
    }
    table = entry & mask(12, 51);
  }
}

const inWindow = (address: bigint): boolean => address >> 20n === 0xfeen;

function legacy(unit: NaiveUnit, request: NaiveRequest, note: (disable: boolean) => void): bigint {
  const { requesterId, address, write } = request;
  if (request.pasid >= 0) throw new Refusal(0x31);
  const rootAt = unit.root + BigInt(requesterId >>> 8) * 16n;
  const root = fetch(unit, rootAt, 0x08);
  const rootHigh = fetch(unit, rootAt + 8n, 0x08);
  if (!bit(root, 0)) throw new Refusal(0x01);
  if ((root & (mask(1, 11) | tooWide(unit, 63))) !== 0n || rootHigh !== 0n) throw new Refusal(0x0a);
  const at = (root & mask(12, 63)) + BigInt(requesterId & 0xff) * 16n;
  const low = fetch(unit, at, 0x09);
  const high = fetch(unit, at + 8n, 0x09);
  note(bit(low, 1));
  if (!bit(low, 0)) throw new Refusal(0x02);
  if ((low & (mask(4, 11) | tooWide(unit, 63))) !== 0n) throw new Refusal(0x0b);
  if ((high & ((1n << 7n) | mask(24, 63))) !== 0n) throw new Refusal(0x0b);
  const type = field(low, 2, 3);
  const width = field(high, 0, 2);
  if (width < 1 || width > 3 || !bit(BigInt(unit.widths), width)) throw new Refusal(0x03);
  if (type === 3 || (type === 1 && !unit.has.deviceTlb) || (type === 2 && !unit.has.passThrough))
    throw new Refusal(0x03);
  if (type === 2) {
    if (address >> BigInt(unit.hostAddressWidth) !== 0n) throw new Refusal(0x04);
    return address;
  }
  const space = { root: low & mask(12, 63), levels: width + 2, flags: false, snoops: true };
  const found = secondLevel(unit, space, address, { read: !write, write }, 'legacy');
  if (inWindow(found.physical)) throw new Refusal(0x0e);
  return found.physical;
}

function scalable(unit: NaiveUnit, request: NaiveRequest, note: (disable: boolean) => void): bigint {
  const { requesterId, address, write } = request;
  const upper = (requesterId & 0x80) !== 0;
  const root = fetch(unit, unit.root + BigInt(requesterId >>> 8) * 16n + (upper ? 8n : 0n), 0x38);
  if (!bit(root, 0)) throw new Refusal(0x39);
  if ((root & (mask(1, 11) | tooWide(unit, 63))) !== 0n) throw new Refusal(0x3a);
  const at = (root & mask(12, 63)) + BigInt(requesterId & 0x7f) * 32n;
  const context = [0n, 8n, 16n, 24n].map((step) => fetch(unit, at + step, 0x40));
  note(bit(context[0], 1));
  if (!bit(context[0], 0)) throw new Refusal(0x41);
  let reserved = mask(5, 8) | tooWide(unit, 63);
  if (!unit.has.deviceTlb) reserved |= 1n << 2n;
  if (!unit.has.pasid) reserved |= 1n << 3n;
  if (!unit.has.pri) reserved |= 1n << 4n;
  let reserved1 = mask(20, 63);
  if (!unit.has.ridPasid) reserved1 |= mask(0, 19);
  if (
    (context[0] & reserved) !== 0n ||
    (context[1] & reserved1) !== 0n ||
    context[2] !== 0n ||
    context[3] !== 0n
  )
    throw new Refusal(0x42);
  const size = 2 ** (field(context[0], 9, 11) + 13);
  const ridPasid = field(context[1], 0, 19);
  if (ridPasid >= size) throw new Refusal(0x43);
  if (request.pasid >= 0 && !bit(context[0], 3)) throw new Refusal(0x45);
  if (request.pasid >= size) throw new Refusal(0x46);
  const pasid = request.pasid >= 0 ? request.pasid : ridPasid;

  const directory = fetch(unit, (context[0] & mask(12, 63)) + BigInt(pasid >>> 6) * 8n, 0x50);
  note(bit(directory, 1));
  if (!bit(directory, 0)) throw new Refusal(0x51);
  if ((directory & (mask(2, 11) | tooWide(unit, 63))) !== 0n) throw new Refusal(0x52);
  const entryAt = (directory & mask(12, 63)) + BigInt(pasid & 63) * 64n;
  const words = [0n, 8n, 16n, 24n, 32n, 40n, 48n, 56n].map((step) => fetch(unit, entryAt + step, 0x58));
  note(bit(words[0], 1));
  if (!bit(words[0], 0)) throw new Refusal(0x59);
  const { has } = unit;
  let reserved0 = (1n << 5n) | mask(10, 11) | tooWide(unit, 63);
  if (!has.secondFlags) reserved0 |= 1n << 9n;
  if (!has.secondLevel && !has.nested) reserved0 |= mask(12, 63);
  let reservedB = mask(16, 22) | mask(25, 31) | mask(32, 63);
  if (!has.walkSnoop) reservedB |= 1n << 23n;
  if (!has.snoop) reservedB |= 1n << 24n;
  let reservedC = (1n << 1n) | mask(8, 11) | tooWide(unit, 63);
  if (!has.supervisor) reservedC |= 1n;
  if (!has.extendedAccessed) reservedC |= 1n << 7n;
  if (!has.firstLevel && !has.nested) reservedC |= mask(2, 3) | mask(12, 63);
  const rest = words.slice(3).some((word) => word !== 0n);
  if ((words[0] & reserved0) !== 0n || (words[1] & reservedB) !== 0n || (words[2] & reservedC) !== 0n || rest)
    throw new Refusal(0x5a);
  const type = field(words[0], 6, 8);
  const width = field(words[0], 2, 4);
  const widthOk = width >= 1 && width <= 3 && bit(BigInt(unit.widths), width);
  const mode = field(words[2], 2, 3);
  const modeOk = mode === 0 || (mode === 1 && has.fiveLevels);
  const ok =
    (type === 1 && has.firstLevel && modeOk) ||
    (type === 2 && has.secondLevel && widthOk) ||
    (type === 3 && has.nested && widthOk && modeOk) ||
    (type === 4 && has.passThrough);
  if (!ok) throw new Refusal(0x5b);
  const snoops = !has.walkSnoop || bit(words[1], 23);
  if (type === 4) {
    if (address >> BigInt(unit.hostAddressWidth) !== 0n) throw new Refusal(0x83);
    if (inWindow(address)) throw new Refusal(0x87);
    return address;
  }
  const second = { root: words[0] & mask(12, 63), levels: width + 2, flags: bit(words[0], 9), snoops };
  const first = {
    root: words[2] & mask(12, 63),
    levels: mode === 1 ? 5 : 4,
    snoops,
    writeProtect: bit(words[2], 4),
    extended: bit(words[2], 7),
  };
  const need = { read: !write, write };
  const physical =
    type === 2
      ? secondLevel(unit, second, address, need, 'scalable').physical
      : firstLevel(
          unit,
          first,
          address,
          write,
          type === 1 ? undefined : (at2, wanted) => secondLevel(unit, second, at2, wanted, 'nested'),
        );
  if (inWindow(physical)) throw new Refusal(0x87);
  return physical;
}

/** Reasons that fault-processing-disable suppresses. */
const UNQUALIFIED = new Set([0x01, 0x08, 0x09, 0x0a, 0x30, 0x31, 0x32, 0x38, 0x39, 0x3a, 0x40, 0x50, 0x58]);

/** What the request comes to: an address, or a reason and whether the fault is suppressed. */
export function naiveWalk(unit: NaiveUnit, request: NaiveRequest): NaiveAnswer {
  let disabled = false;
  const note = (disable: boolean): void => {
    disabled ||= disable;
  };
  try {
    const walk = unit.scalable ? scalable : legacy;
    return { physical: walk(unit, request, note) };
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return { reason: error.reason, quiet: disabled && !UNQUALIFIED.has(error.reason) };
  }
}
