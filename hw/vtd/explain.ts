/**
 * The recording walk: how a unit would translate a request, entry by entry, with nothing changed. It reads the tables
 * in memory, not the caches, by the same code that translates; what the IOTLB would answer is told beside it.
 */
import type { DecodedField } from '../layout.ts';
import { faultMeaning, isQualified } from './fault-reasons.ts';
import type { WalkObserver } from './observer.ts';
import { FaultStatusBit, TableMode } from './registers.ts';
import { ABORTED } from './structure-walker.ts';
import { Translator } from './translator.ts';
import type { VtdUnit } from './unit.ts';

/** An entry that the walk read. */
export interface WalkStep {
  /** "context entry", "second-level entry, level 3". */
  readonly structure: string;
  readonly address: bigint;
  readonly words: Uint32Array;
  readonly fields: readonly DecodedField[];
}

/** Why the request would be refused. */
export interface WalkFault {
  /** Undefined: the request is aborted without a fault (interrupt range, abort-DMA mode, protected memory). */
  readonly reason: number | undefined;
  readonly meaning: string;
  /** A fault record would be written (or lost for want of room) rather than suppressed. */
  readonly recorded: boolean;
}

export interface Walk {
  readonly ok: boolean;
  /** Byte address, with the offset in the page. */
  readonly physical: bigint | undefined;
  /** Size of the page that maps it; undefined where none does (translation off, pass-through). */
  readonly page: '4K' | '2M' | '1G' | undefined;
  /** The IOTLB holds a translation that would answer the request before any table is read. */
  readonly cached: 'iotlb' | 'none';
  /** What that cached translation gives: differs from `physical` when the tables changed since. */
  readonly cachedPhysical: bigint | undefined;
  readonly steps: readonly WalkStep[];
  readonly fault: WalkFault | undefined;
}

const PAGE_NAMES = ['4K', '2M', '1G'] as const;

const byteAddress = (high: number, low: number): bigint =>
  (BigInt(high >>> 0) << 32n) | (BigInt(low & 0xfffff) << 12n);

/** A translator that caches nothing and writes down each entry it reads. */
interface Recorder {
  readonly translator: Translator;
  /** Of the walk now under way. */
  readonly steps: WalkStep[];
}

const recorders = new WeakMap<VtdUnit, Recorder>();

function recorderOf(unit: VtdUnit): Recorder {
  const known = recorders.get(unit);
  if (known !== undefined) return known;
  const steps: WalkStep[] = [];
  const observer: WalkObserver = {
    entry(structure, layout, high, low, words, index) {
      const own = Uint32Array.from({ length: layout.widthWords }, (_, word) => words[index + word]);
      const address = (BigInt(high) << 32n) | BigInt(low >>> 0);
      steps.push({ structure, address, words: own, fields: layout.decode(own) });
    },
  };
  const { configuration, reserved, memory, protectedMemory } = unit;
  const translator = new Translator(
    configuration,
    reserved,
    memory,
    protectedMemory,
    unit.caches.tags,
    undefined,
    observer,
  );
  const made = { translator, steps };
  recorders.set(unit, made);
  return made;
}

/** Where the IOTLB would send the request, or undefined. */
function fromIotlb(
  unit: VtdUnit,
  requesterId: number,
  pasid: number,
  pageHigh: number,
  pageLow: number,
  access: number,
): bigint | undefined {
  const { structures, iotlb } = unit.caches;
  const root = unit.translator.root;
  if (!unit.translator.enabled) return undefined;
  let space = structures.legacyContexts.get(requesterId);
  if (root.mode === TableMode.scalable) {
    const context = structures.scalableContexts.get(requesterId);
    if (context === undefined) return undefined;
    space = structures.pasidEntry(requesterId, pasid < 0 ? context.ridPasid : pasid);
  }
  if (space === undefined) return undefined;
  iotlb.addTag(space.tag);
  const entry = iotlb.find(space.tag, pageHigh, pageLow, access);
  return entry < 0 ? undefined : byteAddress(iotlb.frameHigh(entry), iotlb.frameLow(entry, pageLow));
}

/**
 * Walks for one address.
 * @param address Up to 64 bits. @param access Bits of Access, not 0. @param pasid -1: none.
 */
export function explain(
  unit: VtdUnit,
  requesterId: number,
  address: bigint,
  access: number,
  pasid = -1,
): Walk {
  const pageHigh = Number(BigInt.asIntN(32, address >> 32n));
  const pageLow = Number((address >> 12n) & 0xfffffn);
  const offset = address & 0xfffn;
  const { translator, steps } = recorderOf(unit);
  steps.length = 0;
  translator.enabled = unit.translator.enabled;
  translator.root = unit.translator.root;
  const reason = translator.translate(requesterId, pasid, pageHigh, pageLow, access);
  const cached = fromIotlb(unit, requesterId, pasid, pageHigh, pageLow, access);
  const walked = steps.some((step) => step.structure.includes('level '));
  return {
    ok: reason === 0,
    physical: reason === 0 ? byteAddress(translator.frameHigh, translator.frameLow) | offset : undefined,
    page: reason === 0 && walked ? PAGE_NAMES[translator.size] : undefined,
    cached: cached === undefined ? 'none' : 'iotlb',
    cachedPhysical: cached === undefined ? undefined : cached | offset,
    steps: [...steps],
    fault: reason === 0 ? undefined : faultOf(unit, reason, translator.faultDisable),
  };
}

function faultOf(unit: VtdUnit, reason: number, faultDisable: boolean): WalkFault {
  if (reason === ABORTED)
    return { reason: undefined, meaning: 'the request is aborted, no fault is recorded', recorded: false };
  const overflowed = (unit.file.get('FSTS') & FaultStatusBit.overflow) !== 0;
  return {
    reason,
    meaning: faultMeaning(reason),
    recorded: !overflowed && !(faultDisable && isQualified(reason)),
  };
}
