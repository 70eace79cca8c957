/** One PCI function of the emulated hardware: its configuration space and what writes to it set off. */
import { Acs, isDwordAcs } from './capabilities/acs.ts';
import { Express } from './capabilities/express.ts';
import { PasidCapability } from './capabilities/pasid.ts';
import { Pri } from './capabilities/pri.ts';
import { Sriov } from './capabilities/sriov.ts';
import { walkCapabilities } from './capabilities/walk.ts';
import type { ConfigurationSpace } from './configuration-space.ts';
import { HeaderOffset } from './layouts.ts';

/** What the hierarchy wants to know of a function's writes. */
export interface FunctionListener {
  /** Secondary bus number of a bridge was written. */
  busNumbersChanged(changed: PciFunction): void;
  /** SR-IOV control or the number of VFs was written. */
  virtualFunctionsChanged(changed: PciFunction): void;
}

export class PciFunction {
  readonly segment: number;
  /** Device << 3 | function. */
  readonly devfn: number;
  /** Changes when the bridge above gets another secondary bus number. */
  bus: number;
  readonly config: ConfigurationSpace;
  /** Set for a virtual function. */
  readonly physicalFunction: PciFunction | undefined;
  /** Called when software starts a function level reset. */
  onReset: (() => void) | undefined;
  private readonly standard = new Map<number, number>();
  private readonly extended = new Map<number, number>();
  private effectsReady = false;
  private readonly listener: FunctionListener;

  constructor(
    place: { segment: number; bus: number; devfn: number },
    config: ConfigurationSpace,
    listener: FunctionListener,
    physicalFunction?: PciFunction,
  ) {
    this.segment = place.segment;
    this.bus = place.bus;
    this.devfn = place.devfn;
    this.config = config;
    this.listener = listener;
    this.physicalFunction = physicalFunction;
  }

  get isBridge(): boolean {
    return (this.config.read(HeaderOffset.headerType, 1) & 0x7f) === 1;
  }

  get requesterId(): number {
    return (this.bus << 8) | this.devfn;
  }

  read(offset: number, size: 1 | 2 | 4): number {
    return this.config.read(offset, size);
  }

  write(offset: number, size: 1 | 2 | 4, value: number): void {
    if (!this.effectsReady) this.prepareEffects();
    this.config.write(offset, size, value);
  }

  /** Offset of a capability of the conventional list, or undefined. */
  capability(id: number): number | undefined {
    this.findCapabilities();
    return this.standard.get(id);
  }

  /** Offset of an extended capability, or undefined. */
  extendedCapability(id: number): number | undefined {
    this.findCapabilities();
    return this.extended.get(id);
  }

  private found = false;

  private findCapabilities(): void {
    if (this.found) return;
    this.found = true;
    const walk = walkCapabilities((offset, size) => this.config.read(offset, size), this.config.size);
    for (const one of walk.found) {
      const map = one.list === 'standard' ? this.standard : this.extended;
      if (!map.has(one.id)) map.set(one.id, one.offset);
    }
  }

  /** Sets up what writes cause; done at the first write, for most functions are never written to. */
  private prepareEffects(): void {
    this.effectsReady = true;
    const { config } = this;
    if (this.isBridge)
      config.watch(HeaderOffset.secondaryBus, 1, () => this.listener.busNumbersChanged(this));
    const express = this.capability(Express.id);
    if (express !== undefined) this.watchReset(express);
    const acs = this.extendedCapability(Acs.id);
    // A control bit exists only where the capability word has its bit. PCIe 7.7.11.3.
    if (acs !== undefined) {
      const wide = isDwordAcs(config.read(HeaderOffset.vendorId, 2), config.read(HeaderOffset.deviceId, 2));
      if (wide) config.allowWrites(acs + 8, 2, config.read(acs + 4, 2) & 0x7f);
      config.forbidWrites(acs + 6, 2, wide ? 0x7f : ~config.read(acs + 4, 2) & 0x7f);
    }
    const pasid = this.extendedCapability(PasidCapability.id);
    if (pasid !== undefined) config.forbidWrites(pasid + 6, 2, ~config.read(pasid + 4, 2) & 0x0e);
    const pri = this.extendedCapability(Pri.id);
    if (pri !== undefined) config.watch(pri + 4, 2, () => this.pageRequestControlWritten(pri));
    const sriov = this.extendedCapability(Sriov.id);
    if (sriov !== undefined) {
      config.watch(sriov + 8, 2, () => {
        // NumVFs is read-only while VF Enable is set. PCIe 9.3.3.7.
        const enabled = (config.read(sriov + 8, 2) & 1) !== 0;
        if (enabled) config.forbidWrites(sriov + 0x10, 2, 0xffff);
        else config.allowWrites(sriov + 0x10, 2, 0xffff);
        this.listener.virtualFunctionsChanged(this);
      });
      if ((config.read(sriov + 8, 2) & 1) !== 0) config.forbidWrites(sriov + 0x10, 2, 0xffff);
    }
  }

  /** Stopped follows enable: a model has no request under way when software switches the interface off. PCIe 10.5.2.3. */
  private pageRequestControlWritten(pri: number): void {
    const control = this.config.read(pri + 4, 2);
    const status = this.config.read(pri + 6, 2);
    const enabled = (control & 1) !== 0;
    if ((control & 2) !== 0 && !enabled) this.config.set(pri + 6, 2, status & ~3);
    this.config.set(pri + 4, 2, control & ~2);
    const now = this.config.read(pri + 6, 2);
    this.config.set(pri + 6, 2, enabled ? now & ~0x100 : now | 0x100);
  }

  /** Function level reset: the bit reads as zero, and the function comes back with its controls cleared. PCIe 6.6.2. */
  private watchReset(express: number): void {
    const portType = (this.config.read(express + 2, 2) >>> 4) & 0xf;
    const resets = (this.config.read(express + 4, 4) & 0x10000000) !== 0;
    if (portType > 1 && portType !== 9) return;
    this.config.watch(express + 8, 2, () => {
      const control = this.config.read(express + 8, 2);
      if ((control & 0x8000) === 0) return;
      this.config.set(express + 8, 2, control & 0x7fff);
      if (resets) this.reset();
    });
  }

  /** What a reset of the function leaves: no bus master, MSI, ATS, PRI, PASID or VFs. */
  reset(): void {
    const { config } = this;
    config.set(HeaderOffset.command, 2, 0);
    const clear = (offset: number | undefined, size: 2 | 4 = 2): void => {
      if (offset !== undefined) config.set(offset, size, 0);
    };
    const after = (offset: number | undefined, by: number): number | undefined =>
      offset === undefined ? undefined : offset + by;
    clear(after(this.extendedCapability(0x0f), 6));
    clear(after(this.extendedCapability(PasidCapability.id), 6));
    const pri = this.extendedCapability(Pri.id);
    if (pri !== undefined) {
      config.set(pri + 4, 2, 0);
      config.set(pri + 6, 2, (config.read(pri + 6, 2) & 0x8000) | 0x100);
    }
    for (const message of [this.capability(0x05), this.capability(0x11)]) {
      if (message !== undefined)
        config.set(
          message + 2,
          2,
          config.read(message + 2, 2) & ~(message === this.capability(0x11) ? 0x8000 : 1),
        );
    }
    const sriov = this.extendedCapability(Sriov.id);
    if (sriov !== undefined && (config.read(sriov + 8, 2) & 1) !== 0) {
      config.set(sriov + 8, 2, 0);
      config.allowWrites(sriov + 0x10, 2, 0xffff);
      this.listener.virtualFunctionsChanged(this);
    }
    this.onReset?.();
  }
}
