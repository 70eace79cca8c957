/** The calls of the auxiliary-domain transcripts, each on the machine. */
import {
  type BareMachine,
  type Device,
  type IntelDomain,
  IommuProt,
  iovaToPhysical,
  KernelError,
  mapRange,
  maximumPasids,
  unmapRange,
} from '../../../hw/index.ts';
import { TEST_DEVICES } from './machine.ts';
import type { DomainNames } from './names.ts';

export type Arguments = Readonly<Record<string, string | number>>;

/** What a call gives back: `value` where it is no plain 0, `out` as recorded. */
export interface CallResult {
  readonly value?: boolean | number;
  readonly out?: Readonly<Record<string, unknown>>;
}

const DOMAIN_TYPES = { UNMANAGED: 'unmanaged', DMA: 'DMA', IDENTITY: 'identity' } as const;
/** enum of include/linux/iommu.h: paging 1, DMA API 2, identity 4, flush queue 8. */
const TYPE_NUMBERS: Readonly<Record<string, number>> = { unmanaged: 1, DMA: 3, identity: 4, 'DMA-FQ': 11 };

const hex = (value: bigint | number): string => `0x${value.toString(16)}`;

export class AuxiliaryOperations {
  private readonly machine: BareMachine;
  private readonly names: DomainNames;
  private takenByOthers = 0;

  constructor(machine: BareMachine, names: DomainNames) {
    this.machine = machine;
    this.names = names;
  }

  /** Runs a call. Undefined: no such operation. @throws KernelError with the errno of the call. */
  run(op: string, args: Arguments): CallResult | undefined {
    return this.table[op]?.(args);
  }

  private readonly table: Readonly<Record<string, (args: Arguments) => CallResult>> = {
    state: () => ({}),
    unit: () => this.unit(),
    has_feature: (args) => ({ value: this.auxiliary()?.hasFeature(this.device(args)) ?? false }),
    feature_enabled: (args) => ({ value: this.auxiliary()?.featureEnabled(this.device(args)) ?? false }),
    max_pasids: (args) => this.maximumPasids(args),
    enable_feature: (args) => this.withAuxiliary('ENODEV', (aux) => aux.enableFeature(this.device(args))),
    disable_feature: (args) => this.withAuxiliary('EBUSY', (aux) => aux.disableFeature(this.device(args))),
    domain_alloc: (args) => this.allocate(args),
    domain_free: (args) => {
      this.domain(args).free();
      this.names.drop(String(args.domain));
      return {};
    },
    attach_device: (args) => this.done(() => this.core.attachDevice(this.domain(args), this.device(args))),
    detach_device: (args) => this.done(() => this.core.detachDevice(this.domain(args), this.device(args))),
    attach_group: (args) => this.done(() => this.core.attachGroup(this.domain(args), this.group(args))),
    detach_group: (args) => this.done(() => this.core.detachGroup(this.domain(args), this.group(args))),
    get_domain: (args) => this.currentDomain(args),
    aux_attach_device: (args) => this.attach(args),
    aux_detach_device: (args) => this.detach(args),
    aux_get_pasid: (args) => this.pasidOf(args),
    map: (args) => this.done(() => this.map(args)),
    unmap: (args) => {
      const unmapped = unmapRange(
        this.domain(args),
        BigInt(args.iova),
        BigInt(args.size),
        this.machine.kernel.log,
      );
      return { out: { unmapped: hex(unmapped) } };
    },
    iova_to_phys: (args) => ({ out: { phys: hex(iovaToPhysical(this.domain(args), BigInt(args.iova))) } }),
    occupy_pasids: (args) => {
      for (const pasid of numbersOf(args)) if (this.pasids.take(pasid)) this.takenByOthers += 1;
      return { out: { taken: this.takenByOthers } };
    },
    release_pasids: (args) => {
      const numbers = numbersOf(args);
      for (const pasid of numbers) this.pasids.put(pasid);
      this.takenByOthers -= numbers.length;
      return { out: { released: numbers.length } };
    },
    free_pasid_probe: (args) => ({
      out: { in_use: numbersOf(args).filter((pasid) => this.pasids.isTaken(pasid)) },
    }),
  };

  private unit(): CallResult {
    const unit = this.machine.kernel.intel?.units[0];
    if (unit === undefined) return {};
    return {
      out: {
        cap: hex64(unit.cap),
        ecap: hex64(unit.ecap),
        agaw: unit.agaw,
        scalable_mode: Number(unit.scalable),
      },
    };
  }

  private maximumPasids(args: Arguments): CallResult {
    const { pci } = this.device(args);
    const most = pci === undefined ? 0 : maximumPasids(pci);
    if (most === 0)
      throw new KernelError('EINVAL', 'no PASID capability', `${args.dev} has no PASID capability.`);
    return { out: { max_pasids: most } };
  }

  private allocate(args: Arguments): CallResult {
    const type = DOMAIN_TYPES[String(args.type) as keyof typeof DOMAIN_TYPES];
    const [group] = this.core.groups;
    if (group === undefined)
      throw new KernelError('ENOMEM', 'no IOMMU driver', 'No IOMMU driver makes domains here.');
    const domain = this.core.allocateDomain(group.devices[0], { type }) as IntelDomain;
    this.names.add(String(args.domain), domain);
    return {};
  }

  private currentDomain(args: Arguments): CallResult {
    const domain = this.core.domainForDevice(this.device(args)) as IntelDomain | undefined;
    if (domain === undefined) return { out: {} };
    return { out: { domain: this.names.of(domain), type: TYPE_NUMBERS[domain.type] } };
  }

  private attach(args: Arguments): CallResult {
    const domain = this.domain(args);
    const device = this.device(args);
    const auxiliary = this.auxiliary();
    if (auxiliary === undefined) throw withoutIommu('ENODEV');
    auxiliary.attach(domain, device);
    return { out: { pasid: domain.defaultPasid, users: auxiliary.usersOf(domain, device) } };
  }

  private detach(args: Arguments): CallResult {
    this.auxiliary()?.detach(this.domain(args), this.device(args));
    return {};
  }

  private pasidOf(args: Arguments): CallResult {
    const device = this.device(args);
    const auxiliary = this.auxiliary();
    if (auxiliary === undefined) throw withoutIommu('ENODEV');
    return { out: { pasid: auxiliary.pasidOf(this.domain(args), device) } };
  }

  private map(args: Arguments): void {
    const prot = String(args.prot);
    const rights =
      (prot.includes('r') ? IommuProt.read : 0) |
      (prot.includes('w') ? IommuProt.write : 0) |
      (prot.includes('c') ? IommuProt.cache : 0);
    mapRange(
      this.domain(args),
      BigInt(args.iova),
      BigInt(args.phys),
      BigInt(args.size),
      rights,
      this.machine.kernel.log,
    );
  }

  private withAuxiliary(
    absent: 'ENODEV' | 'EBUSY',
    body: (auxiliary: NonNullable<BareMachine['kernel']['auxiliary']>) => void,
  ): CallResult {
    const auxiliary = this.auxiliary();
    if (auxiliary === undefined) throw withoutIommu(absent);
    body(auxiliary);
    return {};
  }

  private done(body: () => void): CallResult {
    body();
    return {};
  }

  private auxiliary(): BareMachine['kernel']['auxiliary'] {
    return this.machine.kernel.auxiliary;
  }

  private get core() {
    return this.machine.kernel.iommu;
  }

  private get pasids() {
    return this.machine.kernel.pasids;
  }

  private device(args: Arguments): Device {
    const device = this.machine.kernel.pciDevice(TEST_DEVICES[String(args.dev)]?.at ?? String(args.dev));
    if (device === undefined) throw new RangeError(`no device ${String(args.dev)}`);
    return device;
  }

  private group(args: Arguments) {
    const group = this.core.groupOf(this.device(args));
    if (group === undefined) throw new KernelError('ENODEV', 'no group', `${args.dev} is in no group.`);
    return group;
  }

  private domain(args: Arguments): IntelDomain {
    const domain = this.names.find(String(args.domain));
    if (domain === undefined) throw new RangeError(`no domain ${String(args.domain)}`);
    return domain;
  }
}

function numbersOf(args: Arguments): number[] {
  const from = Number(args.from);
  return Array.from({ length: Number(args.to) - from + 1 }, (_, index) => from + index);
}

const hex64 = (value: bigint): string => `0x${value.toString(16).padStart(16, '0')}`;

/** No IOMMU driver serves the machine: the core's own answer. */
function withoutIommu(code: 'ENODEV' | 'EBUSY'): KernelError {
  return new KernelError(code, 'no IOMMU driver', 'No IOMMU driver serves the device.');
}
