/** Regions of a PCI function, found by sizing its BARs as the kernel does at enumeration. drivers/pci/probe.c. */
import type { PciDevice } from '../pci/pci-device.ts';

export interface PciRegion {
  readonly kind: 'memory' | 'io' | 'rom' | 'none';
  /** 0 when the BAR is not there. */
  readonly sizeBytes: number;
  readonly address: number;
}

const ABSENT: PciRegion = { kind: 'none', sizeBytes: 0, address: 0 };
const ROM_BAR = 0x30;
/** A BAR that does not take what is written tells no size; it decodes at least so much. */
const UNSIZED_BYTES = 0x1000;

function size32(device: PciDevice, offset: number, mask: number): { value: number; size: number } {
  const value = device.read(offset, 4);
  device.write(offset, 4, mask);
  const answer = device.read(offset, 4);
  device.write(offset, 4, value);
  const writable = (answer & mask) >>> 0;
  if (writable === 0) return { value, size: 0 };
  return { value, size: answer === value ? UNSIZED_BYTES : (~writable >>> 0) + 1 };
}

function baseRegion(device: PciDevice, index: number): { region: PciRegion; wide: boolean } {
  const offset = 0x10 + index * 4;
  const low = device.read(offset, 4);
  if ((low & 1) === 1) {
    const { value, size } = size32(device, offset, 0xfffffffc);
    return { region: { kind: 'io', sizeBytes: size & 0xffff, address: (value & ~3) >>> 0 }, wide: false };
  }
  const wide = (low & 6) === 4 && index < 5;
  const { value, size } = size32(device, offset, 0xfffffff0);
  const high = wide ? device.read(offset + 4, 4) : 0;
  if (size === 0 && !wide) return { region: ABSENT, wide };
  const upper = wide && size === 0 ? size32(device, offset + 4, 0xffffffff).size * 2 ** 32 : 0;
  const sizeBytes = size + upper;
  if (sizeBytes === 0) return { region: ABSENT, wide };
  return { region: { kind: 'memory', sizeBytes, address: ((value & ~0xf) >>> 0) + high * 2 ** 32 }, wide };
}

/** BARs 0 to 5 and the expansion ROM, in that order. Decoding is off while they are sized. */
export function pciRegions(device: PciDevice): readonly PciRegion[] {
  const command = device.read(4, 2);
  device.write(4, 2, command & ~3);
  const regions: PciRegion[] = [];
  if (device.headerType === 0 && !device.isVirtualFunction) {
    for (let index = 0; index < 6; index += 1) {
      const { region, wide } = baseRegion(device, index);
      regions.push(region);
      if (wide) {
        regions.push(ABSENT);
        index += 1;
      }
    }
    const { value, size } = size32(device, ROM_BAR, 0xfffff800);
    regions.push(size === 0 ? ABSENT : { kind: 'rom', sizeBytes: size, address: (value & ~0x7ff) >>> 0 });
  }
  while (regions.length < 7) regions.push(ABSENT);
  device.write(4, 2, command);
  return regions;
}
