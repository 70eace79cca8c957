/**
 * Interrupt remapping (irq_remapping.c): a table for each unit, on before DMA is translated. From then on a device can
 * raise only those interrupts that an entry allows it; a message in the old format is blocked.
 */
import type { Frame } from '../../memory/types.ts';
import { InterruptEntry } from '../../vtd/layouts.ts';
import { GlobalBit, registers } from '../../vtd/registers.ts';
import type { Device } from '../device.ts';
import { KernelError } from '../errno.ts';
import { LowestFree } from '../lowest-free.ts';
import { forEachDmaAlias } from '../pci/dma-alias.ts';
import type { PciDevice } from '../pci/pci-device.ts';
import type { TableWriter } from './table-writer.ts';
import type { IntelUnit } from './unit.ts';

/** INTR_REMAP_TABLE_ENTRIES: 2^16, one MiB. */
const ENTRIES = 2 ** 16;
const SIZE_CODE = 15;
const ENTRY_BYTES = 16;
const PAGES = (ENTRIES * ENTRY_BYTES) / 4096;

/** How an entry looks at the requester. VT-d 9.9, SVT. */
const Verify = { sourceId: 1, busRange: 2 } as const;

/** What a device is programmed with, and where its entry is. */
export interface RemappedMessage {
  readonly unit: IntelUnit;
  readonly index: number;
  readonly address: bigint;
  readonly data: number;
}

interface UnitTable {
  readonly frame: Frame;
  readonly indexes: LowestFree;
}

export class InterruptRemapping {
  private readonly tables: TableWriter;
  private readonly byUnit = new Map<IntelUnit, UnitTable>();

  constructor(tables: TableWriter) {
    this.tables = tables;
  }

  /** iommu_set_irq_remapping, iommu_enable_irq_remapping; again after a resume, with the table that is there. */
  enable(unit: IntelUnit): void {
    const table = this.byUnit.get(unit) ?? {
      frame: this.tables.allocate(PAGES),
      indexes: new LowestFree(0, ENTRIES),
    };
    this.byUnit.set(unit, table);
    unit.mmio.write(registers.IRTA.offset, 8, (BigInt(table.frame) << 12n) | BigInt(SIZE_CODE));
    unit.command(GlobalBit.interruptTable);
    unit.flush.interruptEntries();
    unit.setGlobalBit(GlobalBit.interruptRemapping, true);
    // Messages in the old format stay blocked (CFI off).
    unit.setGlobalBit(GlobalBit.compatibilityFormat, false);
  }

  /**
   * An entry for one interrupt of a device. @param destination Local APIC, 8 bits. @param vector 0x10 to 0xfe.
   * @throws KernelError ENODEV: its unit does not remap; ENOSPC: the table is full.
   */
  allocate(
    device: Device,
    unit: IntelUnit | undefined,
    vector: number,
    destination: number,
  ): RemappedMessage {
    const table = unit === undefined ? undefined : this.byUnit.get(unit);
    const { pci } = device;
    if (unit === undefined || table === undefined || pci === undefined) {
      throw new KernelError(
        'ENODEV',
        'no interrupt remapping',
        `No unit remaps the interrupts of ${device.name}.`,
      );
    }
    const index = table.indexes.takeLowest();
    if (index === undefined) {
      throw new KernelError('ENOSPC', 'interrupt table full', `The interrupt table of ${unit.name} is full.`);
    }
    const words = InterruptEntry.encode({
      present: 1,
      vector,
      destination: destination << 8,
      ...sourceCheck(pci),
    });
    this.tables.write(
      table.frame * 4096 + index * ENTRY_BYTES,
      words,
      `${unit.name} interrupt entry ${index}`,
    );
    unit.flush.interruptEntries(index);
    // Remappable format: handle[14:0] in 19:5, bit 4 set, handle[15] in bit 2; the data is the subhandle.
    const address = 0xfee00010n | (BigInt(index & 0x7fff) << 5n) | (BigInt(index >>> 15) << 2n);
    return { unit, index, address, data: 0 };
  }

  free(message: RemappedMessage): void {
    const table = this.byUnit.get(message.unit);
    if (table === undefined || !table.indexes.give(message.index)) return;
    const at = table.frame * 4096 + message.index * ENTRY_BYTES;
    this.tables.write(
      at,
      new Uint32Array(ENTRY_BYTES / 4),
      `${message.unit.name} interrupt entry ${message.index}`,
    );
    message.unit.flush.interruptEntries(message.index);
  }
}

/**
 * set_msi_sid: which requester the entry accepts. A bus range where a bridge gives the id of its bus, one id of a bridge
 * that stands for the device, else the device's own.
 */
function sourceCheck(device: PciDevice): { sourceValidation: number; sourceId: number } {
  const own = (device.bus.number << 8) | device.devfn;
  let last = { by: device, requesterId: own };
  let count = 0;
  let sameBus = 0;
  forEachDmaAlias(device, (by, requesterId) => {
    if (count === 0 || requesterId >>> 8 === last.requesterId >>> 8) sameBus += 1;
    last = { by, requesterId };
    count += 1;
    return false;
  });
  const bus = last.requesterId >>> 8;
  const range = (start: number, end: number) => ({
    sourceValidation: Verify.busRange,
    sourceId: (start << 8) | end,
  });
  if (bus !== last.by.bus.number) return range(bus, device.bus.number);
  if (count >= 2 && sameBus === count) return range(device.bus.number, device.bus.number);
  const sourceId = last.by.bus.number !== device.bus.number ? last.requesterId : own;
  return { sourceValidation: Verify.sourceId, sourceId };
}
