/** The machine of a transcript while it runs: hardware, kernel, processes with what they know by name. */
import { BareMachine, iommufd, kernel, type Process, type ProfileName } from '../../../hw/index.ts';
import type { JsonObject } from '../runner.ts';
import type { Symbols } from './operation.ts';
import { type HeaderDevice, recordedMachine } from './topology.ts';

/** Name of the process that runs the scenario. */
export const MAIN = 'main';

/** What became of an operation. `blocked`: it waits for somebody else; the result counts once it is finished. */
export interface OperationResult {
  readonly ret: number | null;
  readonly errno: string | null;
  readonly out: Record<string, unknown>;
}

/** A call that did not finish, with its result for later, or with what it goes on to do. */
export class Pending {
  readonly completion: kernel.Completion;
  readonly result: number | (() => number);

  constructor(completion: kernel.Completion, result: number | (() => number)) {
    this.completion = completion;
    this.result = result;
  }
}

export interface ReplayProcess {
  readonly process: Process;
  readonly symbols: Symbols;
  /** A call under way, or one that waits for `release_concurrent`. */
  waiting: { completion: kernel.Completion; result: () => OperationResult } | undefined;
}

/** The generation of a recorded kernel ("6.1.192"): 7.2 unless it is one of the others. */
function profileOf(kernel: unknown): ProfileName {
  const version = String(kernel ?? '');
  return (['5.15', '6.1'] as const).find((name) => version.startsWith(`${name}.`)) ?? '7.2';
}

export class ReplayWorld {
  readonly machine: BareMachine;
  readonly devices: readonly HeaderDevice[];
  readonly samples: kernel.SampleModules;
  readonly sysfs: kernel.Sysfs;
  readonly iommufd: iommufd.IommufdModule;
  readonly selftest: iommufd.IommufdSelftest;
  readonly processes = new Map<string, ReplayProcess>();
  /** Class of the scenario: in `compat`, the container is an IOMMUFD descriptor. */
  private readonly scenarioClass: string;
  /** Numbers of groups by their symbols, as last seen: a group may be gone when it is asked for. */
  private readonly groupNumbers = new Map<string, number>();

  constructor(header: JsonObject) {
    const setup = (header.setup ?? {}) as JsonObject;
    this.scenarioClass = String(header.class ?? '');
    const { description, ...options } = recordedMachine(setup);
    this.devices = (setup.devices ?? []) as readonly HeaderDevice[];
    const withIommufd = !String(setup.kernel_config ?? '').includes('IOMMUFD off');
    this.machine = new BareMachine(description, {
      profile: profileOf(header.kernel),
      ...options,
      autoprobe: false,
    });
    const booted = this.machine.kernel;
    this.iommufd = booted.iommufd;
    this.iommufd.available = withIommufd;
    this.iommufd.selftest = withIommufd;
    this.selftest = new iommufd.IommufdSelftest();
    this.samples = new kernel.SampleModules(booted);
    this.sysfs = new kernel.Sysfs(booted);
    for (const name of this.samples.names) this.samples.load(name);
    for (const device of this.devices) this.bindAtStart(device);
    this.processes.set(MAIN, {
      process: booted.processes.create(MAIN),
      symbols: new Map(),
      waiting: undefined,
    });
    for (const device of this.devices) if (device.group !== null) this.groupNumber(device.group);
  }

  get kernel(): BareMachine['kernel'] {
    return this.machine.kernel;
  }

  /** `0000:00:02.0` for `dev:A0`; what is no symbol stays as it is. */
  deviceName(symbol: string): string {
    return this.devices.find((device) => device.name === symbol)?.bdf ?? symbol;
  }

  /** The symbol of a device by its sysfs name. */
  deviceSymbol(name: string): string {
    return this.devices.find((device) => device.bdf === name)?.name ?? name;
  }

  /** The IOMMU group of a symbol such as `group:A`, through its first member that is there. */
  group(symbol: string): kernel.IommuGroup | undefined {
    for (const { group, bdf } of this.devices) {
      if (group !== symbol) continue;
      const device = this.kernel.pciDevice(bdf);
      const found = device === undefined ? undefined : this.kernel.iommu.groupOf(device);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  /** The number of a group, also when it is gone; -1 when it never was. */
  groupNumber(symbol: string): number {
    const number = this.group(symbol)?.id;
    if (number !== undefined) this.groupNumbers.set(symbol, number);
    return number ?? this.groupNumbers.get(symbol) ?? -1;
  }

  groupOfMdev(uuid: string): kernel.IommuGroup | undefined {
    const mdev = this.kernel.mdev.find(uuid);
    return mdev === undefined ? undefined : this.kernel.iommu.groupOf(mdev.device);
  }

  /** The node that open_container opens. */
  containerNode(path: string | undefined): string {
    return path ?? (this.scenarioClass === 'compat' ? '/dev/iommu' : '/dev/vfio/vfio');
  }

  private bindAtStart(device: HeaderDevice): void {
    const found = this.kernel.pciDevice(device.bdf);
    if (device.driver === null || found === undefined) return;
    if (device.driver === 'vfio-pci') found.driverOverride = device.driver;
    this.kernel.drivers.bind('pci', device.driver, device.bdf);
  }
}
