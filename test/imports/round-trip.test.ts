import { describe, expect, it } from 'vitest';
import type { Assignment } from '../../src/export/assignment.ts';
import { libvirtDomain } from '../../src/export/libvirt-domain.ts';
import { libvirtNodeDevices } from '../../src/export/libvirt-nodedev.ts';
import { mdevctlDefinition } from '../../src/export/mdevctl.ts';
import { qemuScript } from '../../src/export/qemu.ts';
import { DEFAULT_TARGETS } from '../../src/export/targets.ts';
import { assignmentFromDomainXml, nodeDeviceFromXml } from '../../src/imports/libvirt.ts';
import { mdevsFromJson, typesFromJson } from '../../src/imports/mdevctl.ts';
import { assignmentFromQemu, shellWords } from '../../src/imports/qemu.ts';

const UUID = '11111111-2222-3333-4444-555555555555';
const assignment: Assignment = {
  machine: 'a b, "c" & <d>',
  memoryBytes: 3 * 2 ** 30,
  virtualCpus: 3,
  machineType: 'q35',
  virtualIommu: { interruptRemapping: true, cachingMode: true, deviceTlb: false, addressWidth: 39 },
  iommufd: false,
  devices: [
    { kind: 'pci', address: '0000:6a:1f.7', managed: true },
    {
      kind: 'mdev',
      uuid: UUID,
      parent: '0000:6b:01.0',
      type: 't-1',
      deviceApi: 'vfio-pci',
      start: 'auto',
      attributes: [
        ['a', '1'],
        ['a', '2'],
      ],
    },
  ],
};
const names = (found: Assignment): string[] =>
  found.devices.map((device) => (device.kind === 'pci' ? device.address : device.uuid));

describe('what goes out comes back', () => {
  it('libvirt domain', () => {
    const back = assignmentFromDomainXml(libvirtDomain(assignment, DEFAULT_TARGETS).text, 'x.xml');
    expect(back).toMatchObject({
      machine: assignment.machine,
      memoryBytes: assignment.memoryBytes,
      virtualCpus: 3,
      virtualIommu: assignment.virtualIommu,
    });
    expect(names(back)).toEqual(names(assignment));
  });
  it('QEMU command line', () => {
    const back = assignmentFromQemu(qemuScript(assignment, DEFAULT_TARGETS).text);
    expect(back).toMatchObject({
      machine: assignment.machine,
      memoryBytes: assignment.memoryBytes,
      virtualIommu: assignment.virtualIommu,
    });
    expect(names(back)).toEqual(names(assignment));
  });
  it('node device', () => {
    const [artefact] = libvirtNodeDevices(assignment, DEFAULT_TARGETS);
    expect(nodeDeviceFromXml(artefact.text, 'x.xml')).toMatchObject({
      uuid: UUID,
      type: 't-1',
      parent: 'pci_0000_6b_01_0',
    });
  });
  it('mdevctl list, repeated attributes in order', () => {
    const mdev = assignment.devices[1];
    if (mdev.kind !== 'mdev') throw new Error('the second device is the mdev');
    const dumped = JSON.stringify([{ [mdev.parent]: [{ [UUID]: mdevctlDefinition(mdev) }] }]);
    expect(mdevsFromJson(dumped, 'x.json')).toEqual([mdev]);
  });
});

describe('input of the wrong kind is refused with its place', () => {
  const bomb = `<!DOCTYPE a [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>\n<domain><name>&b;</name></domain>`;
  it.each([
    ['entities', () => assignmentFromDomainXml(bomb, 'bomb.xml'), /document type/],
    [
      'not well formed',
      () => assignmentFromDomainXml('<domain>\n<name>x</nam>\n</domain>', 'x.xml'),
      /not well-formed/,
    ],
    [
      'nesting',
      () => assignmentFromDomainXml('<a>'.repeat(100) + '</a>'.repeat(100), 'x.xml'),
      /nest deeper/,
    ],
    [
      'a giant',
      () => assignmentFromDomainXml(`<domain>${' '.repeat(5_000_000)}</domain>`, 'x.xml'),
      /over 4 MiB/,
    ],
    ['another document', () => assignmentFromDomainXml('<network/>', 'x.xml'), /no <domain>/],
    [
      'an address out of range',
      () =>
        assignmentFromDomainXml(
          "<domain><memory>1</memory><devices><hostdev type='pci'><source><address bus='0x999' slot='0' function='0'/></source></hostdev></devices></domain>",
          'x.xml',
        ),
      /names no address/,
    ],
    ['JSON of another shape', () => mdevsFromJson('{"a": 1}', 'x.json'), /expected array/i],
    [
      'an attribute with two names',
      () => mdevsFromJson(`[{"p":[{"${UUID}":{"mdev_type":"t","attrs":[{"a":"1","b":"2"}]}}]}]`, 'x.json'),
      /exactly one name/,
    ],
    ['broken JSON', () => typesFromJson('[', 'x.json'), /not JSON/],
    ['no QEMU', () => assignmentFromQemu('ls -l'), /no QEMU/],
    ['an open quote', () => shellWords("qemu-system-x86_64 'x"), /does not end/],
  ])('%s', (_what, act, message) => {
    expect(act).toThrow(message);
  });
});
