/**
 * struct intel_iommu: one remapping unit as the driver holds it. Registers, root and context tables, domain ids, and
 * the way to flush. What it knows of the hardware it read from CAP and ECAP.
 */
import type { HardwarePort, MmioPort } from '../../port.ts';
import type { Trace } from '../../trace.ts';
import {
  type Capabilities,
  decodeCapabilities,
  GlobalBit,
  registers,
  TableMode,
} from '../../vtd/registers.ts';
import { KernelError } from '../errno.ts';
import { LowestFree } from '../lowest-free.ts';
import type { KernelProfile } from '../profile.ts';
import { Flusher } from './flusher.ts';
import { InvalidationQueue } from './invalidation-queue.ts';
import type { TableWriter } from './table-writer.ts';

/** Domain id of pass-through and of everything that has no page table of its own (FLPT_DEFAULT_DID). */
export const PASS_THROUGH_DOMAIN_ID = 1;

const ENTRY_BYTES = { legacy: 16, scalable: 32 } as const;

export class IntelUnit {
  readonly name: string;
  readonly index: number;
  readonly registerBase: bigint;
  readonly segment: number;
  readonly cap: bigint;
  readonly ecap: bigint;
  readonly capabilities: Capabilities;
  /** The unit translates in scalable mode: it can, and the kernel was told to. */
  readonly scalable: boolean;
  /** AGAW the driver uses: 1 = 39 bits, 2 = 48, 3 = 57. */
  readonly agaw: number;
  /** The widest AGAW that the unit walks (msagaw): what pass-through entries carry. */
  readonly widestAgaw: number;
  readonly flush: Flusher;
  readonly mmio: MmioPort;
  readonly queue: InvalidationQueue | undefined;
  readonly domainIds: LowestFree;
  private readonly tables: TableWriter;
  private readonly rootAddress: number;
  private globalBits = 0;

  constructor(options: {
    port: HardwarePort;
    tables: TableWriter;
    trace: Trace;
    profile: KernelProfile;
    registerBase: bigint;
    segment: number;
    index: number;
    scalableWanted: boolean;
  }) {
    const { port, tables, trace, profile, registerBase, index } = options;
    const mmio = port.mmio(registerBase);
    const cap = mmio?.read(registers.CAP.offset, 8);
    const ecap = mmio?.read(registers.ECAP.offset, 8);
    if (mmio === undefined || cap === undefined || ecap === undefined || cap === ALL_ONES) {
      throw new KernelError(
        'EINVAL',
        'no unit at register base',
        `The DMAR names a remapping unit at 0x${registerBase.toString(16)}, but nothing answers there.`,
        'Look for a firmware fault: the DRHD structure holds a wrong register base.',
      );
    }
    this.mmio = mmio;
    this.name = `dmar${index}`;
    this.index = index;
    this.registerBase = registerBase;
    this.segment = options.segment;
    this.cap = cap;
    this.ecap = ecap;
    this.capabilities = decodeCapabilities(cap, ecap);
    this.tables = tables;
    this.scalable =
      options.scalableWanted &&
      this.capabilities.scalableMode === 1 &&
      this.capabilities.queuedInvalidation === 1;
    const widths = this.supportedWidths();
    this.agaw = widestOf(widths);
    this.widestAgaw = widestOf(this.capabilities.addressWidths);
    if (this.agaw === 0) {
      throw new KernelError(
        'EINVAL',
        'no usable address width',
        `${this.name} offers no table width that the driver knows (SAGAW ${this.capabilities.addressWidths}).`,
      );
    }
    // Id 0 is what caching mode tags absent entries with; id 1 is kept for pass-through where it can be needed.
    const first = profile.staticDomains || this.scalable ? 2 : 1;
    this.domainIds = new LowestFree(first, 2 ** (4 + 2 * this.capabilities.domainIdCode) - first);
    this.rootAddress = tables.allocate() * 4096;
    if (this.capabilities.queuedInvalidation === 1) {
      this.queue = new InvalidationQueue(port, mmio, tables.allocator, {
        wide: this.capabilities.scalableMode === 1,
        unitName: this.name,
        trace,
      });
    }
    this.flush = new Flusher(this.queue, mmio, this.capabilities, () => this.translating);
  }

  get translating(): boolean {
    return (this.globalBits & GlobalBit.translation) !== 0;
  }

  /** Bits of an IOVA that both the driver's tables and the unit take. */
  get addressBits(): number {
    return Math.min(30 + 9 * this.agaw, this.capabilities.maximumGuestAddressWidth + 1);
  }

  get pasidSupported(): boolean {
    return this.scalable && this.capabilities.processAddressSpaceIds === 1;
  }

  /**
   * First steps at boot: the queue. One that firmware or the time before a suspend left on is switched off first
   * (dmar_reenable_qi).
   */
  startQueue(): void {
    if (this.queue === undefined) return;
    const status = Number(this.mmio.read(registers.GSTS.offset, 4));
    if ((status & GlobalBit.queuedInvalidation) !== 0) this.command(0);
    this.queue.enable(this.globalBits);
    this.globalBits |= GlobalBit.queuedInvalidation;
  }

  /** iommu_set_root_entry: latches the root table and flushes what may be cached. */
  setRootTable(profile: KernelProfile): void {
    const mode = this.scalable ? TableMode.scalable : TableMode.legacy;
    this.mmio.write(registers.RTADDR.offset, 8, BigInt(this.rootAddress) | (BigInt(mode) << 10n));
    this.command(GlobalBit.rootTable);
    // A unit that flushes by itself (ESRTPS) is spared where the kernel knows of it.
    if (profile.trustsSelfFlush && this.capabilities.setRootTableInvalidates === 1) return;
    this.flush.allContexts();
    if (this.scalable) this.flush.allPasids();
    this.flush.everything();
  }

  /** Sets TE: from now on requests are translated. */
  enableTranslation(): void {
    this.globalBits |= GlobalBit.translation;
    this.command(0);
  }

  disableTranslation(): void {
    this.globalBits &= ~GlobalBit.translation;
    this.command(0);
  }

  /** Sets level bits of GCMD (interrupt remapping) or fires one-shot ones. */
  command(oneShot: number): void {
    this.mmio.write(registers.GCMD.offset, 4, BigInt((this.globalBits | oneShot) >>> 0));
  }

  setGlobalBit(bit: number, on: boolean): void {
    this.globalBits = on ? this.globalBits | bit : this.globalBits & ~bit;
    this.command(0);
  }

  /** After a loss of power: the registers are at reset, the tables in memory are what they were. */
  forgetRegisters(): void {
    this.globalBits = 0;
  }

  /** iommu_flush_write_buffer: only units with RWBF need it. */
  flushWriteBuffer(): void {
    if (this.capabilities.writeBufferFlushing === 1) this.command(GlobalBit.writeBuffer);
  }

  /** @throws KernelError ENOSPC: the unit has no domain id left. */
  takeDomainId(): number {
    const id = this.domainIds.takeLowest();
    if (id === undefined) {
      throw new KernelError(
        'ENOSPC',
        'domain ids used up',
        `${this.name} has ${2 ** (4 + 2 * this.capabilities.domainIdCode)} domain ids and all are in use.`,
        'Release a device or a mediated device behind this unit.',
      );
    }
    return id;
  }

  /**
   * Address of the context entry of a requester, or undefined when its context table is not there.
   * @param make Allocates the context table when missing (it then stays for good).
   */
  contextAddress(bus: number, devfn: number, make: boolean): number | undefined {
    const upper = this.scalable && devfn >= 0x80;
    const rootEntry = this.rootAddress + bus * 16 + (upper ? 8 : 0);
    const root = this.tables.read(rootEntry, 2);
    let table = root[1] * 2 ** 32 + ((root[0] & 0xfffff000) >>> 0);
    if ((root[0] & 1) === 0) {
      if (!make) return undefined;
      table = this.tables.allocate() * 4096;
      const words = Uint32Array.of((table % 2 ** 32) | 1, Math.floor(table / 2 ** 32));
      this.tables.write(
        rootEntry,
        words,
        `${this.name} root entry of bus ${bus.toString(16).padStart(2, '0')}`,
      );
    }
    const index = this.scalable ? devfn & 0x7f : devfn;
    return table + index * this.contextBytes;
  }

  get contextBytes(): number {
    return this.scalable ? ENTRY_BYTES.scalable : ENTRY_BYTES.legacy;
  }

  /** SAGAW as the driver weighs it: with first level in play only what it walks counts (4 levels, 5 with FL5LP). */
  private supportedWidths(): number {
    const { addressWidths, firstLevelTranslation, secondLevelTranslation, firstLevel5Levels } =
      this.capabilities;
    if (!this.scalable || firstLevelTranslation === 0) return addressWidths;
    const firstLevel = 4 | (firstLevel5Levels === 1 ? 8 : 0);
    return secondLevelTranslation === 0 ? firstLevel : firstLevel & addressWidths;
  }
}

const ALL_ONES = (1n << 64n) - 1n;

/** The highest AGAW (1 to 3) in a SAGAW bitmap; 0: none. */
function widestOf(widths: number): number {
  for (let agaw = 3; agaw >= 1; agaw -= 1) if ((widths & (1 << agaw)) !== 0) return agaw;
  return 0;
}
