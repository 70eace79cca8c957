/** DMAR tables that Linux 7.2 gives up as a whole, or reads in part. Each rule was seen in a boot with such a table. */
import { describe, expect, it } from 'vitest';
import type { DeviceScope, DmarStructure } from '../../../../hw/acpi/dmar.ts';
import { writeDmar } from '../../../../hw/acpi/dmar-writer.ts';
import { groupsOf } from '../../../../hw/isolation/groups.ts';
import { type FunctionPlan, ISOLATING, machineOf } from '../../../support/pci-machine.ts';

const PLANS: readonly FunctionPlan[] = [
  { at: '00:02.0', port: 4, buses: [1, 1], acs: ISOLATING },
  { at: '00:05.0', port: 9 },
  { at: '01:00.0', port: 0 },
];

const scope = (type: number, device: number, startBus = 0): DeviceScope => ({
  type,
  flags: 0,
  enumerationId: 0,
  startBus,
  path: [{ device, function: 0 }],
});

const unit = (scopes: readonly DeviceScope[], more: object = {}): DmarStructure => ({
  kind: 'DRHD',
  includeAll: false,
  sizeShift: 0,
  segment: 0,
  registerBase: 0xfed90000n,
  scopes,
  ...more,
});
const everything = unit([], { includeAll: true });

function report(
  structures: readonly DmarStructure[],
  hostAddressWidth = 46,
  plans = PLANS,
  more: Parameters<typeof machineOf>[1] = {},
  dmaControlOptIn = false,
) {
  const bytes = writeDmar({
    revision: 1,
    oemId: 'TEST',
    oemTableId: 'TEST',
    oemRevision: 1,
    creatorId: 'TEST',
    creatorRevision: 1,
    hostAddressWidth,
    interruptRemapping: true,
    x2apicOptOut: false,
    dmaControlOptIn,
    structures,
    warnings: [],
  });
  const dmar = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
  return groupsOf(machineOf(plans, { iommu: { state: 'on', because: 'test' }, dmar, ...more }));
}

const members = (structures: readonly DmarStructure[]): string[] =>
  report(structures).groups.flatMap((group) => group.devices);

describe('a DMAR table that Linux gives up leaves every device without a group', () => {
  const memory = (scopes: readonly DeviceScope[]): DmarStructure => ({
    kind: 'RMRR',
    segment: 0,
    base: 0x1000n,
    limit: 0x1fffn,
    scopes,
  });
  const ports = (scopes: readonly DeviceScope[], allPorts = false): DmarStructure => ({
    kind: 'ATSR',
    allPorts,
    segment: 0,
    scopes,
  });
  const caches = (scopes: readonly DeviceScope[]): DmarStructure => ({
    kind: 'SATC',
    atcRequired: false,
    segment: 0,
    scopes,
  });

  it.each<[string, readonly DmarStructure[]]>([
    ['a bridge named as endpoint by a unit', [unit([scope(1, 2), scope(1, 5)])]],
    ['an endpoint named as bridge by an RMRR', [everything, memory([scope(2, 5)])]],
    ['a bridge named as endpoint by an ATSR', [everything, ports([scope(1, 2)])]],
    ['an endpoint named as bridge by a SATC', [everything, caches([scope(2, 5)])]],
    ['two segments with one register base', [everything, unit([], { includeAll: true, segment: 1 })]],
    ['overlapping registers', [everything, unit([scope(1, 5)], { registerBase: 0xfed8f000n, sizeShift: 1 })]],
    ['registers at 0', [everything, unit([scope(1, 5)], { registerBase: 0n })]],
    ['no unit', [memory([scope(1, 5)])]],
  ])('%s', (_what, structures) => {
    const { groups, ungrouped } = report(structures);
    expect(groups).toEqual([]);
    expect(ungrouped.map((one) => one.device)).toEqual(PLANS.map((plan) => `0000:${plan.at}`));
    expect(ungrouped[0].why).toContain('Linux gives up the whole DMAR table');
  });

  it('a host address width that holds no page', () => {
    expect(report([everything], 11).groups).toEqual([]);
    expect(report([everything], 12).groups).toHaveLength(3);
  });

  it('an ANDD name without end', () => {
    const name = '\\_SB.PCI0';
    const bytes = new Uint8Array([4, 0, 8 + name.length, 0, 0, 0, 0, 1, ...new TextEncoder().encode(name)]);
    const device = { kind: 'ANDD', deviceNumber: 1, name } as const;
    expect(members([everything, { ...device, bytes }])).toEqual([]);
    expect(members([everything, device])).toHaveLength(3);
  });

  it.each<[string, readonly DmarStructure[]]>([
    [
      'scopes of a unit that includes all are not looked at',
      [{ ...everything, scopes: [scope(1, 2)] } as DmarStructure],
    ],
    ['SIDP is not read', [everything, { kind: 'SIDP', segment: 0, scopes: [scope(2, 5)] }]],
    ['an ATSR of all ports needs no scopes', [everything, ports([scope(1, 2)], true)]],
    [
      'a later unit that names the device rightly settles it',
      [unit([scope(1, 2)]), unit([scope(2, 2), scope(1, 5)], { registerBase: 0xfed91000n })],
    ],
    ['the first of two scopes for one device counts', [unit([scope(2, 2), scope(1, 2), scope(1, 5)])]],
    ['an absent device is nobody’s mistake', [everything, memory([scope(2, 9)])]],
  ])('but not: %s', (_what, structures) => {
    expect(members(structures)).toEqual(PLANS.map((plan) => `0000:${plan.at}`));
  });
});

describe('reserved memory', () => {
  it('of a bridge is that of the same bus numbers in every segment (is_downstream_to_pci_bridge)', () => {
    const plans = [...PLANS, { at: '0001:01:00.0' }, { at: '0001:02:00.0' }];
    const structures = [
      everything,
      unit([], { includeAll: true, segment: 1, registerBase: 0xfed91000n }),
      { kind: 'RMRR', segment: 0, base: 0x1000n, limit: 0x1fffn, scopes: [scope(2, 2)] } as const,
    ];
    const reserving = report(structures, 46, plans).groups.filter((group) => group.reserved.length > 1);
    expect(reserving.map((group) => group.devices)).toEqual([
      ['0000:00:02.0'],
      ['0000:01:00.0'],
      ['0001:01:00.0'],
    ]);
  });
});

describe('reserved memory beyond what a unit translates', () => {
  const W39 = { registerBase: '0xfed90000', cap: '0x80d2008c22260206', ecap: '0xf00f4a' };
  const above = (base: bigint): DmarStructure => ({
    kind: 'RMRR',
    segment: 0,
    base,
    limit: base + 0xffffn,
    scopes: [scope(1, 5)],
  });
  const count = (structure: DmarStructure, kernelCommandLine = ''): number =>
    report([everything, structure], 46, PLANS, { units: [W39], kernelCommandLine }).groups.length;

  it('costs the unit all its groups, where default domains translate', () => {
    expect(count(above(0x8000000000n))).toBe(0);
    expect(count(above(0x8000000000n), 'iommu=pt')).toBe(3);
  });

  it('fits to the last page, and counts for devices that exist only', () => {
    expect(count(above(0x7fffff0000n))).toBe(3);
    expect(count({ ...above(0x8000000000n), scopes: [scope(1, 9)] } as DmarStructure)).toBe(3);
    expect(count({ ...above(0x8000000000n), limit: 0x7fff_ffff_ffn } as DmarStructure)).toBe(3);
  });
});

describe('units of one table', () => {
  it('an entry that repeats segment and register base of another counts for nothing', () => {
    expect(members([unit([scope(2, 2)]), everything])).toEqual(['0000:00:02.0', '0000:01:00.0']);
  });
});

describe('whether the IOMMU was on', () => {
  it('is not told by ACS where firmware opts in: Linux then asks for ACS with the IOMMU off too (dmar_required)', () => {
    const unsaid = { iommu: { state: 'unknown', because: 'test' }, kernelCommandLine: undefined } as const;
    const assumed = (optIn: boolean): string[] =>
      report([everything], 46, PLANS, unsaid, optIn).assumptions.filter((one) => one.includes('was on'));
    expect(assumed(false)).toEqual([]);
    expect(assumed(true)).toHaveLength(1);
  });
});
