/**
 * Reads what a real kernel shows of its own tables in /sys/kernel/debug/iommu/intel: dmar_translation_struct (root,
 * context and PASID entries) and domain_translation_struct (the paging entries of each device), decoded with the same
 * layouts as the emulated unit's tables. drivers/iommu/intel/debugfs.c, 5.x to 7.x.
 */
import {
  type DecodedField,
  FirstLevelEntry,
  type Layout,
  LegacyContextEntry,
  LegacyRootEntry,
  PasidTableEntry,
  ScalableContextEntry,
  ScalableRootEntry,
  SecondLevelEntry,
} from '../../hw/index.ts';
import { fileError } from '../errors.ts';

export interface DecodedEntry {
  readonly structure: string;
  /** 64-bit words as the file shows them, lowest first. */
  readonly words: readonly string[];
  readonly fields: Readonly<Record<string, string>>;
}

/** One line of dmar_translation_struct. */
export interface TranslationLine {
  readonly unit: string;
  readonly function: string;
  /** undefined: legacy mode. */
  readonly pasid: number | undefined;
  readonly entries: readonly DecodedEntry[];
}

/** One mapped page of domain_translation_struct. */
export interface MappedPage {
  readonly device: string;
  readonly pasid: number | undefined;
  readonly iova: string;
  readonly page: '4K' | '2M' | '1G';
  readonly physical: string;
  readonly entries: readonly DecodedEntry[];
}

const HEX = '0x[0-9a-f]{1,16}';
const TABLE_LINE = new RegExp(
  `^([0-9a-f]{2}:[0-9a-f]{2}\\.[0-7])\\s+(${HEX}):(${HEX})\\s+(${HEX}):(${HEX})(?:\\s+(-?\\d+)\\s+(${HEX}):(${HEX}):(${HEX}))?\\s*$`,
  'i',
);

/** @throws ApplicationError (exit code 2) with file and line. */
export function translationLines(text: string, file: string): TranslationLine[] {
  const found: TranslationLine[] = [];
  let unit = 'unknown unit';
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    const header = /^IOMMU (\S+): Root Table Address/.exec(line);
    if (header !== null) unit = header[1];
    if (!/^[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]\s/i.test(line)) continue;
    const match = TABLE_LINE.exec(line);
    if (match === null) {
      throw fileError(
        'a line of entries is cut or damaged',
        { file, line: index + 1 },
        'copy the file whole: cat it to a file as root',
      );
    }
    const [, name, rootHigh, rootLow, contextHigh, contextLow, pasidText, third, second, first] = match;
    const pasid = pasidText === undefined ? -1 : Number(pasidText);
    const scalable = pasid >= 0;
    const entries = [
      entry(scalable ? ScalableRootEntry : LegacyRootEntry, [rootLow, rootHigh]),
      // The file shows the low half of a scalable context entry; the high half is reserved.
      entry(
        scalable ? ScalableContextEntry : LegacyContextEntry,
        scalable ? [contextLow, contextHigh, '0x0', '0x0'] : [contextLow, contextHigh],
      ),
    ];
    if (scalable)
      entries.push(entry(PasidTableEntry, [first, second, third, ...Array.from({ length: 5 }, () => '0x0')]));
    found.push({ unit, function: name, pasid: scalable ? pasid : undefined, entries });
  }
  if (found.length === 0)
    throw fileError(
      'no line of entries',
      { file },
      'give /sys/kernel/debug/iommu/intel/dmar_translation_struct of a kernel with CONFIG_INTEL_IOMMU_DEBUGFS',
    );
  return found;
}

const LEVELS = ['level 5', 'level 4', 'level 3', 'level 2', 'level 1'];

/** @throws ApplicationError (exit code 2) with file and line. */
export function mappedPages(text: string, file: string): MappedPage[] {
  const found: MappedPage[] = [];
  let device: string | undefined;
  let pasid: number | undefined;
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    const header = /^Device (\S+)(?: with pasid ([0-9a-f]+))? @(0x[0-9a-f]+)/i.exec(line);
    if (header !== null) {
      device = header[1];
      pasid = header[2] === undefined ? undefined : Number.parseInt(header[2], 16);
      continue;
    }
    const match = /^(0x[0-9a-f]+)\s*\|\s*(0x.*)$/i.exec(line);
    if (match === null) continue;
    const words = match[2].trim().split(/\s+/);
    if (
      device === undefined ||
      words.length !== 5 ||
      !words.every((word) => /^0x[0-9a-f]{1,16}$/i.test(word))
    ) {
      throw fileError(
        'a mapping is cut or stands before its device',
        { file, line: index + 1 },
        'copy the file whole: cat it to a file as root',
      );
    }
    found.push(mappedPage(device, pasid, BigInt(match[1]) << 12n, words));
  }
  return found;
}

/** The last column that is not zero is the leaf; in the column of level 2 or 3 it is a large page. */
function mappedPage(
  device: string,
  pasid: number | undefined,
  iova: bigint,
  words: readonly string[],
): MappedPage {
  const used = words.map((word, level) => ({ word, level })).filter(({ word }) => BigInt(word) !== 0n);
  const leaf = used.at(-1) ?? { word: '0x0', level: 4 };
  const shift = { 4: 12n, 3: 21n, 2: 30n }[leaf.level] ?? 12n;
  const frame = ((BigInt(leaf.word) & 0x000ffffffffff000n) >> shift) << shift;
  return {
    device,
    pasid,
    iova: `0x${iova.toString(16)}`,
    page: shift === 12n ? '4K' : shift === 21n ? '2M' : '1G',
    physical: `0x${frame.toString(16)}`,
    entries: used.map(({ word, level }) => ({
      ...entry(pagingLayout(words), [word]),
      structure: `${pagingLayout(words).name}, ${LEVELS[level]}`,
    })),
  };
}

/** First-level entries carry the user bit (4) all the way down; second-level ones have read and write alone there. */
function pagingLayout(words: readonly string[]): Layout {
  const used = words.filter((word) => BigInt(word) !== 0n);
  return used.length > 0 && used.every((word) => (BigInt(word) & 5n) === 5n)
    ? FirstLevelEntry
    : SecondLevelEntry;
}

function entry(layout: Layout, words: readonly string[]): DecodedEntry {
  const halves = new Uint32Array(words.length * 2);
  for (const [index, word] of words.entries()) {
    halves[index * 2] = Number(BigInt(word) & 0xffffffffn);
    halves[index * 2 + 1] = Number(BigInt(word) >> 32n);
  }
  const fields = layout.decode(halves).filter((field) => field.value !== 0n);
  return {
    structure: layout.name,
    words,
    fields: Object.fromEntries(fields.map((field) => [field.name, fieldText(field)])),
  };
}

function fieldText(field: DecodedField): string {
  return field.meaning === undefined ? field.text : `${field.text} (${field.meaning})`;
}
