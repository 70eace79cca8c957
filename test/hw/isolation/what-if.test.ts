import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { writeDmar } from '../../../hw/acpi/dmar-writer.ts';
import { compareHosts } from '../../../hw/isolation/compare.ts';
import { explainDevice } from '../../../hw/isolation/explain.ts';
import { groupsOf } from '../../../hw/isolation/groups.ts';
import { whatIf } from '../../../hw/isolation/what-if.ts';
import { loadHost } from '../../../src/hosts/import.ts';
import { type FunctionPlan, ISOLATING, machineOf } from '../../support/pci-machine.ts';

const OPEN_SWITCH: FunctionPlan[] = [
  { at: '00:01.0', port: 4, buses: [1, 4], acs: ISOLATING },
  { at: '01:00.0', port: 5, buses: [2, 4] },
  { at: '02:00.0', port: 6, buses: [3, 3], multifunction: true },
  { at: '02:00.1', port: 6, buses: [4, 4] },
  { at: '03:00.0', port: 0 },
  { at: '04:00.0', port: 0 },
];

/** A DMAR with one unit, or with the scopes given. */
function dmarHex(structures: Parameters<typeof writeDmar>[0]['structures']): string {
  return Buffer.from(
    writeDmar({
      revision: 1,
      oemId: 'TEST',
      oemTableId: 'TEST',
      oemRevision: 1,
      creatorId: 'TEST',
      creatorRevision: 1,
      hostAddressWidth: 46,
      interruptRemapping: true,
      x2apicOptOut: false,
      dmaControlOptIn: false,
      structures,
      warnings: [],
    }),
  ).toString('hex');
}

const unit = (
  registerBase: bigint,
  scopes: { type: number; path: [number, number][] }[],
  includeAll = false,
): Parameters<typeof writeDmar>[0]['structures'][number] => ({
  kind: 'DRHD',
  includeAll,
  sizeShift: 0,
  segment: 0,
  registerBase,
  scopes: scopes.map((scope) => ({
    type: scope.type,
    flags: 0,
    enumerationId: 0,
    startBus: 0,
    path: scope.path.map(([device, fn]) => ({ device, function: fn })),
  })),
});

describe('what if', () => {
  it('an ACS override parts the group and tells which path it opens', () => {
    const report = whatIf(machineOf(OPEN_SWITCH), { overrideAcs: ['0000:02:00.0', '0000:02:00.1'] });
    expect(report.before.groups).toHaveLength(3);
    expect(report.after.groups).toHaveLength(6);
    expect(report.moved.map((one) => one.device)).toEqual([
      '0000:02:00.0',
      '0000:02:00.1',
      '0000:03:00.0',
      '0000:04:00.0',
    ]);
    const path = report.opened.find(
      (one) => one.from.includes('0000:03:00.0') && one.to.includes('0000:04:00.0'),
    );
    expect(path?.through).toBe('0000:02:00.0');
    expect(path?.detail).toContain('has no ACS capability');
  });

  it('disable_acs_redir clears redirection and what Linux itself would set (7.2: back to firmware)', () => {
    const port: FunctionPlan = { at: '00:01.0', port: 4, buses: [1, 1], acs: [0x1d, 0] };
    const machine = machineOf([port, { at: '01:00.0', port: 0 }], {
      iommu: undefined,
      dmar: dmarHex([unit(0xfed90000n, [], true)]),
    });
    expect(groupsOf(machine).groups).toHaveLength(2);
    const report = whatIf(machine, { commandLine: 'pci=disable_acs_redir=0000:00:01.0' });
    expect(report.after.groups.map((group) => group.devices)).toEqual([['0000:00:01.0', '0000:01:00.0']]);
    expect(report.after.groups[0].reasons[1].detail).toContain(
      '0x0000: SrcValid, ReqRedir, CmpltRedir, UpstreamFwd off',
    );
  });

  it.each([
    ['0011101@00:01.0', 2],
    ['0001101@00:01.0', 1],
    ['x@00:01.0', 1],
    ['0011101@pci:1af4:1000', 2],
    ['0011101@00:02.0', 2],
  ])('config_acs=%s gives %i groups', (option, groups) => {
    const port: FunctionPlan = { at: '00:01.0', port: 4, buses: [1, 1], acs: [0x1d, 0] };
    const machine = machineOf([port, { at: '01:00.0', port: 0 }], {
      iommu: undefined,
      dmar: dmarHex([unit(0xfed90000n, [], true)]),
    });
    expect(whatIf(machine, { commandLine: `pci=config_acs=${option}` }).after.groups).toHaveLength(groups);
  });

  it.each([
    // The first that names the device counts, not the last.
    ['0011101@00:01.0;0000000@00:01.0', 2],
    ['0000000@00:02.0;0000000@pci:0:0', 1],
    // A device without flags ends the list: it and what follows keep what Linux sets itself.
    ['0011101@00:02.0;00:01.0', 2],
    ['00:02.0;0000000@00:01.0', 2],
    ['00y@00:02.0;0000000@00:01.0', 2],
  ])('config_acs=%s gives %i groups (__pci_config_acs of pci.c)', (option, groups) => {
    const port: FunctionPlan = { at: '00:01.0', port: 4, buses: [1, 1], acs: [0x1d, 0] };
    const machine = machineOf([port, { at: '01:00.0', port: 0 }], {
      iommu: undefined,
      dmar: dmarHex([unit(0xfed90000n, [], true)]),
    });
    expect(whatIf(machine, { commandLine: `pci=config_acs=${option}` }).after.groups).toHaveLength(groups);
  });

  it('ports with dword ACS: Linux sets them at offset 8, and takes redirection away there (quirks.c)', () => {
    const port: FunctionPlan = {
      at: '00:1c.0',
      vendor: 0x8086,
      device: 0xa110,
      port: 4,
      buses: [1, 1],
      acs: [0x1d, 0],
    };
    const bytes = machineOf([port, { at: '01:00.0', port: 0 }], {
      iommu: undefined,
      dmar: dmarHex([unit(0xfed90000n, [], true)]),
    });
    // The same host from a text without hex: what lspci does not print is not in the way of a supposed boot.
    const text = {
      ...bytes,
      functions: bytes.functions.map((one) => ({ ...one, unknown: ['device registers'] })),
    };
    for (const machine of [bytes, text]) {
      expect(groupsOf(machine).groups).toHaveLength(2);
      const report = whatIf(machine, { commandLine: 'pci=disable_acs_redir=00:1c.0' });
      expect(report.after.groups).toHaveLength(1);
    }
  });

  it('firmware settings decide where Linux restores them: config_acs with x', () => {
    const port: FunctionPlan = { at: '00:01.0', port: 4, buses: [1, 1], acs: [0x1d, 0] };
    const machine = machineOf([port, { at: '01:00.0', port: 0 }], {
      iommu: undefined,
      dmar: dmarHex([unit(0xfed90000n, [], true)]),
      kernelCommandLine: 'pci=config_acs=xxxx1xx@0000:00:01.0',
    });
    expect(groupsOf(machine).groups).toHaveLength(1);
    const report = whatIf(machine, { firmwareAcs: [{ device: '0000:00:01.0', control: 0x1d }] });
    expect(report.after.groups).toHaveLength(2);
  });

  it('IOMMU off: no groups, and every device says why', () => {
    const report = whatIf(machineOf(OPEN_SWITCH), { iommu: 'off' });
    expect(report.after.groups).toEqual([]);
    expect(report.moved).toHaveLength(6);
  });

  it('pass-through changes types and no company', () => {
    const report = whatIf(machineOf(OPEN_SWITCH), { commandLine: 'iommu=pt' });
    expect(report.moved).toEqual([]);
    expect(report.retyped[0]).toEqual({ device: '0000:00:01.0', before: 'DMA-FQ', after: 'identity' });
  });

  it('another DMAR: what no scope covers has no group', () => {
    const table = dmarHex([unit(0xfed90000n, [{ type: 2, path: [[1, 0]] }])]);
    const machine = machineOf([...OPEN_SWITCH, { at: '00:05.0' }], {
      iommu: { state: 'on', because: 'test' },
      dmar: dmarHex([unit(0xfed90000n, [], true)]),
    });
    const report = whatIf(machine, { dmar: table });
    expect(report.moved.map((one) => one.device)).toEqual(['0000:00:05.0']);
    expect(report.after.ungrouped[0].why).toContain('no device scope of the DMAR table names it');
    expect(whatIf(machine, { dmar: null }).after.groups).toEqual([]);
  });
});

describe('units of the DMAR (intel/dmar.c, intel/iommu.c)', () => {
  it('units that list devices are probed in reverse order of the table, the catch-all last: numbers follow', () => {
    const table = dmarHex([
      unit(0xfed90000n, [{ type: 1, path: [[2, 0]] }]),
      unit(0xfed91000n, [{ type: 1, path: [[3, 0]] }]),
      unit(0xfed92000n, [], true),
    ]);
    const machine = machineOf([{ at: '00:01.0' }, { at: '00:02.0' }, { at: '00:03.0' }], {
      iommu: { state: 'on', because: 'test' },
      dmar: table,
    });
    expect(groupsOf(machine).groups.map((group) => group.devices[0])).toEqual([
      '0000:00:03.0',
      '0000:00:02.0',
      '0000:00:01.0',
    ]);
  });

  it('a scope of type 1 that names a bridge is reported: it costs the whole table', () => {
    const table = dmarHex([unit(0xfed90000n, [{ type: 1, path: [[1, 0]] }])]);
    const machine = machineOf(OPEN_SWITCH, { iommu: { state: 'on', because: 'test' }, dmar: table });
    const report = groupsOf(machine);
    expect(report.groups).toEqual([]);
    expect(report.problems[0].problem).toContain('names 0000:00:01.0 as an endpoint (device scope type 1)');
  });

  it('a path goes through bridges: root port, upstream port, downstream port, device', () => {
    const path: [number, number][] = [
      [1, 0],
      [0, 0],
      [0, 1],
      [0, 0],
    ];
    const table = dmarHex([unit(0xfed90000n, [{ type: 1, path }])]);
    const report = groupsOf(machineOf(OPEN_SWITCH, { iommu: { state: 'on', because: 'test' }, dmar: table }));
    expect(report.groups.map((group) => group.devices)).toEqual([['0000:04:00.0']]);
  });

  it('a unit without an address width translates nothing (SAGAW = 0)', () => {
    const machine = machineOf([{ at: '00:01.0' }], {
      iommu: { state: 'on', because: 'test' },
      dmar: dmarHex([unit(0xfed90000n, [], true)]),
      units: [{ registerBase: '0xfed90000', cap: '0x80d2008c222f0006', ecap: '0xf00f4a' }],
    });
    expect(groupsOf(machine).ungrouped[0].why).toContain('offers no address width');
  });

  it.each([
    ['lazy', '0xd2008c222f0606', '0xf00f4a', '', 'DMA-FQ'],
    ['caching mode makes flushing strict', '0xd2008c222f0686', '0xf00f4a', '', 'DMA'],
    ['iommu.strict=1', '0xd2008c222f0606', '0xf00f4a', 'iommu.strict=1', 'DMA'],
    ['no pass-through: translation is demanded', '0xd2008c222f0606', '0xf00f0a', 'iommu=pt', 'DMA'],
    ['the last word wins', '0xd2008c222f0606', '0xf00f4a', 'iommu=pt iommu.passthrough=0', 'DMA-FQ'],
  ])('default type: %s', (_name, cap, ecap, kernelCommandLine, type) => {
    const machine = machineOf([{ at: '00:01.0' }], {
      iommu: { state: 'on', because: 'test' },
      dmar: dmarHex([unit(0xfed90000n, [], true)]),
      units: [{ registerBase: '0xfed90000', cap, ecap }],
      kernelCommandLine,
    });
    expect(groupsOf(machine).groups[0].type).toBe(type);
  });
});

describe('two captures of one machine', () => {
  const before = machineOf([
    { at: '00:01.0', port: 4, buses: [1, 1], acs: ISOLATING },
    { at: '01:00.0', port: 0, device: 0x1041 },
    { at: '00:05.0', device: 0x2000 },
  ]);

  it('a device that moved is known by what it is', () => {
    const after = machineOf([
      { at: '00:01.0', port: 4, buses: [2, 2], acs: ISOLATING },
      { at: '02:00.0', port: 0, device: 0x1041 },
      { at: '00:05.0', device: 0x2000 },
    ]);
    const comparison = compareHosts(before, after);
    expect(comparison.moved).toEqual([
      { identity: '1af4:1041', before: '0000:01:00.0', after: '0000:02:00.0' },
    ]);
    expect(comparison).toMatchObject({ unchanged: 2, added: [], removed: [], renumbered: [], regrouped: [] });
  });

  it('a new device in front renumbers the groups behind it', () => {
    const after = machineOf([
      { at: '00:00.0', device: 0x3000 },
      { at: '00:01.0', port: 4, buses: [1, 1], acs: ISOLATING },
      { at: '01:00.0', port: 0, device: 0x1041 },
      { at: '00:05.0', device: 0x2000 },
    ]);
    const comparison = compareHosts(before, after);
    expect(comparison.added).toEqual(['0000:00:00.0']);
    expect(comparison.renumbered).toEqual([
      { device: '0000:00:01.0', before: 0, after: 1 },
      { device: '0000:01:00.0', before: 2, after: 3 },
      { device: '0000:00:05.0', before: 1, after: 2 },
    ]);
  });

  it('ACS gone: the company changes, and both sides are told', () => {
    const after = machineOf([
      { at: '00:01.0', port: 4, buses: [1, 1] },
      { at: '01:00.0', port: 0, device: 0x1041 },
      { at: '00:05.0', device: 0x2000 },
    ]);
    expect(compareHosts(before, after).regrouped).toEqual([
      { device: '0000:00:01.0', joined: ['0000:01:00.0'], left: [] },
      { device: '0000:01:00.0', joined: ['0000:00:01.0'], left: [] },
    ]);
  });
});

describe('graphics that translation breaks (quirk_iommu_igfx, quirk_calpella_no_shadow_gtt of intel/iommu.c)', () => {
  const graphics: FunctionPlan = { at: '00:02.0', vendor: 0x8086, device: 0x0046, classCode: 0x030000 };
  const others: FunctionPlan = { at: '00:19.0', vendor: 0x8086, device: 0x10ea };
  const machine = (bridge: number, control?: string): ReturnType<typeof machineOf> => {
    const made = machineOf(
      [{ at: '00:00.0', vendor: 0x8086, device: bridge, classCode: 0x060000 }, graphics, others],
      {
        iommu: undefined,
        dmar: dmarHex([unit(0xfed90000n, [{ type: 1, path: [[2, 0]] }]), unit(0xfed91000n, [], true)]),
      },
    );
    const { config = '' } = made.functions[0];
    const at = 0x52 * 2;
    if (control !== undefined)
      made.functions[0].config = config.slice(0, at) + control + config.slice(at + 4);
    return made;
  };
  const grouped = (report: ReturnType<typeof groupsOf>): string[] =>
    report.groups.flatMap((one) => one.devices);

  it.each([0x2a40, 0x0044])(
    '4 series and QM57 (8086:%s): the unit for graphics alone is left off',
    (bridge) => {
      const report = groupsOf(machine(bridge));
      expect(grouped(report)).toEqual(['0000:00:00.0', '0000:00:19.0']);
      expect(report.ungrouped.map((one) => one.device)).toEqual(['0000:00:02.0']);
    },
  );

  it('without a table too it is the graphics that has no group, not the host bridge by whose id it is known', () => {
    const { dmar: _, ...rest } = machine(0x2a40);
    const report = groupsOf({ ...rest, iommu: { state: 'assumed', because: 'test' } });
    expect(report.ungrouped.map((one) => one.device)).toEqual(['0000:00:02.0']);
  });

  it('Ironlake with a shadow GTT: flushing is strict; without: the unit is left off', () => {
    const kept = groupsOf(machine(0x0040, '0008'));
    expect(grouped(kept)).toContain('0000:00:02.0');
    expect(new Set(kept.groups.map((one) => one.type))).toEqual(new Set(['DMA']));
    const none = groupsOf(machine(0x0040, '0003'));
    expect(none.ungrouped.map((one) => one.device)).toEqual(['0000:00:02.0']);
    expect(new Set(none.groups.map((one) => one.type))).toEqual(new Set(['DMA-FQ']));
  });

  it('Ironlake where the source does not show the register: said so', () => {
    const made = machine(0x0040, '0003');
    made.functions[0].unknown = ['device registers'];
    expect(groupsOf(made).assumptions.join()).toContain('0x52');
  });
});

describe('requester ids that no capture shows', () => {
  it.each([0x8531, 0x8576, 0x4328, 0x5584])(
    'Switchtec 11f8:%s beside another function: said so',
    (device) => {
      const bridge: FunctionPlan = {
        at: '01:00.1',
        vendor: 0x11f8,
        device,
        classCode: 0x068000,
        port: 0,
        multifunction: true,
      };
      const manager: FunctionPlan = { ...bridge, at: '01:00.0', classCode: 0x058000 };
      const port: FunctionPlan = { at: '00:01.0', port: 4, buses: [1, 1], acs: ISOLATING };
      expect(groupsOf(machineOf([port, manager, bridge])).assumptions.join()).toContain(
        '0000:01:00.1: the proxy ids',
      );
      expect(
        groupsOf(machineOf([port, { ...bridge, at: '01:00.0', multifunction: false }])).assumptions.join(),
      ).not.toContain('proxy');
    },
  );
});

describe('explaining one device', () => {
  it('tells ACS as enumeration leaves it, where the source has what firmware left', () => {
    const machine = machineOf(
      [
        { at: '00:01.0', port: 4, buses: [1, 1], acs: [0x1d, 0] },
        { at: '01:00.0', port: 0 },
      ],
      { iommu: undefined, dmar: dmarHex([unit(0xfed90000n, [], true)]) },
    );
    const explanation = explainDevice(machine, groupsOf(machine), '0000:01:00.0');
    expect(explanation?.path.map((step) => step.isolated)).toEqual([true]);
  });

  it('gives requester ids, the way up and the slot', () => {
    const machine = machineOf(OPEN_SWITCH);
    const one = explainDevice(machine, groupsOf(machine), '0000:03:00.0');
    expect(one?.group?.devices).toContain('0000:04:00.0');
    expect(one?.requesterIds).toEqual([{ id: '03:00.0', of: '0000:03:00.0', kind: 'own' }]);
    expect(one?.path.map((step) => [step.device, step.isolated])).toEqual([
      ['0000:02:00.0', false],
      ['0000:01:00.0', true],
      ['0000:00:01.0', true],
    ]);
    expect(explainDevice(machine, groupsOf(machine), '0000:09:00.0')).toBeUndefined();
  });
});

describe('devices that are not PCI', () => {
  it('a vDPA device stays with its parent; a mediated device has a group that no IOMMU enforces', () => {
    const machine = machineOf([{ at: '00:05.0' }], {
      otherDevices: [
        { name: 'vdpa0', bus: 'vdpa', parent: '0000:00:05.0' },
        { name: '83b8f4f2-509f-382f-3c1e-e6bfe0fa1001', bus: 'mdev', parent: '0000:00:05.0' },
      ],
    });
    const { groups } = groupsOf(machine);
    expect(groups.map((group) => group.devices)).toEqual([
      ['0000:00:05.0', 'vdpa0'],
      ['83b8f4f2-509f-382f-3c1e-e6bfe0fa1001'],
    ]);
    expect(groups[0].reasons[1]).toMatchObject({ with: '0000:00:05.0', rule: 'not PCI' });
  });

  it('an ACPI device that a unit names has a group of its own, before the PCI devices of the unit (iommu_buses)', () => {
    const path = '\\_SB.PCI0.I2C0';
    const dmar = dmarHex([
      {
        kind: 'DRHD',
        includeAll: true,
        sizeShift: 0,
        segment: 0,
        registerBase: 0xfed90000n,
        scopes: [{ type: 5, flags: 0, enumerationId: 1, startBus: 0, path: [{ device: 0x15, function: 0 }] }],
      },
      { kind: 'ANDD', deviceNumber: 1, name: path },
    ]);
    const { groups } = groupsOf(
      machineOf([{ at: '00:05.0' }], {
        iommu: { state: 'on', because: 'test' },
        dmar,
        // As sysfs prints it: names filled up to four characters.
        otherDevices: [{ name: 'INT33C2:00', bus: 'acpi', acpiPath: '\\_SB_.PCI0.I2C0' }],
      }),
    );
    expect(groups.map((group) => group.devices)).toEqual([['INT33C2:00'], ['0000:00:05.0']]);
    const unlisted = groupsOf(
      machineOf([{ at: '00:05.0' }], { iommu: { state: 'on', because: 'test' }, dmar }),
    );
    expect(unlisted.groups).toHaveLength(1);
    expect(unlisted.assumptions[0]).toContain(path);
  });
});

describe('a DMAR that lies about its length', () => {
  it('is refused with the offset', () => {
    const { description } = loadHost(join(import.meta.dirname, '../../fixtures/captures/dmar-rmrr'));
    const bytes = readFileSync(join(import.meta.dirname, '../../fixtures/captures/dmar-rmrr/dmar.bin'));
    const cut = { ...description, dmar: bytes.subarray(0, bytes.length - 8).toString('hex') };
    expect(() => groupsOf(cut)).toThrow('the header says 290 bytes, there are 282');
  });
});
