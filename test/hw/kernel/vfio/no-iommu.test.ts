/** No-IOMMU mode: drivers/vfio/group.c, container.c (vfio_noiommu_ops). */
import { describe, expect, it } from 'vitest';
import { buildHost } from '../../../../hw/host.ts';
import { Sysfs } from '../../../../hw/kernel/sysfs/sysfs.ts';
import { Extension } from '../../../../hw/kernel/vfio/uapi.ts';
import { builtInHost, DEFAULT_HOST } from '../../../../src/hosts/builtin.ts';
import { addressOf, errnoOf, VfioLab } from '../../../support/vfio-lab.ts';

const PARAMETER = '/sys/module/vfio/parameters/enable_unsafe_noiommu_mode';
const MAP = { argsz: 32, flags: 3, vaddr: 0n, iova: 0n, size: 4096n };

/** A machine whose IOMMU is switched off. */
function unprotected(profile: '5.15' | '6.1' | '7.2' = '7.2', mode = true): VfioLab {
  const lab = new VfioLab({ profile, commandLine: 'intel_iommu=off' });
  lab.kernel.vfioParameters.unsafeNoIommu = mode;
  return lab;
}

describe('enable_unsafe_noiommu_mode', () => {
  it('is off at boot, is set by path or on the command line, and takes only yes and no', () => {
    const lab = unprotected('7.2', false);
    const sysfs = new Sysfs(lab.kernel);
    expect(sysfs.read(PARAMETER)).toBe('N\n');
    expect(errnoOf(() => lab.bind('A0', 'vfio-pci'))).toBe('EINVAL');
    expect(errnoOf(() => sysfs.write(PARAMETER, 'maybe'))).toBe('EINVAL');
    sysfs.write(PARAMETER, 'Y\n');
    expect(sysfs.read(PARAMETER)).toBe('Y\n');
    expect(errnoOf(() => lab.bind('A0', 'vfio-pci'))).toBe('success');
    const booted = new VfioLab({ commandLine: 'intel_iommu=off vfio.enable_unsafe_noiommu_mode=1' });
    expect(new Sysfs(booted.kernel).read(PARAMETER)).toBe('Y\n');
  });

  it('makes a group "vfio-noiommu" for a function in none, taints the kernel, and takes the group away again', () => {
    const lab = unprotected();
    const device = lab.bind('A0', 'vfio-pci');
    const group = lab.kernel.iommu.groupOf(device);
    expect(group?.name).toBe('vfio-noiommu');
    expect(lab.kernel.log.lines.some((line) => line.includes('kernel taint'))).toBe(true);
    const nodes = new Sysfs(lab.kernel).list('/dev/vfio').map((entry) => entry.name);
    expect(nodes).toContain(`noiommu-${group?.id}`);
    lab.kernel.drivers.unbind('pci', 'vfio-pci', device.name);
    expect(lab.kernel.iommu.groupOf(device)).toBeUndefined();
  });

  it('5.15 asks that no IOMMU serves the bus; later kernels only that the function is in no group', () => {
    const profiles = ['5.15', '6.1', '7.2'] as const;
    const bound = profiles.map((profile) => {
      const lab = new VfioLab({ profile });
      lab.kernel.vfioParameters.unsafeNoIommu = true;
      const device = lab.kernel.pciDevice(addressOf('A0'));
      if (device === undefined) throw new Error('no device');
      lab.kernel.iommu.removeDevice(device);
      return errnoOf(() => lab.bind('A0', 'vfio-pci'));
    });
    expect(bound).toEqual(['EINVAL', 'success', 'success']);
  });
});

describe('a container of groups without IOMMU', () => {
  it('knows extension 8 and nothing else; there is nothing to map (ENOTTY)', () => {
    const lab = unprotected();
    const { container, descriptor } = lab.container();
    expect(container.checkExtension(Extension.NOIOMMU_IOMMU)).toBe(1);
    lab.group('A0').group.setContainer(lab.owner, descriptor);
    expect(container.checkExtension(Extension.TYPE1v2_IOMMU)).toBe(0);
    expect(errnoOf(() => container.mapDma(lab.owner, MAP))).toBe('EINVAL');
    expect(errnoOf(() => container.setIommu(Extension.TYPE1v2_IOMMU))).toBe('ENODEV');
    container.setIommu(Extension.NOIOMMU_IOMMU);
    expect(errnoOf(() => container.setIommu(Extension.NOIOMMU_IOMMU))).toBe('EINVAL');
    expect(errnoOf(() => container.mapDma(lab.owner, MAP))).toBe('ENOTTY');
    expect(errnoOf(() => container.unmapDma(lab.owner, { argsz: 24, flags: 0, iova: 0n, size: 4096n }))).toBe(
      'ENOTTY',
    );
    expect(errnoOf(() => container.info(24))).toBe('ENOTTY');
    expect(container.checkExtension(Extension.UNMAP_ALL)).toBe(0);
  });

  it('offers extension 8 to nobody while the mode is off, nor to groups with an IOMMU (ENODEV)', () => {
    const lab = new VfioLab();
    const { container, descriptor } = lab.container();
    expect(container.checkExtension(Extension.NOIOMMU_IOMMU)).toBe(0);
    lab.kernel.vfioParameters.unsafeNoIommu = true;
    expect(container.checkExtension(Extension.NOIOMMU_IOMMU)).toBe(1);
    lab.group('A0').group.setContainer(lab.owner, descriptor);
    expect(container.checkExtension(Extension.NOIOMMU_IOMMU)).toBe(0);
    expect(errnoOf(() => container.setIommu(Extension.NOIOMMU_IOMMU))).toBe('ENODEV');
  });

  it('opens its devices only once the back end is set, and closes like any other', () => {
    const lab = unprotected();
    const { container, descriptor } = lab.container();
    const { group, descriptor: groupDescriptor } = lab.group('A0');
    expect(errnoOf(() => group.openDevice(addressOf('A0')))).toBe('EINVAL');
    group.setContainer(lab.owner, descriptor);
    expect(errnoOf(() => group.openDevice(addressOf('A0')))).toBe('EINVAL');
    container.setIommu(Extension.NOIOMMU_IOMMU);
    const { descriptor: device, file } = lab.device(group, addressOf('A0'));
    expect(file.info(24).regions).toBe(9);
    expect(errnoOf(() => group.unsetContainer())).toBe('EBUSY');
    lab.owner.descriptors.close(device);
    group.unsetContainer();
    expect(container.groups).toEqual([]);
    lab.owner.descriptors.close(groupDescriptor);
    expect(errnoOf(() => lab.openGroup(group.id))).toBe('success');
  });

  it('never mixes with groups that have one: EPERM either way', () => {
    const lab = new VfioLab();
    lab.kernel.vfioParameters.unsafeNoIommu = true;
    const device = lab.kernel.pciDevice(addressOf('A0'));
    if (device === undefined) throw new Error('no device');
    lab.kernel.iommu.removeDevice(device);
    const { group: without } = lab.group('A0');
    const { group: real } = lab.group('B0');
    const first = lab.container();
    without.setContainer(lab.owner, first.descriptor);
    expect(errnoOf(() => real.setContainer(lab.owner, first.descriptor))).toBe('EPERM');
    const second = lab.container();
    real.setContainer(lab.owner, second.descriptor);
    without.unsetContainer();
    expect(errnoOf(() => without.setContainer(lab.owner, second.descriptor))).toBe('EPERM');
    expect(real.status(8)).toBe(3);
  });

  it('EPERM without CAP_SYS_RAWIO at every step', () => {
    const lab = unprotected();
    const user = lab.kernel.processes.create('user', { userId: 1000 });
    const { group, descriptor: open } = lab.group('A0');
    const { container, descriptor } = lab.container(user);
    expect(errnoOf(() => group.setContainer(user, descriptor))).toBe('EPERM');
    group.setContainer(lab.owner, lab.owner.descriptors.install(user.descriptors.file(descriptor).get()));
    expect(errnoOf(() => container.setIommu(Extension.NOIOMMU_IOMMU, user))).toBe('EPERM');
    container.setIommu(Extension.NOIOMMU_IOMMU, lab.owner);
    expect(errnoOf(() => group.openDevice(addressOf('A0'), user))).toBe('EPERM');
    lab.owner.descriptors.close(open);
    group.nodeUserId = 1000;
    expect(errnoOf(() => lab.openGroup(group.id, user))).toBe('EPERM');
  });
});

describe('a process on a host without IOMMU', () => {
  const DRIVE = '0000:27:00.0';
  const MEMORY = 64n << 20n;

  function host(commandLine: string) {
    const description = builtInHost(DEFAULT_HOST);
    if (description === undefined) throw new Error('the built-in host is missing');
    return buildHost({ ...description, kernelCommandLine: commandLine }, { profile: '7.2' });
  }

  it('gets the device in the mode only, a virtual machine never; the matrix shows that it reaches everybody', () => {
    const safe = host('intel_iommu=off');
    safe.createMachine('dpdk', MEMORY, { kind: 'process' });
    expect(errnoOf(() => safe.assign('dpdk', DRIVE))).toBe('ENODEV');
    const unsafe = host('intel_iommu=off vfio.enable_unsafe_noiommu_mode=1');
    unsafe.createMachine('guest', MEMORY);
    expect(errnoOf(() => unsafe.assign('guest', DRIVE))).toBe('ENODEV');
    unsafe.createMachine('limited', MEMORY, { kind: 'process', lockLimitBytes: MEMORY });
    expect(errnoOf(() => unsafe.assign('limited', DRIVE))).toBe('EPERM');
    expect(unsafe.device(DRIVE)?.driver).not.toBe('vfio-pci');
    unsafe.createMachine('dpdk', MEMORY, { kind: 'process' });
    unsafe.assign('dpdk', DRIVE);
    expect(unsafe.groups().map((group) => group.name)).toEqual(['vfio-noiommu']);
    expect(unsafe.groups()[0].reasons[0]).toMatchObject({ rule: 'no IOMMU' });
    expect(unsafe.groups()[0].reasons[0].detail).toMatch(/^Unsafe/);
    const bytes = new TextEncoder().encode('anywhere');
    expect(unsafe.deviceDma({ device: DRIVE, iova: 0x2000000n, access: 'write', bytes }).ok).toBe(true);
    unsafe.addMemory('dpdk', MEMORY);
    unsafe.removeMemory('dpdk');
    expect(errnoOf(() => unsafe.startDirtyTracking('dpdk'))).toBe('ENOTTY');
    unsafe.killMachine('dpdk');
    unsafe.startMachine('dpdk');
    unsafe.release('dpdk', DRIVE);
    expect(unsafe.groups()).toEqual([]);
  });

  it('is in the isolation matrix: with no unit in its way a device reaches all pages', () => {
    const unsafe = host('intel_iommu=off vfio.enable_unsafe_noiommu_mode=1');
    unsafe.createMachine('dpdk', MEMORY, { kind: 'process' });
    unsafe.assign('dpdk', DRIVE);
    unsafe.writeMachineMemory(
      'dpdk',
      unsafe.machineState('dpdk')?.slots[0].guestAddress ?? 0n,
      new Uint8Array(8),
    );
    const cells = unsafe.isolationMatrix().filter((cell) => cell.device === DRIVE);
    expect(cells).toEqual([expect.objectContaining({ machine: 'dpdk', pasid: undefined })]);
  });
});
