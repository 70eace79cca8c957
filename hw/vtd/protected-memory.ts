/**
 * Protected memory regions: what devices may not reach while translation is off, or through pass-through and
 * translated requests. Blocked requests are not recorded as faults. VT-d 3.16, 11.4.8.
 */
import type { RegisterFile } from './register-file.ts';

const ENABLE = 0x80000000;
const STATUS = 1;
/** Regions are aligned to 2 MiB: the low bits of a limit count as ones. */
const GRANULE = 0x1fffff;

export class ProtectedMemory {
  private readonly file: RegisterFile;
  private enabled = false;

  constructor(file: RegisterFile) {
    this.file = file;
  }

  /** Software wrote PMEN: the status bit follows the enable bit. */
  enableWritten(): void {
    const value = this.file.get('PMEN');
    this.enabled = (value & ENABLE) !== 0;
    this.file.set('PMEN', this.enabled ? value | STATUS : value & ~STATUS);
  }

  /** True when the page with these address bits (63:32, 31:12) lies in an enabled region. */
  covers(pageHigh: number, pageLow: number): boolean {
    if (!this.enabled) return false;
    const file = this.file;
    const low = pageLow << 12;
    if (pageHigh === 0 && inRegion(low >>> 0, file.get('PLMBASE'), file.get('PLMLIMIT'))) return true;
    const address = (pageHigh >>> 0) * 2 ** 32 + (low >>> 0);
    const wide = (name: 'PHMBASE' | 'PHMLIMIT'): number => file.getHigh(name) * 2 ** 32 + file.get(name);
    return inRegion(address, wide('PHMBASE'), wide('PHMLIMIT'));
  }
}

/** A limit below the base, or both zero as after reset, protects nothing. */
function inRegion(address: number, base: number, limit: number): boolean {
  if (base === 0 && limit === 0) return false;
  return address >= base && address <= limit + GRANULE;
}
