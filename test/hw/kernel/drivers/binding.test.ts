import { describe, expect, it } from 'vitest';
import type { PciDriver } from '../../../../hw/kernel/drivers/pci-driver.ts';
import { hotResetSet, resetMethods } from '../../../../hw/kernel/drivers/pci-reset.ts';
import { addressOf, errnoOf, VfioLab } from '../../../support/vfio-lab.ts';

function vfioPci(lab: VfioLab): PciDriver {
  return lab.kernel.drivers.driver('pci', 'vfio-pci') as PciDriver;
}

describe('matching (drivers/pci/pci-driver.c)', () => {
  it('driver_override decides alone when it is set', () => {
    const lab = new VfioLab();
    const device = lab.kernel.pciDevice(addressOf('F2'));
    expect(lab.kernel.drivers.driver('pci', 'e1000').matches(device!)).toBe(true);
    device!.driverOverride = 'vfio-pci';
    expect(lab.kernel.drivers.driver('pci', 'e1000').matches(device!)).toBe(false);
    expect(vfioPci(lab).matches(device!)).toBe(true);
  });

  it('new_id needs two numbers, refuses what is covered, and binds every free match at once', () => {
    const lab = new VfioLab();
    const driver = vfioPci(lab);
    expect(errnoOf(() => driver.addId('zz'))).toBe('EINVAL');
    expect(errnoOf(() => driver.addId('1234'))).toBe('EINVAL');
    driver.addId('1234 11e8\n');
    lab.kernel.drivers.attachDriver(driver);
    for (const name of ['A0', 'B0', 'F0', 'F1'])
      expect(lab.kernel.pciDevice(addressOf(name))?.driver?.name).toBe('vfio-pci');
    expect(lab.kernel.pciDevice(addressOf('F2'))?.driver).toBeUndefined();
    expect(errnoOf(() => driver.addId('1234 11e8 1af4'))).toBe('EEXIST');
    expect(errnoOf(() => driver.removeId('1234 11e9'))).toBe('ENODEV');
    driver.removeId('1234 11e8');
    expect(driver.dynamicIds).toEqual([]);
  });

  it('vfio-pci takes endpoints only, and needs an IOMMU group', () => {
    const lab = new VfioLab();
    expect(errnoOf(() => lab.bind('rp1', 'vfio-pci'))).toBe('EINVAL');
    const without = new VfioLab({ unit: 'none' });
    expect(errnoOf(() => without.bind('A0', 'vfio-pci'))).toBe('EINVAL');
  });
});

describe('binding', () => {
  it('a device has one driver; unbind names the one it has', () => {
    const lab = new VfioLab();
    const { drivers } = lab.kernel;
    drivers.bind('pci', 'e1000', addressOf('F2'));
    expect(errnoOf(() => drivers.bind('pci', 'e1000', addressOf('F2')))).toBe('EBUSY');
    expect(errnoOf(() => drivers.unbind('pci', 'vfio-pci', addressOf('F2')))).toBe('ENODEV');
    expect(errnoOf(() => drivers.bind('pci', 'nosuch', addressOf('F2')))).toBe('ENOENT');
    expect(drivers.unbind('pci', 'e1000', addressOf('F2')).finished).toBe(true);
  });

  it('a device that comes back into an owned group gets no driver (dma-ownership 9)', () => {
    const lab = new VfioLab();
    const { descriptor } = lab.container();
    lab.group('F0').group.setContainer(lab.owner, descriptor);
    expect(lab.kernel.removePci(addressOf('F2')).finished).toBe(true);
    expect(lab.kernel.pciDevice(addressOf('F2'))).toBeUndefined();
    lab.kernel.drivers.setAutoprobe('pci', true);
    lab.kernel.rescanPci();
    const back = lab.kernel.pciDevice(addressOf('F2'));
    expect(back?.driver).toBeUndefined();
    expect(lab.kernel.iommu.groupOf(back!)).toBe(
      lab.kernel.iommu.groupOf(lab.kernel.pciDevice(addressOf('F0'))!),
    );
  });
});

describe('resets (drivers/pci/pci.c)', () => {
  it('a bus reset is for a function alone on its bus', () => {
    const lab = new VfioLab();
    const pci = (name: string) => lab.kernel.pciDevice(addressOf(name))!.pci!;
    expect(resetMethods(pci('A0'))).toEqual([]);
    expect(resetMethods(pci('C0'))).toContain('bus');
    expect(hotResetSet(pci('C0')).map((each) => each.name)).toEqual([addressOf('C0')]);
    expect(hotResetSet(pci('F0'))).toEqual([]);
  });
});
