/** The kernel's calls by name, and the objects that their callers named. */
import type { Frame } from '../../memory/types.ts';
import type { Device } from '../device.ts';
import { KernelError } from '../errno.ts';
import type { DriverDomain } from '../iommu/driver.ts';
import type { Group } from '../iommu/group.ts';
import type { LinuxKernel } from '../kernel.ts';
import type { CallArguments, CallContext, CallValue, KernelCall } from './call.ts';
import { DOMAIN_CALLS } from './domain-calls.ts';
import { IOASID_CALLS } from './ioasid-calls.ts';
import { IOMMUFD_CALLS } from './iommufd-calls.ts';
import { OWNERSHIP_CALLS } from './ownership-calls.ts';
import { PASID_CALLS } from './pasid-calls.ts';
import { VDPA_CALLS } from './vdpa-calls.ts';

/** Every call that can be made by name. */
export const KERNEL_CALLS: readonly KernelCall[] = [
  ...DOMAIN_CALLS,
  ...PASID_CALLS,
  ...OWNERSHIP_CALLS,
  ...IOMMUFD_CALLS,
  ...IOASID_CALLS,
  ...VDPA_CALLS,
];

const byName = new Map(KERNEL_CALLS.map((call) => [call.name, call]));

interface NamedDomain {
  readonly domain: DriverDomain;
  /** Buffers that were made for it: first frame and number. */
  readonly buffers: { readonly frame: Frame; readonly pages: number }[];
}

export class KernelCalls implements CallContext {
  readonly kernel: LinuxKernel;
  private readonly domains = new Map<string, NamedDomain>();
  private readonly owners = new Map<string, { readonly name: string }>();

  constructor(kernel: LinuxKernel) {
    this.kernel = kernel;
  }

  /** Names of domains that callers made, in order of making. */
  get domainNames(): readonly string[] {
    return [...this.domains.keys()];
  }

  /**
   * Makes a call. @throws KernelError: what the call gave, or ENOSYS: no such call, EINVAL: an argument is missing or
   * too much.
   */
  run(name: string, args: CallArguments): CallValue {
    const call = byName.get(name);
    if (call === undefined) {
      throw new KernelError(
        'ENOSYS',
        'no such call',
        `There is no kernel call "${name}".`,
        'List the calls.',
      );
    }
    const missing = call.arguments.find((each) => each.optional !== true && args[each.name] === undefined);
    if (missing !== undefined) {
      throw new KernelError(
        'EINVAL',
        'argument missing',
        `${name} needs "${missing.name}": ${missing.about}.`,
      );
    }
    const unknown = Object.keys(args).find((key) => !call.arguments.some((each) => each.name === key));
    if (unknown !== undefined) {
      throw new KernelError('EINVAL', 'argument unknown', `${name} has no argument "${unknown}".`);
    }
    for (const { name: key, kind, choices } of call.arguments) {
      const text = args[key];
      if (text === undefined) continue;
      if (
        (kind === 'address' || kind === 'size' || kind === 'pasid') &&
        !/^(?:0x[0-9a-f]+|\d+)$/i.test(text)
      ) {
        throw new KernelError('EINVAL', 'not a number', `"${text}" for ${key} is no number.`);
      }
      // A register holds 64 bits: what is longer never reaches the kernel.
      if ((kind === 'address' || kind === 'size') && BigInt(text) >> 64n !== 0n) {
        throw new KernelError('EINVAL', 'not 64 bits', `"${text}" for ${key} is longer than 64 bits.`);
      }
      if (choices !== undefined && !choices.includes(text)) {
        throw new KernelError(
          'EINVAL',
          'no such choice',
          `"${text}" for ${key} is none of ${choices.join(', ')}.`,
        );
      }
    }
    return call.run(this, args);
  }

  device(name: string): Device {
    const device = this.kernel.pciDevice(name) ?? this.kernel.mdev.find(name)?.device;
    if (device !== undefined) return device;
    throw new KernelError('ENODEV', 'no such device', `There is no device ${name}.`);
  }

  group(text: string): Group {
    const found = /^\d+$/.test(text)
      ? this.kernel.iommu.groups.find((group) => group.id === Number(text))
      : this.kernel.iommu.groupOf(this.device(text));
    if (found !== undefined) return found;
    throw new KernelError('ENODEV', 'no such group', `There is no IOMMU group ${text}.`);
  }

  domain(name: string): DriverDomain {
    const named = this.domains.get(name);
    if (named !== undefined) return named.domain;
    throw new KernelError('ENOENT', 'no such domain', `No domain is called ${name}.`, 'Allocate it first.');
  }

  nameDomain(name: string, domain: DriverDomain): void {
    if (this.domains.has(name)) {
      if (domain.type !== 'identity') domain.free();
      throw new KernelError('EEXIST', 'domain name in use', `There is a domain ${name} already.`);
    }
    this.domains.set(name, { domain, buffers: [] });
  }

  forgetDomain(name: string): void {
    for (const { frame, pages } of this.domains.get(name)?.buffers ?? []) {
      this.kernel.port.memory.zero(frame * 4096, pages * 4096);
      this.kernel.allocator.release(frame, pages);
    }
    this.domains.delete(name);
  }

  owner(name: string): object {
    const known = this.owners.get(name);
    if (known !== undefined) return known;
    const made = { name };
    this.owners.set(name, made);
    return made;
  }

  buffer(domain: string, pages: number): Frame {
    const frame = this.kernel.allocator.allocateRun(pages);
    this.domains.get(domain)?.buffers.push({ frame, pages });
    return frame;
  }
}
