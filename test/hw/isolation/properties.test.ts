/** What must hold for any tree of bridges and devices, whatever it is made of. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type GroupsReport, groupsOf } from '../../../hw/isolation/groups.ts';
import { type FunctionPlan, ISOLATING, machineOf } from '../../support/pci-machine.ts';

interface Slot {
  functions: number;
  kind: 'endpoint' | 'conventional' | 'port' | 'pci bridge' | 'pcie-to-pci';
  isolating: boolean;
  below: Slot[];
}

function slotOf(depth: number): fc.Arbitrary<Slot> {
  return fc.record({
    functions: fc.integer({ min: 1, max: 3 }),
    kind: fc.constantFrom('endpoint', 'conventional', 'port', 'pci bridge', 'pcie-to-pci'),
    isolating: fc.boolean(),
    below: depth === 0 ? fc.constant([]) : fc.array(slotOf(depth - 1), { maxLength: 3 }),
  });
}

const PORT_TYPES = { port: 4, 'pcie-to-pci': 7 } as const;

/** Numbers buses depth first, as firmware does. A root port has device 0 below it; other bridges have slots. */
function plansOf(slots: readonly Slot[]): FunctionPlan[] {
  const plans: FunctionPlan[] = [];
  let lastBus = 0;
  const hex = (value: number): string => value.toString(16).padStart(2, '0');
  const place = (list: readonly Slot[], bus: number): void => {
    for (const [index, one] of list.entries()) {
      const bridge = one.kind !== 'endpoint' && one.kind !== 'conventional';
      for (let fn = 0; fn < one.functions; fn += 1) {
        const plan: FunctionPlan = {
          at: `${hex(bus)}:${hex(index)}.${fn}`,
          multifunction: fn === 0 && one.functions > 1,
          device: 0x1000 + plans.length,
        };
        if (one.kind === 'endpoint') plan.port = 0;
        if (one.kind === 'port' || one.kind === 'pcie-to-pci') plan.port = PORT_TYPES[one.kind];
        if (one.isolating && plan.port !== undefined) plan.acs = ISOLATING;
        plans.push(plan);
        if (!bridge) continue;
        if (lastBus >= 200) {
          plan.buses = undefined;
          continue;
        }
        lastBus += 1;
        const secondary = lastBus;
        const children = fn === 0 ? one.below : [];
        place(one.kind === 'port' ? children.slice(0, 1) : children, secondary);
        plan.buses = [secondary, lastBus];
      }
    }
  };
  place(slots.slice(0, 8), 0);
  return plans;
}

const tree = fc.array(slotOf(3), { minLength: 1, maxLength: 6 }).map(plansOf);

function groupOfEach(report: GroupsReport): Map<string, string> {
  return new Map(
    report.groups.flatMap((group) =>
      group.devices.map((device) => [device, [...group.devices].sort().join(' ')] as const),
    ),
  );
}

describe('any tree', () => {
  it('puts every device into exactly one group, and numbers them without gaps', () => {
    fc.assert(
      fc.property(tree, (plans) => {
        const report = groupsOf(machineOf(plans));
        const all = report.groups.flatMap((group) => group.devices);
        expect(new Set(all).size).toBe(all.length);
        expect([...all].sort()).toEqual(plans.map((plan) => `0000:${plan.at}`).sort());
        expect(report.groups.map((group) => group.id)).toEqual(report.groups.map((_, index) => index));
      }),
      { numRuns: 200 },
    );
  });

  it('is parted further, never joined, when more of its ports isolate', () => {
    fc.assert(
      fc.property(tree, (plans) => {
        const before = groupOfEach(groupsOf(machineOf(plans)));
        const better = plans.map((plan) => (plan.port === undefined ? plan : { ...plan, acs: ISOLATING }));
        for (const group of groupsOf(machineOf(better)).groups) {
          const [first] = group.devices;
          const company = new Set(before.get(first)?.split(' '));
          for (const device of group.devices) expect(company.has(device)).toBe(true);
        }
      }),
      { numRuns: 200 },
    );
  });

  it('gives every member a reason that names another member', () => {
    fc.assert(
      fc.property(tree, (plans) => {
        const report = groupsOf(machineOf(plans));
        for (const group of report.groups) {
          for (const reason of group.reasons) {
            expect(reason.detail.length).toBeGreaterThan(0);
            if (group.devices.length > 1) expect(group.devices).toContain(reason.with);
          }
        }
      }),
      { numRuns: 100 },
    );
  });

  it('is the same when devices are taken out and found again', () => {
    fc.assert(
      fc.property(tree, fc.nat(), (plans, pick) => {
        const device = `0000:${plans[pick % plans.length].at}`;
        const before = groupOfEach(groupsOf(machineOf(plans)));
        const after = groupsOf(
          machineOf(plans, { history: [{ kind: 'remove', device }, { kind: 'rescan' }] }),
        );
        const all = after.groups.flatMap((group) => group.devices);
        expect([...all].sort()).toEqual([...before.keys()].sort());
      }),
      { numRuns: 100 },
    );
  });
});
