/**
 * An open /dev/iommu (struct iommufd_ctx): the objects made through it, how pages are charged, and the address space
 * that stands in for a VFIO container. What has no number here does not exist for its user.
 */

import type { Trace } from '../../trace.ts';
import { KernelError } from '../errno.ts';
import { type CallArgument, traced } from '../iommu/call-log.ts';
import { OpenFile, type OpenFileObject } from '../process/file.ts';
import type { Process } from '../process/process.ts';
import type { VfioDevice } from '../vfio/device.ts';
import type { ContainerSubstitute } from '../vfio/group.ts';
import { IommufdGroup } from './device.ts';
import type { DeviceIommu } from './device-iommu.ts';
import { FaultQueue } from './fault-queue.ts';
import { Ioas } from './ioas.ts';
import { ObjectTable } from './objects.ts';
import { type AccountMode, UserAccounts } from './pages.ts';
import { bindVfioDevice, type VfioBinding } from './vfio-binding.ts';
import { compatibilityIoas, createCompatibilityIoas } from './vfio-compat.ts';

/** /dev/iommu belongs to the superuser (0660); the VFIO container's node to everybody (0666). */
const NODE_NAME = '/dev/iommu';

/** What all descriptors share: module options and the accounts of users. */
export class IommufdModule {
  /** user_struct.locked_vm. */
  readonly accounts = new UserAccounts();
  /** iommufd.allow_unsafe_interrupts. */
  allowUnsafeInterrupts = false;
  /** The kernel is built with it: the device nodes exist. */
  available: boolean;
  /** CONFIG_IOMMUFD_TEST: the request numbers of the self-test exist. */
  selftest = false;
  /** The IOMMU layer of real devices. */
  readonly iommu: DeviceIommu | undefined;
  /** Where calls are told. */
  readonly trace: Trace | undefined;

  constructor(options: { available?: boolean; iommu?: DeviceIommu; trace?: Trace } = {}) {
    this.available = options.available ?? true;
    this.iommu = options.iommu;
    this.trace = options.trace;
  }

  /**
   * Opens /dev/iommu, or the VFIO container node when the kernel gives it to IOMMUFD: pages are then charged to the
   * process as type1 does. @throws KernelError ENOENT where the kernel lacks it, EACCES for an ordinary user (/dev/iommu).
   */
  open(process: Process, node: typeof NODE_NAME | '/dev/vfio/vfio' = NODE_NAME): IommufdContext {
    if (!this.available)
      throw new KernelError(
        'ENOENT',
        'no IOMMUFD',
        'this kernel has no /dev/iommu',
        'Use containers and groups (/dev/vfio), or a kernel since 6.2 built with IOMMUFD.',
      );
    if (node === NODE_NAME && process.userId !== 0)
      throw new KernelError(
        'EACCES',
        'device node',
        `${NODE_NAME} may not be opened by user ${process.userId}`,
        'Have a privileged manager open it and hand the descriptor over.',
      );
    return new IommufdContext(this, process.name, node === NODE_NAME ? 'user' : 'mm');
  }
}

export class IommufdContext implements OpenFileObject, ContainerSubstitute {
  readonly fileKind = 'iommufd';
  readonly isContainerSubstitute = true;
  readonly module: IommufdModule;
  readonly objects = new ObjectTable();
  /** For people, as owner of DMA: "iommufd of dpdk". */
  readonly name: string;
  /** Descriptors, bound devices, containers and fault queues hold this. */
  readonly file: OpenFile;
  accountMode: Exclude<AccountMode, 'none'>;
  private compatibilityIoas: Ioas | undefined;
  private readonly groups = new Map<object, IommufdGroup>();
  /** Devices opened by way of a group whose container this is. */
  private readonly bindings = new Map<VfioDevice, VfioBinding>();

  constructor(module: IommufdModule, opener: string, accountMode: Exclude<AccountMode, 'none'>) {
    this.module = module;
    this.name = `iommufd of ${opener}`;
    this.accountMode = accountMode;
    this.file = new OpenFile(this);
  }

  /** The IOAS that requests of a VFIO container go to. */
  get vfioIoas(): Ioas | undefined {
    return this.compatibilityIoas;
  }

  set vfioIoas(ioas: Ioas | undefined) {
    this.compatibilityIoas = ioas;
  }

  /** Runs a request and tells it with its arguments and result; what it causes further down is told in between. */
  call<Result>(name: string, request: object, body: () => Result): Result {
    const { trace } = this.module;
    return trace === undefined
      ? body()
      : traced(trace, 'kernel/iommufd', name, () => argumentsOf(request), body);
  }

  createIoas(): Ioas {
    return this.objects.add(
      new Ioas((ioas) => {
        if (this.compatibilityIoas === ioas) this.compatibilityIoas = undefined;
      }),
    );
  }

  createFaultQueue(): FaultQueue {
    this.file.get();
    const queue: FaultQueue = new FaultQueue(() => {
      queue.users -= 1;
      this.file.put();
    });
    queue.users += 1;
    return this.objects.add(queue);
  }

  ioas(id: number): Ioas {
    return this.objects.get(id, Ioas, 'an IOAS');
  }

  /** The descriptor's view of an IOMMU group, made when the first of its devices is bound. */
  groupFor(group: object): IommufdGroup {
    let known = this.groups.get(group);
    if (known === undefined) {
      known = new IommufdGroup(group);
      this.groups.set(group, known);
    }
    return known;
  }

  forgetGroup(group: IommufdGroup): void {
    this.groups.delete(group.group);
  }

  /** SET_CONTAINER: there is an address space for the compatibility from now on. */
  acceptGroup(): void {
    createCompatibilityIoas(this);
  }

  /** First open of a device of a group. */
  bindDevice(device: VfioDevice): void {
    this.bindings.set(device, bindVfioDevice(this, device));
    this.file.get();
  }

  /** @throws KernelError ENODEV when the address space was dropped meanwhile, and those of attaching. */
  attachDevice(device: VfioDevice): void {
    this.bindings.get(device)?.attach(compatibilityIoas(this).id);
  }

  unbindDevice(device: VfioDevice): void {
    this.bindings.get(device)?.unbind();
    this.bindings.delete(device);
    this.file.put();
  }

  /** The last reference is gone. */
  release(): void {
    this.objects.destroyAll();
  }
}

/** Fields of a request as the log shows them: addresses in hex, data by its length. */
function argumentsOf(request: object): Record<string, CallArgument> {
  const shown: Record<string, CallArgument> = {};
  for (const [name, value] of Object.entries(request)) {
    if (typeof value === 'bigint') shown[name] = `0x${value.toString(16)}`;
    else if (typeof value === 'number' || typeof value === 'boolean' || typeof value === 'string')
      shown[name] = value;
    else if (value instanceof Uint8Array) shown[name] = `${value.length} bytes`;
    else if (Array.isArray(value)) shown[name] = `${value.length} entries`;
  }
  return shown;
}
