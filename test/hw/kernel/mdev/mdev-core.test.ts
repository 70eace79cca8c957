import { describe, expect, it } from 'vitest';
import { parseUnsigned } from '../../../../hw/kernel/mdev/mdev-core.ts';
import { typeId } from '../../../../hw/kernel/mdev/mdev-driver.ts';
import { errnoOf, VfioLab } from '../../../support/vfio-lab.ts';

const UUID = 'a297db4a-f4c2-11e6-90f6-d3b88d6c9525';

function lab515(): VfioLab {
  return new VfioLab({ profile: '5.15' });
}

function create(lab: VfioLab, parentName: string, type: string, text: string): unknown {
  const parent = lab.kernel.mdev.parent(parentName);
  if (parent === undefined) throw new Error(`no ${parentName}`);
  return lab.kernel.mdev.create(parent, lab.kernel.mdev.type(parent, type), text);
}

describe('create (mdev 4)', () => {
  it.each([
    ['36 characters', UUID, 'success'],
    ['a newline behind', `${UUID}\n`, 'success'],
    ['any 37th character', `${UUID}x`, 'success'],
    ['35 characters', UUID.slice(1), 'EINVAL'],
    ['38 characters', `${UUID}\n\n`, 'EINVAL'],
    ['upper case', UUID.toUpperCase(), 'success'],
    ['no hexadecimal digit', `g${UUID.slice(1)}`, 'EINVAL'],
    ['the nil UUID', '00000000-0000-0000-0000-000000000000', 'success'],
  ])('%s', (_what, text, expected) => {
    const lab = new VfioLab();
    expect(errnoOf(() => create(lab, 'mtty', 'mtty-1', text))).toBe(expected);
    if (expected === 'success') expect(lab.kernel.mdev.mdevs[0].uuid).toBe(text.slice(0, 36).toLowerCase());
  });

  it('a UUID occurs once in the system', () => {
    const lab = new VfioLab();
    create(lab, 'mtty', 'mtty-1', UUID);
    expect(errnoOf(() => create(lab, 'mdpy', 'mdpy-vga', UUID.toUpperCase()))).toBe('EEXIST');
  });

  it.each([
    ['7.2', 'EUSERS'],
    ['5.15', 'ENOMEM'],
  ] as const)(
    '%s: out of instances is %s where the driver does not count (the core, or the driver itself)',
    (profile, errno) => {
      const lab = new VfioLab({ profile });
      const parent = lab.kernel.mdev.parent('mdpy');
      for (let index = 0; index < 4; index += 1)
        create(lab, 'mdpy', 'mdpy-vga', `00000000-0000-4000-8000-00000000000${index}`);
      expect(parent === undefined ? -1 : lab.kernel.mdev.available(parent, parent.driver.types[0])).toBe(0);
      expect(errnoOf(() => create(lab, 'mdpy', 'mdpy-hd', UUID))).toBe(errno);
    },
  );

  it('a failing driver gives the instance back', () => {
    const lab = new VfioLab();
    const parent = lab.kernel.mdev.parent('vpin');
    expect(errnoOf(() => create(lab, 'vpin', 'vpin-fail', UUID))).toBe('EIO');
    expect(parent?.instancesLeft).toBe(3);
    expect(lab.kernel.mdev.mdevs).toEqual([]);
  });
});

describe('groups of mediated devices (mdev 5)', () => {
  it.each(['5.15', '7.2'] as const)('%s: a group of its own, gone with the device', (profile) => {
    const lab = profile === '5.15' ? lab515() : new VfioLab();
    const before = lab.kernel.iommu.groups.length;
    create(lab, 'mtty', 'mtty-1', UUID);
    const mdev = lab.kernel.mdev.find(UUID);
    const group = mdev === undefined ? undefined : lab.kernel.iommu.groupOf(mdev.device);
    expect(group?.devices).toEqual([mdev?.device]);
    expect(group?.name).toBe(profile === '7.2' ? 'vfio-noiommu' : undefined);
    if (mdev !== undefined) lab.kernel.mdev.remove(mdev, '1');
    expect(lab.kernel.iommu.groups).toHaveLength(before);
  });
});

describe('instances (mdev 7)', () => {
  it('the sum of devices and available instances never exceeds the parent, whatever is made', () => {
    const lab = new VfioLab();
    const parent = lab.kernel.mdev.parent('mtty');
    if (parent === undefined) throw new Error('no mtty');
    let made = 0;
    for (let index = 0; index < 30; index += 1) {
      const type = parent.driver.types[index % 2];
      const before = lab.kernel.mdev.available(parent, type);
      const uuid = `00000000-0000-4000-8000-${index.toString(16).padStart(12, '0')}`;
      const errno = errnoOf(() => create(lab, 'mtty', typeId(parent, type), uuid));
      expect(errno).toBe(before > 0 ? 'success' : 'ENOSPC');
      if (errno === 'success') made += (index % 2) + 1;
      expect(lab.kernel.mdev.available(parent, parent.driver.types[0])).toBe(24 - made);
    }
  });
});

describe('remove', () => {
  it('waits for the user; the UUID stays taken until then', () => {
    const lab = new VfioLab();
    const { mdev, group } = lab.mdev('mtty', 'mtty-2', UUID);
    const { container, descriptor } = lab.container();
    group.setContainer(lab.owner, descriptor);
    container.setIommu(3);
    const { descriptor: device } = lab.device(group, UUID);
    const removal = lab.kernel.mdev.remove(mdev, '1');
    expect(removal.finished).toBe(false);
    expect(lab.kernel.mdev.find(UUID)).toBeUndefined();
    expect(errnoOf(() => create(lab, 'mtty', 'mtty-2', UUID))).toBe('EEXIST');
    lab.owner.descriptors.close(device);
    expect(removal.finished).toBe(true);
    expect(errnoOf(() => create(lab, 'mtty', 'mtty-2', UUID))).toBe('success');
  });

  it('reads its value as kstrtoul does', () => {
    expect(parseUnsigned('0')).toBe(0n);
    expect(parseUnsigned('0x1f\n')).toBe(31n);
    expect(parseUnsigned('010')).toBe(8n);
    expect(parseUnsigned('+1')).toBe(1n);
    for (const bad of ['', '-1', '08', '1 ', 'no', '0x', '18446744073709551616'])
      expect(parseUnsigned(bad)).toBeUndefined();
  });
});
