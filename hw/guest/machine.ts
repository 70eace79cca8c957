/**
 * A user-space owner of devices: a virtual machine, or a process that drives devices itself (DPDK). It has a
 * definition that outlives its process (memory, devices), and while it runs a process with memory and open VFIO files.
 */
import { KernelError } from '../kernel/errno.ts';
import type { Process, ProcessTable } from '../kernel/process/process.ts';
import type { DeviceUser, MappedSlot } from './device-user.ts';
import { GuestTables } from './guest-tables.ts';
import { type IommufdNodes, IommufdUser } from './iommufd-user.ts';
import { hotplugSlot, initialSlots, MEMORY_BLOCK_BYTES, type MemorySlot } from './memory-layout.ts';
import { type VfioNodes, VfioUser } from './vfio-user.ts';

export type MachineKind = 'virtual machine' | 'process';

export interface MachineDefinition {
  readonly name: string;
  readonly kind: MachineKind;
  readonly memoryBytes: bigint;
  /** RLIMIT_MEMLOCK; undefined: CAP_IPC_LOCK, no limit. */
  readonly lockLimitBytes: bigint | undefined;
  /** Memory is made of 2 MiB pages (hugetlbfs), so that the IOMMU can map large pages. */
  readonly hugePages: boolean;
  /** Devices are opened by IOMMUFD and their own nodes, not by containers and groups. */
  readonly iommufd: boolean;
  /** The guest sees an IOMMU and keeps tables of its own, which the unit walks above the host's (needs IOMMUFD). */
  readonly virtualIommu: boolean;
}

/** What a machine uses of the kernel. */
export interface MachineSystem {
  readonly processes: ProcessTable;
  readonly vfio: VfioNodes;
  readonly iommufd: IommufdNodes;
}

/** A slot while the machine runs. */
interface PlacedSlot extends MemorySlot {
  readonly userAddress: number;
}

/** What runs: gone when the machine stops. */
interface Running {
  readonly process: Process;
  readonly user: DeviceUser;
  readonly slots: PlacedSlot[];
  /** Tables of the guest's own IOMMU driver, by device. */
  readonly guestTables: Map<string, GuestTables>;
}

const PAGE_BYTES = 4096n;
/** What a guest keeps for the tables of one device. */
const GUEST_TABLE_BYTES = 0x100000n;

/** Rounds of dirty tracking that are remembered. */
const KEPT_ROUNDS = 32;

const BITS_IN_BYTE = Uint8Array.from(
  { length: 256 },
  (_, byte) => byte.toString(2).replaceAll('0', '').length,
);

/** User ids of owners with a limit start here; owner 0 is the superuser, who has none. */
const FIRST_USER_ID = 1000;

export class Machine {
  readonly definition: MachineDefinition;
  private readonly system: MachineSystem;
  private readonly userId: number;
  /** PCI addresses and UUIDs, in order of assignment. */
  private readonly assigned: string[] = [];
  private readonly slots: MemorySlot[];
  private running: Running | undefined;
  private rounds: number[] = [];

  /** @param number Tells owners with a limit apart (their user id). */
  constructor(definition: MachineDefinition, system: MachineSystem, number: number) {
    this.definition = definition;
    this.system = system;
    this.userId = definition.lockLimitBytes === undefined ? 0 : FIRST_USER_ID + number;
    this.slots =
      definition.kind === 'process'
        ? [{ slot: 0, name: 'process-memory', guestAddress: 0n, lengthBytes: definition.memoryBytes }]
        : initialSlots(definition.memoryBytes);
  }

  get name(): string {
    return this.definition.name;
  }

  get isRunning(): boolean {
    return this.running !== undefined;
  }

  get devices(): readonly string[] {
    return this.assigned;
  }

  get memorySlots(): readonly (MemorySlot & { readonly userAddress: number | undefined })[] {
    return this.running?.slots ?? this.slots.map((slot) => ({ ...slot, userAddress: undefined }));
  }

  get memoryBytes(): bigint {
    return this.slots.reduce((sum, slot) => sum + slot.lengthBytes, 0n);
  }

  get process(): Process | undefined {
    return this.running?.process;
  }

  /** How it has its devices open, while it runs. */
  get user(): DeviceUser | undefined {
    return this.running?.user;
  }

  /** True when the guest's own tables translate for the device. */
  isNested(device: string): boolean {
    const user = this.running?.user;
    return user instanceof IommufdUser && user.isNested(device);
  }

  /**
   * Starts the process, gives it its memory and opens its devices.
   * @throws KernelError EBUSY: it runs; or why a device can't be opened: nothing runs then.
   */
  start(): void {
    if (this.running !== undefined)
      throw new KernelError('EBUSY', 'machine runs', `${this.name} is running already`);
    const limit = this.definition.lockLimitBytes;
    const process = this.system.processes.create(this.name, {
      userId: this.userId,
      memoryLockLimitBytes: limit === undefined ? Number.POSITIVE_INFINITY : Number(limit),
    });
    const slots: PlacedSlot[] = [];
    const mapped = (): MappedSlot[] => slots.map(mappedSlot);
    const { iommufd, virtualIommu } = this.definition;
    const user = iommufd
      ? new IommufdUser(process, this.system.iommufd, mapped, virtualIommu)
      : new VfioUser(process, this.system.vfio, mapped, this.definition.kind === 'process');
    try {
      for (const slot of this.slots) slots.push(this.place(process, slot));
      for (const device of this.assigned) user.attach(device);
    } catch (error) {
      user.closeAll();
      this.system.processes.end(process);
      throw error;
    }
    this.running = { process, user, slots, guestTables: new Map() };
  }

  /** Orderly: devices are closed one by one, then the process ends. @throws KernelError EINVAL: it doesn't run. */
  stop(): void {
    const running = this.requireRunning('stop');
    running.user.closeAll();
    this.system.processes.end(running.process);
    this.running = undefined;
  }

  /** SIGKILL: the kernel releases what was open. @throws KernelError EINVAL: it doesn't run. */
  kill(): void {
    const running = this.requireRunning('kill');
    this.system.processes.end(running.process);
    this.running = undefined;
  }

  /**
   * Gives it a device: at once while it runs, at the next start otherwise.
   * @throws KernelError EEXIST: has it already; or why it can't be opened.
   */
  assign(device: string): void {
    if (this.assigned.includes(device))
      throw new KernelError('EEXIST', 'assigned already', `${this.name} has ${device} already`);
    this.running?.user.attach(device);
    this.assigned.push(device);
  }

  /** @throws KernelError ENODEV: doesn't have it. */
  release(device: string): void {
    const index = this.assigned.indexOf(device);
    if (index < 0) throw new KernelError('ENODEV', 'not assigned', `${this.name} does not have ${device}`);
    this.running?.user.detach(device);
    this.running?.guestTables.delete(device);
    this.assigned.splice(index, 1);
  }

  /** Plugs memory in. @throws KernelError EINVAL for a bad size, ENOMEM when it can't be had or locked. */
  addMemory(bytes: bigint): void {
    if (bytes <= 0n || bytes % MEMORY_BLOCK_BYTES !== 0n)
      throw new KernelError('EINVAL', 'memory size', `${bytes} bytes are no whole number of 2 MiB blocks`);
    const slot = hotplugSlot(this.slots, bytes);
    const running = this.running;
    if (running !== undefined) {
      const placed = this.place(running.process, slot);
      try {
        running.user.mapSlot(mappedSlot(placed));
      } catch (error) {
        running.process.memory.unmap(placed.userAddress, Number(bytes));
        throw error;
      }
      running.slots.push(placed);
    }
    this.slots.push(slot);
  }

  /** Unplugs the memory that was plugged in last. @throws KernelError EINVAL: only what it started with is left. */
  removeMemory(): void {
    const slot = this.slots.at(-1);
    if (slot === undefined || !slot.name.startsWith('dimm'))
      throw new KernelError(
        'EINVAL',
        'no memory to unplug',
        `${this.name} has no memory that was plugged in`,
      );
    const placed = this.running?.slots.pop();
    if (this.running !== undefined && placed !== undefined) {
      this.running.user.unmapSlot(mappedSlot(placed));
      this.running.process.memory.unmap(placed.userAddress, Number(placed.lengthBytes));
    }
    this.slots.pop();
  }

  /**
   * The guest's IOMMU driver maps pages for a device; with the first mapping it switches translation on for it.
   * @throws KernelError EOPNOTSUPP: the machine has no virtual IOMMU; EINVAL, ENOMEM; and what the kernel says.
   */
  guestMap(device: string, iova: bigint, guestAddress: bigint, lengthBytes: bigint, writable: boolean): void {
    const user = this.requireVirtualIommu();
    const tables = this.tablesOf(device);
    const stale = tables.map(iova, guestAddress, lengthBytes, writable);
    if (!user.isNested(device)) user.nest(device, tables.root);
    else if (stale) user.invalidate(device, iova, lengthBytes / PAGE_BYTES);
  }

  /** The guest's driver unmaps pages and invalidates them. @returns pages that were mapped. */
  guestUnmap(device: string, iova: bigint, lengthBytes: bigint): number {
    const user = this.requireVirtualIommu();
    const pages = this.tablesOf(device).unmap(iova, lengthBytes);
    if (pages > 0) user.invalidate(device, iova, lengthBytes / PAGE_BYTES);
    return pages;
  }

  private requireVirtualIommu(): IommufdUser {
    const { user } = this.requireRunning('use the virtual IOMMU of');
    if (this.definition.virtualIommu && user instanceof IommufdUser) return user;
    throw new KernelError(
      'EOPNOTSUPP',
      'no virtual IOMMU',
      `${this.name} has no virtual IOMMU`,
      'Create the machine with one.',
    );
  }

  /** Tables lie at the end of the first slot; each device's in 1 MiB of their own. */
  private tablesOf(device: string): GuestTables {
    const running = this.requireRunning('use the virtual IOMMU of');
    const known = running.guestTables.get(device);
    if (known !== undefined) return known;
    if (!this.assigned.includes(device))
      throw new KernelError('ENODEV', 'not assigned', `${this.name} does not have ${device}`);
    const [first] = running.slots;
    const place =
      first.guestAddress + first.lengthBytes - BigInt(running.guestTables.size + 1) * GUEST_TABLE_BYTES;
    if (place < first.guestAddress)
      throw new KernelError(
        'ENOMEM',
        'no room for guest tables',
        `${this.name} has too little memory for more tables`,
      );
    const made = new GuestTables(this, place, GUEST_TABLE_BYTES);
    running.guestTables.set(device, made);
    return made;
  }

  /** CPU access to guest memory. @throws KernelError EFAULT: no memory there; EINVAL: it doesn't run. */
  read(guestAddress: bigint, lengthBytes: number): Uint8Array {
    const running = this.requireRunning('read memory of');
    return running.process.memory.read(this.userAddress(guestAddress, lengthBytes), lengthBytes);
  }

  write(guestAddress: bigint, bytes: Uint8Array): void {
    const running = this.requireRunning('write memory of');
    running.process.memory.write(this.userAddress(guestAddress, bytes.length), bytes);
  }

  /** A guest's memory lies where its slots say; a process uses its own addresses for its devices too (IOVA as VA). */
  private place(process: Process, slot: MemorySlot): PlacedSlot {
    const { kind, hugePages } = this.definition;
    const userAddress = process.memory.mapAnonymous(Number(slot.lengthBytes), { huge: hugePages });
    return {
      ...slot,
      userAddress,
      guestAddress: kind === 'process' ? BigInt(userAddress) : slot.guestAddress,
    };
  }

  /** @throws KernelError EINVAL: it doesn't run, or has no device in a container. */
  setDirtyTracking(on: boolean): void {
    const { user } = this.requireRunning('track dirty pages of');
    if (!user.hasDevices)
      throw new KernelError(
        'EINVAL',
        'no container',
        `${this.name} has no device: there is no container that could track its pages`,
        'Assign a device first.',
      );
    user.setDirtyTracking(on);
    if (on) this.rounds = [];
  }

  /** Pages that each round since the start of tracking found dirty, the latest ones. */
  get dirtyRounds(): readonly number[] {
    return this.rounds;
  }

  /** Pages reported dirty since the last call: one round of a migration. @throws KernelError EINVAL: not tracking. */
  dirtyPages(): bigint {
    const running = this.requireRunning('count dirty pages of');
    let pages = 0;
    for (const slot of running.slots) {
      for (const byte of running.user.dirtyPages(mappedSlot(slot))) pages += BITS_IN_BYTE[byte];
    }
    this.rounds.push(pages);
    if (this.rounds.length > KEPT_ROUNDS) this.rounds.shift();
    return BigInt(pages);
  }

  private userAddress(guestAddress: bigint, lengthBytes: number): number {
    const slot = this.running?.slots.find(
      (one) =>
        guestAddress >= one.guestAddress &&
        guestAddress + BigInt(lengthBytes) <= one.guestAddress + one.lengthBytes,
    );
    if (slot === undefined)
      throw new KernelError(
        'EFAULT',
        'no guest memory',
        `${this.name} has no memory for 0x${lengthBytes.toString(16)} bytes at 0x${guestAddress.toString(16)}`,
      );
    return slot.userAddress + Number(guestAddress - slot.guestAddress);
  }

  private requireRunning(what: string): Running {
    if (this.running === undefined)
      throw new KernelError('EINVAL', 'machine stopped', `can't ${what} ${this.name}: it is not running`);
    return this.running;
  }
}

function mappedSlot(slot: PlacedSlot): MappedSlot {
  return {
    iova: slot.guestAddress,
    lengthBytes: slot.lengthBytes,
    userAddress: BigInt(slot.userAddress),
  };
}
