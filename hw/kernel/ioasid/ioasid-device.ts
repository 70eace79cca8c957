/**
 * /dev/ioasid of the same series: a process opens it once, gets a set of its own, and allocates numbers by request. The
 * cgroup controller `ioasids` limits how many. Not merged; /dev/iommu took its place.
 */
import { KernelError } from '../errno.ts';
import type { OpenFileObject } from '../process/file.ts';
import type { Process } from '../process/process.ts';
import { INVALID_IOASID } from './allocator.ts';
import type { IoasidSet, IoasidSets } from './ioasid-sets.ts';

/** Version of the interface, and the width of numbers it reports. */
const API_VERSION = 0;
const NUMBER_BITS = 31;
/** {argsz, flags, first, last}. */
const ALLOCATION_BYTES = 16;
const INFO_BYTES = 12;

/** One control group: `max` is 0 until the administrator raises it. The kernel's own users are exempt. */
export class IoasidCgroup {
  readonly name: string;
  /** ioasids.max. */
  maximum: number;
  /** ioasids.current; processes that move in may bring it above the maximum. */
  current = 0;
  /** ioasids.events: refused allocations. */
  refused = 0;

  constructor(name: string, maximum = 0) {
    this.name = name;
    this.maximum = maximum;
  }

  /** @throws KernelError EAGAIN: the limit is reached. */
  charge(): void {
    if (this.current >= this.maximum) {
      this.refused += 1;
      throw new KernelError(
        'EAGAIN',
        'ioasids.max',
        `${this.current} of ${this.maximum} IOASIDs of cgroup ${this.name} are out`,
        `Raise ioasids.max of ${this.name}.`,
      );
    }
    this.current += 1;
  }

  uncharge(): void {
    this.current -= 1;
  }
}

/** The device: it remembers who has it open. */
export class IoasidDevice {
  private readonly sets: IoasidSets;
  private readonly open = new Map<Process, IoasidFile>();

  constructor(sets: IoasidSets) {
    this.sets = sets;
  }

  /**
   * Opens it: a set with all that is left comes with it. @param cgroup whom the numbers are charged to.
   * @throws KernelError EBUSY: the process has it open; ENOSPC: no numbers are left; EEXIST
   */
  openFor(process: Process, cgroup: IoasidCgroup): IoasidFile {
    if (this.open.has(process))
      throw new KernelError('EBUSY', '/dev/ioasid open', `${process.name} has /dev/ioasid open`);
    if (this.sets.available === 0)
      throw new KernelError(
        'ENOSPC',
        'IOASID quota',
        'another process has taken everything: a set made by /dev/ioasid has all that is left',
      );
    const set = this.sets.allocateSet('mm', process.memory, 0);
    const file = new IoasidFile(this.sets, set, process, cgroup, () => this.open.delete(process));
    this.open.set(process, file);
    return file;
  }
}

/** An open /dev/ioasid. */
export class IoasidFile implements OpenFileObject {
  readonly fileKind = 'ioasid';
  readonly set: IoasidSet;
  private readonly sets: IoasidSets;
  private readonly owner: Process;
  private readonly cgroup: IoasidCgroup;
  private readonly closed: () => void;
  private readonly ids = new Set<number>();

  constructor(sets: IoasidSets, set: IoasidSet, owner: Process, cgroup: IoasidCgroup, closed: () => void) {
    this.sets = sets;
    this.set = set;
    this.owner = owner;
    this.cgroup = cgroup;
    this.closed = closed;
  }

  version(): number {
    return API_VERSION;
  }

  /** @throws KernelError EINVAL */
  info(argsz: number, flags: number): { bits: number } {
    if (argsz < INFO_BYTES || flags !== 0) throw invalid('INFO', argsz, flags);
    return { bits: NUMBER_BITS };
  }

  /** A number of the range. @throws KernelError EINVAL: size, flags, range, or none to be had; EPERM: a child asks. */
  allocate(
    process: Process,
    request: {
      readonly argsz: number;
      readonly flags: number;
      readonly first: number;
      readonly last: number;
    },
  ): number {
    this.requireOwner(process);
    const { argsz, flags, first, last } = request;
    if (argsz < ALLOCATION_BYTES || flags !== 0) throw invalid('ALLOC', argsz, flags);
    if (first > last || last >= 2 ** NUMBER_BITS)
      throw new KernelError('EINVAL', 'IOASID range', `${first} to ${last} is no range`);
    this.cgroup.charge();
    const id = this.sets.allocate(this.set, first, last);
    if (id === INVALID_IOASID) {
      this.cgroup.uncharge();
      throw new KernelError('EINVAL', 'no IOASID', `none of ${first} to ${last} is to be had`);
    }
    this.ids.add(id);
    return id;
  }

  /** @throws KernelError EINVAL: not one of this descriptor. */
  free(process: Process, id: number): void {
    this.requireOwner(process);
    if (!this.ids.delete(id))
      throw new KernelError('EINVAL', 'IOASID not owned', `${id} is not allocated here`);
    this.sets.free(this.set, id);
    this.cgroup.uncharge();
  }

  /** Everything goes with the descriptor. */
  release(): void {
    for (const id of this.ids) {
      this.sets.free(this.set, id);
      this.cgroup.uncharge();
    }
    this.ids.clear();
    if (!this.set.freed && this.set.count === 0) this.sets.freeSet(this.set);
    this.closed();
  }

  private requireOwner(process: Process): void {
    if (process !== this.owner)
      throw new KernelError(
        'EPERM',
        'inherited descriptor',
        `/dev/ioasid was opened by ${this.owner.name}; its set is that process's address space`,
      );
  }
}

function invalid(request: string, argsz: number, flags: number): KernelError {
  return new KernelError('EINVAL', 'IOASID request', `${request}: argsz ${argsz}, flags ${flags}`);
}
