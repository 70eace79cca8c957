/**
 * Mediated devices of an accelerator: each is a work queue of its own, or a share of the shared queue. The parent
 * isolates them by PASID: when one is opened, the PASID of its container's domain is read back and programmed. After
 * the driver proposed for DSA in 2020-21 (types 1dwq-v1, 1swq-v1), which never was merged.
 */
import type { Device } from '../../device.ts';
import type { AcceleratorQueues } from '../../drivers/accelerator-queues.ts';
import { KernelError } from '../../errno.ts';
import type { AuxiliaryDomains, IommuDomain } from '../../iommu/types.ts';
import type { Vfio } from '../../vfio/vfio.ts';
import type { HardwarePath, Mdev, MdevDriver, MdevType } from '../mdev-driver.ts';
import { VirtualFunction } from './virtual-function.ts';

interface QueueType extends MdevType {
  readonly mode: 'dedicated' | 'shared';
  /** Entries of the queue. */
  readonly size: number;
  readonly about: string;
}

const TYPES: readonly QueueType[] = [
  {
    sysfsName: '1dwq-v1',
    prettyName: '1 dedicated work queue, 16 entries',
    mode: 'dedicated',
    size: 16,
    about: 'one dedicated work queue of 16 entries; its PASID stands in the queue',
  },
  {
    sysfsName: '1dwq-large-v1',
    prettyName: '1 dedicated work queue, 48 entries',
    mode: 'dedicated',
    size: 48,
    about: 'one dedicated work queue of 48 entries; its PASID stands in the queue',
  },
  {
    sysfsName: '1swq-v1',
    prettyName: 'share of a shared work queue',
    mode: 'shared',
    size: 32,
    about: 'a share of one shared work queue of 32 entries; its PASID comes with each submission',
  },
];

/** Mediated devices that one shared queue serves. */
const SHARED_OWNERS = 4;

/** What stands behind a mediated device. */
interface Slice {
  readonly type: QueueType;
  readonly queue: number;
  open: boolean;
  pasid: number | undefined;
}

export interface AcceleratorMdevOptions {
  readonly parent: Device;
  readonly queues: AcceleratorQueues;
  readonly vfio: Vfio;
  readonly auxiliary: AuxiliaryDomains | undefined;
}

export class AcceleratorMdevDriver implements MdevDriver {
  readonly name = 'idxd';
  readonly deviceApi = 'vfio-pci';
  readonly maximumInstances = 0;
  readonly types: readonly MdevType[] = TYPES;
  private readonly options: AcceleratorMdevOptions;
  private readonly slices = new Map<Mdev, Slice>();

  constructor(options: AcceleratorMdevOptions) {
    this.options = options;
  }

  /** Types take from the same queues and entries: one made lowers the number of others. */
  available(type: MdevType): number {
    const wanted = typeOf(type);
    const queues = this.freeQueues().length;
    const entries = this.options.queues.totalSize - this.usedEntries();
    if (wanted.mode === 'dedicated') return Math.min(queues, Math.floor(entries / wanted.size));
    const owners = this.sharedOwners().length;
    if (owners > 0) return SHARED_OWNERS - owners;
    return queues > 0 && entries >= wanted.size ? SHARED_OWNERS : 0;
  }

  description(type: MdevType): string {
    return typeOf(type).about;
  }

  isolatingDevice(): Device {
    return this.options.parent;
  }

  probe(mdev: Mdev): VirtualFunction {
    const type = typeOf(mdev.type);
    if (this.available(type) === 0)
      throw new KernelError(
        'ENOSPC',
        'no instance left',
        `${this.options.parent.name} has no room for another ${type.sysfsName}`,
        'Remove another mediated device of this parent.',
      );
    const shared = type.mode === 'shared' ? this.sharedOwners()[0]?.queue : undefined;
    const slice: Slice = { type, queue: shared ?? this.freeQueues()[0], open: false, pasid: undefined };
    this.slices.set(mdev, slice);
    return new QueueFunction(
      () => this.opened(mdev, slice),
      () => this.closed(slice),
    );
  }

  removed(mdev: Mdev): void {
    this.slices.delete(mdev);
  }

  resource(mdev: Mdev): string | undefined {
    const slice = this.slices.get(mdev);
    return slice === undefined ? undefined : `work queue ${slice.queue} (${slice.type.mode})`;
  }

  hardwarePath(mdev: Mdev): HardwarePath | undefined {
    const slice = this.slices.get(mdev);
    if (slice === undefined || !slice.open) return undefined;
    return { channel: slice.queue, pasid: slice.pasid };
  }

  /** The first open of a mediated device: its queue starts with the PASID of the container's domain. */
  private opened(mdev: Mdev, slice: Slice): void {
    const pasid = this.pasidOf(mdev);
    const { queues, parent } = this.options;
    if (slice.type.mode === 'dedicated')
      queues.enable(slice.queue, { mode: 'dedicated', size: slice.type.size, pasid });
    else {
      if (pasid === undefined)
        throw new KernelError(
          'EOPNOTSUPP',
          'shared queue without PASID',
          `${mdev.uuid} shares a work queue: without PASID its requests could not be told from others'`,
          `Switch auxiliary mode of ${parent.name} on.`,
        );
      if (!queues.state(slice.queue).enabled)
        queues.enable(slice.queue, { mode: 'shared', size: slice.type.size });
    }
    slice.open = true;
    slice.pasid = pasid;
  }

  private closed(slice: Slice): void {
    slice.open = false;
    slice.pasid = undefined;
    const inUse = [...this.slices.values()].some((other) => other.queue === slice.queue && other.open);
    if (!inUse) this.options.queues.disable(slice.queue);
  }

  /** vfio_group_iommu_domain and iommu_aux_get_pasid; undefined: the parent is not in auxiliary mode. */
  private pasidOf(mdev: Mdev): number | undefined {
    const { auxiliary, parent } = this.options;
    if (auxiliary?.featureEnabled(parent) !== true) return undefined;
    const domain = this.domainOf(mdev);
    if (domain === undefined)
      throw new KernelError('EINVAL', 'no domain', `the container of ${mdev.uuid} has no IOMMU domain`);
    return auxiliary.pasidOf(domain, parent);
  }

  private domainOf(mdev: Mdev): IommuDomain | undefined {
    const group = this.options.vfio.deviceOf(mdev.device)?.group;
    const domains = group?.container?.backend?.state.domains ?? [];
    return domains.find((each) => each.groups.some((member) => member.group === group))?.domain;
  }

  private freeQueues(): number[] {
    const used = new Set([...this.slices.values()].map((slice) => slice.queue));
    return Array.from({ length: this.options.queues.count }, (_, index) => index).filter(
      (index) => !used.has(index),
    );
  }

  private sharedOwners(): Slice[] {
    return [...this.slices.values()].filter((slice) => slice.type.mode === 'shared');
  }

  private usedEntries(): number {
    const sizes = new Map([...this.slices.values()].map((slice) => [slice.queue, slice.type.size]));
    return [...sizes.values()].reduce((sum, size) => sum + size, 0);
  }
}

function typeOf(type: MdevType): QueueType {
  const found = TYPES.find((each) => each.sysfsName === type.sysfsName);
  if (found === undefined) throw new KernelError('ENOENT', 'no such type', type.sysfsName);
  return found;
}

/** The virtual function that a guest sees: configuration space, BARs 0 and 2, two MSI-X vectors. */
class QueueFunction extends VirtualFunction {
  private readonly onOpen: () => void;
  private readonly onClose: () => void;

  constructor(onOpen: () => void, onClose: () => void) {
    super({ 0: 0x2000, 2: 0x4000, 7: 0x1000 }, { 2: 2, 4: 1 });
    this.onOpen = onOpen;
    this.onClose = onClose;
  }

  override open(): void {
    this.onOpen();
  }

  override close(): void {
    this.onClose();
  }

  /** Drops what is queued and starts the queue anew; the parent is not touched. */
  override reset(): void {
    this.onClose();
    this.onOpen();
  }
}
