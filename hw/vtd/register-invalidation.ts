/**
 * Invalidation by registers: CCMD, IVA and IOTLB, which software may use while the queue is off. The granularity that
 * was performed is reported back; 0 means that the command was wrong and nothing was done. VT-d 6.5.1.
 */
import { capabilitiesOf, type UnitConfiguration } from './configuration.ts';
import type { Invalidator } from './invalidation.ts';
import type { RegisterFile } from './register-file.ts';
import type { Capabilities } from './registers.ts';
import { registers } from './registers.ts';

const COMMAND = 1 << 31;
const Granularity = { none: 0, global: 1, domain: 2, selective: 3 } as const;

export class RegisterInvalidation {
  private readonly file: RegisterFile;
  private readonly invalidator: Invalidator;
  private readonly has: Capabilities;

  constructor(configuration: UnitConfiguration, file: RegisterFile, invalidator: Invalidator) {
    this.file = file;
    this.invalidator = invalidator;
    this.has = capabilitiesOf(configuration);
  }

  /** The upper half of CCMD was written. @param queueEnabled Then the command isn't valid. */
  contextCommand(value: number, queueEnabled: boolean): void {
    if ((value & COMMAND) === 0) return;
    const words = Uint32Array.of(this.file.get('CCMD'), this.file.getHigh('CCMD'));
    const { requestedGranularity, actualGranularity, domainId, sourceId, functionMask, invalidate } =
      registers.CCMD.layout.fields;
    const requested = queueEnabled ? Granularity.none : requestedGranularity.get(words);
    if (requested === Granularity.global) this.invalidator.contexts();
    if (requested === Granularity.domain) this.invalidator.contextsOfDomain(domainId.get(words));
    if (requested === Granularity.selective)
      this.invalidator.contextsOfDevice(sourceId.get(words), functionMask.get(words));
    actualGranularity.set(words, requested);
    invalidate.set(words, 0);
    this.file.setHigh('CCMD', words[1]);
  }

  /** The upper half of the IOTLB register was written. */
  iotlbCommand(value: number, queueEnabled: boolean): void {
    if ((value & COMMAND) === 0) return;
    const words = Uint32Array.of(this.file.get('IOTLB'), this.file.getHigh('IOTLB'));
    const { requestedGranularity, actualGranularity, domainId, invalidate } = registers.IOTLB.layout.fields;
    const requested = queueEnabled ? Granularity.none : requestedGranularity.get(words);
    const performed = this.invalidateTranslations(requested, domainId.get(words));
    actualGranularity.set(words, performed);
    invalidate.set(words, 0);
    this.file.setHigh('IOTLB', words[1]);
  }

  private invalidateTranslations(requested: number, domainId: number): number {
    if (requested === Granularity.global) this.invalidator.translations();
    if (requested === Granularity.domain) this.invalidator.translationsOfDomain(domainId);
    if (requested !== Granularity.selective) return requested;
    if (!this.has.pageSelectiveInvalidation) {
      this.invalidator.translationsOfDomain(domainId);
      return Granularity.domain;
    }
    const low = this.file.get('IVA');
    const mask = low & 0x3f;
    if (mask > this.has.maximumAddressMask) return Granularity.none;
    const range = { pageHigh: this.file.getHigh('IVA') | 0, pageLow: low >>> 12, mask };
    this.invalidator.pagesOfDomain(domainId, range, (low & 0x40) !== 0);
    return requested;
  }
}
