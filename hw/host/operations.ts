/**
 * The operations of a host: what an operator's act becomes. Every operation throws KernelError with errno, rule,
 * detail and remedy, and then has changed nothing. Devices are named as in sysfs: `0000:6a:01.0`, or a UUID for an
 * mdev. Byte strings are Uint8Array, addresses bigint.
 */
import type { MdevAttributeSetting, MdevModification } from './mdev-definitions.ts';
import type {
  CapabilityState,
  DecodedHeader,
  DeviceNode,
  DmaResult,
  DomainState,
  GroupState,
  HeldTranslationState,
  MachineState,
  MdevDefinitionState,
  MdevParentState,
  MdevState,
  OwnershipReport,
  PasidEntryState,
  ReachCell,
  ReportedEvent,
  Requirement,
  ResetSetState,
  RootBusNode,
  UnitState,
  WalkState,
  WorkloadResult,
} from './state.ts';

export type DmaAccess = 'read' | 'write';

export interface DmaRequest {
  /** PCI address or UUID of an mdev: the ADI behind it tags its own PASID. */
  readonly device: string;
  readonly iova: bigint;
  readonly access: DmaAccess;
  /** Writes: what the device sends. */
  readonly bytes?: Uint8Array;
  /** Reads: how much, in bytes (1 to 1 MiB). */
  readonly lengthBytes?: number;
  /**
   * A PASID that the device is made to put on the request, in place of its own (for a PCI function: none). What a
   * broken or hostile device would do.
   */
  readonly pasid?: number;
}

export interface WalkRequest {
  readonly device: string;
  /** Absent: the PASID of the mdev, or none for a PCI function. */
  readonly pasid?: number;
  readonly iova: bigint;
  readonly access?: DmaAccess;
  /** Bits to take as turned over during this walk; memory is the same before and after. */
  readonly flips?: readonly BitFlip[];
}

/** One bit of memory: bit `bit` of the little-endian entry at byte address `address`. */
export interface BitFlip {
  readonly address: bigint;
  readonly bit: number;
}

export interface MachineOptions {
  /** RLIMIT_MEMLOCK in bytes; absent: no limit (CAP_IPC_LOCK). */
  readonly lockLimitBytes?: bigint;
  /** A process that drives devices itself, without guest (DPDK): its memory is one slot. */
  readonly kind?: 'virtual machine' | 'process';
  /** Memory of 2 MiB pages. */
  readonly hugePages?: boolean;
  /** Devices by IOMMUFD and their own nodes (kernels since 6.2). */
  readonly iommufd?: boolean;
  /** A virtual IOMMU: the guest keeps tables of its own, nested above the host's. Implies `iommufd`. */
  readonly virtualIommu?: boolean;
}

/** What a guest with a virtual IOMMU maps for one of its devices. Whole pages of 4 KiB. */
export interface GuestMapping {
  readonly device: string;
  readonly iova: bigint;
  readonly guestAddress: bigint;
  readonly lengthBytes: bigint;
  /** True unless told. */
  readonly writable?: boolean;
}

export interface WorkloadRequest {
  /** A device that a running machine has. */
  readonly device: string;
  /** The same seed gives the same transfers. */
  readonly seed: number;
  /** 1 to 1,000,000. */
  readonly transfers: number;
  /** Largest transfer, bytes; 4096 unless told, 1 MiB at most. */
  readonly largestBytes?: number;
  /** Of a thousand transfers, so many are reads; 500 unless told. */
  readonly readsPerThousand?: number;
  /** Of a thousand, so many go just past the machine's memory; 0 unless told. */
  readonly strayPerThousand?: number;
}

/** Acts. */
export interface HostOperations {
  enableAuxiliaryMode(device: string): void;
  disableAuxiliaryMode(device: string): void;

  /** @param uuid 8-4-4-4-12 hexadecimal digits. @param type Directory name of the type. */
  createMdev(parent: string, type: string, uuid: string): void;
  removeMdev(uuid: string): void;
  /** modprobe of a sample mdev driver: its virtual parent registers. */
  loadModule(name: string): void;
  unloadModule(name: string): void;
  /** mdevctl define: outlives a boot; `autostart` ones come back with their parent. */
  defineMdev(
    parent: string,
    type: string,
    uuid: string,
    autostart: boolean,
    attributes?: readonly MdevAttributeSetting[],
  ): void;
  /** mdevctl modify: the definition changes, a device that runs does not. */
  modifyMdev(uuid: string, change: MdevModification): void;
  /** mdevctl start: makes a defined device and writes its attributes in order. @param parent Where it is defined twice. */
  startMdev(uuid: string, parent?: string): void;
  /** @param parent Under all parents unless told. */
  undefineMdev(uuid: string, parent?: string): void;

  bindDriver(device: string, driver: string): void;
  unbindDriver(device: string): void;
  /** Writes driver_override; undefined clears it. */
  setDriverOverride(device: string, driver: string | undefined): void;
  /** Writes sriov_numvfs. */
  setVirtualFunctions(device: string, count: number): void;

  /** @param memoryBytes Multiple of 2 MiB, at least 2 MiB. */
  createMachine(name: string, memoryBytes: bigint, options?: MachineOptions): void;
  startMachine(name: string): void;
  /** Orderly: devices are closed, then the container. */
  stopMachine(name: string): void;
  /** SIGKILL: the kernel closes what was open, in the order of its descriptors. */
  killMachine(name: string): void;
  removeMachine(name: string): void;
  /** Hot-plug: another memory slot above the present memory. */
  addMemory(machine: string, bytes: bigint): void;
  /** Unplugs the slot that was plugged in last. */
  removeMemory(machine: string): void;
  /** Gives a PCI function or an mdev to a machine, through a VFIO container of its own. */
  assign(machine: string, device: string): void;
  release(machine: string, device: string): void;
  /** The guest's own IOMMU driver maps pages; the first mapping switches translation on for the device. */
  guestMap(machine: string, mapping: GuestMapping): void;
  guestUnmap(machine: string, device: string, iova: bigint, lengthBytes: bigint): void;
  startDirtyTracking(machine: string): void;
  stopDirtyTracking(machine: string): void;
  /** Pages written since the last call (one migration round), as type1 counts them. */
  queryDirtyPages(machine: string): bigint;

  /** Lets the device do DMA: memory changes, or the unit records a fault. */
  deviceDma(request: DmaRequest): DmaResult;
  /** Lets the device do a seeded series of transfers over the memory of the machine that has it. */
  runWorkload(request: WorkloadRequest): WorkloadResult;
  /** CPU access to a guest's memory, by guest physical address. */
  readMachineMemory(machine: string, guestAddress: bigint, lengthBytes: number): Uint8Array;
  writeMachineMemory(machine: string, guestAddress: bigint, bytes: Uint8Array): void;
  /** A reset of this function alone, through VFIO. */
  resetDevice(device: string): void;
  /** A reset of its whole bus (VFIO hot reset): all functions it hits must belong to the machine that has the device. */
  hotResetDevice(device: string): void;

  /** Forgets the events that were read. */
  clearEvents(): void;
}

/** Questions: nothing changes. */
export interface HostQueries {
  deviceTree(): RootBusNode[];
  device(name: string): DeviceNode | undefined;
  capabilities(device: string): CapabilityState[];
  configurationHeader(device: string): DecodedHeader;
  /** All bytes of configuration space: 256 or 4096. */
  configurationBytes(device: string): Uint8Array;
  groups(): GroupState[];
  group(id: number): GroupState | undefined;
  /** Who has a group, since which act, what that locks out, what would free it. */
  ownership(group: number): OwnershipReport | undefined;
  mdevParents(): MdevParentState[];
  mdevs(): MdevState[];
  mdevDefinitions(): MdevDefinitionState[];
  /** Sample mdev drivers that can be loaded. */
  sampleModules(): { readonly name: string; readonly loaded: boolean }[];
  machineStates(): MachineState[];
  machineState(name: string): MachineState | undefined;
  domains(): DomainState[];
  pasidEntries(): PasidEntryState[];
  unitStates(): UnitState[];
  events(): readonly ReportedEvent[];
  /** What auxiliary mode takes, each with met or not and where it was read. All met: it can be switched on. */
  auxiliaryModeRequirements(device: string): Requirement[];
  /** What stands in the way of `assign`; empty: nothing. */
  assignmentBlockers(machine: string, device: string): Requirement[];
  /** How the device can be reset, and what a reset of its bus hits. */
  resetSet(device: string): ResetSetState;
  /** The drivers that would accept the device. */
  driversFor(device: string): string[];
  explainTranslation(request: WalkRequest): WalkState;
  /** What a function keeps of translations itself (ATS), each compared with the tables of now. */
  deviceTlb(device: string): HeldTranslationState[];
  /** Every device and ADI against every machine's memory, by walking as hardware does. */
  isolationMatrix(): ReachCell[];
  /**
   * A hash (hex, 128 bits) over all that hardware can reach: the units' registers that matter and every table they
   * lead to, configuration space, the memory of machines. Equal digests: the same machine.
   */
  digest(): string;
}
