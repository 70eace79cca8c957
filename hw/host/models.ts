/** Which model stands behind a function, and where its registers are. */
import { Accelerator } from '../devices/accelerator.ts';
import { DmaEngine } from '../devices/dma-engine.ts';
import { Edu } from '../devices/edu.ts';
import type { DeviceBus, DeviceModel } from '../devices/model.ts';
import type { DeviceModelDescription } from '../host-description.ts';
import { PasidCapability } from '../pci/capabilities/pasid.ts';
import type { PciFunction } from '../pci/function.ts';
import { CommandBit, HeaderOffset } from '../pci/layouts.ts';
import { classNameOf } from './class-names.ts';

/** A whole number from a description, or what stands in for it when it is missing or out of range. */
function whole(value: unknown, least: number, most: number, otherwise: number): number {
  return typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most
    ? value
    : otherwise;
}

/** Streaming and analytics accelerators of Intel, known by their ids on imported hosts. */
const ACCELERATORS = new Set(
  [0x0b25, 0x0cfe, 0x11fb, 0x1212, 0x1216, 0xb02d].map((id) => (id << 16) | 0x8086),
);

/** The model that a description names, or that the ids of the function call for; else a plain DMA engine. */
export function makeModel(
  of: PciFunction,
  bus: DeviceBus,
  described: DeviceModelDescription | undefined,
): DeviceModel {
  if (isAccelerator(of, described)) {
    return new Accelerator(
      bus,
      {
        get busMaster() {
          return (of.read(HeaderOffset.command, 2) & CommandBit.busMaster) !== 0;
        },
        get pasidEnabled() {
          const offset = of.extendedCapability(PasidCapability.id);
          return offset !== undefined && (of.read(offset + 6, 2) & 1) !== 0;
        },
      },
      {
        queues: whole(described?.queues, 1, 128, 8),
        totalQueueSize: whole(described?.totalQueueSize, 1, 0xffff, 128),
        engines: whole(described?.engines, 1, 255, 4),
      },
    );
  }
  if (described?.kind === 'edu')
    return new Edu(bus, { addressBits: whole(described.addressBits, 12, 64, 28) });
  const role = typeof described?.role === 'string' ? described.role : classNameOf(of.read(0x08, 4) >>> 8);
  return new DmaEngine(bus, role);
}

function isAccelerator(of: PciFunction, described: DeviceModelDescription | undefined): boolean {
  return described === undefined ? ACCELERATORS.has(of.read(0, 4) | 0) : described.kind === 'accelerator';
}

/** Where firmware places registers that a capture shows without address. */
const FIRST_PLACE = 0x3f0000000000n;
const PLACE_BYTES = 0x100000n;
/** 64 bits, prefetchable. */
const WIDE_MEMORY = 0xcn;

/** Gives accelerators that have no address in BAR 0 one, as firmware does at power-on. `index` tells them apart. */
export function placeRegisters(
  of: PciFunction,
  described: DeviceModelDescription | undefined,
  index: number,
): void {
  if (of.isBridge || !isAccelerator(of, described) || regionAddress(of, 0) !== undefined) return;
  const place = FIRST_PLACE + BigInt(index) * PLACE_BYTES;
  of.config.set(HeaderOffset.baseAddresses, 4, Number((place & 0xffffffffn) | WIDE_MEMORY));
  of.config.set(HeaderOffset.baseAddresses + 4, 4, Number(place >> 32n));
}

/** The address that a memory BAR holds, or undefined: no BAR there, an I/O BAR, or not assigned. */
export function regionAddress(of: PciFunction, bar: number): bigint | undefined {
  if (of.isBridge || of.physicalFunction !== undefined) return undefined;
  const offset = HeaderOffset.baseAddresses + bar * 4;
  const low = of.read(offset, 4);
  if ((low & 1) !== 0) return undefined;
  const wide = (low & 6) === 4 && bar < 5;
  const address = BigInt(low & ~0xf) & 0xfffffff0n;
  const whole = wide ? address | (BigInt(of.read(offset + 4, 4)) << 32n) : address;
  return whole === 0n ? undefined : whole;
}
