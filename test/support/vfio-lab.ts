/** A machine of the transcripts' topology for tests of VFIO: endpoints A0, B0, C0 and the four functions F0 to F3. */
import { BareMachine } from '../../hw/host/bare-machine.ts';
import type { LinuxKernel } from '../../hw/kernel/kernel.ts';
import { SampleModules } from '../../hw/kernel/mdev/sample-modules.ts';
import type { Process } from '../../hw/kernel/process/process.ts';
import type { ProfileName } from '../../hw/kernel/profile.ts';
import { Container } from '../../hw/kernel/vfio/container.ts';
import { DeviceFile } from '../../hw/kernel/vfio/device.ts';
import { GroupFile, type VfioGroup } from '../../hw/kernel/vfio/group.ts';
import { recordedMachine } from '../../src/replay/vfio/topology.ts';

const device = (name: string, bdf: string, what: string, group: string) => ({
  name: `dev:${name}`,
  bdf: `0000:${bdf}`,
  what,
  group: `group:${group}`,
  driver: null,
});

const DEVICES = [
  device('A0', '00:02.0', 'edu', 'A'),
  device('B0', '00:03.0', 'edu', 'B'),
  device('rp1', '00:04.0', 'root port', '_1'),
  device('C0', '01:00.0', 'e1000e behind a root port', 'C'),
  device('F0', '00:07.0', 'edu', 'F'),
  device('F1', '00:07.1', 'edu', 'F'),
  device('F2', '00:07.2', 'e1000', 'F'),
  device('F3', '00:07.3', 'e1000', 'F'),
];

const SECOND_PORT = device('C1', '01:00.1', 'e1000e behind a root port', 'C');

/** `0000:00:02.0` for `A0`. */
export function addressOf(name: string): string {
  const found = [...DEVICES, SECOND_PORT].find((each) => each.name === `dev:${name}`);
  if (found === undefined) throw new Error(`no device ${name}`);
  return found.bdf;
}

export class VfioLab {
  readonly machine: BareMachine;
  readonly kernel: LinuxKernel;
  readonly owner: Process;
  readonly samples: SampleModules;

  /** @param options.secondPort A second function C1 beside C0, in its group. */
  constructor(
    options: { profile?: ProfileName; unit?: string; secondPort?: boolean; commandLine?: string } = {},
  ) {
    const unit = options.unit ?? 'intel-iommu,intremap=on,aw-bits=48';
    const { description } = recordedMachine({
      qemu_iommu: unit,
      cmdline: options.commandLine ?? 'intel_iommu=on',
      devices: options.secondPort === true ? [...DEVICES, SECOND_PORT] : DEVICES,
    });
    this.machine = new BareMachine(description, { profile: options.profile ?? '7.2', autoprobe: false });
    this.kernel = this.machine.kernel;
    this.owner = this.kernel.processes.create('owner');
    this.samples = new SampleModules(this.kernel);
    for (const name of this.samples.names) this.samples.load(name);
  }

  container(process = this.owner): { container: Container; descriptor: number } {
    const descriptor = process.descriptors.install(this.kernel.vfio.openContainer());
    return { container: process.object(descriptor, Container), descriptor };
  }

  /** Binds an endpoint to vfio-pci and opens its group. */
  group(name: string, process = this.owner): { group: VfioGroup; descriptor: number } {
    const bound = this.bind(name, 'vfio-pci');
    return this.openGroup(this.kernel.iommu.groupOf(bound)?.id ?? -1, process);
  }

  openGroup(id: number, process = this.owner): { group: VfioGroup; descriptor: number } {
    const descriptor = process.descriptors.install(this.kernel.vfio.openGroup(process, id));
    return { group: process.object(descriptor, GroupFile).group, descriptor };
  }

  bind(name: string, driver: string) {
    const found = this.kernel.pciDevice(addressOf(name));
    if (found === undefined) throw new Error(`no device ${name}`);
    if (found.driver?.name === driver) return found;
    found.driverOverride = driver;
    this.kernel.drivers.bind('pci', driver, found.name);
    return found;
  }

  /** An mdev of a sample driver, and its open group. */
  mdev(parentName: string, typeName: string, uuid: string) {
    const parent = this.kernel.mdev.parent(parentName);
    if (parent === undefined) throw new Error(`no parent ${parentName}`);
    const made = this.kernel.mdev.create(parent, this.kernel.mdev.type(parent, typeName), uuid);
    if (made === undefined) throw new Error('nothing made');
    return { mdev: made, ...this.openGroup(this.kernel.iommu.groupOf(made.device)?.id ?? -1) };
  }

  device(group: VfioGroup, name: string): { file: DeviceFile; descriptor: number } {
    const descriptor = this.owner.descriptors.install(group.openDevice(name));
    return { file: this.owner.object(descriptor, DeviceFile), descriptor };
  }

  /** A buffer whose pages are there. */
  buffer(bytes: number, process = this.owner): bigint {
    const address = process.memory.mapAnonymous(bytes);
    process.memory.write(address, new Uint8Array(bytes));
    return BigInt(address);
  }
}

/** The errno of a call that must fail. */
export function errnoOf(call: () => unknown): string {
  try {
    call();
  } catch (error) {
    return (error as { code?: string }).code ?? String(error);
  }
  return 'success';
}
