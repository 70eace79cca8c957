/**
 * Both halves of a machine with nothing on top: hardware from a description, and a kernel booted on it. Transcripts
 * replay on it.
 */
import type { HostDescription } from '../host-description.ts';
import { rootBuses } from '../isolation/machine.ts';
import { LinuxKernel } from '../kernel/kernel.ts';
import { PageAllocator } from '../kernel/page-allocator.ts';
import { KERNEL_PROFILES, type ProfileName } from '../kernel/profile.ts';
import type { Frame } from '../memory/types.ts';
import { parsePciAddress } from '../pci/address.ts';
import { Trace } from '../trace.ts';
import { Hardware } from './hardware.ts';

/** The kernel leaves the first 16 MiB alone. */
const FIRST_FRAME = 0x1000;

export interface BareMachineOptions {
  readonly profile: ProfileName;
  /** An AMD IOMMU in place of the DMAR units. */
  readonly amdIommu?: boolean;
  /** Whether that one remaps interrupts; it does unless told. */
  readonly interruptRemapping?: boolean;
  readonly autoprobe?: boolean;
  /** Who listens already during the boot. */
  readonly trace?: Trace;
}

export class BareMachine {
  readonly trace: Trace;
  readonly hardware: Hardware;
  readonly kernel: LinuxKernel;

  /** @throws DmarError, KernelError: the description can't be booted. */
  constructor(description: HostDescription, options: BareMachineOptions) {
    this.trace = options.trace ?? new Trace();
    this.hardware = new Hardware(description, this.trace);
    const last = this.hardware.memory.ranges.reduce((end, range) => Math.max(end, range.end), 0);
    this.kernel = new LinuxKernel({
      port: this.hardware.port,
      profile: KERNEL_PROFILES[options.profile],
      trace: this.trace,
      commandLine: description.kernelCommandLine,
      rootBuses: rootBuses(description, this.hardware.pci),
      allocator: new PageAllocator(FIRST_FRAME as Frame, last / 4096 - FIRST_FRAME),
      amdIommu: options.amdIommu,
      interruptRemapping: options.interruptRemapping,
      autoprobe: options.autoprobe,
    });
    const { amd } = this.kernel;
    if (amd !== undefined) {
      this.hardware.fabric.otherUnit = (requesterId, page, rights) => {
        const pci = this.kernel.topology.devices.find((each) => each.dmaAliases.includes(requesterId));
        const device = pci === undefined ? undefined : this.kernel.deviceOf(pci);
        return (device === undefined ? undefined : amd.translate(device, page, rights)) ?? -1;
      };
    }
  }

  /** Writes a register of a device behind its BAR, as a process that mapped it does. */
  writeRegister(device: string, bar: number, offset: number, size: 4 | 8, value: bigint): void {
    const at = parsePciAddress(device);
    const found = at === undefined ? undefined : this.hardware.pci.find(at);
    if (found !== undefined) this.hardware.model(found)?.region(bar)?.write(offset, size, value);
  }
}
