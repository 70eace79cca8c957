/**
 * The two capability lists, walked as Linux walks them (drivers/pci/pci.c), on anything that reads like configuration
 * space. A list that loops or leaves the space ends there, and says so.
 */
import type { CapabilityList } from './declaration.ts';

/** Reads 1, 2 or 4 bytes of one function's configuration space, little endian. */
export type ConfigRead = (offset: number, size: 1 | 2 | 4) => number;

export interface FoundCapability {
  readonly list: CapabilityList;
  readonly id: number;
  readonly version: number;
  readonly offset: number;
}

export interface CapabilityWalk {
  readonly found: readonly FoundCapability[];
  /** What is wrong with the lists, with offsets; empty for a sound function. */
  readonly problems: readonly string[];
}

/** PCI_FIND_CAP_TTL: no list of the conventional space can hold more. */
const STANDARD_LIMIT = 48;
/** (4096 - 256) / 8: no list of the extended space can hold more. */
const EXTENDED_LIMIT = 480;

const hex = (value: number): string => `0x${value.toString(16)}`;

/** Walks both lists. `size` is 64, 256 or 4096 bytes: extended capabilities exist only beyond 256. */
export function walkCapabilities(read: ConfigRead, size: number): CapabilityWalk {
  const found: FoundCapability[] = [];
  const problems: string[] = [];
  if (size > 64 && (read(0x06, 2) & 0x10) !== 0) walkStandard(read, size, found, problems);
  if (size > 256) walkExtended(read, size, found, problems);
  return { found, problems };
}

function walkStandard(read: ConfigRead, size: number, found: FoundCapability[], problems: string[]): void {
  const cardBus = (read(0x0e, 1) & 0x7f) === 2;
  let from = cardBus ? 0x14 : 0x34;
  let offset = read(from, 1) & 0xfc;
  const seen = new Set<number>();
  for (let count = 0; offset !== 0; count += 1) {
    if (offset < 0x40) {
      problems.push(
        `the capability list leaves the space: pointer at ${hex(from)} is ${hex(offset)}, below 0x40`,
      );
      return;
    }
    if (seen.has(offset) || count >= STANDARD_LIMIT) {
      problems.push(`the capability list loops: pointer at ${hex(from)} leads back to ${hex(offset)}`);
      return;
    }
    seen.add(offset);
    if (offset + 2 > size) {
      problems.push(
        `the capability list leaves the ${size} bytes that are there: pointer at ${hex(from)} is ${hex(offset)}`,
      );
      return;
    }
    const id = read(offset, 1);
    if (id === 0xff) {
      problems.push(`the capability list ends in nothing: id 0xff at ${hex(offset)}`);
      return;
    }
    found.push({ list: 'standard', id, version: 0, offset });
    from = offset + 1;
    offset = read(from, 1) & 0xfc;
  }
}

function walkExtended(read: ConfigRead, size: number, found: FoundCapability[], problems: string[]): void {
  let offset = 0x100;
  let from = 0x100;
  const seen = new Set<number>();
  let header = read(offset, 4);
  if (header === 0 || header === 0xffffffff) return;
  for (let count = 0; ; count += 1) {
    if (seen.has(offset) || count >= EXTENDED_LIMIT) {
      problems.push(
        `the extended capability list loops: header at ${hex(from)} leads back to ${hex(offset)}`,
      );
      return;
    }
    seen.add(offset);
    found.push({ list: 'extended', id: header & 0xffff, version: (header >>> 16) & 0xf, offset });
    const next = (header >>> 20) & 0xffc;
    if (next === 0) return;
    if (next < 0x100) {
      problems.push(
        `the extended capability list leaves its space: header at ${hex(offset)} points to ${hex(next)}, below 0x100`,
      );
      return;
    }
    if (next + 4 > size) {
      problems.push(
        `the extended capability list leaves the ${size} bytes that are there: header at ${hex(offset)} points to ${hex(next)}`,
      );
      return;
    }
    from = offset;
    offset = next;
    header = read(offset, 4);
    if (header === 0xffffffff) {
      problems.push(`the extended capability list ends in nothing: all ones at ${hex(offset)}`);
      return;
    }
  }
}
