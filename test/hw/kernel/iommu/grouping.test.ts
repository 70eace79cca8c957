/** The worked examples of the isolation reference, and one test per rule (drivers/iommu/iommu.c, pci_device_group). */
import { describe, expect, it } from 'vitest';
import { groupsOf } from '../../../../hw/isolation/groups.ts';
import { type FunctionPlan, functionOf, ISOLATING, machineOf } from '../../../support/pci-machine.ts';

/** `00:1c.0 02:00.0 | 00:1f.0`: groups by number. */
function partition(plans: readonly FunctionPlan[]): string {
  return groupsOf(machineOf(plans))
    .groups.map((group) => group.devices.map((name) => name.replace(/^0000:/, '')).join(' '))
    .join(' | ');
}

const OPEN: [number, number] = [0x1d, 0];
const rootPort = (at: string, buses: [number, number], more: Partial<FunctionPlan> = {}): FunctionPlan => ({
  at,
  port: 4,
  buses,
  acs: ISOLATING,
  ...more,
});

describe('which group a device joins', () => {
  it('A: root ports of one slot without ACS share with all behind them', () => {
    const ports = [
      rootPort('00:1c.0', [2, 2], { acs: undefined, multifunction: true }),
      rootPort('00:1c.4', [3, 3], { acs: undefined }),
    ];
    expect(partition([...ports, { at: '02:00.0', port: 0 }, { at: '03:00.0', port: 0 }])).toBe(
      '00:1c.0 00:1c.4 02:00.0 03:00.0',
    );
  });

  it('B: with ACS on both ports everything is alone, bridges numbered before what is behind them', () => {
    const ports = [rootPort('00:1c.0', [2, 2], { multifunction: true }), rootPort('00:1c.4', [3, 3])];
    expect(partition([...ports, { at: '02:00.0', port: 0 }, { at: '03:00.0', port: 0 }])).toBe(
      '00:1c.0 | 00:1c.4 | 02:00.0 | 03:00.0',
    );
  });

  it('C: a PCIe-to-PCI bridge and all conventional devices behind it are one group', () => {
    const plans = [
      rootPort('00:01.0', [3, 4]),
      { at: '03:00.0', port: 7, buses: [4, 4] as [number, number] },
      { at: '04:00.0' },
      { at: '04:01.0' },
    ];
    expect(partition(plans)).toBe('00:01.0 | 03:00.0 04:00.0 04:01.0');
  });

  it('D: functions of an endpoint without ACS share', () => {
    const plans = [
      rootPort('00:01.0', [1, 1]),
      { at: '01:00.0', port: 0, multifunction: true, vendor: 0x10de },
      { at: '01:00.1', port: 0, vendor: 0x10de },
    ];
    expect(partition(plans)).toBe('00:01.0 | 01:00.0 01:00.1');
  });

  it('E: a virtual function counts as single-function and is alone behind an isolating port', () => {
    const plans = [
      rootPort('00:01.0', [0x3b, 0x3b]),
      { at: '3b:00.0', port: 0, sriov: { total: 2, count: 2, offset: 16, stride: 1 } },
      { at: '3b:02.0', port: 0, vendor: 0xffff, device: 0xffff },
      { at: '3b:02.1', port: 0, vendor: 0xffff, device: 0xffff },
    ];
    expect(partition(plans)).toBe('00:01.0 | 3b:00.0 | 3b:02.0 | 3b:02.1');
  });

  it('E: behind a port without ACS virtual functions join its group', () => {
    const plans = [
      rootPort('00:01.0', [0x3b, 0x3b], { acs: undefined }),
      { at: '3b:00.0', port: 0, sriov: { total: 1, count: 1, offset: 16, stride: 1 } },
      { at: '3b:02.0', port: 0, vendor: 0xffff, device: 0xffff },
    ];
    expect(partition(plans)).toBe('00:01.0 3b:00.0 3b:02.0');
  });

  it('F: an Intel root complex integrated endpoint is alone among the functions of its slot (quirk)', () => {
    const plans = [
      { at: '00:0a.0', port: 9, vendor: 0x8086, multifunction: true },
      { at: '00:0a.1', port: 9, vendor: 0x8086 },
    ];
    expect(partition(plans)).toBe('00:0a.0 | 00:0a.1');
    expect(partition(plans.map((plan) => ({ ...plan, vendor: 0x1af4 })))).toBe('00:0a.0 00:0a.1');
  });

  it('G: a Ricoh function uses the requester id of function 0, so they share although each has ACS', () => {
    const ricoh = { port: 0, vendor: 0x1180, acs: ISOLATING };
    const plans = [
      rootPort('00:01.0', [5, 5]),
      { at: '05:00.0', ...ricoh, device: 0xe230, multifunction: true },
      { at: '05:00.1', ...ricoh, device: 0xe832 },
    ];
    const { groups } = groupsOf(machineOf(plans));
    expect(groups.map((group) => group.devices)).toEqual([
      ['0000:00:01.0'],
      ['0000:05:00.0', '0000:05:00.1'],
    ]);
    expect(groups[1].reasons[1]).toMatchObject({ with: '0000:05:00.0', rule: 'shares requester id' });
  });

  it('H: downstream ports without ACS in slots of their own: a group each with what is behind it', () => {
    const plans = [
      rootPort('00:01.0', [1, 4]),
      { at: '01:00.0', port: 5, buses: [2, 4] as [number, number] },
      { at: '02:00.0', port: 6, buses: [3, 3] as [number, number] },
      { at: '02:01.0', port: 6, buses: [4, 4] as [number, number] },
      { at: '03:00.0', port: 0 },
      { at: '04:00.0', port: 0 },
    ];
    expect(partition(plans)).toBe('00:01.0 | 01:00.0 | 02:00.0 03:00.0 | 02:01.0 04:00.0');
  });

  it('I: the same ports as functions of one slot: one group', () => {
    const plans = [
      rootPort('00:01.0', [1, 4]),
      { at: '01:00.0', port: 5, buses: [2, 4] as [number, number] },
      { at: '02:00.0', port: 6, buses: [3, 3] as [number, number], multifunction: true },
      { at: '02:00.1', port: 6, buses: [4, 4] as [number, number] },
      { at: '03:00.0', port: 0 },
      { at: '04:00.0', port: 0 },
    ];
    expect(partition(plans)).toBe('00:01.0 | 01:00.0 | 02:00.0 02:00.1 03:00.0 04:00.0');
  });

  it('J: all behind a VMD endpoint carry its requester id', () => {
    const plans = [
      { at: '0000:00:0e.0', port: 9, vendor: 0x8086, device: 0x467f, classCode: 0x010400 },
      { at: '10000:e0:06.0', port: 4, buses: [0xe1, 0xe1] as [number, number], acs: ISOLATING },
      { at: '10000:e1:00.0', port: 0 },
    ];
    const { groups } = groupsOf(machineOf(plans));
    expect(groups).toHaveLength(1);
    expect(groups[0].reasons[2]).toMatchObject({ with: '0000:00:0e.0', rule: 'behind a VMD endpoint' });
  });

  it('K: a conventional bridge on the root bus takes what is behind it into its group', () => {
    const plans = [
      { at: '00:1e.0', vendor: 0x8086, device: 0x244e, buses: [5, 5] as [number, number] },
      { at: '05:00.0' },
    ];
    expect(partition(plans)).toBe('00:1e.0 05:00.0');
  });

  it('L: ACS further down does not help when a port above lacks it', () => {
    const plans = [
      rootPort('00:03.0', [7, 0x0a], { acs: undefined }),
      { at: '07:00.0', port: 5, buses: [8, 0x0a] as [number, number] },
      { at: '08:01.0', port: 6, buses: [9, 9] as [number, number], acs: ISOLATING },
      { at: '08:02.0', port: 6, buses: [0x0a, 0x0a] as [number, number], acs: ISOLATING },
      { at: '09:00.0', port: 0 },
      { at: '0a:00.0', port: 0 },
    ];
    expect(partition(plans)).toBe('00:03.0 07:00.0 08:01.0 08:02.0 09:00.0 0a:00.0');
  });

  it('an upstream port that shares its slot with an endpoint pulls the whole switch together', () => {
    const plans = [
      rootPort('00:01.0', [1, 3]),
      { at: '01:00.0', port: 5, buses: [2, 3] as [number, number], multifunction: true },
      { at: '01:00.1', port: 0 },
      { at: '02:00.0', port: 6, buses: [3, 3] as [number, number], acs: ISOLATING },
      { at: '03:00.0', port: 0 },
    ];
    expect(partition(plans)).toBe('00:01.0 | 01:00.0 01:00.1 02:00.0 03:00.0');
  });

  it('a reverse bridge (PCI to PCIe) answers with its own requester id for what is behind it', () => {
    const plans = [
      { at: '00:02.0', port: 8, buses: [1, 1] as [number, number] },
      { at: '01:00.0', port: 0 },
    ];
    expect(partition(plans)).toBe('00:02.0 01:00.0');
  });
});

describe('ACS controls', () => {
  const under = (acs: [number, number] | undefined): string =>
    partition([
      { at: '00:01.0', port: 4, buses: [1, 1], acs },
      { at: '01:00.0', port: 0 },
    ]);

  it.each([
    ['source validation', 0x1c],
    ['request redirect', 0x19],
    ['completion redirect', 0x15],
    ['upstream forwarding', 0x0d],
  ])('%s off while the capability has it: the port does not isolate', (_name, control) => {
    expect(under([0x1d, control])).toBe('00:01.0 01:00.0');
  });

  it('a control that the capability lacks is not asked for', () => {
    expect(under([0x01, 0x01])).toBe('00:01.0 | 01:00.0');
    expect(under([0x00, 0x00])).toBe('00:01.0 | 01:00.0');
  });

  it('translation blocking, egress control and direct translated do not matter to groups', () => {
    expect(under([0x7f, 0x1d])).toBe('00:01.0 | 01:00.0');
  });

  it('no capability at all: the port does not isolate; with controls off neither', () => {
    expect(under(undefined)).toBe('00:01.0 01:00.0');
    expect(under(OPEN)).toBe('00:01.0 01:00.0');
  });

  it('a root complex event collector never isolates', () => {
    const plans = [
      { at: '00:04.0', port: 10, multifunction: true, acs: ISOLATING },
      { at: '00:04.1', port: 9 },
    ];
    expect(partition(plans)).toBe('00:04.0 00:04.1');
  });

  it('only functions that themselves lack ACS join: one with ACS stays out', () => {
    const plans = [
      { at: '00:04.0', port: 9, multifunction: true },
      { at: '00:04.1', port: 9, acs: [0x0c, 0x0c] as [number, number] },
      { at: '00:04.2', port: 9 },
    ];
    expect(partition(plans)).toBe('00:04.0 00:04.2 | 00:04.1');
  });

  it('the reason names the register and the bits', () => {
    const { groups } = groupsOf(
      machineOf([
        { at: '00:01.0', port: 4, buses: [1, 1], acs: [0x1d, 0x11] },
        { at: '01:00.0', port: 0 },
      ]),
    );
    expect(groups[0].reasons[1].detail).toContain('ACS control at 0x106 is 0x0011: ReqRedir, CmpltRedir off');
  });
});

describe('quirks by device id', () => {
  const port = (device: number, more: Partial<FunctionPlan> = {}): FunctionPlan => ({
    at: '00:1c.0',
    vendor: 0x8086,
    device,
    port: 4,
    buses: [1, 1],
    ...more,
  });
  const nic: FunctionPlan = { at: '01:00.0', port: 0 };

  it.each([0x3b42, 0x1c10, 0x1e1f, 0x8c10, 0x9c1b, 0x9c90, 0x1d10, 0x8d1e, 0x8c9e])(
    'chipset root port 8086:%s isolates without an ACS capability',
    (device) => {
      expect(partition([port(device), nic])).toBe('00:1c.0 | 01:00.0');
    },
  );

  it('other Intel root ports without ACS do not, nor odd ids of Patsburg', () => {
    expect(partition([port(0x1d11), nic])).toBe('00:1c.0 01:00.0');
    expect(partition([port(0x1901), nic])).toBe('00:1c.0 01:00.0');
  });

  it('Sunrise Point root ports hold their ACS control at offset 8 instead of 6', () => {
    const plan = port(0xa110, { acs: [0x1d, 0] });
    const machine = machineOf([plan, nic]);
    const { config = '' } = machine.functions[0];
    const withControl = (value: string): string =>
      config.slice(0, 0x108 * 2) + value + config.slice(0x10a * 2);
    const groups = (hex: string): number => {
      machine.functions[0].config = hex;
      return groupsOf(machine).groups.length;
    };
    expect(groups(withControl('1d00'))).toBe(2);
    expect(groups(withControl('0500'))).toBe(1);
  });

  it('a vendor that keeps its functions apart: 82576', () => {
    const functions = [0, 1].map(
      (fn): FunctionPlan => ({
        at: `00:04.${fn}`,
        vendor: 0x8086,
        device: 0x10c9,
        port: 0,
        multifunction: fn === 0,
      }),
    );
    expect(partition(functions)).toBe('00:04.0 | 00:04.1');
  });

  it('AMD south bridge functions are apart only under an AMD IOMMU', () => {
    const south = [0, 2].map(
      (fn): FunctionPlan => ({
        at: `00:14.${fn}`,
        vendor: 0x1002,
        device: fn === 0 ? 0x4385 : 0x4383,
        multifunction: fn === 0,
      }),
    );
    expect(partition(south)).toBe('00:14.0 00:14.2');
    const iommu = { at: '00:00.2', vendor: 0x1022, classCode: 0x080600 };
    const bridge = { at: '00:00.0', vendor: 0x1022, classCode: 0x060000, multifunction: true };
    expect(partition([bridge, iommu, ...south])).toBe('00:14.0 | 00:14.2');
  });

  it('an AMD machine: HyperTransport is reserved, nothing for an ISA bridge; an IOMMU that keeps absent entries is strict', () => {
    const iommu = functionOf({ at: '00:00.2', vendor: 0x1022, classCode: 0x080600 });
    const isa: FunctionPlan = { at: '00:14.3', vendor: 0x1022, classCode: 0x060100 };
    const withCapability = (header: string): string => {
      const config = iommu.config ?? '';
      return `${config.slice(0, 12)}10${config.slice(14, 0x68)}40${config.slice(0x6a, 0x80)}${header}${config.slice(0x88)}`;
    };
    const group = (header: string) => {
      const functions = [{ ...iommu, config: withCapability(header) }, functionOf(isa)];
      // A log that tells of the boot does not make it a machine without IOMMU: there is no DMAR on AMD.
      const state = { state: 'on', because: 'test' } as const;
      const { id: _, reasons: __, ...rest } = groupsOf(machineOf([], { functions, iommu: state })).groups[0];
      return rest;
    };
    const reserved = [
      { start: '0xfee00000', end: '0xfeefffff', type: 'msi' },
      { start: '0xfd00000000', end: '0xffffffffff', type: 'reserved' },
    ];
    expect(group('0f000000')).toEqual({ devices: ['0000:00:14.3'], type: 'DMA-FQ', reserved });
    expect(group('0f000004')).toEqual({ devices: ['0000:00:14.3'], type: 'DMA', reserved });
  });

  it('Marvell 9123 also uses the requester id of function 1, which need not exist', () => {
    const plans = [
      rootPort('00:01.0', [1, 1]),
      { at: '01:00.0', vendor: 0x1b4b, device: 0x9123, port: 0, multifunction: true, acs: ISOLATING },
      { at: '01:00.1', vendor: 0x1b4b, device: 0x91a4, port: 0, acs: ISOLATING },
    ];
    expect(partition(plans)).toBe('00:01.0 | 01:00.0 01:00.1');
    expect(partition(plans.slice(0, 2))).toBe('00:01.0 | 01:00.0');
  });

  it('AST1150 passes requester ids on but never isolates', () => {
    const plans = [
      rootPort('00:01.0', [6, 7]),
      { at: '06:00.0', vendor: 0x1a03, device: 0x1150, port: 7, buses: [7, 7] as [number, number] },
      { at: '07:00.0', vendor: 0x1a03, device: 0x2000 },
    ];
    const { groups } = groupsOf(machineOf(plans));
    expect(groups.map((group) => group.devices.length)).toEqual([1, 2]);
    expect(groups[1].reasons[1].rule).toBe('no isolation upstream');
  });
});
