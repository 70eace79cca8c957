/**
 * A user process, as far as device assignment needs it: an address space, open files, an identity with its
 * capabilities, and the limit on locked memory. Virtual machines, DPDK programs and the transcripts' shells are these.
 */
import { KernelError } from '../errno.ts';
import { AddressSpace } from './address-space.ts';
import { DescriptorTable, OpenFile, type OpenFileObject } from './file.ts';
import type { UserPages } from './user-pages.ts';

/** Capabilities that VFIO and IOMMUFD ask for. */
export type Capability = 'CAP_IPC_LOCK' | 'CAP_SYS_RAWIO' | 'CAP_SYS_ADMIN' | 'CAP_SYS_RESOURCE';

/** RLIMIT_MEMLOCK of a fresh process since Linux 5.16: 8 MiB. */
const DEFAULT_MEMORY_LOCK_BYTES = 8 * 1024 * 1024;

export class Process {
  readonly pid: number;
  readonly name: string;
  readonly memory: AddressSpace;
  readonly descriptors: DescriptorTable;
  /** RLIMIT_MEMLOCK in bytes; Infinity for unlimited. */
  memoryLockLimitBytes: number;
  /** Locked-memory accounting of IOMMUFD by user (struct user_struct.locked_vm) goes by this number. */
  userId: number;
  private ended = false;

  constructor(
    name: string,
    options: {
      pid: number;
      memory: AddressSpace;
      descriptors?: DescriptorTable;
      userId?: number;
      memoryLockLimitBytes?: number;
    },
  ) {
    this.name = name;
    this.pid = options.pid;
    this.memory = options.memory;
    this.descriptors = options.descriptors ?? new DescriptorTable();
    this.userId = options.userId ?? 0;
    this.memoryLockLimitBytes = options.memoryLockLimitBytes ?? DEFAULT_MEMORY_LOCK_BYTES;
  }

  /** capable(): the superuser has all of them. */
  capable(_capability: Capability): boolean {
    return this.userId === 0;
  }

  get running(): boolean {
    return !this.ended;
  }

  /** Opens an object and returns its descriptor. */
  open(object: OpenFileObject): number {
    return this.descriptors.install(new OpenFile(object));
  }

  /**
   * The object behind a descriptor, when it is of the class asked for.
   * @throws KernelError EBADF when nothing is open there, `otherwise` when it is something else.
   */
  object<T extends OpenFileObject>(
    descriptor: number,
    type: abstract new (...args: never[]) => T,
    otherwise: 'EINVAL' | 'EBADFD' | 'ENOTTY' = 'EINVAL',
  ): T {
    const object = this.descriptors.file(descriptor).object;
    if (object instanceof type) return object;
    throw new KernelError(
      otherwise === 'ENOTTY' ? (object.unknownRequest?.() ?? otherwise) : otherwise,
      'wrong kind of file',
      `descriptor ${descriptor} is a ${object.fileKind}`,
    );
  }

  /** Ends the process: files close in order of their numbers, then the memory goes (do_exit). */
  exit(): void {
    if (this.ended) return;
    this.ended = true;
    // exit_mm comes before exit_files: memory is gone when the last files are released.
    this.memory.destroy();
    this.descriptors.closeAll();
  }
}

/** The processes of the machine. */
export class ProcessTable {
  readonly pages: UserPages;
  private readonly all = new Map<number, Process>();
  private nextPid = 1;

  constructor(pages: UserPages) {
    this.pages = pages;
  }

  get processes(): readonly Process[] {
    return [...this.all.values()];
  }

  /** A fresh process with an empty address space. */
  create(name: string, options: { userId?: number; memoryLockLimitBytes?: number } = {}): Process {
    const process = new Process(name, {
      pid: this.nextPid++,
      memory: new AddressSpace(this.pages),
      ...options,
    });
    this.all.set(process.pid, process);
    return process;
  }

  /** fork: the child shares open files and shared memory, and has copies of private memory. */
  fork(parent: Process, name: string): Process {
    const child = new Process(name, {
      pid: this.nextPid++,
      memory: parent.memory.fork(),
      descriptors: parent.descriptors.fork(),
      userId: parent.userId,
      memoryLockLimitBytes: parent.memoryLockLimitBytes,
    });
    this.all.set(child.pid, child);
    return child;
  }

  /** Exit or kill: everything the process held is released. */
  end(process: Process): void {
    process.exit();
    this.all.delete(process.pid);
  }
}
