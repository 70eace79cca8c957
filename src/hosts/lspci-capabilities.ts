/**
 * Capabilities as lspci prints them, turned back into bytes as far as the text tells: places, and the registers that
 * isolation, DMA and assignment depend on.
 */
import type { TextLine } from './lspci-blocks.ts';
import { EXTENDED_IDS, PORT_TYPES, STANDARD_IDS } from './lspci-words.ts';

const ACS_FLAGS = [
  'SrcValid',
  'TransBlk',
  'ReqRedir',
  'CmpltRedir',
  'UpstreamFwd',
  'EgressCtrl',
  'DirectTrans',
];

/** One capability of the text. */
export interface TextCapability {
  readonly line: number;
  readonly offset: number;
  readonly extended: boolean;
  readonly version: number;
  readonly id: number;
  /** What follows the brackets. */
  readonly words: string;
  /** The deeper lines below it. */
  readonly details: readonly string[];
}

export interface TextCapabilities {
  readonly list: readonly TextCapability[];
  /** `Capabilities: <access denied>`: there are some, not shown. */
  readonly denied: boolean;
}

const CAPABILITY = /^Capabilities: \[([0-9a-f]+)(?: v([0-9a-f]+))?\] (.*)$/i;

/** The capabilities among a device's lines. */
export function textCapabilities(lines: readonly TextLine[]): TextCapabilities {
  const list: { -readonly [Key in keyof TextCapability]: TextCapability[Key] }[] = [];
  let denied = false;
  let details: string[] | undefined;
  for (const line of lines) {
    if (line.depth > 1 && details !== undefined) {
      details.push(line.text);
      continue;
    }
    details = undefined;
    if (!line.text.startsWith('Capabilities:')) continue;
    const match = CAPABILITY.exec(line.text);
    if (match === null) {
      denied ||= line.text.includes('<access denied>');
      continue;
    }
    const offset = Number.parseInt(match[1], 16);
    // With -v alone older pciutils print no version: the place tells the list.
    const extended = match[2] !== undefined || offset >= 0x100;
    const id = idOf(match[3], extended);
    if (id === undefined) continue;
    details = [];
    list.push({
      line: line.number,
      offset,
      extended,
      version: extended ? Number.parseInt(match[2] ?? '1', 16) : 0,
      id,
      words: match[3],
      details,
    });
  }
  return { list, denied };
}

function idOf(words: string, extended: boolean): number | undefined {
  // Old pciutils print the number of what they don't know: "#19", "Unknown (30)", "Extended Capability ID 0x2c".
  const numeric = /^(?:#|Unknown \(|Extended Capability ID )(?:0x)?([0-9a-f]+)/i.exec(words);
  if (numeric !== null) return Number.parseInt(numeric[1], 16);
  const names = extended ? EXTENDED_IDS : STANDARD_IDS;
  const whole = names.find(([start]) => words.startsWith(start));
  if (whole !== undefined || words.length < 4) return whole?.[1];
  // A line that a narrow terminal cut off in the name.
  const ids = new Set(names.flatMap(([name, id]) => (name.startsWith(words) ? [id] : [])));
  return ids.size === 1 ? [...ids][0] : undefined;
}

/** The flags that groups depend on. */
const ISOLATION_FLAGS = ['SrcValid', 'ReqRedir', 'CmpltRedir', 'UpstreamFwd'];

/** Whether a text shows both ACS registers, and no line of them is cut before the last flag that counts. */
export function showsAcs(capability: TextCapability): boolean {
  return ['ACSCap:', 'ACSCtl:'].every((start) => {
    const line = detail(capability, start) ?? '';
    return ISOLATION_FLAGS.every((flag) => line.includes(`${flag}+`) || line.includes(`${flag}-`));
  });
}

/** Whether an Express capability tells its device/port type. */
export function showsPortType(capability: TextCapability): boolean {
  return (
    /Unknown type \d/.test(capability.words) || PORT_TYPES.some(([words]) => capability.words.includes(words))
  );
}

/** `SrcValid+ TransBlk-` to bits, in the order given. */
function flagBits(text: string, names: readonly string[]): number {
  let bits = 0;
  names.forEach((name, index) => {
    if (text.includes(`${name}+`)) bits |= 1 << index;
  });
  return bits;
}

function detail(capability: TextCapability, start: string): string | undefined {
  return capability.details.find((line) => line.startsWith(start));
}

/** A detail and the lines that continue it (they start with no word and a colon). */
function paragraph(capability: TextCapability, start: string): string {
  const index = capability.details.findIndex((line) => line.startsWith(start));
  if (index < 0) return '';
  const lines = [capability.details[index]];
  for (const line of capability.details.slice(index + 1)) {
    if (/^(?:DevCap|DevCtl|DevSta|LnkCap|LnkCtl|LnkSta|SltCap|SltCtl|SltSta|Root\w+)\d?:/.test(line)) break;
    lines.push(line);
  }
  return lines.join(' ');
}

function numberIn(text: string, pattern: RegExp, radix = 10): number {
  const match = pattern.exec(text);
  return match === null ? 0 : Number.parseInt(match[1], radix);
}

/** Writes little-endian values at absolute offsets; what lies beyond the space is dropped. */
class Patch {
  private readonly bytes: Uint8Array;
  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }
  put(offset: number, size: 1 | 2 | 4, value: number): void {
    for (let index = 0; index < size; index += 1) {
      if (offset + index < this.bytes.length) this.bytes[offset + index] = value >>> (index * 8);
    }
  }
  or(offset: number, size: 1 | 2 | 4, value: number): void {
    for (let index = 0; index < size; index += 1) {
      if (offset + index < this.bytes.length) this.bytes[offset + index] |= value >>> (index * 8);
    }
  }
}

/** Writes headers, links and known registers of all capabilities into the bytes (4096 of them, or 256). */
export function writeCapabilities(
  bytes: Uint8Array,
  list: readonly TextCapability[],
  options: { nextAriFunction: number },
): void {
  const patch = new Patch(bytes);
  const standard = list.filter((one) => !one.extended && one.offset >= 0x40 && one.offset < 0x100);
  if (standard.length > 0) {
    patch.or(0x06, 1, 0x10);
    patch.put((bytes[0x0e] & 0x7f) === 2 ? 0x14 : 0x34, 1, standard[0].offset);
  }
  standard.forEach((one, index) => {
    patch.put(one.offset, 1, one.id);
    patch.put(one.offset + 1, 1, standard[index + 1]?.offset ?? 0);
  });
  const extended = list.filter((one) => one.extended && one.offset >= 0x100);
  if (extended.length > 0 && extended[0].offset !== 0x100) patch.put(0x100, 4, extended[0].offset << 20);
  extended.forEach((one, index) => {
    const next = extended[index + 1]?.offset ?? 0;
    patch.put(one.offset, 4, (one.id | (one.version << 16) | (next << 20)) >>> 0);
  });
  for (const one of list) {
    if (one.extended) writeExtended(patch, one, options);
    else writeStandard(patch, one);
  }
}

function writeStandard(patch: Patch, one: TextCapability): void {
  if (one.id === 0x10) writeExpress(patch, one);
  else if (one.id === 0x05) writeMsi(patch, one);
  else if (one.id === 0x11) {
    const count = Math.max(numberIn(one.words, /Count=(\d+)/) || numberIn(one.words, /TabSize=(\d+)/), 1);
    const control = (count - 1) & 0x7ff;
    const enabled = one.words.includes('Enable+') ? 0x8000 : 0;
    const masked = one.words.includes('Masked+') ? 0x4000 : 0;
    patch.put(one.offset + 2, 2, control | enabled | masked);
    for (const [start, at] of [
      ['Vector table:', 4],
      ['PBA:', 8],
    ] as const) {
      const line = detail(one, start) ?? '';
      const place = numberIn(line, /offset=([0-9a-f]+)/i, 16) | numberIn(line, /BAR=(\d)/);
      patch.put(one.offset + at, 4, place >>> 0);
    }
  } else if (one.id === 0x0d) {
    const ids = /\[([0-9a-f]{4}):([0-9a-f]{4})\]\s*$/i.exec(one.words);
    if (ids !== null) {
      patch.put(one.offset + 4, 2, Number.parseInt(ids[1], 16));
      patch.put(one.offset + 6, 2, Number.parseInt(ids[2], 16));
    }
  } else if (one.id === 0x01) {
    patch.put(one.offset + 2, 2, numberIn(one.words, /version (\d)/) & 7);
    const status = detail(one, 'Status:') ?? '';
    patch.put(one.offset + 4, 2, numberIn(status, /Status: D(\d)/) | (status.includes('NoSoftRst+') ? 8 : 0));
  } else if (one.id === 0x13) {
    const flags = detail(one, 'AFCap:') ?? '';
    patch.put(one.offset + 2, 1, 6);
    patch.put(one.offset + 3, 1, (flags.includes('TP+') ? 1 : 0) | (flags.includes('FLR+') ? 2 : 0));
  }
}

function writeMsi(patch: Patch, one: TextCapability): void {
  const counts = /Count=(\d+)\/(\d+)/.exec(one.words);
  const log = (value: string | undefined): number => Math.round(Math.log2(Number(value ?? '1') || 1));
  patch.put(
    one.offset + 2,
    2,
    (one.words.includes('Enable+') ? 1 : 0) |
      (log(counts?.[2]) << 1) |
      (log(counts?.[1]) << 4) |
      (one.words.includes('64bit+') ? 0x80 : 0) |
      (one.words.includes('Maskable+') ? 0x100 : 0),
  );
  const address = /Address: ([0-9a-f]+)\s+Data: ([0-9a-f]+)/i.exec(detail(one, 'Address:') ?? '');
  if (address === null) return;
  const value = BigInt(`0x${address[1]}`);
  patch.put(one.offset + 4, 4, Number(value & 0xffffffffn));
  const wide = one.words.includes('64bit+');
  if (wide) patch.put(one.offset + 8, 4, Number((value >> 32n) & 0xffffffffn));
  patch.put(one.offset + (wide ? 12 : 8), 2, Number.parseInt(address[2], 16));
}

function writeExpress(patch: Patch, one: TextCapability): void {
  const version = numberIn(one.words, /^Express \(v(\d+)\)/) || 1;
  const type =
    PORT_TYPES.find(([words]) => one.words.includes(words))?.[1] ?? numberIn(one.words, /Unknown type (\d+)/);
  const message = numberIn(one.words, /(?:MSI|IntMsgNum) ([0-9a-f]+)/i, 16) & 0x1f;
  patch.put(
    one.offset + 2,
    2,
    (version & 0xf) | (type << 4) | (one.words.includes('Slot+') ? 0x100 : 0) | (message << 9),
  );
  const capabilities = paragraph(one, 'DevCap:');
  patch.put(
    one.offset + 4,
    4,
    ((numberIn(capabilities, /PhantFunc (\d)/) & 3) << 3) |
      (capabilities.includes('RBE+') ? 0x8000 : 0) |
      (capabilities.includes('FLReset+') ? 0x10000000 : 0),
  );
  if (paragraph(one, 'DevCtl:').includes('PhantFunc+')) patch.put(one.offset + 8, 2, 0x200);
  const link = paragraph(one, 'LnkSta:');
  patch.put(
    one.offset + 0x12,
    2,
    (numberIn(link, /Width x(\d+)/) << 4) | (link.includes('DLActive+') ? 0x2000 : 0),
  );
  const slot = paragraph(one, 'SltCap:');
  patch.put(
    one.offset + 0x14,
    4,
    ((numberIn(slot, /Slot #(\d+)/) << 19) |
      (slot.includes('HotPlug+') ? 0x40 : 0) |
      (slot.includes('Surprise+') ? 0x20 : 0)) >>>
      0,
  );
  if (paragraph(one, 'SltSta:').includes('PresDet+')) patch.put(one.offset + 0x1a, 2, 0x40);
  if (version < 2) return;
  const second = paragraph(one, 'DevCap2:');
  const prefixes = numberIn(second, /MaxEETLPPrefixes (\d)/) & 3;
  patch.put(
    one.offset + 0x24,
    4,
    ((second.includes('ARIFwd+') ? 0x20 : 0) |
      (second.includes('EETLPPrefix+') ? 0x200000 : 0) |
      (prefixes << 22)) >>>
      0,
  );
  if (paragraph(one, 'DevCtl2:').includes('ARIFwd+')) patch.put(one.offset + 0x28, 2, 0x20);
}

function writeExtended(patch: Patch, one: TextCapability, options: { nextAriFunction: number }): void {
  const at = one.offset;
  if (one.id === 0x0d) {
    patch.put(at + 4, 2, flagBits(detail(one, 'ACSCap:') ?? '', ACS_FLAGS));
    patch.put(at + 6, 2, flagBits(detail(one, 'ACSCtl:') ?? '', ACS_FLAGS));
  } else if (one.id === 0x0e) {
    const shown = /Next Function: (\d+)/.exec(detail(one, 'ARICap:') ?? '');
    patch.put(at + 5, 1, shown === null ? options.nextAriFunction : Number(shown[1]));
  } else if (one.id === 0x0f) {
    const control = detail(one, 'ATSCtl:') ?? '';
    patch.put(at + 4, 2, numberIn(detail(one, 'ATSCap:') ?? '', /Queue Depth: ([0-9a-f]+)/i, 16) & 0x1f);
    patch.put(
      at + 6,
      2,
      (numberIn(control, /Translation Unit: ([0-9a-f]+)/i, 16) & 0x1f) |
        (control.includes('Enable+') ? 0x8000 : 0),
    );
  } else if (one.id === 0x13) {
    const status = detail(one, 'PRISta:') ?? '';
    patch.put(at + 4, 2, flagBits(detail(one, 'PRICtl:') ?? '', ['Enable', 'Reset']));
    patch.put(
      at + 6,
      2,
      flagBits(status, ['RF', 'UPRGI']) |
        (status.includes('Stopped+') ? 0x100 : 0) |
        (status.includes('PASID+') ? 0x8000 : 0),
    );
    const capacity = detail(one, 'Page Request Capacity:') ?? '';
    patch.put(at + 8, 4, numberIn(capacity, /Capacity: ([0-9a-f]+)/i, 16));
    patch.put(at + 12, 4, numberIn(capacity, /Allocation: ([0-9a-f]+)/i, 16));
  } else if (one.id === 0x1b) {
    const capabilities = detail(one, 'PASIDCap:') ?? '';
    const width = numberIn(capabilities, /Width: ([0-9a-f]+)/i, 16);
    patch.put(at + 4, 2, (flagBits(capabilities, ['Exec', 'Priv']) << 1) | ((width & 0x1f) << 8));
    patch.put(at + 6, 2, flagBits(detail(one, 'PASIDCtl:') ?? '', ['Enable', 'Exec', 'Priv']));
  } else if (one.id === 0x10) {
    writeSriov(patch, one);
  } else if (one.id === 0x23) {
    const id = numberIn(one.words, /ID=([0-9a-f]+)/i, 16);
    const length = numberIn(one.words, /Len=(\d+)/);
    patch.put(at + 4, 2, numberIn(one.words, /Vendor=([0-9a-f]+)/i, 16));
    patch.put(at + 6, 2, (numberIn(one.words, /Rev=(\d+)/) & 0xf) | (length << 4));
    patch.put(at + 8, 2, id);
  } else if (one.id === 0x0b) {
    patch.put(at + 4, 2, numberIn(one.words, /ID=([0-9a-f]+)/i, 16));
    patch.put(
      at + 6,
      2,
      (numberIn(one.words, /Rev=([0-9a-f]+)/i, 16) & 0xf) |
        (numberIn(one.words, /Len=([0-9a-f]+)/i, 16) << 4),
    );
  }
}

function writeSriov(patch: Patch, one: TextCapability): void {
  const at = one.offset;
  const control = detail(one, 'IOVCtl:') ?? '';
  patch.put(at + 8, 2, flagBits(control, ['Enable', 'Migration', 'Interrupt', 'MSE', 'ARIHierarchy']));
  const counts = detail(one, 'Initial VFs:') ?? '';
  patch.put(at + 0x0c, 2, numberIn(counts, /Initial VFs: (\d+)/));
  patch.put(at + 0x0e, 2, numberIn(counts, /Total VFs: (\d+)/));
  patch.put(at + 0x10, 2, numberIn(counts, /Number of VFs: (\d+)/));
  patch.put(at + 0x12, 1, numberIn(counts, /Dependency Link: ([0-9a-f]+)/i, 16));
  const place = detail(one, 'VF offset:') ?? '';
  patch.put(at + 0x14, 2, numberIn(place, /VF offset: (\d+)/));
  patch.put(at + 0x16, 2, numberIn(place, /stride: (\d+)/));
  patch.put(at + 0x1a, 2, numberIn(place, /Device ID: ([0-9a-f]+)/i, 16));
  const sizes = detail(one, 'Supported Page Size:') ?? '';
  patch.put(at + 0x1c, 4, numberIn(sizes, /Supported Page Size: ([0-9a-f]+)/i, 16));
  patch.put(at + 0x20, 4, numberIn(sizes, /System Page Size: ([0-9a-f]+)/i, 16));
}
