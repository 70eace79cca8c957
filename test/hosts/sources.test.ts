import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { groupsOf } from '../../hw/isolation/groups.ts';
import { parseAcpidump } from '../../src/hosts/acpidump.ts';
import { kernelCommandLine, loggedRootBuses, qemuRootBusOrder } from '../../src/hosts/capture-files.ts';
import { stepsToEvents } from '../../src/hosts/capture-steps.ts';
import { formerFunctions } from '../../src/hosts/former-functions.ts';
import { loadHost, readDmarFile } from '../../src/hosts/import.ts';
import { parseGroupListing } from '../../src/hosts/iommu-groups.ts';
import { devicesOf, qemuResolver } from '../../src/hosts/qemu-devices.ts';
import { forgetHost, importedHost, importedHostNames, keepHost } from '../../src/hosts/store.ts';
import { scanSysfs } from '../../src/hosts/sysfs.ts';
import { functionOf, ISOLATING, machineOf } from '../support/pci-machine.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'vtdeck-hosts-'));
  process.env.VTDECK_HOME = join(folder, 'home');
});
afterEach(() => {
  delete process.env.VTDECK_HOME;
  rmSync(folder, { recursive: true, force: true });
});

const CAPTURE = join(import.meta.dirname, '../fixtures/captures/dmar-rmrr');

describe('acpidump', () => {
  it('gives the DMAR that a raw file holds, and an import uses it', () => {
    const raw = readFileSync(join(CAPTURE, 'dmar.bin'));
    const rows: string[] = [];
    for (let offset = 0; offset < raw.length; offset += 16) {
      const bytes = [...raw.subarray(offset, offset + 16)].map((byte) =>
        byte.toString(16).padStart(2, '0').toUpperCase(),
      );
      rows.push(`    ${offset.toString(16).padStart(4, '0').toUpperCase()}: ${bytes.join(' ')}  DMAR....`);
    }
    const text = `FACP @ 0x0000000000000000\n    0000: 46 41 43 50  FACP\n\nDMAR @ 0x0000000000000000\n${rows.join('\n')}\n`;
    expect(parseAcpidump(text).tables.map((table) => table.signature)).toEqual(['FACP', 'DMAR']);
    const path = join(folder, 'acpidump.txt');
    writeFileSync(path, text);
    const { description } = loadHost(join(CAPTURE, 'lspci.txt.gz'), { dmar: path });
    expect(description.dmar).toBe(raw.toString('hex'));
  });

  it('is read packed and as Windows shells save it; so is the text of lspci', () => {
    const raw = readFileSync(join(CAPTURE, 'dmar.bin'));
    const packed = join(folder, 'dmar.bin.gz');
    writeFileSync(packed, gzipSync(raw));
    expect(readDmarFile(packed).bytes).toEqual(new Uint8Array(raw));
    const text = gunzipSync(readFileSync(join(CAPTURE, 'lspci.txt.gz'))).toString('latin1');
    const wide = join(folder, 'lspci.txt');
    writeFileSync(wide, Buffer.from(`\ufeff${text.replaceAll('\n', '\r\n')}`, 'utf16le'));
    expect(loadHost(wide).description.functions).toEqual(
      loadHost(join(CAPTURE, 'lspci.txt.gz')).description.functions,
    );
    expect(loadHost(wide).problems).toEqual([]);
  });

  it('names a row that is missing, with its line', () => {
    const path = join(folder, 'acpidump.txt');
    writeFileSync(
      path,
      'DMAR @ 0x0\n    0000: 44 4D 41 52 00 00 00 00 00 00 00 00 00 00 00 00\n    0020: 00\n',
    );
    expect(() => loadHost(join(CAPTURE, 'lspci.txt.gz'), { dmar: path })).toThrow(
      /DMAR: row 0x20 where 0x10 should follow/,
    );
  });

  it('a dump without DMAR and IVRS tells that there is no IOMMU', () => {
    const path = join(folder, 'acpidump.txt');
    writeFileSync(path, 'FACP @ 0x0000000000000000\n    0000: 46 41 43 50  FACP\n');
    const { description } = loadHost(join(CAPTURE, 'lspci.txt.gz'), { dmar: path });
    expect(groupsOf(description).ungrouped[0].why).toContain('neither a DMAR nor an IVRS');
  });

  it('a file that is neither table nor dump is refused', () => {
    const path = join(folder, 'dmar.bin');
    writeFileSync(path, 'nonsense');
    expect(() => loadHost(join(CAPTURE, 'lspci.txt.gz'), { dmar: path })).toThrow(/neither a raw DMAR table/);
  });
});

describe('steps after boot', () => {
  it('functions of the script are known by what they write', () => {
    const script = `set_vfs() {
    wait_for 20 test -e /sys/bus/pci/devices/$1/sriov_numvfs
    echo $2 > /sys/bus/pci/devices/$1/sriov_numvfs || say "failed"
}
rm_() { echo 1 > /sys/bus/pci/devices/$1/remove; wait_for 5 absent $1; }
set_vfs 0000:01:00.0 4
rm_ 0000:00:05.0
echo 1 > /sys/bus/pci/rescan
echo identity > /sys/bus/pci/devices/0000:01:00.0/iommu_group/type
qmp '{"execute":"device_del","arguments":{"id":"d1"}}'
wait_for 30 absent 0000:02:00.0
qmp '{"execute":"device_add","arguments":{"driver":"nvme","id":"d2"}}'
wait_for 30 present 0000:03:00.0
for d in 0000:04:00.0 0000:05:00.0; do rm_ $d; done
`;
    expect(stepsToEvents(script)).toEqual([
      { kind: 'virtual-functions', device: '0000:01:00.0', count: 4 },
      { kind: 'remove', device: '0000:00:05.0' },
      { kind: 'rescan' },
      { kind: 'group-type', device: '0000:01:00.0', type: 'identity' },
      { kind: 'unplug', device: '0000:02:00.0' },
      { kind: 'plug', device: '0000:03:00.0' },
      { kind: 'remove', device: '0000:04:00.0' },
      { kind: 'remove', device: '0000:05:00.0' },
    ]);
  });

  it('a group outlives the device that tied it: reasons name who is still there', () => {
    const functions = [0, 1, 2].map((fn) => functionOf({ at: `00:04.${fn}`, multifunction: fn === 0 }));
    const removed = (...names: string[]) =>
      groupsOf(
        machineOf([], { functions, history: names.map((device) => ({ kind: 'remove', device }) as const) }),
      ).groups[0].reasons.map((reason) => [reason.device, reason.with, reason.rule]);
    expect(removed('0000:00:04.0')).toEqual([
      ['0000:00:04.1', '0000:00:04.2', 'functions not isolated'],
      ['0000:00:04.2', '0000:00:04.1', 'functions not isolated'],
    ]);
    expect(removed('0000:00:04.0', '0000:00:04.1')).toEqual([['0000:00:04.2', null, 'alone']]);
  });

  it('the type of a group with a bound driver stays, but for DMA to DMA-FQ (iommu_group_store_type)', () => {
    const functions = [{ ...functionOf({ at: '00:01.0' }), driver: 'e1000' }];
    const typed = (type: string, more: object = {}): string | undefined =>
      groupsOf(
        machineOf([], {
          functions,
          history: [{ kind: 'group-type', device: '0000:00:01.0', type, ...more }],
          ...more,
        }),
      ).groups[0]?.type;
    expect(typed('identity')).toBe('DMA-FQ');
    expect(typed('DMA-FQ', { kernelCommandLine: 'iommu.strict=1' })).toBe('DMA-FQ');
    expect(
      groupsOf(
        machineOf([], {
          functions,
          history: [{ kind: 'group-type', device: '0000:00:01.0', type: 'identity', unbound: true }],
        }),
      ).groups[0]?.type,
    ).toBe('identity');
  });

  it('without a wait the QEMU command line tells where a device sits', () => {
    const qemu = '-device pcie-root-port,id=rp1,bus=pcie.0,addr=3.0 -device e1000e,id=d1,bus=rp1 ';
    const host = machineOf([{ at: '00:03.0', port: 4, buses: [7, 7] }]);
    const script = `qmp '{"execute":"device_del","arguments":{"id":"d1"}}'
sleep 2
qmp '{"execute":"device_add","arguments":{"driver":"nvme","id":"d2","bus":"rp1"}}'
`;
    expect(stepsToEvents(script, qemuResolver(qemu, host))).toEqual([
      { kind: 'unplug', device: '0000:07:00.0' },
      { kind: 'plug', device: '0000:07:00.0' },
    ]);
  });

  it('QMP tells the slot of a new device, an expander its root bus, and an id is remembered', () => {
    const qemu =
      '-device pxb-pcie,id=x1,bus=pcie.0,addr=1c.0,bus_nr=104 -device pci-bridge,id=br,bus=pcie.0,addr=5 -device pcie-root-port,id=rp,bus=x1,addr=0 ';
    const host = machineOf([
      { at: '00:05.0', buses: [3, 3] },
      { at: '68:00.0', port: 4, buses: [0x69, 0x69] },
    ]);
    const add = (id: string, bus: string, more = ''): string =>
      `qmp '{"execute":"device_add","arguments":{"driver":"e1000","id":"${id}","bus":"${bus}"${more}}}'\n`;
    const script = `${add('d1', 'br', ',"addr":"0x6"')}${add('d2', 'rp')}qmp '{"execute":"device_del","arguments":{"id":"d1"}}'\n`;
    expect(stepsToEvents(script, qemuResolver(qemu, host))).toEqual([
      { kind: 'plug', device: '0000:03:06.0' },
      { kind: 'plug', device: '0000:69:00.0' },
      { kind: 'unplug', device: '0000:03:06.0' },
    ]);
  });

  it('a removed bridge took all behind it: the others keep the numbers that they had beside them', () => {
    const qemu = [
      'pcie-root-port,id=rp1,bus=pcie.0,addr=2.0',
      'pcie-root-port,id=rp2,bus=pcie.0,addr=3.0',
      'x3130-upstream,id=su,bus=rp2',
      'xio3130-downstream,id=sd0,bus=su,addr=0.0',
      'xio3130-downstream,id=sd1,bus=su,addr=1.0',
      'nvme,bus=sd0',
      'edu,bus=sd1',
      'pcie-root-port,id=rp3,bus=pcie.0,addr=4.0',
      'nvme,bus=rp1',
      'nvme,bus=rp3',
    ].map((device) => `  -device ${device}\n`);
    const plans = [
      { at: '00:02.0', port: 4, buses: [1, 1] as [number, number], acs: ISOLATING },
      { at: '00:04.0', port: 4, buses: [6, 6] as [number, number], acs: ISOLATING },
      { at: '01:00.0', port: 0 },
      { at: '06:00.0', port: 0 },
    ];
    const present = machineOf(plans);
    const former = formerFunctions(
      [{ kind: 'remove', device: '0000:00:03.0' }],
      present,
      devicesOf(qemu.join('')),
    );
    expect(former.map((one) => one.address).sort()).toEqual([
      '0000:00:03.0',
      '0000:02:00.0',
      '0000:03:00.0',
      '0000:03:01.0',
      '0000:04:00.0',
      '0000:05:00.0',
    ]);
    const history = [{ kind: 'remove' as const, device: '0000:00:03.0' }];
    const { groups } = groupsOf(machineOf(plans, { formerFunctions: former, history }));
    // 00:02.0, the port that is gone, 00:04.0; then 01:00.0; the upstream port and two downstream ports with what is
    // behind them; then 06:00.0.
    expect(groups.map((group) => [group.id, group.devices[0]])).toEqual([
      [0, '0000:00:02.0'],
      [2, '0000:00:04.0'],
      [3, '0000:01:00.0'],
      [7, '0000:06:00.0'],
    ]);
  });

  it('virtual functions are not changed while some are on, nor made beyond the total (sriov_numvfs_store)', () => {
    const plans = [
      { at: '00:02.0', port: 4, buses: [1, 2] as [number, number], acs: ISOLATING },
      { at: '01:00.0', port: 0, sriov: { total: 4, count: 2, offset: 0x80, stride: 1 } },
    ];
    const set = (count: number) => ({ kind: 'virtual-functions' as const, device: '0000:01:00.0', count });
    const made = (...counts: number[]): number =>
      groupsOf(machineOf(plans, { history: counts.map(set) })).groups.flatMap((one) => one.devices).length -
      2;
    expect(made(2, 3)).toBe(2);
    expect(made(2, 0, 3)).toBe(3);
    expect(made(5)).toBe(0);
  });

  it('numbers: the lowest free one is given first; a plugged device comes last', () => {
    const functions = [{ at: '00:01.0' }, { at: '00:02.0' }, { at: '00:03.0' }].map(functionOf);
    const base = machineOf([], { functions });
    const ids = (history: NonNullable<typeof base.history>) =>
      Object.fromEntries(
        groupsOf({ ...base, history }).groups.map((group) => [group.devices[0].slice(8), group.id]),
      );
    expect(ids([])).toEqual({ '01.0': 0, '02.0': 1, '03.0': 2 });
    expect(ids([{ kind: 'plug', device: '0000:00:01.0' }])).toEqual({ '02.0': 0, '03.0': 1, '01.0': 2 });
    expect(
      ids([
        { kind: 'remove', device: '0000:00:03.0' },
        { kind: 'remove', device: '0000:00:01.0' },
        { kind: 'rescan' },
      ]),
    ).toEqual({ '01.0': 0, '02.0': 1, '03.0': 2 });
    expect(
      ids([
        { kind: 'remove', device: '0000:00:01.0' },
        { kind: 'unplug', device: '0000:00:02.0' },
        { kind: 'plug', device: '0000:00:02.0' },
        { kind: 'rescan' },
      ]),
    ).toEqual({ '02.0': 0, '01.0': 1, '03.0': 2 });
  });
});

describe('files beside a capture', () => {
  it('the kernel command line comes from the log or from -append', () => {
    expect(kernelCommandLine({ dmesg: '[0] Kernel command line: a=1 b\n' })).toBe('a=1 b');
    expect(kernelCommandLine({ qemu: "  -append 'console=ttyS0 iommu=pt'\n" })).toBe(
      'console=ttyS0 iommu=pt',
    );
  });

  it('QEMU declares bus 0, then its expanders from the highest down', () => {
    expect(qemuRootBusOrder([0, 0x40, 0xc0])).toEqual(['0000:00', '0000:c0', '0000:40']);
    expect(qemuRootBusOrder([0, 0x20, 0x98, 0xc8], [0x98, 0x20, 0xc8])).toEqual([
      '0000:00',
      '0000:c8',
      '0000:20',
      '0000:98',
    ]);
    expect(
      loggedRootBuses('[ 1.0] PCI host bridge to bus 0000:40\n[ 1.1] PCI host bridge to bus 10000:e0\n'),
    ).toEqual(['0000:40', '10000:e0']);
  });

  it('listings of groups are read in the forms people paste', () => {
    const text = `/sys/kernel/iommu_groups/7/devices/0000:00:1f.3
IOMMU Group 12 01:00.0 VGA compatible controller [0300]
IOMMU group 3 00:14.0 USB`;
    expect([...parseGroupListing(text)]).toEqual([
      ['0000:00:1f.3', 7],
      ['0000:01:00.0', 12],
      ['0000:00:14.0', 3],
    ]);
  });
});

describe('scan of a /sys tree', () => {
  function plant(
    address: string,
    files: Record<string, string | Buffer>,
    links: Record<string, string> = {},
  ): void {
    const real = join(folder, 'sys/devices/pci0000:00', address);
    mkdirSync(real, { recursive: true });
    mkdirSync(join(folder, 'sys/bus/pci/devices'), { recursive: true });
    symlinkSync(real, join(folder, 'sys/bus/pci/devices', address));
    for (const [name, content] of Object.entries(files)) writeFileSync(join(real, name), content);
    for (const [name, target] of Object.entries(links)) symlinkSync(target, join(real, name));
  }

  it('reads devices, drivers, groups, units and the command line', () => {
    const port = functionOf({ at: '00:06.0', port: 4, buses: [1, 1], acs: ISOLATING, vendor: 0x8086 });
    plant(
      '0000:00:06.0',
      {
        config: Buffer.from(port.config ?? '', 'hex'),
        vendor: '0x8086\n',
        device: '0x1000\n',
        numa_node: '0\n',
      },
      { driver: '../../../bus/pci/drivers/pcieport', iommu_group: '../../../kernel/iommu_groups/5' },
    );
    plant('0000:01:00.0', {
      config: Buffer.from(functionOf({ at: '01:00.0', port: 0 }).config ?? '', 'hex'),
    });
    const unit = join(folder, 'sys/class/iommu/dmar0/intel-iommu');
    mkdirSync(unit, { recursive: true });
    for (const [name, value] of Object.entries({
      address: 'fed90000',
      cap: 'd2008c222f0606',
      ecap: 'f00f4a',
    })) {
      writeFileSync(join(unit, name), `${value}\n`);
    }
    mkdirSync(join(folder, 'sys/firmware/acpi/tables'), { recursive: true });
    writeFileSync(join(folder, 'sys/firmware/acpi/tables/DMAR'), readFileSync(join(CAPTURE, 'dmar.bin')));
    mkdirSync(join(folder, 'proc'));
    writeFileSync(join(folder, 'proc/cmdline'), 'quiet iommu=pt\n');
    const { description, problems } = scanSysfs(folder, 'copy');
    expect(problems).toEqual([]);
    expect(description.functions[0]).toMatchObject({
      driver: 'pcieport',
      group: 5,
      numaNode: 0,
      vendorId: 0x8086,
    });
    expect(description.functions[1].driver).toBeNull();
    expect(description.kernelCommandLine).toBe('quiet iommu=pt');
    expect(description.units).toEqual([
      { registerBase: '0xfed90000', cap: '0xd2008c222f0606', ecap: '0xf00f4a' },
    ]);
    expect(groupsOf(description).groups.map((group) => group.type)).toEqual(['identity', 'identity']);
  });

  it('without root only 64 bytes can be read: capabilities are unknown', () => {
    const port = Buffer.from(
      functionOf({ at: '00:01.0', port: 4, buses: [1, 1], acs: ISOLATING }).config ?? '',
      'hex',
    );
    plant('0000:00:01.0', { config: port.subarray(0, 64) });
    expect(scanSysfs(folder, 'copy').description.functions[0]).toMatchObject({
      configSize: 64,
      unknown: ['capabilities'],
    });
  });

  it('no unit in /sys/class/iommu: the IOMMU is off; a copy without the folder does not tell', () => {
    plant('0000:00:05.0', { config: Buffer.from(functionOf({ at: '00:05.0' }).config ?? '', 'hex') });
    expect(scanSysfs(folder, 'copy').description.iommu?.state).toBe('unknown');
    mkdirSync(join(folder, 'sys/class/iommu'), { recursive: true });
    const { description } = scanSysfs(folder, 'copy');
    expect(description.iommu?.state).toBe('off');
    expect(groupsOf(description).groups).toEqual([]);
  });

  it('a platform device is known by its ACPI path, and its unit gives it a group', () => {
    plant('0000:00:05.0', { config: Buffer.from(functionOf({ at: '00:05.0' }).config ?? '', 'hex') });
    const device = join(folder, 'sys/devices/platform/INT33C2:00');
    mkdirSync(join(device, 'firmware_node'), { recursive: true });
    writeFileSync(join(device, 'firmware_node/path'), '\\_SB_.PCI0.I2C0\n');
    const members = join(folder, 'sys/kernel/iommu_groups/0/devices');
    mkdirSync(members, { recursive: true });
    symlinkSync('../../../../devices/platform/INT33C2:00', join(members, 'INT33C2:00'));
    expect(scanSysfs(folder, 'copy').description.otherDevices).toEqual([
      { name: 'INT33C2:00', bus: 'platform', acpiPath: '\\_SB_.PCI0.I2C0', group: 0 },
    ]);
  });

  it('root buses of a QEMU guest come in the order of its ACPI tables', () => {
    for (const at of ['00:00.0', '40:00.0', '80:00.0']) {
      const { config = '' } = functionOf({ at, subsystem: [0x1af4, 0x1100] });
      plant(`0000:${at}`, { config: Buffer.from(config, 'hex') });
    }
    expect(scanSysfs(folder, 'copy').description.rootBuses).toEqual(['0000:00', '0000:80', '0000:40']);
  });

  it('a folder without a PCI bus is refused, with what to do', () => {
    expect(() => scanSysfs(join(folder, 'nothing'), 'x')).toThrow(/no PCI bus/);
  });
});

describe('imported hosts', () => {
  it('are kept under a name, listed, loaded, forgotten', () => {
    const host = machineOf([{ at: '00:01.0' }]);
    keepHost('rack-7', host);
    expect(importedHostNames()).toEqual(['rack-7']);
    expect(importedHost('rack-7')?.functions).toEqual(host.functions);
    expect(loadHost('rack-7').description.name).toBe('rack-7');
    expect(forgetHost('rack-7')).toBe(true);
    expect(importedHost('rack-7')).toBeUndefined();
  });

  it('a name that would leave the folder is refused', () => {
    expect(() => keepHost('../x', machineOf([]))).toThrow(/can't name a host/);
    expect(importedHost('../x')).toBeUndefined();
  });

  it('a damaged file is named with the part that is wrong', () => {
    const path = join(folder, 'host.json');
    writeFileSync(path, JSON.stringify({ ...machineOf([]), functions: [{ address: '1f.0' }] }));
    expect(() => loadHost(path)).toThrow(/functions.0.address/);
    writeFileSync(path, '{"format": ');
    expect(() => loadHost(path)).toThrow(/no JSON/);
  });

  it('a folder without lspci.txt says how to make one', () => {
    expect(() => loadHost(folder)).toThrow(/holds no lspci.txt/);
  });
});
