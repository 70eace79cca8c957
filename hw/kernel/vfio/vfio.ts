/**
 * VFIO as a whole: which devices are registered, which groups exist for them, and the files in /dev/vfio.
 * drivers/vfio/vfio_main.c, group.c.
 */
import { Completion } from '../completion.ts';
import type { Device } from '../device.ts';
import { KernelError } from '../errno.ts';
import type { IommuGroup } from '../iommu/types.ts';
import { OpenFile } from '../process/file.ts';
import type { Process } from '../process/process.ts';
import { Container } from './container.ts';
import type { VfioDevice } from './device.ts';
import { VfioGroup } from './group.ts';
import { takesWithoutIommu } from './no-iommu.ts';
import type { Type1Environment } from './type1/state.ts';

/** Name of the group that VFIO makes for a device without IOMMU behind it (sysfs attribute `name`). */
const EMULATED_GROUP_NAME = 'vfio-noiommu';

export class Vfio {
  readonly environment: Type1Environment;
  private readonly byIommuGroup = new Map<IommuGroup, VfioGroup>();
  private readonly byDevice = new Map<Device, VfioDevice>();

  constructor(environment: Type1Environment) {
    this.environment = environment;
  }

  /** Groups with a node in /dev/vfio, by number. */
  get groups(): readonly VfioGroup[] {
    return [...this.byIommuGroup.values()].sort((a, b) => a.id - b.id);
  }

  /** Devices that can be opened. */
  get devices(): readonly VfioDevice[] {
    return [...this.byDevice.values()];
  }

  groupOf(iommuGroup: IommuGroup): VfioGroup | undefined {
    return this.byIommuGroup.get(iommuGroup);
  }

  deviceOf(device: Device): VfioDevice | undefined {
    return this.byDevice.get(device);
  }

  /** The open device that taking this one away would have to wait for: itself, or a mediated device it is parent of. */
  holderOf(device: Device): VfioDevice | undefined {
    for (const each of this.byDevice.values())
      if (each.openCount > 0 && (each.device === device || each.device.parent === device)) return each;
    return undefined;
  }

  /**
   * vfio_register_group_dev, vfio_register_emulated_iommu_dev: the device can be opened from now on, and its group has a
   * node. @throws KernelError EINVAL: a device that needs an IOMMU group and has none.
   */
  register(device: VfioDevice): void {
    const { core } = this.environment;
    let iommuGroup = core.groupOf(device.device);
    const made = iommuGroup === undefined;
    if (iommuGroup === undefined) {
      if (device.type !== 'emulated' && !takesWithoutIommu(this.environment))
        throw new KernelError(
          'EINVAL',
          'no IOMMU group',
          `${device.name} is in no IOMMU group`,
          'switch the IOMMU on',
        );
      iommuGroup = core.allocateGroup(EMULATED_GROUP_NAME);
      core.addDevice(iommuGroup, device.device);
      this.environment.log(`${device.driverName} ${device.name}: Adding to iommu group ${iommuGroup.id}`);
      if (device.type !== 'emulated')
        this.environment.log(
          `${device.driverName} ${device.name}: Adding kernel taint for vfio-noiommu group on device`,
        );
    }
    let group = this.byIommuGroup.get(iommuGroup);
    if (group === undefined) {
      const type = device.isolatingDevice === undefined ? device.type : 'iommu';
      const viability = { obstacle: (of: IommuGroup) => this.obstacle(of) };
      const noIommu = made && device.type !== 'emulated';
      group = new VfioGroup(iommuGroup, type, this.environment, viability, noIommu);
      this.byIommuGroup.set(iommuGroup, group);
    }
    group.isolatingDevice = device.isolatingDevice;
    group.devices.push(device);
    device.group = group;
    device.registered = true;
    this.byDevice.set(device.device, device);
  }

  /**
   * vfio_unregister_group_dev: no further opens; finished when the last user closed the device. The group dies with its
   * last device, and an emulated device leaves the group that was made for it.
   */
  unregister(device: VfioDevice): Completion {
    const finished = new Completion();
    device.startUnregistration(this.environment.log).whenDone(() => {
      const { group } = device;
      this.byDevice.delete(device.device);
      if (group !== undefined) {
        group.devices.splice(group.devices.indexOf(device), 1);
        if (group.devices.length === 0) {
          this.byIommuGroup.delete(group.iommuGroup);
          group.kill();
        }
        if (device.type === 'emulated' || group.noIommu) {
          const left = group.iommuGroup.id;
          this.environment.log(`${device.driverName} ${device.name}: Removing from iommu group ${left}`);
          this.environment.core.removeDevice(device.device);
        }
      }
      device.group = undefined;
      finished.complete();
    });
    return finished;
  }

  /** Opens /dev/vfio/vfio; anybody may. */
  openContainer(): OpenFile {
    return new OpenFile(new Container(this.environment));
  }

  /**
   * Opens /dev/vfio/N. @throws KernelError ENOENT (no such node), EACCES (not the node's owner), and as VfioGroup.open.
   */
  openGroup(process: Process, groupNumber: number): OpenFile {
    const group = this.groups.find((each) => each.id === groupNumber);
    if (group === undefined)
      throw new KernelError(
        'ENOENT',
        'no group node',
        `/dev/vfio/${groupNumber} does not exist`,
        'bind a device of the group to vfio-pci',
      );
    if (process.userId !== 0 && process.userId !== group.nodeUserId)
      throw new KernelError(
        'EACCES',
        'node permissions',
        `/dev/vfio/${group.nodeName} belongs to user ${group.nodeUserId}`,
      );
    return group.open(process);
  }

  /**
   * The viability rule of 5.15: every member has no driver, a driver that is allowed beside VFIO (pci-stub), is a bridge
   * whatever its driver, or is bound to VFIO. The first member that is not.
   */
  private obstacle(group: IommuGroup): Device | undefined {
    return group.devices.find(
      (device) =>
        device.driver !== undefined &&
        device.driver.name !== 'pci-stub' &&
        !(device.pci !== undefined && device.pci.headerType !== 0) &&
        !this.byDevice.has(device),
    );
  }
}
