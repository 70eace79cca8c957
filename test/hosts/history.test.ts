/** What happened between boot and capture, as boots of Linux 7.2 with such steps showed it. */
import { describe, expect, it } from 'vitest';
import { buildHost } from '../../hw/host.ts';
import type { HostEvent } from '../../hw/host-description.ts';
import { groupsOf } from '../../hw/isolation/groups.ts';
import { stepsToEvents } from '../../src/hosts/capture-steps.ts';
import { formerFunctions } from '../../src/hosts/former-functions.ts';
import { devicesOf, qemuResolver } from '../../src/hosts/qemu-devices.ts';
import { type FunctionPlan, ISOLATING, machineOf } from '../support/pci-machine.ts';

/** `00:01.0 | 00:02.0 01:00.0`: groups by number, `-` for a number that is free; computed, and of the booted host. */
function groups(plans: readonly FunctionPlan[], history: HostEvent[]): string {
  const description = machineOf(plans, { history });
  const text = (found: readonly { id: number; devices: readonly string[] }[]): string =>
    Array.from({ length: Math.max(...found.map((one) => one.id)) + 1 }, (_, id) => {
      const group = found.find((one) => one.id === id);
      return group === undefined ? '-' : group.devices.map((name) => name.slice(5)).join(' ');
    }).join(' | ');
  const computed = text(groupsOf(description).groups);
  expect(text(buildHost(description, { profile: '7.2' }).groups())).toBe(computed);
  return computed;
}

const port = (at: string, bus: number): FunctionPlan => ({ at, port: 4, buses: [bus, bus], acs: ISOLATING });
const endpoint = (at: string): FunctionPlan => ({ at, port: 0 });
const removed = (device: string): HostEvent => ({ kind: 'remove', device: `0000:${device}` });

describe('rescan', () => {
  const machine = [port('00:01.0', 1), port('00:02.0', 2), endpoint('01:00.0'), endpoint('02:00.0')];

  it('bridges that were there are followed before those that come back (pci_rescan_bus)', () => {
    const events = [removed('00:01.0'), removed('02:00.0'), { kind: 'rescan' } as const];
    expect(groups(machine, events)).toBe('00:01.0 | 00:02.0 | 02:00.0 | 01:00.0');
  });

  it('of one bus finds nothing elsewhere', () => {
    const events = [removed('01:00.0'), removed('02:00.0')];
    expect(groups(machine, [...events, { kind: 'rescan', bus: '0000:02' }])).toBe(
      '00:01.0 | 00:02.0 | 02:00.0',
    );
    expect(groups(machine, [...events, { kind: 'rescan', bus: '0000:07' }])).toBe('00:01.0 | 00:02.0');
  });
});

describe('hot plug', () => {
  it('finds what is plugged in and nothing that was removed through sysfs', () => {
    const machine = [port('00:01.0', 1), port('00:02.0', 2), endpoint('01:00.0'), endpoint('02:00.0')];
    const events = [removed('01:00.0'), { kind: 'plug', device: '0000:02:00.0' } as const];
    expect(groups(machine, events)).toBe('00:01.0 | 00:02.0 | 02:00.0');
  });
});

describe('virtual functions', () => {
  const virtual = (at: string): FunctionPlan => ({ at, port: 0, vendor: 0xffff, device: 0xffff });
  const machine = [
    port('00:01.0', 1),
    { ...endpoint('01:00.0'), sriov: { total: 2, count: 2, offset: 16, stride: 1 } },
    virtual('01:02.0'),
    virtual('01:02.1'),
  ];
  const enable = (count: number): HostEvent => ({ kind: 'virtual-functions', device: '0000:01:00.0', count });

  it('have no file `remove` (pci_dev_hp_attrs_are_visible)', () => {
    expect(groups(machine, [enable(2), removed('01:02.0')])).toBe('00:01.0 | 01:00.0 | 01:02.0 | 01:02.1');
  });

  it('go with their physical function, which comes back with none and takes another count', () => {
    const away = [enable(1), removed('01:00.0'), { kind: 'rescan' } as const];
    expect(groups(machine, away)).toBe('00:01.0 | 01:00.0');
    expect(groups(machine, [...away, enable(2)])).toBe('00:01.0 | 01:00.0 | 01:02.0 | 01:02.1');
  });
});

describe('steps', () => {
  it('tell which bus is rescanned and a group by its number', () => {
    const script = `echo 1 > /sys/bus/pci/rescan
echo 1 > /sys/bus/pci/devices/0000:02:00.0/rescan
echo 1 > /sys/class/pci_bus/0000:01/rescan
echo DMA-FQ > /sys/kernel/iommu_groups/12/type
`;
    expect(stepsToEvents(script)).toEqual([
      { kind: 'rescan' },
      { kind: 'rescan', bus: '0000:02' },
      { kind: 'rescan', bus: '0000:01' },
      { kind: 'group-type', device: 12, type: 'DMA-FQ' },
    ]);
  });

  it('are taken from a loop over several lines', () => {
    const script = `rm_() { echo 1 > /sys/bus/pci/devices/$1/remove; }
for d in 0000:01:00.0 0000:02:00.0; do
    rm_ $d
    sleep 1
done
echo 1 > /sys/bus/pci/rescan
`;
    expect(stepsToEvents(script)).toEqual([removed('01:00.0'), removed('02:00.0'), { kind: 'rescan' }]);
  });

  it('a type written to a group by number; the driver of a member keeps the type as it is', () => {
    const machine = machineOf([{ at: '00:01.0' }, { at: '00:02.0' }, { at: '00:03.0' }], {
      history: [1, 2].map((device) => ({ kind: 'group-type', device, type: 'identity' }) as const),
    });
    machine.functions[2].driver = 'e1000';
    const types = ['DMA-FQ', 'identity', 'DMA-FQ'];
    expect(groupsOf(machine).groups.map((group) => group.type)).toEqual(types);
    expect(
      buildHost(machine, { profile: '7.2' })
        .groups()
        .map((group) => group.type),
    ).toEqual(types);
  });

  it('where the command line tells the place, a wait for something else does not', () => {
    const host = machineOf([
      { at: '00:03.0', port: 4, buses: [7, 7] },
      { at: '00:05.0', buses: [3, 3] },
    ]);
    const qemu =
      '-device pcie-root-port,id=rp,bus=pcie.0,addr=3.0 -device pci-bridge,id=br,bus=pcie.0,addr=5 ';
    const add = (id: string, bus: string, at: string): string =>
      `qmp '{"execute":"device_add","arguments":{"driver":"e1000","id":"${id}","bus":"${bus}"}}'
wait_for 30 present ${at}
`;
    // On a conventional bus QEMU takes the first free slot: only the wait tells it.
    expect(
      stepsToEvents(
        `${add('a', 'rp', '0000:09:00.0')}${add('b', 'br', '0000:03:02.0')}`,
        qemuResolver(qemu, host),
      ),
    ).toEqual([
      { kind: 'plug', device: '0000:07:00.0' },
      { kind: 'plug', device: '0000:03:02.0' },
    ]);
  });
});

describe('what was pulled out before the capture', () => {
  const qemu =
    '-device pcie-root-port,id=rp,bus=pcie.0,addr=1.0 -device igb,id=a,bus=rp,addr=0.0,multifunction=on -device edu,id=b,bus=rp,addr=0.1,multifunction=on ';

  it('left with the other functions of its slot and with its virtual functions, whose numbers others took since', () => {
    const events: HostEvent[] = [
      { kind: 'virtual-functions', device: '0000:01:00.0', count: 2 },
      { kind: 'virtual-functions', device: '0000:02:00.0', count: 1 },
      { kind: 'unplug', device: '0000:01:00.0' },
    ];
    const machine = machineOf([
      port('00:01.0', 1),
      port('00:02.0', 2),
      { ...endpoint('02:00.0'), sriov: { total: 1, count: 1, offset: 1, stride: 1 } },
      { at: '02:00.1', port: 0, vendor: 0xffff, device: 0xffff },
    ]);
    const formerly = formerFunctions(events, machine, devicesOf(qemu));
    expect(formerly.map((one) => one.address).sort()).toEqual([
      '0000:01:00.0',
      '0000:01:00.1',
      '0000:01:10.0',
      '0000:01:10.2',
    ]);
    const { groups: found } = groupsOf({ ...machine, history: events, formerFunctions: formerly });
    expect(found.map((one) => [one.id, ...one.devices])).toEqual([
      [0, '0000:00:01.0'],
      [1, '0000:00:02.0'],
      [4, '0000:02:00.0'],
      [7, '0000:02:00.1'],
    ]);
  });

  it('does not come back when something else takes the slot', () => {
    const events: HostEvent[] = [
      { kind: 'unplug', device: '0000:01:00.0' },
      { kind: 'plug', device: '0000:01:00.0' },
    ];
    const machine = machineOf([port('00:01.0', 1), endpoint('01:00.0'), endpoint('00:02.0')]);
    const former = formerFunctions(
      events,
      { ...machine, functions: machine.functions.slice(0, 1) },
      devicesOf(qemu),
    );
    const gone = former.filter((one) => one.address === '0000:01:00.1');
    expect(gone).toHaveLength(1);
    const { groups: found } = groupsOf({ ...machine, history: events, formerFunctions: gone });
    expect(found.flatMap((one) => one.devices)).not.toContain('0000:01:00.1');
  });

  it('stays away when the port above it is removed and found again', () => {
    const machine = [port('00:01.0', 1), endpoint('01:00.0'), endpoint('00:02.0')];
    const events: HostEvent[] = [
      { kind: 'unplug', device: '0000:01:00.0' },
      removed('00:01.0'),
      { kind: 'rescan' },
    ];
    expect(groups(machine, events)).toBe('00:01.0 | 00:02.0');
  });
});
