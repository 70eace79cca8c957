/**
 * An open /dev/iommu (struct iommufd_ctx): the objects made through it, how pages are charged, and the address space
 * that stands in for a VFIO container. What has no number here does not exist for its user.
 */

import type { Trace } from '../../trace.ts';
import { KernelError } from '../errno.ts';
import { OpenFile, type OpenFileObject } from '../process/file.ts';
import type { Process } from '../process/process.ts';
import { IommufdGroup } from './device.ts';
import { FaultQueue } from './fault-queue.ts';
import { Ioas } from './ioas.ts';
import { ObjectTable } from './objects.ts';
import { type AccountMode, UserAccounts } from './pages.ts';

/** /dev/iommu belongs to the superuser (0660); the VFIO container's node to everybody (0666). */
const NODE_NAME = '/dev/iommu';

/** What all descriptors share: module options and the accounts of users. */
export class IommufdModule {
  /** user_struct.locked_vm. */
  readonly accounts = new UserAccounts();
  /** iommufd.allow_unsafe_interrupts. */
  allowUnsafeInterrupts = false;
  /** CONFIG_IOMMUFD_TEST: the request numbers of the self-test exist. */
  readonly selftest: boolean;
  readonly trace: Trace | undefined;

  constructor(options: { selftest?: boolean; trace?: Trace } = {}) {
    this.selftest = options.selftest ?? false;
    this.trace = options.trace;
  }

  /**
   * Opens /dev/iommu, or the VFIO container node when the kernel gives it to IOMMUFD: pages are then charged to the
   * process as type1 does. @throws KernelError EACCES for /dev/iommu by an ordinary user.
   */
  open(process: Process, node: typeof NODE_NAME | '/dev/vfio/vfio' = NODE_NAME): IommufdContext {
    if (node === NODE_NAME && process.userId !== 0)
      throw new KernelError(
        'EACCES',
        'device node',
        `${NODE_NAME} may not be opened by user ${process.userId}`,
        'Have a privileged manager open it and hand the descriptor over.',
      );
    return new IommufdContext(this, node === NODE_NAME ? 'user' : 'mm');
  }
}

export class IommufdContext implements OpenFileObject {
  readonly fileKind = 'iommufd';
  readonly module: IommufdModule;
  readonly objects = new ObjectTable();
  /** Descriptors, bound devices, containers and fault queues hold this. */
  readonly file: OpenFile;
  accountMode: Exclude<AccountMode, 'none'>;
  /** A no-IOMMU group uses the descriptor as container: there can't be an address space. */
  noIommuMode = false;
  private compatibilityIoas: Ioas | undefined;
  private readonly groups = new Map<object, IommufdGroup>();

  constructor(module: IommufdModule, accountMode: Exclude<AccountMode, 'none'>) {
    this.module = module;
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

  /** The last reference is gone. */
  release(): void {
    this.objects.destroyAll();
  }
}
