/**
 * /dev/vfio/devices/vfioN (drivers/vfio/device_cdev.c): a device of its own, without group. It can do nothing until it
 * is bound to an IOMMUFD descriptor; its DMA is blocked until it is attached to a page table.
 */
import { KernelError } from '../errno.ts';
import { OpenFile } from '../process/file.ts';
import type { Process } from '../process/process.ts';
import { DeviceFile, type VfioDevice, type VfioDeviceOperations } from '../vfio/device.ts';
import { IommufdContext } from './context.ts';
import { bindVfioDevice, type VfioBinding } from './vfio-binding.ts';

/** VFIO_DEVICE_BIND_FLAG_TOKEN; VFIO_DEVICE_ATTACH_PASID, _DETACH_PASID. */
const BIND_TOKEN = 1;
const WITH_PASID = 1;
/** Bytes of struct vfio_device_bind_iommufd up to the device id; of attach and detach without and with the PASID. */
const BIND_BYTES = 16;
const ATTACH_BYTES = 12;
const ATTACH_PASID_BYTES = 16;
const DETACH_BYTES = 8;
const DETACH_PASID_BYTES = 12;

function invalid(rule: string, detail: string, remedy?: string): KernelError {
  return new KernelError('EINVAL', rule, detail, remedy);
}

/** An open device node. */
export class DeviceNodeFile extends DeviceFile {
  private binding: VfioBinding | undefined;
  private context: IommufdContext | undefined;

  constructor(device: VfioDevice) {
    super(device, () => {});
    device.nodeFiles += 1;
  }

  get bound(): boolean {
    return this.binding !== undefined;
  }

  /** Before it is bound it knows no request but BIND_IOMMUFD, and says EINVAL to all others. */
  unknownRequest(): 'EINVAL' | 'ENOTTY' {
    return this.bound ? 'ENOTTY' : 'EINVAL';
  }

  /** The requests of a VFIO device. @throws KernelError EINVAL before the node is bound. */
  override get operations(): VfioDeviceOperations {
    this.requireBound();
    return this.device.operations;
  }

  protected override get iommufdContext(): object | undefined {
    return this.context;
  }

  protected override requireUsable(): void {
    this.requireBound();
  }

  override release(): void {
    if (this.binding !== undefined) {
      this.device.operations.close();
      this.binding.unbind();
      this.binding = undefined;
      this.context?.file.put();
      if (this.device.group !== undefined) this.device.group.openByNode -= 1;
      this.device.nodeFiles -= 1;
      this.device.releaseOpen();
      return;
    }
    this.device.nodeFiles -= 1;
    this.device.checkGone();
  }

  /**
   * VFIO_DEVICE_BIND_IOMMUFD. @param token what the request points at: undefined is a bad pointer.
   * @returns number of the device in the descriptor.
   * @throws KernelError EINVAL (size, flags, negative descriptor, bound already, open elsewhere), EBUSY while the group
   * is open, EFAULT (token), EBADF, EBADFD, and those of binding.
   */
  bind(
    process: Process,
    request: { readonly argsz: number; readonly flags: number; readonly descriptor: number },
    token?: Uint8Array,
  ): number {
    if (request.argsz < BIND_BYTES) throw invalid('structure size', `argsz ${request.argsz} is too small`);
    if ((request.flags & ~BIND_TOKEN) !== 0 || request.descriptor < 0)
      throw invalid('bind request', `flags ${request.flags}, descriptor ${request.descriptor}`);
    const { group } = this.device;
    if (group?.isOpen === true)
      throw new KernelError(
        'EBUSY',
        'group open',
        `group ${group.id} of ${this.device.name} is open by /dev/vfio/${group.id}`,
        'Close the group: a device is used by its node or by its group.',
      );
    if (this.bound) throw invalid('bound already', `${this.device.name} is bound by this descriptor`);
    if ((request.flags & BIND_TOKEN) !== 0) {
      if (token === undefined) throw new KernelError('EFAULT', 'token pointer', 'there is no token');
      throw invalid('token', `${this.device.name} takes no token`);
    }
    const context = process.object(request.descriptor, IommufdContext, 'EBADFD');
    if (this.device.openCount !== 0)
      throw invalid(
        'device open',
        `${this.device.name} is open by another descriptor`,
        'A device node serves one descriptor at a time.',
      );
    const binding = bindVfioDevice(context, this.device);
    try {
      this.device.operations.open();
    } catch (error) {
      binding.unbind();
      throw error;
    }
    this.device.openCount += 1;
    if (group !== undefined) group.openByNode += 1;
    this.binding = binding;
    this.context = context;
    context.file.get();
    return binding.id;
  }

  /**
   * VFIO_DEVICE_ATTACH_IOMMUFD_PT: to an IOAS or a page table, again to move. @returns what it is attached to.
   * @throws KernelError EINVAL (not bound, size, flags), EOPNOTSUPP (PASID of a device without), and those of attaching.
   */
  attach(request: {
    readonly argsz: number;
    readonly flags: number;
    readonly pageTable: number;
    readonly pasid: number;
  }): number {
    const binding = this.requireBound();
    checkPasidRequest(request, ATTACH_BYTES);
    if ((request.flags & WITH_PASID) === 0) return binding.attach(request.pageTable);
    if (binding.attachPasid === undefined) throw this.noPasids();
    checkPasidSize(request.argsz, ATTACH_PASID_BYTES);
    return binding.attachPasid(request.pageTable, request.pasid);
  }

  /** VFIO_DEVICE_DETACH_IOMMUFD_PT. Detaching what is not attached is no error. @throws as attach */
  detach(request: { readonly argsz: number; readonly flags: number; readonly pasid: number }): void {
    const binding = this.requireBound();
    checkPasidRequest(request, DETACH_BYTES);
    if ((request.flags & WITH_PASID) === 0) {
      binding.detach();
      return;
    }
    if (binding.detachPasid === undefined) throw this.noPasids();
    checkPasidSize(request.argsz, DETACH_PASID_BYTES);
    binding.detachPasid(request.pasid);
  }

  private requireBound(): VfioBinding {
    if (this.binding !== undefined) return this.binding;
    throw invalid(
      'device not bound',
      `${this.device.name} is not bound to an IOMMUFD descriptor`,
      'Bind it first (VFIO_DEVICE_BIND_IOMMUFD).',
    );
  }

  private noPasids(): KernelError {
    return new KernelError('EOPNOTSUPP', 'no PASIDs', `the driver of ${this.device.name} attaches no PASIDs`);
  }
}

function checkPasidRequest(request: { argsz: number; flags: number }, bytes: number): void {
  if (request.argsz < bytes || (request.flags & ~WITH_PASID) !== 0)
    throw invalid('attach request', `argsz ${request.argsz}, flags ${request.flags}`);
}

function checkPasidSize(argsz: number, bytes: number): void {
  if (argsz < bytes) throw invalid('structure size', `argsz ${argsz} leaves no room for the PASID`);
}

/**
 * Opens the node of a device. Several may have it open; one can bind it.
 * @throws KernelError ENOENT when there is no such node (any more), EACCES for an ordinary user.
 */
export function openDeviceNode(device: VfioDevice | undefined, process: Process): OpenFile {
  if (device === undefined || !device.registered)
    throw new KernelError(
      'ENOENT',
      'no device node',
      'the device is bound to no VFIO driver',
      'Bind it to vfio-pci.',
    );
  if (process.userId !== 0)
    throw new KernelError('EACCES', 'node permissions', 'the device node belongs to the superuser');
  return new OpenFile(new DeviceNodeFile(device));
}
