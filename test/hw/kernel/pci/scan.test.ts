import { describe, expect, it } from 'vitest';
import { scanPci } from '../../../../hw/kernel/pci/scan.ts';
import { buildHierarchy } from '../../../../hw/pci/from-description.ts';
import { type FunctionPlan, ISOLATING, machineOf } from '../../../support/pci-machine.ts';

function scan(plans: readonly FunctionPlan[]) {
  const { hierarchy } = buildHierarchy(machineOf(plans));
  return scanPci(hierarchy, [{ segment: 0, bus: 0 }]);
}

const names = (plans: readonly FunctionPlan[]): string[] =>
  scan(plans).devices.map((device) => device.name.slice(5));

describe('the bus scan (drivers/pci/probe.c)', () => {
  it('finds all functions of a bus, then what lies behind each bridge in turn', () => {
    const plans: FunctionPlan[] = [
      { at: '00:01.0', port: 4, buses: [1, 2], acs: ISOLATING },
      { at: '00:02.0' },
      { at: '01:00.0', port: 5, buses: [2, 2] },
      { at: '02:00.0', port: 6 },
      { at: '00:03.0', port: 4, buses: [3, 3] },
      { at: '03:00.0' },
    ];
    expect(names(plans)).toEqual(['00:01.0', '00:02.0', '00:03.0', '01:00.0', '02:00.0', '03:00.0']);
  });

  it('looks at functions 1 to 7 only when function 0 says multi-function', () => {
    expect(names([{ at: '00:02.0' }, { at: '00:02.3' }])).toEqual(['00:02.0']);
    expect(names([{ at: '00:02.0', multifunction: true }, { at: '00:02.3' }])).toEqual([
      '00:02.0',
      '00:02.3',
    ]);
  });

  it('functions beyond 0 count as multi-function whatever their header says', () => {
    const found = scan([{ at: '00:02.0', multifunction: true }, { at: '00:02.3' }]);
    expect(found.find('0000:00:02.3')?.multifunction).toBe(true);
  });

  it('with ARI forwarding follows the chain of function numbers, and stops where it ends', () => {
    const port: FunctionPlan = { at: '00:01.0', port: 4, buses: [1, 1], forwardsAri: true };
    const chain: FunctionPlan[] = [
      { at: '01:00.0', port: 0, ari: 9, multifunction: true },
      { at: '01:01.1', port: 0, ari: 0 },
    ];
    expect(names([port, ...chain])).toEqual(['00:01.0', '01:00.0', '01:01.1']);
    const ended: FunctionPlan[] = [
      { at: '01:00.0', port: 0, ari: 0, multifunction: true },
      { at: '01:00.1', port: 0, ari: 0 },
    ];
    expect(names([port, ...ended])).toEqual(['00:01.0', '01:00.0']);
  });

  it('below a root port there is one device, number 0', () => {
    const plans: FunctionPlan[] = [
      { at: '00:01.0', port: 4, buses: [1, 1] },
      { at: '01:00.0' },
      { at: '01:01.0' },
    ];
    expect(names(plans)).toEqual(['00:01.0', '01:00.0']);
  });

  it('corrects two downstream ports in a row (set_pcie_port_type)', () => {
    const found = scan([
      { at: '00:01.0', port: 6, buses: [1, 2] },
      { at: '01:00.0', port: 6, buses: [2, 2] },
    ]);
    expect(found.find('0000:01:00.0')?.portType).toBe('upstream port');
  });

  it('virtual functions take vendor and device from the physical one, on a bus without a bridge when they go beyond it', () => {
    const found = scan([
      { at: '00:01.0', port: 4, buses: [1, 2] },
      {
        at: '01:00.0',
        port: 0,
        vendor: 0x8086,
        device: 0x10c9,
        sriov: { total: 2, count: 2, offset: 0xff, stride: 1 },
      },
      { at: '01:1f.7', port: 0, vendor: 0xffff, device: 0xffff },
      { at: '02:00.0', port: 0, vendor: 0xffff, device: 0xffff },
    ]);
    const second = found.find('0000:02:00.0');
    expect([second?.vendorId, second?.deviceId, second?.isVirtualFunction]).toEqual([0x8086, 0x10ca, true]);
    expect(second?.bus.bridge).toBeUndefined();
    expect(second?.bus.parent?.number).toBe(1);
  });

  it.each([
    ['its own bus', [0, 1], /must lie beyond bus 00/],
    ['an end before the start', [3, 2], /ends before it starts/],
  ] as const)('names a bridge with impossible bus numbers: %s', (_what, buses, message) => {
    const plans: FunctionPlan[] = [
      { at: '00:01.0', port: 4, buses: [buses[0], buses[1]] as [number, number] },
      { at: '00:02.0' },
    ];
    const { problems, devices } = scan(plans);
    expect(devices).toHaveLength(2);
    expect(problems[0].problem).toMatch(message);
  });

  it('two bridges that claim one bus: the second is named and the rest stays usable', () => {
    const { problems, devices } = scan([
      { at: '00:01.0', port: 4, buses: [1, 1] },
      { at: '00:02.0', port: 4, buses: [1, 1] },
      { at: '01:00.0' },
    ]);
    expect(devices).toHaveLength(3);
    expect(problems).toMatchObject([
      {
        device: '0000:00:02.0',
        problem: 'bridge configuration invalid ([bus 01-01]): bus 01 is the bus behind 0000:00:01.0 already',
      },
    ]);
  });
});

describe('requester ids of a device (pci_for_each_dma_alias)', () => {
  const idsOf = (plans: readonly FunctionPlan[], name: string): string[] =>
    (scan(plans).find(`0000:${name}`)?.dmaAliases ?? []).map((id) => id.toString(16).padStart(4, '0'));

  it('PCIe ports change nothing; a PCIe-to-PCI bridge gives secondary:00.0', () => {
    const plans: FunctionPlan[] = [
      { at: '00:01.0', port: 4, buses: [3, 4] },
      { at: '03:00.0', port: 7, buses: [4, 4] },
      { at: '04:01.0' },
    ];
    expect(idsOf(plans, '03:00.0')).toEqual(['0300']);
    expect(idsOf(plans, '04:01.0')).toEqual(['0408', '0400']);
  });

  it('conventional bridges give their own id, each on the way up', () => {
    const plans: FunctionPlan[] = [
      { at: '00:1e.0', buses: [5, 6] },
      { at: '05:02.0', buses: [6, 6] },
      { at: '06:03.0' },
    ];
    expect(idsOf(plans, '06:03.0')).toEqual(['0618', '0510', '00f0']);
  });

  it('a conventional bridge known to be a PCIe one gives secondary:00.0, but only below a PCIe port', () => {
    const bridge = { vendor: 0x1b21, device: 0x1080, buses: [2, 2] as [number, number] };
    const below: FunctionPlan[] = [
      { at: '00:01.0', port: 4, buses: [1, 2] },
      { at: '01:00.0', ...bridge },
      { at: '02:01.0' },
    ];
    expect(idsOf(below, '02:01.0')).toEqual(['0208', '0200']);
    const onRoot: FunctionPlan[] = [{ at: '00:01.0', ...bridge }, { at: '02:01.0' }];
    expect(idsOf(onRoot, '02:01.0')).toEqual(['0208', '0008']);
  });
});
