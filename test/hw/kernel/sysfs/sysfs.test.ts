import { describe, expect, it } from 'vitest';
import { Sysfs } from '../../../../hw/kernel/sysfs/sysfs.ts';
import { addressOf, errnoOf, VfioLab } from '../../../support/vfio-lab.ts';

const UUID = '11111111-2222-3333-4444-555555555555';

describe('sysfs', () => {
  it('assigns a function by the writes that an operator makes', () => {
    const lab = new VfioLab();
    const sysfs = new Sysfs(lab.kernel);
    const device = `/sys/bus/pci/devices/${addressOf('F2')}`;
    sysfs.write('/sys/bus/pci/drivers/e1000/bind', addressOf('F2'));
    expect(sysfs.readLink(`${device}/driver`)).toBe('../../../bus/pci/drivers/e1000');
    sysfs.write(`${device}/driver_override`, 'vfio-pci\n');
    sysfs.write(`${device}/driver/unbind`, addressOf('F2'));
    sysfs.write('/sys/bus/pci/drivers_probe', addressOf('F2'));
    expect(sysfs.list(device).find((entry) => entry.name === 'driver')?.target).toBe(
      '../../../bus/pci/drivers/vfio-pci',
    );
    const group = /\d+$/.exec(sysfs.readLink(`${device}/iommu_group`))?.[0];
    expect(sysfs.list('/dev/vfio').map((entry) => entry.name)).toContain(group);
    expect(sysfs.list(`${device}/iommu_group/devices`).map((entry) => entry.name)).toEqual(
      ['F0', 'F1', 'F2', 'F3'].map(addressOf),
    );
  });

  it('makes and removes a mediated device by path', () => {
    const lab = new VfioLab();
    const sysfs = new Sysfs(lab.kernel);
    const type = '/sys/class/mdev_bus/mtty/mdev_supported_types/mtty-2';
    expect(sysfs.read(`${type}/available_instances`)).toBe('12\n');
    sysfs.write(`${type}/create`, UUID);
    expect(sysfs.read(`${type}/available_instances`)).toBe('11\n');
    expect(sysfs.readLink(`/sys/bus/mdev/devices/${UUID}/mdev_type`)).toBe('../mdev_supported_types/mtty-2');
    expect(sysfs.read(`/sys/bus/mdev/devices/${UUID}/iommu_group/type`)).toBe('unknown\n');
    sysfs.write(`/sys/bus/mdev/devices/${UUID}/remove`, '1');
    expect(errnoOf(() => sysfs.list(`/sys/bus/mdev/devices/${UUID}`))).toBe('ENOENT');
  });

  it('refuses as a kernel does', () => {
    const sysfs = new Sysfs(new VfioLab().kernel);
    expect(errnoOf(() => sysfs.read('/sys/nothing'))).toBe('ENOENT');
    expect(errnoOf(() => sysfs.read('/sys/bus'))).toBe('EISDIR');
    expect(errnoOf(() => sysfs.list('/sys/bus/pci/drivers_autoprobe'))).toBe('ENOTDIR');
    expect(errnoOf(() => sysfs.read('/sys/bus/pci/drivers_probe'))).toBe('EACCES');
    expect(errnoOf(() => sysfs.write(`/sys/bus/pci/devices/${addressOf('A0')}/vendor`, '0x1'))).toBe(
      'EACCES',
    );
    expect(errnoOf(() => sysfs.read('/sys/__proto__/constructor'))).toBe('ENOENT');
    expect(
      errnoOf(() => sysfs.write('/sys/module/vfio_iommu_type1/parameters/dma_entry_limit', 'many')),
    ).toBe('EINVAL');
  });

  it('every directory can be listed and every readable file read', () => {
    const lab = new VfioLab();
    lab.mdev('vpin', 'vpin-a', UUID);
    const sysfs = new Sysfs(lab.kernel);
    let files = 0;
    const walk = (path: string): void => {
      for (const { name, kind, readable } of sysfs.list(path)) {
        if (kind === 'directory') walk(`${path}/${name}`);
        else if (kind === 'link') expect(sysfs.readLink(`${path}/${name}`)).not.toBe('');
        else if (readable && !path.startsWith('/dev')) {
          expect(typeof sysfs.read(`${path}/${name}`)).toBe('string');
          files += 1;
        }
      }
    };
    walk('/sys');
    expect(files).toBeGreaterThan(80);
  });
});
