import { describe, expect, it } from 'vitest';
import { DeviceNodeFile, openDeviceNode } from '../../../../hw/kernel/iommufd/device-node.ts';
import { Feature, FeatureFlag } from '../../../../hw/kernel/vfio/uapi.ts';
import { addressOf, errnoOf, VfioLab } from '../../../support/vfio-lab.ts';

/** struct vfio_pci_hot_reset_info and struct vfio_pci_dependent_device (include/uapi/linux/vfio.h). */
const HEADER = 12;
const EACH = 8;
const ROOM = HEADER + 4 * EACH;

/** A container with the groups of these devices, each opened. */
function opened(lab: VfioLab, ...names: string[]) {
  const { container, descriptor } = lab.container();
  let set = false;
  return names.map((name) => {
    lab.bind(name, 'vfio-pci');
    const device = lab.kernel.pciDevice(addressOf(name));
    const id = (device && lab.kernel.iommu.groupOf(device)?.id) ?? -1;
    const group = lab.openGroup(id);
    group.group.setContainer(lab.owner, descriptor);
    if (!set) container.setIommu(3);
    set = true;
    return { ...lab.device(group.group, addressOf(name)), group: group.descriptor, id };
  });
}

describe('VFIO_DEVICE_GET_PCI_HOT_RESET_INFO (vfio_pci_core.c)', () => {
  it('lists every function of the bus with its group', () => {
    const lab = new VfioLab({ secondPort: true });
    const [{ file, id }] = opened(lab, 'C0');
    const request = { argsz: ROOM, flags: 0, count: 0 };
    const hit = file.hotResetInfo(request);
    expect(hit).toEqual([
      { id, segment: 0, bus: 1, devfn: 0 },
      { id: expect.any(Number), segment: 0, bus: 1, devfn: 1 },
    ]);
    expect(request).toMatchObject({ count: 2, flags: 0 });
  });

  it('ENOSPC with too little room, and the count tells how much it takes', () => {
    const lab = new VfioLab({ secondPort: true });
    const [{ file }] = opened(lab, 'C0');
    const request = { argsz: HEADER + EACH, flags: 0, count: 0 };
    expect(errnoOf(() => file.hotResetInfo(request))).toBe('ENOSPC');
    expect(request.count).toBe(2);
    expect(errnoOf(() => file.hotResetInfo({ argsz: HEADER - 1, flags: 0, count: 0 }))).toBe('EINVAL');
  });

  it('ENODEV on a root bus, which no bridge can reset; ENOTTY for a mediated device', () => {
    const lab = new VfioLab();
    const [{ file }] = opened(lab, 'A0');
    expect(errnoOf(() => file.hotResetInfo({ argsz: ROOM, flags: 0, count: 0 }))).toBe('ENODEV');
    const { container, descriptor } = lab.container();
    const uuid = '11111111-2222-3333-4444-555555555555';
    const { group } = lab.mdev('mtty', 'mtty-1', uuid);
    group.setContainer(lab.owner, descriptor);
    container.setIommu(3);
    const mdev = lab.device(group, uuid).file;
    expect(errnoOf(() => mdev.hotResetInfo({ argsz: ROOM, flags: 0, count: 0 }))).toBe('ENOTTY');
    expect(errnoOf(() => mdev.hotReset(lab.owner, { argsz: 16, flags: 0, groups: [1] }))).toBe('ENOTTY');
  });

  it('by the node of the device: numbers in the same context, -1 for what others hold, no "all owned" then', () => {
    const lab = new VfioLab({ secondPort: true });
    lab.bind('C0', 'vfio-pci');
    const { iommufd, processes, vfio } = lab.kernel;
    const owner = processes.create('node user');
    const context = owner.open(iommufd.open(owner));
    const nodeOf = (name: string): DeviceNodeFile => {
      const device = lab.kernel.pciDevice(addressOf(name));
      const offered = device && vfio.deviceOf(device);
      return owner.object(owner.descriptors.install(openDeviceNode(offered, owner)), DeviceNodeFile);
    };
    const node = nodeOf('C0');
    expect(errnoOf(() => node.hotResetInfo({ argsz: ROOM, flags: 0, count: 0 }))).toBe('EINVAL');
    const id = node.bind(owner, { argsz: 16, flags: 0, descriptor: context });
    const request = { argsz: ROOM, flags: 0, count: 0 };
    expect(node.hotResetInfo(request).map((each) => each.id)).toEqual([id, -1]);
    expect(request.flags).toBe(1);
    expect(errnoOf(() => node.hotReset(owner, { argsz: HEADER, flags: 0, groups: [] }))).toBe('EINVAL');
    // Bound to vfio-pci and open nowhere: owned by way of its group (VFIO_PCI_DEVID_OWNED), where they share one.
    lab.bind('C1', 'vfio-pci');
    const shared =
      lab.kernel.iommu.groupOf(lab.bind('C0', 'vfio-pci')) ===
      lab.kernel.iommu.groupOf(lab.bind('C1', 'vfio-pci'));
    expect(node.hotResetInfo(request).map((each) => each.id)).toEqual([id, shared ? 0 : -1]);
    const second = nodeOf('C1').bind(owner, { argsz: 16, flags: 0, descriptor: context });
    expect(node.hotResetInfo(request).map((each) => each.id)).toEqual([id, second]);
    expect(request.flags).toBe(3);
    expect(errnoOf(() => node.hotReset(owner, { argsz: HEADER, flags: 0, groups: [] }))).toBe('success');
    expect(errnoOf(() => node.hotReset(owner, { argsz: 16, flags: 0, groups: [context] }))).toBe('EINVAL');
  });
});

describe('VFIO_DEVICE_PCI_HOT_RESET (vfio_pci_core.c)', () => {
  it('resets when the caller shows every group it hits', () => {
    const lab = new VfioLab();
    const [{ file, group }] = opened(lab, 'C0');
    const pci = lab.kernel.topology.find(addressOf('C0'));
    pci?.write(0x04, 2, 0x0006);
    file.hotReset(lab.owner, { argsz: 16, flags: 0, groups: [group] });
    // pci_save_state and pci_restore_state: what software set up is there again.
    expect((pci?.read(0x04, 2) ?? 0) & 6).toBe(6);
  });

  it('EINVAL: flags, no groups, more groups than functions, a file that is no group, a function outside them', () => {
    const lab = new VfioLab({ secondPort: true });
    const [{ file, group, descriptor }] = opened(lab, 'C0');
    const reset = (over: object): string =>
      errnoOf(() => file.hotReset(lab.owner, { argsz: 20, flags: 0, groups: [group], ...over }));
    expect(reset({ argsz: 11 })).toBe('EINVAL');
    expect(reset({ flags: 1 })).toBe('EINVAL');
    expect(reset({ groups: [] })).toBe('EINVAL');
    expect(reset({ groups: [group, group, group] })).toBe('EINVAL');
    expect(reset({ groups: [descriptor] })).toBe('EINVAL');
    expect(reset({ groups: [999] })).toBe('EBADF');
    // C1 is bound to no VFIO driver.
    expect(reset({})).toBe('EINVAL');
  });
});

describe('VFIO_DEVICE_GET_REGION_INFO, _GET_IRQ_INFO, _SET_IRQS (vfio_pci_core.c)', () => {
  it.each([-1, 9, 255, 0x7fffffff, 0xffffffff])('EINVAL for region and interrupt %d', (index) => {
    const lab = new VfioLab();
    const [{ file }] = opened(lab, 'A0');
    expect(errnoOf(() => file.regionInfo(index, 32))).toBe('EINVAL');
    expect(errnoOf(() => file.irqInfo(index, 16))).toBe('EINVAL');
    expect(errnoOf(() => file.setIrq(index, 0, true))).toBe('EINVAL');
    expect(errnoOf(() => file.setIrq(1, index, true))).toBe('EINVAL');
  });
});

describe('VFIO_DEVICE_FEATURE (vfio_main.c, vfio_pci_core.c)', () => {
  const { get, set, probe } = FeatureFlag;

  it('ENOTTY for what the device has not; EINVAL for unknown flags, a small structure, GET with SET', () => {
    const lab = new VfioLab();
    const [{ file }] = opened(lab, 'A0');
    const feature = (flags: number, argsz = 64): string => errnoOf(() => file.feature({ argsz, flags }));
    expect(feature(probe | 200)).toBe('ENOTTY');
    expect(feature(probe | Feature.PCI_VF_TOKEN)).toBe('ENOTTY');
    expect(feature(get | set | Feature.LOW_POWER_EXIT)).toBe('EINVAL');
    expect(feature(0x80000)).toBe('EINVAL');
    expect(feature(set | Feature.LOW_POWER_EXIT, 7)).toBe('EINVAL');
    // PROBE with GET and SET asks for both: it can only be set.
    expect(feature(probe | get | set | Feature.LOW_POWER_EXIT)).toBe('EINVAL');
    expect(feature(probe | set | Feature.LOW_POWER_EXIT)).toBe('success');
    expect(feature(Feature.LOW_POWER_EXIT)).toBe('EINVAL');
  });

  it('low power: once, and its memory is out of reach until it wakes (6.1; ENOTTY before)', () => {
    const lab = new VfioLab();
    const [{ file }] = opened(lab, 'A0');
    const operations = file.operations as { memoryEnabled?: boolean };
    const flags = set | Feature.LOW_POWER_ENTRY;
    expect(operations.memoryEnabled).toBe(true);
    file.feature({ argsz: 8, flags });
    expect(operations.memoryEnabled).toBe(false);
    expect(errnoOf(() => file.feature({ argsz: 8, flags }))).toBe('EINVAL');
    const wakeUp = set | Feature.LOW_POWER_ENTRY_WITH_WAKEUP;
    expect(errnoOf(() => file.feature({ argsz: 8, flags: wakeUp }))).toBe('EINVAL');
    file.feature({ argsz: 8, flags: set | Feature.LOW_POWER_EXIT });
    expect(operations.memoryEnabled).toBe(true);
    const [older] = opened(new VfioLab({ profile: '5.15' }), 'A0');
    expect(errnoOf(() => older.file.feature({ argsz: 8, flags }))).toBe('ENOTTY');
  });
});
