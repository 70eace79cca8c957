import { describe, expect, it } from 'vitest';
import { writeDmar } from '../../hw/acpi/dmar-writer.ts';
import { groupsOf } from '../../hw/isolation/groups.ts';
import { loggedNamespaceDevices } from '../../src/hosts/namespace-devices.ts';
import { machineOf } from '../support/pci-machine.ts';

describe('devices of the ACPI name space', () => {
  const log = `[    0.016000] DMAR: ANDD device: 1 name: \\_SB.PCI0.FWCF
[    2.248500] DMAR: Failed to find handle for ACPI object \\_SB.PCI0.NONE
[    2.248510] DMAR: ACPI device "PNP0103:00" under DMAR at fed90000 as 00:1e.1
[    2.248520] DMAR: ACPI device "QEMU0002:00" under DMAR at fed90000 as 00:1e.0
[    2.248530] DMAR: ACPI device "PNP0A06:00" under DMAR at fed90000 as 00:1e.2
[    2.248540] platform QEMU0002:00: Adding to iommu group 0
[    2.248550] hpet PNP0103:00: Adding to iommu group 1
`;
  const names = ['\\_SB.PCI0.NONE', '\\_SB.HPET', '\\_SB.PCI0.FWCF', '\\_SB.PCI0.PRES'];
  const dmar = writeDmar({
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
    warnings: [],
    structures: [
      {
        kind: 'DRHD',
        includeAll: true,
        sizeShift: 0,
        segment: 0,
        registerBase: 0xfed90000n,
        scopes: names.map((_, index) => ({
          type: 5,
          flags: 0,
          enumerationId: index + 1,
          startBus: 0,
          path: [{ device: 0x1e, function: index }],
        })),
      },
      ...names.map((name, index) => ({ kind: 'ANDD' as const, deviceNumber: index + 1, name })),
    ],
  });

  it('the log tells which of them are platform devices: their groups come before those of PCI devices', () => {
    const others = loggedNamespaceDevices(log, dmar);
    expect(others).toEqual([
      { name: 'QEMU0002:00', bus: 'platform', acpiPath: '\\_SB.PCI0.FWCF' },
      { name: 'PNP0103:00', bus: 'platform', acpiPath: '\\_SB.HPET' },
    ]);
    const machine = machineOf([{ at: '00:01.0' }], {
      iommu: { state: 'on', because: 'test' },
      dmar: Buffer.from(dmar).toString('hex'),
      otherDevices: others,
    });
    const msi = [{ start: '0xfee00000', end: '0xfeefffff', type: 'msi' }];
    expect(groupsOf(machine).groups.map(({ devices, reserved }) => [devices, reserved])).toEqual([
      [['QEMU0002:00'], msi],
      [['PNP0103:00'], msi],
      [['0000:00:01.0'], msi],
    ]);
  });
});
