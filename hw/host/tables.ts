/**
 * The translation tables of a unit as they lie in memory: everything that hardware can reach from its root table
 * pointer. Read-only; for screens, digests and invariants.
 */
import {
  LegacyContextEntry,
  LegacyRootEntry,
  PasidDirectoryEntry,
  PasidTableEntry,
  ScalableContextEntry,
  ScalableRootEntry,
  TranslationType,
} from '../vtd/layouts.ts';
import { TableMode } from '../vtd/registers.ts';

/** Memory as read here: 32-bit words at aligned byte addresses, and whole chunks of 2 MiB for long searches. */
export interface WordMemory {
  read32(address: number): number;
  /** Undefined: nothing but zeros there. */
  chunk(number: number): Uint32Array | undefined;
}

const CHUNK_BYTES = 0x200000;

const PAGE_BYTES = 4096;

export interface ContextEntryInMemory {
  readonly requesterId: number;
  /** Physical byte address. */
  readonly address: number;
  readonly words: Uint32Array;
  readonly scalable: boolean;
}

export interface PasidEntryInMemory {
  readonly requesterId: number;
  readonly pasid: number;
  readonly address: number;
  readonly words: Uint32Array;
}

/** A top table of paging entries that some entry points to. */
export interface PagingRoot {
  readonly kind: 'first-level' | 'second-level';
  /** Physical byte address of the top table. */
  readonly address: number;
  readonly levels: number;
}

/** Indices of the entries of a table whose bit 0 is set. Entries never cross a chunk: tables are aligned. */
function* presentEntries(
  memory: WordMemory,
  table: number,
  entries: number,
  bytes: number,
): Generator<number> {
  for (let index = 0; index < entries; ) {
    const address = table + index * bytes;
    const chunk = memory.chunk(Math.floor(address / CHUNK_BYTES));
    const offset = address % CHUNK_BYTES;
    const inChunk = Math.min(entries - index, Math.floor((CHUNK_BYTES - offset) / bytes));
    if (chunk !== undefined) {
      const stride = bytes / 4;
      for (let step = 0, word = offset / 4; step < inChunk; step += 1, word += stride)
        if ((chunk[word] & 1) !== 0) yield index + step;
    }
    index += inChunk;
  }
}

export function readWords(memory: WordMemory, address: number, count: number): Uint32Array {
  const words = new Uint32Array(count);
  for (let index = 0; index < count; index += 1) words[index] = memory.read32(address + index * 4);
  return words;
}

/** Present context entries below the root table that RTADDR holds, by requester id. */
export function* contextEntries(
  memory: WordMemory,
  rootTableAddress: bigint,
): Generator<ContextEntryInMemory> {
  const mode = Number((rootTableAddress >> 10n) & 3n);
  const root = Number(rootTableAddress & ~0xfffn);
  if (mode !== TableMode.legacy && mode !== TableMode.scalable) return;
  for (let bus = 0; bus < 256; bus += 1) {
    const words = readWords(memory, root + bus * 16, 4);
    if (mode === TableMode.legacy) {
      if (!LegacyRootEntry.fields.present.isSet(words)) continue;
      const table = LegacyRootEntry.fields.contextTablePointer.get(words);
      yield* contextTable(memory, table, bus << 8, 256, false);
      continue;
    }
    const { lowerPresent, lowerContextTablePointer, upperPresent, upperContextTablePointer } =
      ScalableRootEntry.fields;
    if (lowerPresent.isSet(words))
      yield* contextTable(memory, lowerContextTablePointer.get(words), bus << 8, 128, true);
    if (upperPresent.isSet(words))
      yield* contextTable(memory, upperContextTablePointer.get(words), (bus << 8) | 0x80, 128, true);
  }
}

function* contextTable(
  memory: WordMemory,
  table: number,
  firstRequesterId: number,
  entries: number,
  scalable: boolean,
): Generator<ContextEntryInMemory> {
  const bytes = PAGE_BYTES / entries;
  for (const index of presentEntries(memory, table, entries, bytes)) {
    const address = table + index * bytes;
    yield {
      requesterId: firstRequesterId + index,
      address,
      words: readWords(memory, address, bytes / 4),
      scalable,
    };
  }
}

/** Present PASID-table entries of a scalable-mode context entry, in order of PASIDs. */
export function* pasidEntries(
  memory: WordMemory,
  context: ContextEntryInMemory,
): Generator<PasidEntryInMemory> {
  const { pasidDirectoryPointer, pasidDirectorySize } = ScalableContextEntry.fields;
  const directory = pasidDirectoryPointer.get(context.words);
  const entries = 2 ** (pasidDirectorySize.get(context.words) + 7);
  for (const index of presentEntries(memory, directory, entries, 8)) {
    const words = readWords(memory, directory + index * 8, 2);
    const table = PasidDirectoryEntry.fields.pasidTablePointer.get(words);
    for (const slot of presentEntries(memory, table, 64, 64)) {
      const address = table + slot * 64;
      yield {
        requesterId: context.requesterId,
        pasid: index * 64 + slot,
        address,
        words: readWords(memory, address, 16),
      };
    }
  }
}

/** Where a legacy context entry or a PASID-table entry sends its requests; empty for pass-through. */
export function pagingRoots(entry: { readonly words: Uint32Array }, kind: 'context' | 'pasid'): PagingRoot[] {
  if (kind === 'context') {
    const { translationType, secondLevelPointer, addressWidth } = LegacyContextEntry.fields;
    if (translationType.get(entry.words) >= 2) return [];
    return [
      {
        kind: 'second-level',
        address: secondLevelPointer.get(entry.words),
        levels: addressWidth.get(entry.words) + 2,
      },
    ];
  }
  const fields = PasidTableEntry.fields;
  const type = fields.translationType.get(entry.words);
  const roots: PagingRoot[] = [];
  if (type === TranslationType.secondLevel || type === TranslationType.nested)
    roots.push({
      kind: 'second-level',
      address: fields.secondLevelPointer.get(entry.words),
      levels: fields.addressWidth.get(entry.words) + 2,
    });
  // The first level of a nested entry lies in guest memory, at a guest address.
  if (type === TranslationType.firstLevel)
    roots.push({
      kind: 'first-level',
      address: fields.firstLevelPointer.get(entry.words),
      levels: fields.firstLevelPagingMode.get(entry.words) === 1 ? 5 : 4,
    });
  return roots;
}

/** A leaf of a paging structure. */
export interface Leaf {
  /** First page (iova >> 12) and pages it covers. */
  readonly page: number;
  readonly pages: number;
  readonly frame: number;
  readonly readable: boolean;
  readonly writable: boolean;
}

/** Addresses of every table below a root, the top one first, each once. */
export function* tablesBelow(memory: WordMemory, root: PagingRoot): Generator<number> {
  const presentMask = root.kind === 'first-level' ? 1 : 3;
  function* walk(table: number, level: number): Generator<number> {
    yield table;
    if (level === 1) return;
    for (let offset = 0; offset < PAGE_BYTES; offset += 8) {
      const low = memory.read32(table + offset);
      if ((low & presentMask) === 0 || (low & 0x80) !== 0) continue;
      yield* walk(tableAddress(low, memory.read32(table + offset + 4)), level - 1);
    }
  }
  yield* walk(root.address, root.levels);
}

/** Visits every leaf below a root, ascending, and pauses after each table. Rights are those of the leaf's whole path. */
export function* visitLeaves(
  memory: WordMemory,
  root: PagingRoot,
  visit: (leaf: Leaf) => void,
): Generator<undefined> {
  const first = root.kind === 'first-level';
  function* walk(
    table: number,
    level: number,
    page: number,
    readable: boolean,
    writable: boolean,
  ): Generator<undefined> {
    const pages = 2 ** ((level - 1) * 9);
    for (let index = 0; index < 512; index += 1) {
      const low = memory.read32(table + index * 8);
      if ((low & (first ? 1 : 3)) === 0) continue;
      const reads = readable && (first || (low & 1) !== 0);
      const writes = writable && (low & 2) !== 0;
      const at = page + index * pages;
      const target = tableAddress(low, memory.read32(table + index * 8 + 4));
      if (level > 1 && (low & 0x80) === 0) yield* walk(target, level - 1, at, reads, writes);
      else
        visit({
          page: at,
          pages,
          frame: Math.floor(target / PAGE_BYTES / pages) * pages,
          readable: reads,
          writable: writes,
        });
    }
    yield;
  }
  yield* walk(root.address, root.levels, 0, true, true);
}

/** Bits 51:12 of an entry, as a byte address. */
function tableAddress(low: number, high: number): number {
  return (high & 0xfffff) * 0x100000000 + ((low & 0xfffff000) >>> 0);
}
