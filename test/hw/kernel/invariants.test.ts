/**
 * Random sequences of all operations against what must hold whatever happens. A small number runs always;
 * VTDECK_SEQUENCES sets how many (10000 for the nightly run).
 *
 *  - counts equal what the tables show when the hardware half reads them;
 *  - no device reaches, under any PASID, a page that its attachment did not give it;
 *  - release in any order returns to the initial tables;
 *  - a call that fails changes nothing.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ProfileName } from '../../../hw/kernel/profile.ts';
import type { Capabilities } from '../../../hw/vtd/registers.ts';
import { canonical, type Operation, operation, Run } from './random-acts.ts';
import { SmallHost } from './small-host.ts';

const SEQUENCES = Number(process.env.VTDECK_SEQUENCES ?? 20);
/** The same sequences each time in the short run; others each time in the long one. */
const SEED = process.env.VTDECK_SEQUENCES === undefined ? { seed: 20180724 } : {};
const TIMEOUT = 60_000 + SEQUENCES * 300;

/** One sequence on one host, from its start to where everything is released. */
function check(
  profile: ProfileName,
  unit: Partial<Capabilities>,
  operations: readonly Operation[],
  order: number,
): void {
  const host = new SmallHost({ profile, unit });
  const before = canonical(host);
  const frames = host.kernel.allocator.usedFrames;
  const ids = host.unit.domainIds.free;
  const run = new Run(host);
  for (const each of operations) {
    run.act(each);
    // Each look fills the unit's caches, so that a forgotten flush shows at the next one.
    run.checkIsolation();
  }
  run.checkCounts();
  run.releaseAll(order);
  expect(canonical(host)).toEqual(before);
  expect(host.unit.domainIds.free).toBe(ids);
  expect(host.kernel.pasids.inUse).toBe(0);
  // Blocking domains of 6.1 stay with their groups.
  const kept = host.core.groups.filter((group) => group.blockingDomain?.type === 'unmanaged').length;
  expect(host.kernel.allocator.usedFrames).toBe(frames + kept);
}

const sequence = fc.array(operation, { minLength: 5, maxLength: 40 });

describe.each([
  ['7.2', {}],
  ['7.2', { firstLevelTranslation: 0 }],
  ['7.2', { firstLevelTranslation: 0, cachingMode: 1 }],
  ['6.1', {}],
  ['5.15', { firstLevelTranslation: 0 }],
  ['5.15', { firstLevelTranslation: 0, cachingMode: 1 }],
] as const)('random sequences on %s with %o', (profile, unit) => {
  it(
    'keep devices apart, counts true, and end where they began',
    () => {
      fc.assert(
        fc.property(sequence, fc.nat(1000), (operations, order) => check(profile, unit, operations, order)),
        { numRuns: SEQUENCES, ...SEED },
      );
    },
    TIMEOUT,
  );
});

describe('random sequences on random hosts', () => {
  const bit = fc.constantFrom(0, 1);
  const unit = fc
    .record({
      scalable: bit,
      firstLevelTranslation: bit,
      cachingMode: bit,
      pageSelectiveInvalidation: bit,
      maximumAddressMask: fc.constantFrom(0, 4, 18),
      writeBufferFlushing: bit,
      setRootTableInvalidates: bit,
      snoopControl: fc.constant(1),
      deviceTlb: bit,
      secondLevelLargePages: fc.constantFrom(0, 1, 3),
      firstLevel1GibPages: bit,
      queuedInvalidation: fc.constant(1),
      domainIdCode: fc.constantFrom(1, 6),
    })
    .map(({ scalable, firstLevelTranslation, ...rest }) => ({
      ...rest,
      ...(scalable === 1
        ? { firstLevelTranslation }
        : {
            scalableMode: 0,
            firstLevelTranslation: 0,
            secondLevelTranslation: 0,
            processAddressSpaceIds: 0,
          }),
    }));
  it(
    'keep devices apart, counts true, and end where they began',
    () => {
      const profile = fc.constantFrom('5.15' as const, '6.1' as const, '7.2' as const);
      fc.assert(
        fc.property(profile, unit, sequence, fc.nat(1000), (name, capabilities, operations, order) => {
          // First level without a flush that fits is a defect of 5.15 that has a name; it is not drawn here.
          const safe = name === '5.15' ? { ...capabilities, firstLevelTranslation: 0 } : capabilities;
          check(name, safe, operations, order);
        }),
        { numRuns: SEQUENCES * 2, ...SEED },
      );
    },
    TIMEOUT,
  );
});
