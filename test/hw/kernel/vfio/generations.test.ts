import { describe, expect, it } from 'vitest';
import { addressOf, errnoOf, VfioLab } from '../../../support/vfio-lab.ts';

describe('who keeps kernel drivers and users of a group apart', () => {
  it('5.15: SET_CONTAINER works beside a native driver, GET_DEVICE_FD does not (viability)', () => {
    const lab = new VfioLab({ profile: '5.15' });
    lab.bind('F2', 'e1000');
    const { group } = lab.group('F0');
    const { container, descriptor } = lab.container();
    expect(group.status(8)).toBe(0);
    group.setContainer(lab.owner, descriptor);
    container.setIommu(3);
    expect(errnoOf(() => group.openDevice(addressOf('F0')))).toBe('EINVAL');
    lab.kernel.drivers.unbind('pci', 'e1000', addressOf('F2'));
    expect(group.status(8)).toBe(3);
    expect(errnoOf(() => group.openDevice(addressOf('F0')))).toBe('success');
  });

  it.each(['6.1', '7.2'] as const)(
    '%s: the claim fails with EPERM, and a native driver can not bind afterwards',
    (profile) => {
      const lab = new VfioLab({ profile });
      lab.bind('F2', 'e1000');
      const { group } = lab.group('F0');
      const { descriptor } = lab.container();
      expect(errnoOf(() => group.setContainer(lab.owner, descriptor))).toBe('EPERM');
      lab.kernel.drivers.unbind('pci', 'e1000', addressOf('F2'));
      group.setContainer(lab.owner, descriptor);
      expect(errnoOf(() => lab.bind('F2', 'e1000'))).toBe('EBUSY');
      expect(errnoOf(() => lab.bind('F2', 'pci-stub'))).toBe('success');
    },
  );
});

describe('a descriptor that is no container', () => {
  it.each([
    ['5.15', 'EINVAL'],
    ['7.2', 'EBADFD'],
  ] as const)('%s: %s', (profile, errno) => {
    const lab = new VfioLab({ profile });
    const { group, descriptor } = lab.group('A0');
    expect(errnoOf(() => group.setContainer(lab.owner, descriptor))).toBe(errno);
  });
});

describe('suspended addresses', () => {
  it('a group is refused with EBUSY while one is suspended; 5.15 takes it', () => {
    for (const [profile, expected] of [
      ['7.2', 'EBUSY'],
      ['6.1', 'EBUSY'],
      ['5.15', 'success'],
    ] as const) {
      const lab = new VfioLab({ profile });
      const { container, descriptor } = lab.container();
      lab.group('A0').group.setContainer(lab.owner, descriptor);
      container.setIommu(3);
      container.mapDma(lab.owner, { argsz: 32, flags: 3, vaddr: lab.buffer(4096), iova: 0n, size: 4096n });
      container.unmapDma(lab.owner, { argsz: 24, flags: 4, iova: 0n, size: 4096n });
      expect(
        errnoOf(() => lab.group('B0').group.setContainer(lab.owner, descriptor)),
        profile,
      ).toBe(expected);
    }
  });
});
