/** Names of domains as the transcripts use them: D*, T*, I* of the scenario, default:X, X1.. of VFIO. */
import type { IntelDomain, LinuxKernel } from '../../../hw/index.ts';
import { TEST_DEVICES } from './machine.ts';

export class DomainNames {
  private readonly kernel: LinuxKernel;
  private readonly byDomain = new Map<IntelDomain, string>();
  private readonly scenario = new Map<string, IntelDomain>();
  private seenOfVfio = 0;

  /** Names the default domains; one that several groups share goes by the first. */
  constructor(kernel: LinuxKernel, devices: readonly string[]) {
    this.kernel = kernel;
    for (const name of devices) {
      const device = kernel.pciDevice(TEST_DEVICES[name].at);
      const domain = device === undefined ? undefined : kernel.iommu.groupOf(device)?.defaultDomain;
      if (domain !== undefined && !this.byDomain.has(domain as IntelDomain)) {
        this.byDomain.set(domain as IntelDomain, `default:${name}`);
      }
    }
  }

  add(name: string, domain: IntelDomain): void {
    this.scenario.set(name, domain);
    if (!this.byDomain.has(domain)) this.byDomain.set(domain, name);
  }

  /** A domain of the scenario that was freed. */
  drop(name: string): void {
    this.scenario.delete(name);
  }

  find(name: string): IntelDomain | undefined {
    return this.scenario.get(name);
  }

  /** Domains that the scenario made and that have a table of their own, in order of making. */
  *own(): Iterable<readonly [string, IntelDomain]> {
    for (const [name, domain] of this.scenario) if (domain.table !== undefined) yield [name, domain];
  }

  of(domain: IntelDomain): string {
    if (domain.freed) return 'freed';
    const known = this.byDomain.get(domain);
    if (known !== undefined) return known;
    this.seenOfVfio += 1;
    const name = `X${this.seenOfVfio}`;
    this.byDomain.set(domain, name);
    return name;
  }

  /** The domain whose top table is this frame. */
  ofRoot(frame: number): string {
    const domain = this.kernel.intel?.domains.find((each) => each.table?.root === frame);
    return domain === undefined ? 'freed' : this.of(domain);
  }
}
