/**
 * Translations per second of the remapping unit, against the same walk in C at -O2 where a compiler is present. Hits,
 * misses answered through the paging-structure caches, and full walks through every level; legacy and scalable mode;
 * pages of 4 KiB, 2 MiB and 1 GiB; 1 to 1000 domains. Ratios are what counts: both run on the same machine, in turns.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PhysicalMemory } from '../hw/memory/physical-memory.ts';
import type { Page } from '../hw/memory/types.ts';
import { Access } from '../hw/vtd/access.ts';
import { serverUnit } from '../hw/vtd/configuration.ts';
import { PagingWalker } from '../hw/vtd/paging-walker.ts';
import { GlobalBit, registers } from '../hw/vtd/registers.ts';
import { VtdUnit } from '../hw/vtd/unit.ts';

interface Scenario {
  readonly name: string;
  readonly scalable: boolean;
  /** 1 = 4 KiB pages, 2 = 2 MiB, 3 = 1 GiB. */
  readonly leaf: number;
  readonly domains: number;
  /** Pages in use, and how many of them lie side by side. */
  readonly pages: number;
  readonly region: number;
  readonly caches: boolean;
}

const MEMORY_BYTES = 2 ** 30;
const LEVELS = 4;
const PASID = 5;
const TURNS = 15;
/** Translations in one turn, at least. */
const PER_TURN = 400_000;

/** The same numbers as in walk.c. */
class Random {
  private seed = 0x2545f491;
  next(): number {
    this.seed ^= this.seed << 13;
    this.seed ^= this.seed >>> 17;
    this.seed ^= this.seed << 5;
    return this.seed >>> 0;
  }
}

/** Tables in memory, made by hand so that the benchmark measures the unit alone. */
class Tables {
  readonly memory = new PhysicalMemory([{ start: 0, end: MEMORY_BYTES }]);
  private nextTable = 2 ** 24;

  table(): number {
    const at = this.nextTable;
    this.nextTable += 4096;
    return at;
  }

  map(root: number, page: number, leaf: number, frame: number): void {
    let table = root;
    for (let level = LEVELS; level > leaf; level -= 1) {
      const at = table + (Math.floor(page / 512 ** (level - 1)) % 512) * 8;
      if (this.memory.read32(at) === 0) this.memory.write64(at, BigInt(this.table()) | 3n);
      table = Number(this.memory.read64(at) & 0xffffffffff000n);
    }
    const at = table + (Math.floor(page / 512 ** (leaf - 1)) % 512) * 8;
    this.memory.write64(at, (BigInt(frame) << 12n) | 3n | (leaf > 1 ? 0x80n : 0n));
  }

  /** Root and context tables (and PASID tables) for these requesters. */
  attach(requesterIds: readonly number[], roots: readonly number[], scalable: boolean): number {
    const rootTable = this.table();
    const contexts = new Map<number, number>();
    requesterIds.forEach((requesterId, index) => {
      const half = scalable && (requesterId & 0x80) !== 0 ? 8 : 0;
      const rootEntry = rootTable + (requesterId >>> 8) * 16 + half;
      if (!contexts.has(rootEntry)) {
        contexts.set(rootEntry, this.table());
        this.memory.write64(rootEntry, BigInt(contexts.get(rootEntry) as number) | 1n);
      }
      const contextTable = contexts.get(rootEntry) as number;
      const domainId = BigInt(index + 2);
      if (!scalable) {
        const entry = contextTable + (requesterId & 0xff) * 16;
        this.memory.write64(entry, BigInt(roots[index]) | 1n);
        this.memory.write64(entry + 8, 2n | (domainId << 8n));
        return;
      }
      const directory = this.table();
      const pasidTable = this.table();
      this.memory.write64(contextTable + (requesterId & 0x7f) * 32, BigInt(directory) | 9n);
      this.memory.write64(directory, BigInt(pasidTable) | 1n);
      const entry = pasidTable + PASID * 64;
      this.memory.write64(entry, BigInt(roots[index]) | 0x89n);
      this.memory.write64(entry + 8, domainId);
    });
    return rootTable;
  }
}

interface Prepared {
  readonly unit: VtdUnit;
  readonly tables: Tables;
  readonly requesters: Int32Array;
  readonly numbers: Float64Array;
  readonly tableBytes: number;
}

function prepare(scenario: Scenario): Prepared {
  const tables = new Tables();
  const random = new Random();
  const { domains, pages, region, leaf } = scenario;
  const requesterIds = Array.from({ length: domains }, (_, domain) => 0x100 + domain);
  const roots = requesterIds.map(() => tables.table());
  const requesters = new Int32Array(pages);
  const numbers = new Float64Array(pages);
  for (let index = 0; index < pages; index += region) {
    const domain = (index / region) % domains;
    const aligned = 512 ** leaf;
    const base = Math.floor(((random.next() & 0x1fffff) * 512) / aligned) * aligned;
    for (let step = 0; step < region && index + step < pages; step += 1) {
      const page = base + step * 512 ** (leaf - 1);
      const frame = ((random.next() & 0x7ffff) * 512 ** (leaf - 1)) % 0x10000000;
      tables.map(roots[domain], page, leaf, frame + (leaf === 1 ? 0x100000 : 0));
      requesters[index + step] = requesterIds[domain];
      numbers[index + step] = page;
    }
  }
  for (let index = pages - 1; index > 0; index -= 1) {
    const other = random.next() % (index + 1);
    [requesters[index], requesters[other]] = [requesters[other], requesters[index]];
    [numbers[index], numbers[other]] = [numbers[other], numbers[index]];
  }
  const rootTable = tables.attach(requesterIds, roots, scenario.scalable);
  const unit = new VtdUnit({ memory: tables.memory, configuration: serverUnit() });
  unit.mmioWrite(registers.RTADDR.offset, 8, BigInt(rootTable) | (scenario.scalable ? 0x400n : 0n));
  unit.mmioWrite(registers.GCMD.offset, 4, BigInt(GlobalBit.rootTable >>> 0));
  unit.mmioWrite(registers.GCMD.offset, 4, BigInt(GlobalBit.translation >>> 0));
  return { unit, tables, requesters, numbers, tableBytes: tables.memory.residentBytes };
}

/** What one pass over all pages returns: so that nothing is optimised away. */
type Pass = () => number;

/** Requests as devices make them: through memo, IOTLB, paging-structure caches, tables. */
function requestPass({ unit, requesters, numbers }: Prepared, pasid: number): Pass {
  const translator = unit.translator;
  const high = Int32Array.from(numbers, (page) => Math.floor(page / 0x100000));
  const low = Int32Array.from(numbers, (page) => page % 0x100000);
  return () => {
    let sum = 0;
    for (let index = 0; index < requesters.length; index += 1) {
      const reason = translator.translate(requesters[index], pasid, high[index], low[index], Access.read);
      if (reason !== 0) throw new Error(`translation refused: ${reason}`);
      sum ^= translator.frameHigh ^ translator.frameLow;
    }
    return sum;
  };
}

/** Walks alone: every level is read from memory, nothing is asked or kept. */
function walkPass({ unit, requesters, numbers }: Prepared, pasid: number): Pass {
  const walker = new PagingWalker(unit.memory, unit.reserved, undefined, undefined);
  const high = Int32Array.from(numbers, (page) => Math.floor(page / 0x100000));
  const low = Int32Array.from(numbers, (page) => page % 0x100000);
  for (let index = 0; index < requesters.length; index += 1)
    unit.translate(requesters[index], numbers[index] as Page, Access.read, pasid);
  const { structures } = unit.caches;
  const spaces = Array.from(requesters, (requesterId) => {
    const space =
      pasid < 0 ? structures.legacyContexts.get(requesterId) : structures.pasidEntry(requesterId, pasid);
    if (space === undefined) throw new Error('no address space');
    return space;
  });
  return () => {
    let sum = 0;
    for (let index = 0; index < spaces.length; index += 1) {
      const reason = walker.walk(spaces[index], high[index], low[index], Access.read);
      if (reason !== 0) throw new Error(`walk refused: ${reason}`);
      sum ^= walker.frameHigh ^ walker.frameLow;
    }
    return sum;
  };
}

function time(pass: Pass, pages: number): { ns: number; bytes: number } {
  const rounds = Math.ceil(PER_TURN / pages);
  for (let round = 0; round < rounds * 3; round += 1) pass();
  const times: number[] = [];
  let bytes = Number.POSITIVE_INFINITY;
  for (let turn = 0; turn < TURNS; turn += 1) {
    const heap = process.memoryUsage().heapUsed;
    const before = process.hrtime.bigint();
    for (let round = 0; round < rounds; round += 1) pass();
    const after = process.hrtime.bigint();
    times.push(Number(after - before) / (rounds * pages));
    const grown = process.memoryUsage().heapUsed - heap;
    if (grown >= 0) bytes = Math.min(bytes, grown / (rounds * pages));
  }
  // The least disturbed turn: what else runs on the machine only ever adds.
  return { ns: Math.min(...times), bytes };
}

/** Compiles walk.c; undefined when there is no compiler. */
function compile(folder: string): string | undefined {
  const program = join(folder, 'walk');
  for (const compiler of [process.env.CC, 'cc', 'gcc', 'clang']) {
    if (compiler === undefined) continue;
    try {
      execFileSync(compiler, ['-O2', '-o', program, join(import.meta.dirname, 'walk.c')], { stdio: 'pipe' });
      return program;
    } catch {
      // Not there, or not able to: the next one.
    }
  }
  return undefined;
}

function timeInC(program: string, scenario: Scenario): number {
  const { scalable, leaf, domains, pages, region, caches } = scenario;
  const rounds = Math.ceil(PER_TURN / pages);
  const output = execFileSync(program, [
    scalable ? 'scalable' : 'legacy',
    ...[leaf, domains, pages, region, rounds, Number(caches)].map(String),
  ]).toString();
  const [ns, failures] = output.trim().split(' ').map(Number);
  if (failures !== 0) throw new Error(`the walk in C was refused ${failures} times`);
  return ns;
}

const SIZES = ['', '4K', '2M', '1G'];

function scenarios(): Scenario[] {
  const list: Scenario[] = [];
  const add = (
    kind: string,
    scalable: boolean,
    leaf: number,
    domains: number,
    pages: number,
    caches = true,
  ) =>
    list.push({
      name: `${kind.padEnd(9)} ${scalable ? 'scalable' : 'legacy  '} ${SIZES[leaf]} ${String(domains).padStart(4)} domains`,
      scalable,
      leaf,
      domains,
      pages,
      region: Math.max(1, Math.min(leaf === 3 ? 64 : 512, Math.floor(pages / domains))),
      caches,
    });
  for (const scalable of [false, true]) {
    for (const leaf of [1, 2, 3]) {
      for (const domains of leaf === 1 ? [1, 10, 100, 1000] : [1, 100]) {
        add('hit', scalable, leaf, domains, 1024);
        add('miss', scalable, leaf, domains, 16384);
        add('full walk', scalable, leaf, domains, 16384, false);
      }
    }
  }
  return list;
}

/** What tables for one GiB of 4 KiB mappings cost, and what a unit costs beside them. */
function reportMemory(): void {
  const tables = new Tables();
  const root = tables.table();
  const before = process.memoryUsage().arrayBuffers;
  for (let page = 0; page < 0x40000; page += 1) tables.map(root, page, 1, 0x100000 + page);
  const heap = process.memoryUsage().arrayBuffers;
  const unit = new VtdUnit({ memory: tables.memory, configuration: serverUnit() });
  const own = process.memoryUsage().arrayBuffers - heap;
  const perGib = tables.memory.residentBytes;
  console.log(
    `memory: ${perGib} bytes of chunks for 1 GiB mapped in 4 KiB pages (the tables themselves: ${0x40000 * 8 + 3 * 4096}); grown ${heap - before}; ${own} bytes for the caches and registers of ${unit.name}`,
  );
}

/** Prints nanoseconds, translations per second, bytes allocated, and the ratio to C. */
export function run(): void {
  const folder = mkdtempSync(join(tmpdir(), 'vtdeck-bench-'));
  try {
    const program = compile(folder);
    if (program === undefined) console.log('No C compiler was found: no ratios.');
    console.log('kind      mode     size domains        ns   M/s  bytes     C ns  ratio');
    for (const scenario of scenarios()) {
      const prepared = prepare(scenario);
      const pasid = scenario.scalable ? PASID : -1;
      const pass = scenario.caches ? requestPass(prepared, pasid) : walkPass(prepared, pasid);
      const measured = time(pass, scenario.pages);
      const inC = program === undefined ? undefined : timeInC(program, scenario);
      const columns = [
        scenario.name,
        measured.ns.toFixed(1).padStart(8),
        (1000 / measured.ns).toFixed(0).padStart(5),
        measured.bytes.toFixed(2).padStart(6),
      ];
      if (inC !== undefined)
        columns.push(inC.toFixed(1).padStart(8), (measured.ns / inC).toFixed(2).padStart(6));
      console.log(columns.join(' '));
    }
    reportMemory();
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
