/**
 * A group as VFIO offers it (struct vfio_group): it exists while a device of the IOMMU group is bound to a VFIO
 * driver, one process at a time has it open, and it is in one container or bound to one IOMMUFD context.
 * drivers/vfio/group.c.
 */
import type { Device } from '../device.ts';
import { KernelError } from '../errno.ts';
import type { IommuGroup } from '../iommu/types.ts';
import { OpenFile, type OpenFileObject } from '../process/file.ts';
import type { Process } from '../process/process.ts';
import { Container } from './container.ts';
import { DeviceFile, type VfioDevice } from './device.ts';
import { requireRawIo } from './no-iommu.ts';
import type { ContainerGroup, Type1Environment } from './type1/state.ts';
import type { Type1 } from './type1/type1.ts';
import { GroupStatus, StructureBytes } from './uapi.ts';

/** What VIABLE and SET_CONTAINER of 5.15 ask about every member of a group. */
export interface ViabilityRule {
  /** The first member that stands in the way, or undefined: the group is viable. */
  obstacle(group: IommuGroup): Device | undefined;
}

/**
 * An IOMMUFD context used in place of a container: what the group asks of it. Implemented by the IOMMUFD side; a
 * descriptor of such an object is accepted by SET_CONTAINER.
 */
export interface ContainerSubstitute extends OpenFileObject {
  readonly isContainerSubstitute: true;
  /** SET_CONTAINER: a compatibility address space is there from now on. @throws KernelError */
  acceptGroup(group: VfioGroup): void;
  /** First open of a device: bind, before the driver opens it. @throws KernelError */
  bindDevice(device: VfioDevice): void;
  /** After the driver opened it: attach to the compatibility address space. @throws KernelError */
  attachDevice(device: VfioDevice): void;
  /** Last close: detach (when attached) and unbind. */
  unbindDevice(device: VfioDevice): void;
}

function isSubstitute(object: OpenFileObject): object is ContainerSubstitute {
  return (object as Partial<ContainerSubstitute>).isContainerSubstitute === true;
}

export class VfioGroup implements ContainerGroup {
  readonly iommuGroup: IommuGroup;
  readonly type: 'iommu' | 'emulated';
  /** No IOMMU stands behind it, and nothing isolates its devices (VFIO_NO_IOMMU). */
  readonly noIommu: boolean;
  /** 5.15: the device that isolates the mediated device of this group; stays set while the group detaches. */
  isolatingDevice: Device | undefined;
  /** Owner of /dev/vfio/N. */
  nodeUserId = 0;
  /** Devices registered now, in order of registration. */
  readonly devices: VfioDevice[] = [];
  private readonly environment: Type1Environment;
  private readonly viability: ViabilityRule;
  private openedFile: OpenFile | undefined;
  private inContainer: Container | undefined;
  private onIommufd: ContainerSubstitute | undefined;
  private iommufdFile: OpenFile | undefined;
  private containerFile: OpenFile | undefined;
  /** What each open device was bound to: the group may leave its container before the device is closed. */
  private readonly openSubstitutes = new Map<VfioDevice, ContainerSubstitute>();
  private containerUsers = 0;
  /** Open devices that reach memory through the container. */
  private readonly containerDevices = new Set<VfioDevice>();
  private dead = false;
  /** Devices open by their own node (cdev): they and the group exclude each other. */
  openByNode = 0;

  constructor(
    iommuGroup: IommuGroup,
    type: 'iommu' | 'emulated',
    environment: Type1Environment,
    viability: ViabilityRule,
    noIommu = false,
  ) {
    this.iommuGroup = iommuGroup;
    this.type = type;
    this.noIommu = noIommu;
    this.environment = environment;
    this.viability = viability;
  }

  /** Its node in /dev/vfio. */
  get nodeName(): string {
    return this.noIommu ? `noiommu-${this.id}` : String(this.id);
  }

  /** Number in /dev/vfio. */
  get id(): number {
    return this.iommuGroup.id;
  }

  get container(): Container | undefined {
    return this.inContainer;
  }

  get iommufd(): ContainerSubstitute | undefined {
    return this.onIommufd;
  }

  /** True while somebody has the group open, or has a device of it open by way of the group. */
  get isOpen(): boolean {
    return this.openedFile !== undefined;
  }

  /**
   * Opens /dev/vfio/N. @throws KernelError ENODEV (no device left), EPERM (no IOMMU, no CAP_SYS_RAWIO), EBUSY (open already, or a device is open by its own
   * node, or 5.15: still in a container from before).
   */
  open(process: Process): OpenFile {
    this.refuseDead();
    if (this.noIommu) requireRawIo(process, this.id);
    if (this.openByNode > 0)
      throw new KernelError(
        'EBUSY',
        'device node open',
        `a device of group ${this.id} is open by its own node`,
      );
    if (this.openedFile !== undefined || this.inContainer !== undefined)
      throw new KernelError(
        'EBUSY',
        'group open',
        `group ${this.id} is open already`,
        'close it in the other process',
      );
    const file = new OpenFile(new GroupFile(this, () => this.closed()));
    this.openedFile = file;
    return file;
  }

  /** VFIO_GROUP_GET_STATUS: GroupStatus flags. @throws KernelError EINVAL below 8 bytes, ENODEV. */
  status(argsz: number): number {
    if (argsz < StructureBytes.groupStatus)
      throw new KernelError('EINVAL', 'status structure', `argsz ${argsz} is too small`);
    this.refuseDead();
    const { profile, core } = this.environment;
    const set = this.inContainer !== undefined || this.onIommufd !== undefined;
    if (profile.dmaOwnership !== 'viability') {
      if (set) return GroupStatus.viable | GroupStatus.containerSet;
      return core.dmaOwnerClaimed(this.iommuGroup) ? 0 : GroupStatus.viable;
    }
    const viable = this.viability.obstacle(this.iommuGroup) === undefined ? GroupStatus.viable : 0;
    return viable | (set ? GroupStatus.containerSet : 0);
  }

  /**
   * VFIO_GROUP_SET_CONTAINER. `descriptor` undefined: a null pointer was passed.
   * @throws KernelError EFAULT, EBADF, EINVAL (set already), ENODEV, EBADFD or EINVAL (not a container), and from the
   * claim: EPERM (a kernel driver uses the group), EBUSY; and why type1 could not attach it.
   */
  setContainer(process: Process, descriptor: number | undefined): void {
    if (descriptor === undefined)
      throw new KernelError('EFAULT', 'null pointer', 'SET_CONTAINER takes a pointer');
    const file = process.descriptors.file(descriptor);
    if (this.inContainer !== undefined || this.onIommufd !== undefined)
      throw new KernelError('EINVAL', 'container set', `group ${this.id} is in a container already`);
    this.refuseDead();
    const { object } = file;
    if (object instanceof Container) this.join(process, object, file);
    else if (this.environment.profile.iommufd && isSubstitute(object)) {
      if (!this.noIommu) object.acceptGroup(this);
      this.onIommufd = object;
      this.iommufdFile = file.get();
    } else {
      throw new KernelError(
        this.environment.profile.notAContainerErrno,
        'not a container',
        `descriptor ${descriptor} is a ${object.fileKind}`,
      );
    }
  }

  /** VFIO_GROUP_UNSET_CONTAINER. @throws KernelError EINVAL (none set), EBUSY (devices open). */
  unsetContainer(): void {
    if (this.inContainer === undefined && this.onIommufd === undefined)
      throw new KernelError('EINVAL', 'container not set', `group ${this.id} is in no container`);
    if (this.inContainer !== undefined && this.containerUsers !== 1)
      throw new KernelError(
        'EBUSY',
        'devices open',
        `a device of group ${this.id} is open`,
        'close it first',
      );
    this.leave();
  }

  /**
   * VFIO_GROUP_GET_DEVICE_FD: opens a device of the group by its name.
   * @param process Who asks; the superuser unless told.
   * @throws KernelError ENODEV (no such device here), EINVAL (no container or back end; 5.15: not viable), EPERM (no IOMMU,
   * no CAP_SYS_RAWIO), and why the device could not be opened.
   */
  openDevice(name: string, process?: Process): OpenFile {
    if (this.environment.profile.dmaOwnership === 'viability') {
      this.requireBackend();
      this.requireViable();
    }
    const device = this.devices.find((each) => each.registered && each.name === name);
    if (device === undefined)
      throw new KernelError(
        'ENODEV',
        'no such device',
        `group ${this.id} offers no device "${name}"`,
        'bind it to vfio-pci',
      );
    if (this.inContainer === undefined && this.onIommufd === undefined)
      throw new KernelError('EINVAL', 'container not set', `group ${this.id} is in no container`);
    if (this.noIommu && process !== undefined) requireRawIo(process, this.id);
    if (device.openCount === 0) this.firstOpen(device);
    device.openCount += 1;
    if (this.noIommu)
      this.environment.log(
        `vfio-pci ${name}: vfio-noiommu device opened by user (${process?.name ?? 'root'}:${process?.pid ?? 1})`,
      );
    return new OpenFile(new DeviceFile(device, () => this.closeDevice(device)));
  }

  /** The last device of the group left its VFIO driver: the group is gone for whoever has it open. */
  kill(): void {
    this.leave();
    this.dead = true;
  }

  private firstOpen(device: VfioDevice): void {
    const substitute = this.onIommufd;
    if (this.noIommu) {
      if (substitute === undefined) this.requireBackend();
      device.operations.open();
      if (substitute === undefined) this.useContainer(device);
      return;
    }
    if (substitute !== undefined) {
      substitute.bindDevice(device);
      try {
        device.operations.open();
        try {
          substitute.attachDevice(device);
        } catch (error) {
          device.operations.close();
          throw error;
        }
      } catch (error) {
        substitute.unbindDevice(device);
        throw error;
      }
      this.openSubstitutes.set(device, substitute);
      return;
    }
    this.requireBackend();
    const backend = this.inContainer?.driver('open') as Type1;
    device.operations.open();
    this.useContainer(device);
    device.dmaPath = {
      pinPages: (iova, count, prot) => {
        if (count > 512)
          throw new KernelError('E2BIG', 'pin count', `${count} pages: at most 512 in one call`);
        return backend.pinPages(this, iova, count, prot);
      },
      unpinPages: (iova, count) => backend.unpinPages(iova, count),
      accessMemory: (iova, bytes, write) => backend.accessMemory(iova, bytes, write),
    };
    if (device.operations.dmaUnmap !== undefined) backend.registerDevice(device);
  }

  private closeDevice(device: VfioDevice): void {
    if (device.openCount > 1) {
      device.releaseOpen();
      return;
    }
    const substitute = this.openSubstitutes.get(device);
    device.operations.close();
    if (substitute !== undefined) {
      this.openSubstitutes.delete(device);
      substitute.unbindDevice(device);
    } else if (this.containerDevices.has(device)) {
      this.inContainer?.backend?.unregisterDevice(device);
      device.dmaPath = undefined;
      this.containerUsers -= 1;
    }
    const file = this.containerDevices.delete(device) ? this.openedFile : undefined;
    device.releaseOpen();
    file?.put();
  }

  /** vfio_group_use_container: the open device keeps the group open. A device on IOMMUFD doesn't. */
  private useContainer(device: VfioDevice): void {
    this.containerUsers += 1;
    this.containerDevices.add(device);
    this.openedFile?.get();
  }

  /** The group's descriptor is closed, and with a container all device descriptors too. */
  private closed(): void {
    this.leave();
    this.openedFile = undefined;
  }

  /** With an IOMMU behind it, and a kernel that claims such groups. */
  private get claims(): boolean {
    const { profile } = this.environment;
    return this.type === 'iommu' && !this.noIommu && profile.dmaOwnership !== 'viability';
  }

  private join(process: Process, container: Container, file: OpenFile): void {
    if (this.noIommu) requireRawIo(process, this.id);
    container.refuseMixing(this);
    const { claims } = this;
    if (claims) this.environment.core.claimGroup(this.iommuGroup, this);
    try {
      container.addGroup(this);
    } catch (error) {
      if (claims) this.environment.core.releaseGroup(this.iommuGroup);
      throw error;
    }
    this.inContainer = container;
    this.containerFile = file.get();
    this.containerUsers = 1;
  }

  private leave(): void {
    if (this.inContainer !== undefined) {
      this.inContainer.removeGroup(this);
      if (this.claims) this.environment.core.releaseGroup(this.iommuGroup);
      this.inContainer = undefined;
      this.containerUsers = 0;
      this.containerFile?.put();
      this.containerFile = undefined;
    }
    if (this.onIommufd !== undefined) {
      this.onIommufd = undefined;
      this.iommufdFile?.put();
      this.iommufdFile = undefined;
    }
  }

  private requireBackend(): void {
    if (this.inContainer?.hasBackend === true) return;
    const what = this.inContainer === undefined ? 'is in no container' : 'is in a container without back end';
    throw new KernelError(
      'EINVAL',
      'no back end',
      `group ${this.id} ${what}`,
      'SET_CONTAINER, then SET_IOMMU',
    );
  }

  private requireViable(): void {
    const obstacle = this.viability.obstacle(this.iommuGroup);
    if (obstacle === undefined) return;
    throw new KernelError(
      'EINVAL',
      'group not viable',
      `${obstacle.name} of group ${this.id} is bound to ${obstacle.driver?.name}`,
      `unbind ${obstacle.name} from its driver`,
    );
  }

  private refuseDead(): void {
    if (this.dead)
      throw new KernelError(
        'ENODEV',
        'group gone',
        `no device of group ${this.id} is bound to a VFIO driver any more`,
      );
  }
}

/** An open group descriptor. */
export class GroupFile implements OpenFileObject {
  readonly fileKind = 'vfio group';
  readonly group: VfioGroup;
  private readonly closed: () => void;

  constructor(group: VfioGroup, closed: () => void) {
    this.group = group;
    this.closed = closed;
  }

  release(): void {
    this.closed();
  }
}
