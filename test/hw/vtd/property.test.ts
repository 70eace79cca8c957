/**
 * Random bytes in tables, registers and queue. The unit never throws, records every refusal or suppresses it by the
 * rules, and never gives a translation that the naive walker in test/support doesn't give. VT-d 3, 6, 7 as restated
 * there.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Access } from '../../../hw/vtd/access.ts';
import {
  capabilitiesOf,
  qemuUnit,
  serverUnit,
  type UnitConfiguration,
} from '../../../hw/vtd/configuration.ts';
import {
  ContextCacheDescriptor,
  DescriptorType,
  encodeDescriptor,
  IotlbDescriptor,
  PasidCacheDescriptor,
} from '../../../hw/vtd/descriptors.ts';
import { dmaRead, dmaWrite } from '../../../hw/vtd/dma.ts';
import { explain } from '../../../hw/vtd/explain.ts';
import { type NaiveUnit, naiveWalk } from '../../support/naive-walker.ts';
import { MEMORY_BYTES, VtdLab } from '../../support/vtd-lab.ts';

/** The same cases each time, unless told otherwise: a longer search sets both. */
const RUNS = Number(process.env.VTDECK_PROPERTY_RUNS ?? 120);
const SEED = Number(process.env.VTDECK_PROPERTY_SEED ?? 20260731);

const configurations: Readonly<Record<string, UnitConfiguration>> = {
  'server unit': serverUnit(),
  'server unit, 46-bit host': serverUnit({}, 46),
  'server unit without snoop, 1 GiB pages and PASIDs': serverUnit({
    snoopControl: 0,
    secondLevelLargePages: 1,
    firstLevel1GibPages: 0,
    processAddressSpaceIds: 0,
    ridPasid: 0,
    pageRequests: 0,
  }),
  'server unit without second level': serverUnit({ secondLevelTranslation: 0, nestedTranslation: 0 }),
  'server unit without first level': serverUnit({ firstLevelTranslation: 0, nestedTranslation: 0 }),
  'QEMU, legacy': qemuUnit({ 'aw-bits': 39 }),
  'QEMU, scalable second level': qemuUnit({ 'scalable-mode': true, 'snoop-control': true }),
  'QEMU, scalable first level': qemuUnit({
    'scalable-mode': true,
    fsts: true,
    'pasid-bits': 20,
    'device-iotlb': true,
  }),
};

/** Pages that tables can lie in. */
const ARENA = 0x200000;
const ARENA_PAGES = 24;

/** Slots of a page that the requests below meet often. */
const slot = fc.constantFrom(0, 1, 2, 3, 5, 255, 511);
// Pages 0 to 3 hold the structures that lead to paging tables: no paging entry makes accessed bits appear in those.
const arenaPage = fc.integer({ min: 4, max: ARENA_PAGES - 1 }).map((page) => BigInt(ARENA + page * 4096));

/** A 64-bit word as tables hold them: mostly a pointer with rights, now and then damaged or mere noise. */
const word = fc.oneof(
  { weight: 6, arbitrary: arenaPage.map((page) => page | 7n) },
  { weight: 2, arbitrary: fc.tuple(arenaPage, fc.bigInt(0n, 0xfffn)).map(([page, low]) => page | low) },
  {
    weight: 1,
    arbitrary: fc.tuple(fc.bigInt(0n, 0x3ffn), fc.bigInt(0n, 0xfffn)).map(([g, l]) => (g << 30n) | l | 0x80n),
  },
  {
    weight: 1,
    arbitrary: fc.tuple(arenaPage, fc.nat(63)).map(([page, at]) => page | 7n | (1n << BigInt(at))),
  },
  { weight: 1, arbitrary: fc.constantFrom(0n, 0xffffffffffffffffn, 0xfee00007n, BigInt(MEMORY_BYTES) | 7n) },
  { weight: 1, arbitrary: fc.bigInt(0n, 0xffffffffffffffffn) },
);

/** Sound values far more often than others. */
const mostly = <T>(sound: fc.Arbitrary<T>, other: fc.Arbitrary<T>): fc.Arbitrary<T> =>
  fc.oneof({ weight: 12, arbitrary: sound }, { weight: 1, arbitrary: other });

const requesters = fc.constantFrom(0x0000, 0x0001, 0x0101, 0x0180, 0x0102);
const indices = fc.constantFrom(0, 1, 2, 511);

/** An address whose table indices are few, canonical or not. */
const address = fc
  .tuple(fc.constantFrom(0, 0, 0, 1, 511), indices, indices, indices, indices, fc.nat(4095), fc.boolean())
  .map(([e, d, c, b, a, offset, noise]) => {
    const at = [e, d, c, b, a].reduce((sum, index) => (sum << 9n) | BigInt(index), 0n);
    const extended = d >= 256 && e === 511 ? 0xfe00000000000000n : 0n;
    return (extended | (at << 12n) | BigInt(offset) | (noise ? 1n << 60n : 0n)) & 0xffffffffffffffffn;
  });

/** Below 39 bits, at its ends: every table is wide enough. */
const soundAddress = fc
  .tuple(indices, indices, indices, fc.nat(4095))
  .map(([c, b, a, offset]) => (((BigInt(c) << 9n) | BigInt(b)) << 21n) | (BigInt(a) << 12n) | BigInt(offset));

const request = fc.record({
  requesterId: requesters,
  pasid: fc.oneof({ weight: 8, arbitrary: fc.constantFrom(-1, 0, 1, 2) }, fc.constantFrom(70, 0xfffff)),
  address: mostly(soundAddress, address),
  write: fc.boolean(),
});

const tables = fc.record({
  /** Damage: words put anywhere over the tables. */
  words: fc.array(fc.tuple(fc.nat(ARENA_PAGES - 1), slot, word), { maxLength: 25 }),
  /** A chain that leads somewhere: root, context, PASID structures, paging tables that point at each other. */
  chain: mostly(fc.constant(true), fc.constant(false)),
  /** What paging entries hold beside the address of the next table. */
  low: mostly(fc.constantFrom(7n, 0x67n, 0x467n, 0x367n), fc.bigInt(0n, 0xfffn)),
  type: mostly(fc.integer({ min: 0, max: 4 }), fc.nat(7)),
  width: mostly(fc.integer({ min: 1, max: 3 }), fc.nat(7)),
  firstMode: mostly(fc.nat(1), fc.nat(3)),
  faultDisable: fc.constantFrom(0, 0, 0, 1, 2, 4, 7),
  flags: fc.bigInt(0n, 0x3ffn),
});

/** Writes the tables; every requester of the tests gets a way through them when `chain` is set. */
function lay(
  lab: VtdLab,
  plan: typeof tables extends fc.Arbitrary<infer T> ? T : never,
  scalable: boolean,
): void {
  const { memory } = lab;
  const page = (number: number): number => ARENA + number * 4096;
  if (plan.chain) {
    const disable = (place: number): bigint => BigInt(((plan.faultDisable >>> place) & 1) << 1);
    for (const bus of [0, 1]) {
      memory.write64(page(0) + bus * 16, BigInt(page(1)) | 1n);
      memory.write64(page(0) + bus * 16 + 8, scalable ? BigInt(page(1)) | 1n : 0n);
    }
    const { processAddressSpaceIds, scalableWalkCoherency } = lab.unit.capabilities;
    for (let devfn = 0; devfn < (scalable ? 128 : 256); devfn += 1) {
      if (scalable) {
        const pasids = processAddressSpaceIds ? 8n : 0n;
        memory.write64(page(1) + devfn * 32, BigInt(page(2)) | disable(0) | pasids | 1n);
        continue;
      }
      const type = BigInt((plan.type & 3) << 2);
      memory.write64(page(1) + devfn * 16, BigInt(page(4)) | type | disable(0) | 1n);
      memory.write64(page(1) + devfn * 16 + 8, BigInt(plan.width) | 0x300n);
    }
    for (const index of [0, 1]) memory.write64(page(2) + index * 8, BigInt(page(3)) | disable(1) | 1n);
    for (let pasid = 0; pasid < 64; pasid += 1) {
      const entry = page(3) + pasid * 64;
      const { firstLevelTranslation, secondLevelTranslation, secondLevelAccessDirty, extendedAccessedFlag } =
        lab.unit.capabilities;
      const flags = secondLevelAccessDirty ? plan.flags & 0x200n : 0n;
      const second = secondLevelTranslation ? BigInt(page(4)) : 0n;
      const low = flags | BigInt((plan.type << 6) | (plan.width << 2) | 1) | disable(2);
      // Now and then without page-walk snoop, where accessed and dirty bits can't be updated.
      const snoop = scalableWalkCoherency && (plan.flags & 3n) !== 0n ? 1n << 23n : 0n;
      memory.write64(entry, low | second);
      memory.write64(entry + 8, snoop | BigInt(3 + (pasid & 1)));
      const extended = extendedAccessedFlag ? plan.flags & 0x80n : 0n;
      const first = BigInt(page(5)) | BigInt(plan.firstMode << 2) | (plan.flags & 0x10n) | extended;
      memory.write64(entry + 16, firstLevelTranslation ? first : 0n);
    }
    for (let table = 4; table < ARENA_PAGES; table += 1) {
      for (const index of [0, 1, 2, 511]) {
        const next = page(4 + ((table * 3 + index) % (ARENA_PAGES - 4)));
        memory.write64(page(table) + index * 8, BigInt(next) | plan.low);
      }
    }
  }
  for (const [at, index, value] of plan.words) {
    memory.write64(page(at) + index * 8, value);
  }
  lab.start(page(0), scalable ? 1 : 0);
}

function naiveUnit(lab: VtdLab, scalable: boolean): NaiveUnit {
  const has = lab.unit.capabilities;
  return {
    memory: lab.memory,
    hostAddressWidth: lab.unit.configuration.hostAddressWidth,
    guestAddressWidth: has.maximumGuestAddressWidth + 1,
    widths: has.addressWidths,
    root: BigInt(ARENA),
    scalable,
    has: {
      deviceTlb: has.deviceTlb === 1,
      passThrough: has.passThrough === 1,
      snoop: has.snoopControl === 1,
      page2M: (has.secondLevelLargePages & 1) === 1,
      page1G: (has.secondLevelLargePages & 2) === 2,
      first1G: has.firstLevel1GibPages === 1,
      pasid: has.processAddressSpaceIds === 1,
      pri: has.pageRequests === 1,
      ridPasid: has.ridPasid === 1,
      secondLevel: has.secondLevelTranslation === 1,
      firstLevel: has.firstLevelTranslation === 1,
      nested: has.nestedTranslation === 1,
      fiveLevels: has.firstLevel5Levels === 1,
      secondFlags: has.secondLevelAccessDirty === 1,
      walkSnoop: has.scalableWalkCoherency === 1,
      supervisor: has.supervisorRequests === 1,
      extendedAccessed: has.extendedAccessedFlag === 1,
    },
  };
}

/** Descriptors that drop all that is cached: contexts, PASID entries, translations. */
function everything(scalable: boolean): Uint32Array[] {
  const width = scalable ? 256 : 128;
  const contexts = encodeDescriptor(
    ContextCacheDescriptor,
    DescriptorType.contextCache,
    { granularity: 1 },
    width,
  );
  const pasids = encodeDescriptor(PasidCacheDescriptor, DescriptorType.pasidCache, { granularity: 3 }, width);
  const pages = encodeDescriptor(IotlbDescriptor, DescriptorType.iotlb, { granularity: 1 }, width);
  return scalable ? [contexts, pasids, pages] : [contexts, pages];
}

const isInterrupt = ({ address: at, pasid }: { address: bigint; pasid: number }): boolean =>
  pasid < 0 && at >> 20n === 0xfeen;

describe.each(Object.entries(configurations))('%s', (_name, configuration) => {
  const modes = capabilitiesOf(configuration).scalableMode ? [false, true] : [false];
  it.each(modes)('agrees with the naive walker on random tables (scalable: %s)', (scalable) => {
    fc.assert(
      fc.property(
        tables,
        fc.array(request, { minLength: 1, maxLength: 12 }),
        fc.boolean(),
        (plan, requests, flush) => {
          const lab = new VtdLab({ configuration });
          // What is cached is tagged by domain id: as long as nothing is flushed, one id must mean one table. So only
          // paging entries are damaged then.
          const words = flush ? plan.words : plan.words.filter(([page]) => page >= 4);
          lay(lab, { ...plan, words, chain: plan.chain || !flush }, scalable);
          lab.startQueue(scalable ? 32 : 16);
          const naive = naiveUnit(lab, scalable);
          for (const one of requests) {
            if (isInterrupt(one)) continue;
            if (flush) lab.submit(...everything(scalable));
            const expected = naiveWalk(naive, one);
            const access = one.write ? Access.write : Access.read;
            const told = explain(lab.unit, one.requesterId, one.address, access, one.pasid);
            const actual = lab.translate(one.address, access, one.pasid, one.requesterId);
            const faults = lab.takeFaults();
            if ('physical' in expected) {
              expect(actual).toBe(expected.physical);
              expect(told.physical).toBe(expected.physical);
              expect(faults).toEqual([]);
            } else {
              expect(actual).toBeUndefined();
              expect(told.fault?.reason).toBe(expected.reason);
              expect(faults.map((fault) => fault.reason)).toEqual(expected.quiet ? [] : [expected.reason]);
            }
          }
        },
      ),
      { numRuns: RUNS, seed: SEED },
    );
  });
});

describe('anything at all', () => {
  const offset = fc.oneof(fc.nat(0x600), fc.integer({ min: -16, max: 0x3000 }));
  const anything = fc.oneof(
    fc.record({
      kind: fc.constant('write' as const),
      offset,
      size: fc.constantFrom(1, 2, 4, 8, 3),
      value: fc.bigInt(0n, 0xffffffffffffffffn),
    }),
    fc.record({ kind: fc.constant('read' as const), offset, size: fc.constantFrom(1, 2, 4, 8, 0) }),
    fc.record({ kind: fc.constant('command' as const), bits: fc.nat(511) }),
    fc.record({
      kind: fc.constant('queue' as const),
      words: fc.array(fc.nat(0xffffffff), { minLength: 4, maxLength: 8 }),
    }),
    fc.record({
      kind: fc.constant('descriptor' as const),
      type: fc.nat(15),
      rest: fc.array(fc.nat(0xffffffff), { minLength: 3, maxLength: 3 }),
    }),
    fc.record({ kind: fc.constant('memory' as const), page: fc.nat(ARENA_PAGES - 1), slot, word }),
    fc.record({ kind: fc.constant('dma' as const), request, length: fc.nat(9000), high: fc.boolean() }),
    fc.record({
      kind: fc.constant('interrupt' as const),
      low: fc.nat(0xffffffff),
      high: fc.nat(1),
      data: fc.nat(0xffffffff),
    }),
    fc.record({ kind: fc.constant('ats' as const), request, flags: fc.nat(7) }),
    fc.record({ kind: fc.constant('page request' as const), request, flags: fc.nat(31) }),
  );

  it.each(Object.entries(configurations))('never throws and never hangs: %s', (_name, configuration) => {
    fc.assert(
      fc.property(tables, fc.array(anything, { maxLength: 60 }), fc.nat(3), (plan, steps, mode) => {
        const lab = new VtdLab({ configuration });
        lay(lab, plan, capabilitiesOf(configuration).scalableMode === 1);
        lab.write('RTADDR', BigInt(ARENA) | (BigInt(mode) << 10n));
        lab.write('IRTA', BigInt(ARENA + 8 * 4096) | 7n);
        lab.write('PQA', BigInt(ARENA + 9 * 4096));
        lab.startQueue();
        for (const step of steps) {
          const { unit } = lab;
          if (step.kind === 'write') unit.mmioWrite(step.offset, step.size, step.value);
          else if (step.kind === 'read') expect(unit.mmioRead(step.offset, step.size)).toBeTypeOf('bigint');
          else if (step.kind === 'command') lab.command(step.bits << 23);
          else if (step.kind === 'queue') lab.submit(Uint32Array.from(step.words));
          else if (step.kind === 'descriptor') lab.submit(Uint32Array.of(step.type, ...step.rest));
          else if (step.kind === 'memory')
            lab.memory.write64(ARENA + step.page * 4096 + step.slot * 8, step.word);
          else if (step.kind === 'interrupt')
            unit.messageInterrupt({
              requesterId: 1,
              addressHigh: step.high,
              addressLow: step.low,
              data: step.data,
            });
          else if (step.kind === 'dma') {
            const { requesterId, pasid, address: at, write } = step.request;
            const from = step.high ? 0xfffffffffffff000n : at;
            const done = write
              ? dmaWrite(unit, requesterId, from, new Uint8Array(step.length), { pasid })
              : dmaRead(unit, requesterId, from, step.length, { pasid });
            expect(done.bytesBefore).toBeLessThanOrEqual(step.length);
          } else if (step.kind === 'ats') {
            const { requesterId, pasid, address: at } = step.request;
            const [noWrite, privileged, execute] = [1, 2, 4].map((flag) => (step.flags & flag) !== 0);
            unit.translationRequest({ requesterId, pasid, address: at, noWrite, privileged, execute });
          } else {
            const { requesterId, pasid, address: at } = step.request;
            const [read, write, last, privileged, execute] = [1, 2, 4, 8, 16].map(
              (f) => (step.flags & f) !== 0,
            );
            const rest = { read, write, last, privileged, execute, group: step.flags };
            unit.pageRequest({ requesterId, pasid, address: at, ...rest });
          }
        }
        lab.takeFaults();
      }),
      { numRuns: RUNS, seed: SEED },
    );
  });
});
