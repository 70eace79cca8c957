/**
 * What a host shows of itself: plain data, read back from configuration space, registers, tables in memory and the
 * kernel's own objects at the moment of the call. Nothing here is a note kept beside the machine.
 */

import type { DomainType, ReservedType } from '../kernel/iommu/types.ts';
import type { DecodedField } from '../layout.ts';

/** Whether a device can be, or is, isolated by (requester id, PASID). */
export type AuxiliaryModeState = 'unsupported' | 'off' | 'on';

/** One PCI function with what hangs below it. */
export interface DeviceNode {
  /** `0000:6a:01.0` */
  readonly address: string;
  readonly name: string | undefined;
  readonly className: string;
  readonly vendorId: number;
  readonly deviceId: number;
  readonly classCode: number;
  readonly revision: number;
  readonly headerType: number;
  /** "endpoint", "root port", …, "conventional". */
  readonly portType: string;
  readonly isBridge: boolean;
  readonly secondaryBus: number | undefined;
  readonly subordinateBus: number | undefined;
  readonly driver: string | undefined;
  /** IOMMU group number; undefined: in none. */
  readonly group: number | undefined;
  /** The remapping unit above it: "dmar0"; undefined: none. */
  readonly unit: string | undefined;
  readonly numaNode: number | undefined;
  readonly physicalFunction: string | undefined;
  readonly virtualFunctions: readonly string[];
  readonly totalVirtualFunctions: number;
  readonly auxiliaryMode: AuxiliaryModeState;
  /** UUIDs of the mdevs made on it. */
  readonly mdevs: readonly string[];
  /** Name of the virtual machine (or other user-space owner) that has it. */
  readonly assignedTo: string | undefined;
  /** Devices on the bus behind it. */
  readonly children: readonly DeviceNode[];
}

/** The functions of one root bus. */
export interface RootBusNode {
  readonly segment: number;
  readonly bus: number;
  readonly devices: readonly DeviceNode[];
}

/** A capability, decoded from the bytes of configuration space. */
export interface CapabilityState {
  readonly name: string;
  readonly id: number;
  readonly extended: boolean;
  readonly offset: number;
  readonly version: number | undefined;
  readonly bytes: Uint8Array;
  /** Fields with value and meaning; empty when the capability has no declaration. */
  readonly fields: readonly DecodedField[];
}

/** The header of configuration space, decoded. */
export interface DecodedHeader {
  /** "endpoint header", "bridge header". */
  readonly name: string;
  readonly fields: readonly DecodedField[];
}

/** Why two devices share a group, or why one stands alone. */
export interface GroupReason {
  readonly device: string;
  readonly with: string | undefined;
  readonly rule: string;
  readonly detail: string;
}

export interface ReservedRegionState {
  readonly start: bigint;
  /** Inclusive. */
  readonly end: bigint;
  readonly type: ReservedType;
  readonly because: string | undefined;
}

export type { OwnershipReport } from '../kernel/iommu/operator-view.ts';

export interface GroupState {
  readonly id: number;
  readonly name: string | undefined;
  /** Names as in sysfs: PCI addresses, UUIDs of mdevs. */
  readonly devices: readonly string[];
  /** Default domain type as sysfs prints it, or undefined (groups of mdevs have none). */
  readonly type: string | undefined;
  readonly reserved: readonly ReservedRegionState[];
  readonly reasons: readonly GroupReason[];
  /** "kernel", the name of a virtual machine or process, or "nobody". */
  readonly owner: string;
  /** Name of the domain that requests without PASID use now. */
  readonly domain: string | undefined;
}

export interface MdevTypeState {
  /** Directory name in mdev_supported_types: `idxd-1dwq-v1`. */
  readonly id: string;
  readonly name: string;
  readonly description: string;
  readonly deviceApi: string;
  readonly availableInstances: number;
  /** UUIDs. */
  readonly devices: readonly string[];
}

/** A device whose driver registered with the mdev core. */
export interface MdevParentState {
  /** Name in sysfs: a PCI address or a platform device ("mtty"). */
  readonly device: string;
  readonly driver: string;
  readonly auxiliaryMode: AuxiliaryModeState;
  /** "pasid": each mdev is isolated by its PASID; "requester": through the parent's requester id; "software": pins pages. */
  readonly isolation: 'pasid' | 'requester' | 'software';
  readonly types: readonly MdevTypeState[];
}

export interface MdevState {
  readonly uuid: string;
  readonly parent: string;
  readonly type: string;
  readonly group: number | undefined;
  /** Open in a container (virtual machine or process). */
  readonly assignedTo: string | undefined;
  /** The PASID its DMA carries, once it is attached. */
  readonly pasid: number | undefined;
  /** Which part of the parent serves it: "work queue 3 (dedicated)". */
  readonly resource: string | undefined;
}

/** A definition as mdevctl keeps it: survives a boot, while the mdev does not. */
export interface MdevDefinitionState {
  readonly uuid: string;
  readonly parent: string;
  readonly type: string;
  readonly autostart: boolean;
  /** Files of the device and what is written to them when it starts, in order. */
  readonly attributes: readonly (readonly [file: string, value: string])[];
  readonly active: boolean;
}

export interface MemorySlotState {
  readonly slot: number;
  readonly name: string;
  /** Guest physical address and length, bytes. */
  readonly guestAddress: bigint;
  readonly lengthBytes: bigint;
  /** Where the process has it. */
  readonly userAddress: bigint;
}

export interface AssignedDeviceState {
  /** PCI address or UUID. */
  readonly device: string;
  readonly kind: 'pci' | 'mdev';
  readonly group: number;
  readonly pasid: number | undefined;
  /** Tables of the guest translate above the host's (a virtual IOMMU in use). */
  readonly nested: boolean;
}

/** One MAP_DMA as the container holds it. Byte addresses. */
export interface MappingState {
  readonly iova: bigint;
  readonly lengthBytes: bigint;
  readonly userAddress: bigint;
  readonly read: boolean;
  readonly write: boolean;
}

export interface MachineState {
  readonly name: string;
  readonly kind: 'virtual machine' | 'process';
  readonly state: 'stopped' | 'running';
  readonly memoryBytes: bigint;
  readonly slots: readonly MemorySlotState[];
  readonly devices: readonly AssignedDeviceState[];
  readonly mappings: readonly MappingState[];
  /** Pinned for DMA and charged to the process, and its RLIMIT_MEMLOCK (undefined: no limit). Bytes. */
  readonly lockedBytes: bigint;
  readonly lockLimitBytes: bigint | undefined;
  /** How it has its devices: by VFIO containers and groups, or by IOMMUFD and device nodes. */
  readonly interface: 'container' | 'iommufd';
  readonly virtualIommu: boolean;
  readonly dirtyTracking: boolean;
  /** Pages that each round since the start of tracking found dirty, the latest ones last. */
  readonly dirtyRounds: readonly number[];
}

export interface DomainAttachmentState {
  readonly device: string;
  /** How: by requester id, as auxiliary domain, or by PASID (6.x). */
  readonly kind: 'requester' | 'auxiliary' | 'pasid';
  /** The PASID of the entry: 0 (RID_PASID) for requests without. */
  readonly pasid: number;
  /** Users of this (domain, device) pair. */
  readonly users: number;
}

export interface DomainState {
  readonly name: string;
  readonly type: DomainType;
  /** "first", "second" or "none" (identity, blocked). */
  readonly level: 'first' | 'second' | 'none';
  /** Physical address of the top table, or undefined. */
  readonly tableRoot: bigint | undefined;
  /** Auxiliary domains: the system-wide PASID of the domain. */
  readonly defaultPasid: number | undefined;
  readonly units: readonly {
    readonly unit: string;
    readonly domainId: number;
    readonly references: number;
  }[];
  readonly attachments: readonly DomainAttachmentState[];
  /** Who made it: name of a virtual machine or process, or undefined for the kernel. */
  readonly owner: string | undefined;
}

/** A PASID table entry that is present, read from memory through root and context entry. */
export interface PasidEntryState {
  readonly device: string;
  readonly requesterId: number;
  readonly pasid: number;
  /** Physical address of the entry. */
  readonly address: bigint;
  readonly words: Uint32Array;
  readonly fields: readonly DecodedField[];
  /** The kernel's domain behind it, or undefined: a leftover. */
  readonly domain: string | undefined;
}

/** One requirement for an act, and where it was looked up. */
export interface Requirement {
  readonly requirement: string;
  readonly met: boolean;
  /** "configuration space of 0000:6a:01.0, extended capability 1Bh", "ECAP of dmar0, bit 43". */
  readonly where: string;
}

/** A fault that the kernel's handler read from a unit's fault registers, or another thing worth telling the operator. */
export interface ReportedEvent {
  /** Ascending from 1; never used twice in a host. */
  readonly sequence: number;
  readonly kind: 'fault' | 'kernel';
  readonly text: string;
  readonly fault: FaultState | undefined;
}

export interface FaultState {
  readonly unit: string;
  /** Name of the function with that requester id, or undefined: nobody has it. */
  readonly device: string | undefined;
  readonly requesterId: number;
  readonly pasid: number | undefined;
  /** Faulting address, page-aligned as the register holds it. */
  readonly address: bigint;
  readonly access: 'read' | 'write' | 'execute' | 'interrupt';
  /** The reason code of the fault record, e.g. 0x59. */
  readonly reason: number;
  readonly meaning: string;
  readonly remedy: string | undefined;
}

/** What a DMA of a device came to. */
export interface DmaResult {
  readonly ok: boolean;
  /** Bytes that arrived before a fault, if any. */
  readonly bytesDone: number;
  /** Reads: what the device got. */
  readonly bytes: Uint8Array | undefined;
  readonly requesterId: number;
  readonly pasid: number | undefined;
  /** The fault that the unit recorded, as the handler read it. */
  readonly fault: FaultState | undefined;
  /** A page was reached by a translation that the device held from before, without the unit being asked. */
  readonly fromDeviceTlb: boolean;
  /** The device whose registers took the request below the root complex: no remapping unit saw it. */
  readonly peer: string | undefined;
  /** Why nothing was translated, when no remapping unit was in the way or the device never issued the request. */
  readonly note: string | undefined;
}

/** What a workload came to. */
export interface WorkloadResult {
  readonly transfers: number;
  readonly bytesRead: number;
  readonly bytesWritten: number;
  readonly faults: number;
  /** Transfers that never left the device. */
  readonly refused: number;
}

/** How a function can be reset. */
export interface ResetSetState {
  /** Ways that reset this function alone, as the kernel tries them: "flr", "pm", "bus". */
  readonly methods: readonly string[];
  /** What a reset of its bus hits, itself included; empty: it sits on a root bus, which can't be reset. */
  readonly busReset: readonly {
    readonly device: string;
    readonly group: number | undefined;
    readonly driver: string | undefined;
    readonly assignedTo: string | undefined;
  }[];
}

/** A translation in a device's own cache (device-TLB). Byte addresses. */
export interface HeldTranslationState {
  readonly pasid: number | undefined;
  readonly iova: bigint;
  readonly lengthBytes: bigint;
  readonly physical: bigint;
  readonly read: boolean;
  readonly write: boolean;
  /** The tables say so still; false: it should have been invalidated. */
  readonly current: boolean;
}

/** One step of a walk. */
export interface WalkStepState {
  /** "root entry", "context entry", "PASID directory entry", "PASID table entry", "second-level entry, level 3". */
  readonly structure: string;
  readonly address: bigint;
  readonly words: Uint32Array;
  readonly fields: readonly DecodedField[];
}

/** How a unit would answer a request, without changing its state. */
export interface WalkState {
  readonly unit: string | undefined;
  readonly ok: boolean;
  readonly physical: bigint | undefined;
  readonly page: '4K' | '2M' | '1G' | undefined;
  /** What would answer now: the unit's IOTLB, or the tables. */
  readonly cached: 'iotlb' | 'none';
  /** What the IOTLB would give: differs from `physical` when the tables changed and nobody invalidated it. */
  readonly cachedPhysical: bigint | undefined;
  readonly steps: readonly WalkStepState[];
  readonly fault: WalkFaultState | undefined;
}

export interface WalkFaultState {
  /** 0: the request is aborted, and no fault is recorded. */
  readonly reason: number;
  readonly meaning: string;
  /** False: a fault record is suppressed (fault processing disable) or would be lost. */
  readonly recorded: boolean;
}

export interface RegisterState {
  readonly name: string;
  readonly offset: number;
  readonly widthBits: number;
  readonly value: bigint;
  readonly fields: readonly DecodedField[];
}

export interface DescriptorState {
  readonly index: number;
  readonly address: bigint;
  readonly kind: string;
  readonly text: string;
  readonly words: Uint32Array;
  readonly fields: readonly DecodedField[];
}

export interface InvalidationQueueState {
  readonly enabled: boolean;
  readonly base: bigint;
  readonly entries: number;
  readonly head: number;
  readonly tail: number;
  /** The descriptors of the ring that were written, oldest first. */
  readonly descriptors: readonly DescriptorState[];
}

export interface UnitState {
  /** "dmar0" */
  readonly name: string;
  readonly registerBase: bigint;
  readonly segment: number;
  readonly translationEnabled: boolean;
  readonly scalableMode: boolean;
  readonly interruptRemapping: boolean;
  readonly registers: readonly RegisterState[];
  readonly queue: InvalidationQueueState | undefined;
  /** Entries that its caches hold, by cache. */
  readonly caches: readonly { readonly name: string; readonly entries: readonly string[] }[];
  /** Fault records now in the registers. */
  readonly faults: readonly string[];
  /** Device scope of the DMAR table, in words. */
  readonly scope: readonly string[];
}

/** One guest's memory, and one device's reach into it. */
export interface ReachCell {
  readonly device: string;
  readonly pasid: number | undefined;
  readonly machine: string;
  /** Pages of that machine's memory it can read and write. */
  readonly readablePages: number;
  readonly writablePages: number;
}
