/**
 * What debugfs shows of a device's translation (intel/debugfs.c, domain_translation_struct): the leaves of the table
 * that its context entry, or the entry of PASID 0, leads to, read back from memory.
 */
import type { MemoryPort } from '../../port.ts';
import {
  FirstLevelEntry,
  LegacyContextEntry,
  PasidDirectoryEntry,
  PasidTableEntry,
  ScalableContextEntry,
  SecondLevelEntry,
  TranslationType,
} from '../../vtd/layouts.ts';
import type { DeviceInfo } from './device-info.ts';
import type { EntryWriter } from './entries.ts';

/** Leaves of one size with equal rights that follow each other. */
export interface LeafRun {
  /** First page (iova >> 12). */
  readonly page: number;
  readonly size: '4K' | '2M' | '1G';
  count: number;
  /** Low 12 bits of the entries. */
  readonly bits: number;
}

export interface TranslationDump {
  /** What led to the table: nothing is there when requests are blocked. */
  readonly kind: 'context entry' | 'pasid table' | 'none';
  readonly leaves: readonly LeafRun[];
}

const NOTHING: TranslationDump = { kind: 'none', leaves: [] };
const ENTRIES = 512;
const SIZES = { 1: '4K', 2: '2M', 3: '1G' } as const;
/** R and W of a second-level entry: one of them makes it present. */
const SECOND_PRESENT = SecondLevelEntry.fields.read.mask | SecondLevelEntry.fields.write.mask;
const FIRST_PRESENT = FirstLevelEntry.fields.present.mask;
const LARGE = SecondLevelEntry.fields.pageSize.mask;

interface TableStart {
  readonly address: number;
  readonly levels: number;
  readonly presentMask: number;
}

function readWords(memory: MemoryPort, address: number, count: number): Uint32Array {
  return Uint32Array.from({ length: count }, (_, index) => memory.read32(address + index * 4));
}

/** The table behind the entry of requests without PASID. */
function pasidTableStart(memory: MemoryPort, context: Uint32Array): TableStart | undefined {
  if (ScalableContextEntry.fields.present.get(context) === 0) return undefined;
  const directory = readWords(memory, ScalableContextEntry.fields.pasidDirectoryPointer.get(context), 2);
  if (PasidDirectoryEntry.fields.present.get(directory) === 0) return undefined;
  const entry = readWords(memory, PasidDirectoryEntry.fields.pasidTablePointer.get(directory), 16);
  const { fields } = PasidTableEntry;
  if (fields.present.get(entry) === 0) return undefined;
  const type = fields.translationType.get(entry);
  if (type === TranslationType.firstLevel)
    return {
      address: fields.firstLevelPointer.get(entry),
      levels: fields.firstLevelPagingMode.get(entry) === 1 ? 5 : 4,
      presentMask: FIRST_PRESENT,
    };
  if (type === TranslationType.passThrough) return undefined;
  return {
    address: fields.secondLevelPointer.get(entry),
    levels: fields.addressWidth.get(entry) + 2,
    presentMask: SECOND_PRESENT,
  };
}

function contextStart(context: Uint32Array): TableStart | undefined {
  const { fields } = LegacyContextEntry;
  if (fields.present.get(context) === 0 || fields.secondLevelPointer.get(context) === 0) return undefined;
  return {
    address: fields.secondLevelPointer.get(context),
    levels: fields.addressWidth.get(context) + 2,
    presentMask: SECOND_PRESENT,
  };
}

/** The translation of requests without PASID. */
export function dumpTranslation(info: DeviceInfo, entries: EntryWriter, memory: MemoryPort): TranslationDump {
  const context = entries.readContext(info);
  if (context === undefined) return NOTHING;
  const start = info.unit.scalable ? pasidTableStart(memory, context) : contextStart(context);
  if (start === undefined) return NOTHING;
  const leaves: LeafRun[] = [];
  const visit = (table: number, level: number, page: number): void => {
    const span = 512 ** (level - 1);
    for (let index = 0; index < ENTRIES; index += 1) {
      const low = memory.read32(table + index * 8);
      if ((low & start.presentMask) === 0) continue;
      const at = page + index * span;
      if (level > 1 && (low & LARGE) === 0) {
        visit(nextTable(memory, table + index * 8, low), level - 1, at);
        continue;
      }
      const bits = low & 0xfff;
      const size = SIZES[level as keyof typeof SIZES];
      const last = leaves.at(-1);
      if (
        last !== undefined &&
        last.size === size &&
        last.bits === bits &&
        last.page + last.count * span === at
      )
        last.count += 1;
      else leaves.push({ page: at, size, count: 1, bits });
    }
  };
  visit(start.address, start.levels, 0);
  return { kind: info.unit.scalable ? 'pasid table' : 'context entry', leaves };
}

function nextTable(memory: MemoryPort, entry: number, low: number): number {
  return (memory.read32(entry + 4) & 0xfffff) * 2 ** 32 + ((low & 0xfffff000) >>> 0);
}
