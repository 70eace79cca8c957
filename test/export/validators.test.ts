import { execFileSync, spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { Assignment } from '../../src/export/assignment.ts';
import { libvirtDomain, libvirtHostDevices } from '../../src/export/libvirt-domain.ts';
import { libvirtNodeDevices } from '../../src/export/libvirt-nodedev.ts';
import { mdevctlArtefacts } from '../../src/export/mdevctl.ts';
import { qemuWords } from '../../src/export/qemu.ts';
import { DEFAULT_TARGETS, parseVersion } from '../../src/export/targets.ts';

/** Every exported artefact is taken by the tool it is for. */

const SCHEMAS = '/usr/share/libvirt/schemas';
const has = (program: string): boolean => spawnSync('sh', ['-c', `command -v ${program}`]).status === 0;
const folder = mkdtempSync(join(tmpdir(), 'vtdeck-export-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const UUID = '11111111-2222-3333-4444-555555555555';

const everything: Assignment = {
  machine: 'guest & <one>',
  memoryBytes: 4 * 1024 ** 3,
  virtualCpus: 4,
  machineType: 'q35',
  virtualIommu: {
    interruptRemapping: true,
    cachingMode: true,
    deviceTlb: true,
    addressWidth: 48,
    extendedInterruptMode: true,
  },
  hugePageBytes: 2 * 1024 ** 2,
  iommufd: false,
  devices: [
    { kind: 'pci', address: '0000:6a:01.0', driver: 'idxd', managed: true },
    { kind: 'pci', address: '10000:e1:00.0', driver: 'nvme', managed: false },
    {
      kind: 'mdev',
      uuid: UUID,
      parent: '0000:6b:01.0',
      type: 'idxd-1dwq-v1',
      deviceApi: 'vfio-pci',
      start: 'auto',
      attributes: [
        ['priority', '10'],
        ['name', 'a "b" & c'],
      ],
    },
  ],
};

const variants: [string, Assignment][] = [
  ['everything', everything],
  [
    'nothing but a function',
    { ...everything, virtualIommu: undefined, hugePageBytes: undefined, devices: [everything.devices[0]] },
  ],
  ['only an mdev', { ...everything, virtualIommu: undefined, devices: [everything.devices[2]] }],
];

describe.skipIf(!has('xmllint') || !existsSync(SCHEMAS))(
  "libvirt's own schemas accept the XML (skipped without xmllint and libvirt)",
  () => {
    const lint = (schema: string, text: string): void => {
      const file = join(folder, 'document.xml');
      writeFileSync(file, text);
      execFileSync('xmllint', ['--noout', '--relaxng', join(SCHEMAS, schema), file], { stdio: 'pipe' });
    };
    it.each(variants)('domain.rng: %s', (_name, assignment) =>
      lint('domain.rng', libvirtDomain(assignment, DEFAULT_TARGETS).text),
    );
    it.each(variants)('nodedev.rng: %s', (_name, assignment) => {
      for (const artefact of libvirtNodeDevices(assignment, DEFAULT_TARGETS))
        lint('nodedev.rng', artefact.text);
    });
    it('hostdev.rng has no file of its own: each element stands in a domain', () => {
      expect(libvirtHostDevices(everything, DEFAULT_TARGETS).map((artefact) => artefact.file)).toEqual([
        'hostdev-0000-6a-01.0.xml',
        'hostdev-10000-e1-00.0.xml',
        `hostdev-${UUID}.xml`,
      ]);
    });
  },
);

describe.skipIf(!has('virsh'))('virsh keeps what it is given (skipped without libvirt)', () => {
  it.each(variants)('define and dumpxml of the test driver: %s', (_name, assignment) => {
    const file = join(folder, 'domain.xml');
    writeFileSync(file, libvirtDomain(assignment, DEFAULT_TARGETS).text.replace('type="kvm"', 'type="test"'));
    const script = `define ${file}; dumpxml --inactive --domain "guest & <one>"`;
    const done = spawnSync('virsh', ['-q', '-c', 'test:///default', script], { encoding: 'utf8' });
    expect(done.stderr).toBe('');
    expect(done.stdout).toContain('<name>guest &amp; &lt;one&gt;</name>');
    const given = (text: string): number => (text.match(/<hostdev /g) ?? []).length;
    expect(given(done.stdout)).toBe(assignment.devices.length);
    for (const device of assignment.devices) {
      if (device.kind === 'mdev') expect(done.stdout).toContain(`uuid='${device.uuid}'`);
      else expect(done.stdout).toMatch(new RegExp(`bus='0x${device.address.slice(-7, -5)}'`));
    }
    if (assignment.virtualIommu !== undefined)
      expect(done.stdout).toMatch(
        /<driver intremap='on' caching_mode='on' eim='on' iotlb='on' aw_bits='48'\/>/,
      );
  });
});

describe.skipIf(!has('qemu-system-x86_64'))('QEMU parses the command line (skipped without qemu)', () => {
  it.each(variants)('the only thing it misses is the device itself: %s', (_name, assignment) => {
    const words = qemuWords(assignment, DEFAULT_TARGETS).slice(1);
    const usable = words.map((word) =>
      word
        .replace('accel=kvm', 'accel=tcg')
        .replace('eim=on', 'eim=off')
        .replace('/dev/hugepages', '/tmp')
        .replace(/size=\d+M/, 'size=4096M')
        .replace('prealloc=on', 'prealloc=off'),
    );
    const done = spawnSync(
      'qemu-system-x86_64',
      ['-S', '-display', 'none', '-nodefaults', '-qmp', 'stdio', ...usable],
      {
        input: '{"execute":"qmp_capabilities"}\n{"execute":"quit"}\n',
        encoding: 'utf8',
      },
    );
    expect(done.stderr).toMatch(
      /no such host device|Could not open|group \d+|host device.*not found|does not exist/i,
    );
    expect(done.stderr).not.toMatch(/Property .* not found|invalid option|Invalid parameter|expects/i);
  });
  it('all but the devices starts and quits', () => {
    const words = qemuWords(
      { ...everything, hugePageBytes: undefined, memoryBytes: 64 * 1024 ** 2, devices: [] },
      DEFAULT_TARGETS,
    ).slice(1);
    const usable = words.map((word) => word.replace('accel=kvm', 'accel=tcg').replace('eim=on', 'eim=off'));
    const done = spawnSync(
      'qemu-system-x86_64',
      ['-S', '-display', 'none', '-nodefaults', '-qmp', 'stdio', ...usable],
      {
        input: '{"execute":"qmp_capabilities"}\n{"execute":"quit"}\n',
        encoding: 'utf8',
      },
    );
    expect(done.stderr).toBe('');
    expect(done.status).toBe(0);
  });
});

const namespaces = spawnSync('unshare', ['-rm', 'true']).status === 0;

describe.skipIf(!has('mdevctl') || !namespaces)(
  'mdevctl takes the definition (skipped without mdevctl and mount namespaces)',
  () => {
    it('define --jsonfile in a made-up sysfs tree, then list shows the same', () => {
      const root = join(folder, 'root');
      const parent = join(root, 'sys/devices/pci0000:6b/0000:6b:01.0');
      const type = join(parent, 'mdev_supported_types/idxd-1dwq-v1');
      mkdirSync(join(type, 'devices'), { recursive: true });
      const files = { available_instances: '4', device_api: 'vfio-pci', name: '1dwq' };
      for (const [name, value] of Object.entries(files)) writeFileSync(join(type, name), `${value}\n`);
      for (const name of [
        'sys/class/mdev_bus',
        'sys/bus/mdev/devices',
        'etc/scripts.d/callouts',
        'etc/scripts.d/notifiers',
      ]) {
        mkdirSync(join(root, name), { recursive: true });
      }
      symlinkSync('/sys/devices/pci0000:6b/0000:6b:01.0', join(root, 'sys/class/mdev_bus/0000:6b:01.0'));
      const [file] = mdevctlArtefacts(everything);
      const path = join(folder, file.file);
      writeFileSync(path, file.text);
      const script = [
        'set -e',
        `mount --bind ${join(root, 'etc')} /etc/mdevctl.d`,
        `mount --bind ${join(root, 'sys')} /sys`,
        `mdevctl define --uuid ${UUID} --parent 0000:6b:01.0 --jsonfile ${path}`,
        `mdevctl list --defined --dumpjson --uuid ${UUID} --parent 0000:6b:01.0`,
      ].join('\n');
      const done = spawnSync('unshare', ['-rm', 'sh', '-c', script], { encoding: 'utf8' });
      expect(done.stderr).toBe('');
      expect(JSON.parse(done.stdout)).toEqual(JSON.parse(readFileSync(path, 'utf8')));
    });
  },
);

describe('an option the target lacks is refused with the version that has it', () => {
  it('iommufd for libvirt 9.0.0', () => {
    expect(() => libvirtDomain({ ...everything, iommufd: true }, DEFAULT_TARGETS)).toThrow(
      /libvirt 9\.0\.0 does not know iommufd/,
    );
    expect(
      libvirtDomain({ ...everything, iommufd: true }, { ...DEFAULT_TARGETS, libvirt: parseVersion('12.1') })
        .text,
    ).toContain('iommufd="yes"');
  });
  it('iommufd for QEMU 7.2.0', () => {
    expect(() => qemuWords({ ...everything, iommufd: true }, DEFAULT_TARGETS)).toThrow(
      /qemu 7\.2\.0 does not know the iommufd object/,
    );
  });
  it('scalable mode for libvirt 9.0.0', () => {
    const assignment = {
      ...everything,
      virtualIommu: { interruptRemapping: true, cachingMode: true, scalableMode: true },
    };
    expect(() => libvirtDomain(assignment, DEFAULT_TARGETS)).toThrow(/scalable_mode/);
  });
});
