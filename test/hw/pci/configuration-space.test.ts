import { describe, expect, it } from 'vitest';
import { Acs } from '../../../hw/pci/capabilities/acs.ts';
import { Express } from '../../../hw/pci/capabilities/express.ts';
import { PasidCapability } from '../../../hw/pci/capabilities/pasid.ts';
import { Pri } from '../../../hw/pci/capabilities/pri.ts';
import { walkCapabilities } from '../../../hw/pci/capabilities/walk.ts';
import {
  bridgeConfiguration,
  capability,
  endpointConfiguration,
} from '../../../hw/pci/configuration-builder.ts';
import { ConfigurationSpace } from '../../../hw/pci/configuration-space.ts';
import { buildHierarchy } from '../../../hw/pci/from-description.ts';
import { PciHierarchy } from '../../../hw/pci/hierarchy.ts';
import { machineOf } from '../../support/pci-machine.ts';

const HOME = { segment: 0, bus: 0, device: 3, function: 0 };

function one(capabilities: Parameters<typeof endpointConfiguration>[0]['capabilities']): PciHierarchy {
  const hierarchy = new PciHierarchy();
  const bytes = endpointConfiguration({ header: { vendorId: 0x8086, deviceId: 0x1234 }, capabilities });
  hierarchy.add(HOME, new ConfigurationSpace(bytes));
  return hierarchy;
}

describe('configuration space', () => {
  it('reads all ones where no function is (PCI 3.0, 6.1)', () => {
    const hierarchy = one([]);
    expect(hierarchy.read({ ...HOME, device: 4 }, 0, 4)).toBe(0xffffffff);
    expect(hierarchy.read({ ...HOME, device: 4 }, 0, 2)).toBe(0xffff);
    hierarchy.write({ ...HOME, device: 4 }, 4, 2, 6);
    expect(hierarchy.read({ ...HOME, device: 4 }, 4, 2)).toBe(0xffff);
  });

  it('keeps read-only registers: ids, class, capability words', () => {
    const hierarchy = one([capability(Acs, { requestRedirect: 1 })]);
    hierarchy.write(HOME, 0, 4, 0);
    hierarchy.write(HOME, 8, 4, 0xffffffff);
    hierarchy.write(HOME, 0x104, 2, 0xffff);
    expect(hierarchy.read(HOME, 0, 4)).toBe(0x12348086);
    expect(hierarchy.read(HOME, 8, 4)).toBe(0);
    expect(hierarchy.read(HOME, 0x104, 2)).toBe(0x04);
  });

  it('lets only those ACS controls be set that the capability has (PCIe 7.7.11.3)', () => {
    const hierarchy = one([capability(Acs, { requestRedirect: 1, sourceValidation: 1 })]);
    hierarchy.write(HOME, 0x106, 2, 0x7f);
    expect(hierarchy.read(HOME, 0x106, 2)).toBe(0x05);
  });

  it('lets only those PASID permissions be enabled that are supported (PCIe 7.8.8.3)', () => {
    const hierarchy = one([capability(PasidCapability, { maximumWidth: 20, executeSupported: 1 })]);
    hierarchy.write(HOME, 0x106, 2, 0x7);
    expect(hierarchy.read(HOME, 0x106, 2)).toBe(0x3);
  });

  it('clears status bits by writing ones and leaves the others', () => {
    const hierarchy = one([]);
    hierarchy.find(HOME)?.config.set(6, 2, 0xf910);
    hierarchy.write(HOME, 6, 2, 0x8000);
    expect(hierarchy.read(HOME, 6, 2)).toBe(0x7910);
  });

  it('page requests: stopped follows enable (PCIe 10.5.2.3)', () => {
    const hierarchy = one([capability(Pri, { stopped: 1, maximumOutstanding: 32 })]);
    hierarchy.write(HOME, 0x104, 2, 1);
    expect(hierarchy.read(HOME, 0x106, 2) & 0x100).toBe(0);
    hierarchy.write(HOME, 0x104, 2, 0);
    expect(hierarchy.read(HOME, 0x106, 2) & 0x100).toBe(0x100);
    hierarchy.write(HOME, 0x104, 2, 2);
    expect(hierarchy.read(HOME, 0x104, 2)).toBe(0);
  });

  it('a function level reset clears the controls, and the bit reads as zero (PCIe 6.6.2)', () => {
    const hierarchy = one([
      capability(Express, { version: 2, portType: 0, functionLevelReset: 1 }),
      capability(PasidCapability, { maximumWidth: 8 }),
    ]);
    hierarchy.write(HOME, 4, 2, 6);
    hierarchy.write(HOME, 0x106, 2, 1);
    hierarchy.write(HOME, 0x48, 2, 0x8000);
    expect(hierarchy.read(HOME, 4, 2)).toBe(0);
    expect(hierarchy.read(HOME, 0x106, 2)).toBe(0);
    expect(hierarchy.read(HOME, 0x48, 2)).toBe(0);
  });
});

describe('base address registers', () => {
  it('tell their size when ones are written, and take an aligned address (PCI 3.0, 6.2.5.1)', () => {
    const bytes = endpointConfiguration({
      header: { vendorId: 1, baseAddress0: 0x0000000c, baseAddress2: 1 },
    });
    const space = new ConfigurationSpace(bytes);
    space.sizeBar(0, 0x4000);
    space.sizeBar(2, 0x20);
    space.write(0x10, 4, 0xffffffff);
    space.write(0x14, 4, 0xffffffff);
    space.write(0x18, 4, 0xffffffff);
    expect([space.read(0x10, 4), space.read(0x14, 4), space.read(0x18, 4)]).toEqual([
      0xffffc00c, 0xffffffff, 0xffffffe1,
    ]);
    space.write(0x10, 4, 0xfe001234);
    expect(space.read(0x10, 4)).toBe(0xfe00000c);
  });

  it('larger than 4 GiB: the low half reads zero, the high half gives the size', () => {
    const space = new ConfigurationSpace(
      endpointConfiguration({ header: { vendorId: 1, baseAddress0: 0xc } }),
    );
    space.sizeBar(0, 2 ** 34);
    space.write(0x10, 4, 0xffffffff);
    space.write(0x14, 4, 0xffffffff);
    expect([space.read(0x10, 4), space.read(0x14, 4)]).toEqual([0xc, 0xfffffffc]);
  });

  it('keep their value when no size is known', () => {
    const space = new ConfigurationSpace(
      endpointConfiguration({ header: { vendorId: 1, baseAddress0: 0xfe000000 } }),
    );
    space.write(0x10, 4, 0xffffffff);
    expect(space.read(0x10, 4)).toBe(0xfe000000);
  });
});

describe('virtual functions', () => {
  const plan = [
    {
      at: '00:03.0',
      port: 9,
      vendor: 0x8086,
      device: 0x10c9,
      sriov: { total: 4, count: 0, offset: 0x80, stride: 2 },
    },
  ];

  it('appear with VF Enable, at PF + offset + stride * n, and vanish with it (PCIe 9.2.1.2)', () => {
    const { hierarchy } = buildHierarchy(machineOf(plan));
    const at = (device: number, fn: number) => ({ segment: 0, bus: 0, device, function: fn });
    expect(hierarchy.read(at(0x13, 0), 0x0e, 1)).toBe(0xff);
    hierarchy.write(HOME, 0x110, 2, 3);
    hierarchy.write(HOME, 0x108, 2, 9);
    expect([0, 2, 4, 6].map((fn) => hierarchy.read(at(0x13, fn), 0x0e, 1))).toEqual([0, 0, 0, 0xff]);
    expect(hierarchy.read(at(0x13, 0), 0, 4)).toBe(0xffffffff);
    hierarchy.write(HOME, 0x108, 2, 0);
    expect(hierarchy.read(at(0x13, 0), 0x0e, 1)).toBe(0xff);
  });

  it('their number is fixed while they are enabled (PCIe 9.3.3.7)', () => {
    const { hierarchy } = buildHierarchy(machineOf(plan));
    hierarchy.write(HOME, 0x110, 2, 2);
    hierarchy.write(HOME, 0x108, 2, 9);
    hierarchy.write(HOME, 0x110, 2, 4);
    expect(hierarchy.read(HOME, 0x110, 2)).toBe(2);
  });
});

describe('bus numbers', () => {
  it('what sits behind a bridge answers under the number that software writes', () => {
    const hierarchy = new PciHierarchy();
    const bridge = bridgeConfiguration({ header: { vendorId: 1, secondaryBus: 1, subordinateBus: 1 } });
    hierarchy.add({ ...HOME, device: 1 }, new ConfigurationSpace(bridge));
    const below = endpointConfiguration({ header: { vendorId: 2, deviceId: 3 } });
    hierarchy.add({ segment: 0, bus: 1, device: 0, function: 0 }, new ConfigurationSpace(below));
    hierarchy.write({ ...HOME, device: 1 }, 0x19, 1, 7);
    expect(hierarchy.read({ segment: 0, bus: 1, device: 0, function: 0 }, 0, 4)).toBe(0xffffffff);
    expect(hierarchy.read({ segment: 0, bus: 7, device: 0, function: 0 }, 0, 4)).toBe(0x00030002);
    hierarchy.write({ ...HOME, device: 1 }, 0x19, 1, 0);
    expect(hierarchy.read({ segment: 0, bus: 7, device: 0, function: 0 }, 0, 4)).toBe(0xffffffff);
  });
});

describe('capability lists that are broken', () => {
  const reader = (bytes: Uint8Array) => (offset: number, size: 1 | 2 | 4) =>
    new ConfigurationSpace(bytes, 4096).read(offset, size);

  it('a loop ends the list, and is named', () => {
    const bytes = new Uint8Array(4096);
    bytes.set([0x10], 6);
    bytes.set([0x40], 0x34);
    bytes.set([0x05, 0x50], 0x40);
    bytes.set([0x01, 0x40], 0x50);
    const walk = walkCapabilities(reader(bytes), 4096);
    expect(walk.found.map((found) => found.offset)).toEqual([0x40, 0x50]);
    expect(walk.problems).toEqual(['the capability list loops: pointer at 0x51 leads back to 0x40']);
  });

  it('an extended header that points below 0x100 ends the list, and is named', () => {
    const bytes = new Uint8Array(4096);
    bytes.set([0x0d, 0x00, 0x01, 0x04], 0x100);
    const walk = walkCapabilities(reader(bytes), 4096);
    expect(walk.found).toHaveLength(1);
    expect(walk.problems[0]).toContain('points to 0x40, below 0x100');
  });

  it('a pointer beyond the bytes that are there is named', () => {
    const bytes = new Uint8Array(4096);
    bytes.set([0x0d, 0x00, 0x01, 0xff], 0x100);
    const walk = walkCapabilities(
      (offset, size) => new ConfigurationSpace(bytes.slice(0, 512)).read(offset, size),
      512,
    );
    expect(walk.problems[0]).toContain('leaves the 512 bytes that are there');
  });
});
