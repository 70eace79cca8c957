/**
 * A hash over all that hardware can reach: registers of the units, the tables they lead to, configuration space,
 * registers of devices, memory of user processes. What was freed and what only the kernel keeps is left out, so that
 * two machines that behave alike have one digest.
 */
import type { PhysicalMemory } from '../memory/physical-memory.ts';
import type { PciFunction } from '../pci/function.ts';
import { registers } from '../vtd/registers.ts';
import type { Work } from '../work.ts';
import { addressOf } from './addresses.ts';
import type { Hardware } from './hardware.ts';
import { Hash128 } from './hash.ts';
import { contextEntries, type PagingRoot, pagingRoots, pasidEntries, tablesBelow } from './tables.ts';

const PAGE_WORDS = 1024;
/** Pages hashed between two pauses. */
const PAGES_A_STEP = 64;
const CHUNK_BYTES = 0x200000;
const PAGE_BYTES = 4096;

/** Registers whose values decide what a unit does, by offset and size. */
const DECISIVE = [
  registers.CAP,
  registers.ECAP,
  registers.GSTS,
  registers.RTADDR,
  registers.FECTL,
  registers.FEDATA,
  registers.FEADDR,
  registers.PMEN,
  registers.IRTA,
] as const;

/**
 * In steps of some pages.
 * @param isUserPage True for frames that hold memory of a process.
 */
export function* digestOf(hardware: Hardware, isUserPage: (frame: number) => boolean): Work<string> {
  const hash = new Hash128();
  for (const wired of hardware.units) {
    hash.text(wired.name);
    for (const one of DECISIVE) hash.big(wired.unit.mmioRead(one.offset, one.widthBytes === 8 ? 8 : 4));
    yield* hashTables(hash, hardware.memory, wired.unit.mmioRead(registers.RTADDR.offset, 8));
    hashInterruptTable(hash, hardware.memory, wired.unit.mmioRead(registers.IRTA.offset, 8));
  }
  for (const of of functionsInOrder(hardware)) {
    hash.text(addressOf(of));
    hashWords(hash, wordsOf(of.config.snapshot()));
  }
  for (const { address, model } of hardware.modelsInUse) {
    hash.text(address);
    for (const word of model.state()) hash.word(word);
  }
  let pages = 0;
  for (const page of hardware.memory.writtenPages()) {
    pages += 1;
    if (pages % PAGES_A_STEP === 0) yield { done: pages, total: undefined };
    if (!isUserPage(page)) continue;
    hash.integer(page);
    hashPage(hash, hardware.memory, page * PAGE_BYTES);
  }
  return hash.hex();
}

function functionsInOrder(hardware: Hardware): PciFunction[] {
  return [...hardware.pci.functions].sort((a, b) => a.segment - b.segment || a.requesterId - b.requesterId);
}

/** Each table once, however many entries lead to it. */
function* hashTables(hash: Hash128, memory: PhysicalMemory, rootTableAddress: bigint): Work<void> {
  const seen = new Set<number>();
  function* addRoots(roots: readonly PagingRoot[]): Work<void> {
    for (const root of roots) {
      if (seen.has(root.address)) continue;
      for (const address of tablesBelow(memory, root)) {
        if (seen.has(address)) continue;
        seen.add(address);
        hash.integer(address);
        hashPage(hash, memory, address);
        if (seen.size % PAGES_A_STEP === 0) yield { done: seen.size, total: undefined };
      }
    }
  }
  for (const context of contextEntries(memory, rootTableAddress)) {
    hash.word(context.requesterId);
    for (const word of context.words) hash.word(word);
    if (!context.scalable) {
      yield* addRoots(pagingRoots(context, 'context'));
      continue;
    }
    for (const entry of pasidEntries(memory, context)) {
      hash.word(entry.pasid);
      for (const word of entry.words) hash.word(word);
      yield* addRoots(pagingRoots(entry, 'pasid'));
    }
  }
}

/** Interrupt table entries that are present. IRTA: bits 3:0 hold the size as a power of two, minus 1. */
function hashInterruptTable(hash: Hash128, memory: PhysicalMemory, address: bigint): void {
  const table = Number(address & ~0xfffn);
  if (table === 0) return;
  const entries = 2 ** (Number(address & 0xfn) + 1);
  for (let index = 0; index < entries; index += 1) {
    if ((memory.read32(table + index * 16) & 1) === 0) continue;
    hash.word(index);
    for (let word = 0; word < 4; word += 1) hash.word(memory.read32(table + index * 16 + word * 4));
  }
}

function hashPage(hash: Hash128, memory: PhysicalMemory, address: number): void {
  const words = memory.chunk(Math.floor(address / CHUNK_BYTES));
  if (words === undefined) return;
  const first = (address % CHUNK_BYTES) / 4;
  hashWords(hash, words.subarray(first, first + PAGE_WORDS));
}

/** Words that are not zero, with their places. */
function hashWords(hash: Hash128, words: Uint32Array): void {
  for (let index = 0; index < words.length; index += 1) {
    const value = words[index];
    if (value === 0) continue;
    hash.word(index);
    hash.word(value);
  }
}

/** Bytes of a space of 64, 256 or 4096 as words. */
function wordsOf(bytes: Uint8Array): Uint32Array {
  return new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length >>> 2);
}
