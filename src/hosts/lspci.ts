/**
 * From lspci text to functions of a host. Hex is taken as it stands; where a text has none, the bytes are rebuilt from what
 * it shows, and each function says what it does not show: "not seen" is never read as "absent".
 */
import { type FunctionDescription, formatPciAddress } from '../../hw/index.ts';
import { classByName, vendorByName } from './class-names.ts';
import { type LspciBlock, lspciBlocks, type TextLine, type TextProblem } from './lspci-blocks.ts';
import {
  showsAcs,
  showsPortType,
  type TextCapabilities,
  type TextCapability,
  textCapabilities,
  writeCapabilities,
} from './lspci-capabilities.ts';
import { oneListing } from './lspci-listings.ts';
import { recordsAsListing } from './lspci-records.ts';

export interface LspciImport {
  readonly functions: FunctionDescription[];
  readonly problems: readonly TextProblem[];
}

/** Sizes a hex dump can have: without root, conventional, PCI Express. */
const DUMP_SIZES: readonly number[] = [64, 256, 4096];

/** Reads lspci output of any layout. Addresses without a domain are in domain 0. */
export function importLspci(text: string): LspciImport {
  const { blocks, problems: found } = lspciBlocks(recordsAsListing(text));
  const problems = [...found];
  const kept = oneListing(blocks, problems);
  const machine = surveyOf(kept);
  const functions = kept.map((block) => describe(block, machine, problems));
  return { functions, problems: problems.sort((a, b) => a.line - b.line) };
}

interface Survey {
  /** Buses with a function whose SR-IOV registers the text leaves out: functions there may be virtual. */
  readonly maybeVirtual: ReadonlySet<string>;
  /** Function numbers by slot, virtual functions left out. */
  readonly slots: ReadonlyMap<string, readonly number[]>;
  readonly physicalOf: ReadonlyMap<string, string>;
  /** Some device shows its capabilities, or that they may not be read: who has no such line has none. */
  readonly tellsCapabilities: boolean;
}

function busOf(block: LspciBlock): string {
  return block.name.slice(0, -5);
}

/** lspci -v names the SR-IOV capability but prints none of its registers. */
function hidesVirtualFunctions(block: LspciBlock): boolean {
  const named = block.lines.some((line) => line.text.includes('Single Root I/O Virtualization'));
  return named && !block.lines.some((line) => line.text.startsWith('IOVCtl:'));
}

function slotOf(block: LspciBlock): string {
  return block.name.slice(0, -2);
}

/** What only the text as a whole tells: which functions share a slot, which are virtual. */
function surveyOf(blocks: readonly LspciBlock[]): Survey {
  const physicalOf = virtualFunctions(blocks);
  const slots = new Map<string, number[]>();
  const maybeVirtual = new Set<string>();
  let tellsCapabilities = false;
  for (const block of blocks) {
    if (
      !tellsCapabilities &&
      block.lines.some((line) => line.depth === 1 && /^Capabilities: [[<]/.test(line.text))
    ) {
      tellsCapabilities = true;
    }
    if (hidesVirtualFunctions(block)) maybeVirtual.add(busOf(block));
    if (physicalOf.has(block.name)) continue;
    const functions = slots.get(slotOf(block)) ?? [];
    functions.push(block.address.function);
    slots.set(slotOf(block), functions);
  }
  return { slots, physicalOf, tellsCapabilities, maybeVirtual };
}

/** Virtual functions by the SR-IOV registers that the text prints for the physical ones. */
function virtualFunctions(blocks: readonly LspciBlock[]): Map<string, string> {
  const physicalOf = new Map<string, string>();
  for (const block of blocks) {
    const control = block.lines.find((line) => line.text.startsWith('IOVCtl:'));
    if (control === undefined || !control.text.includes('Enable+')) continue;
    const text = block.lines.map((line) => line.text).join('\n');
    const count = Number(/Number of VFs: (\d+)/.exec(text)?.[1] ?? 0);
    const place = /VF offset: (\d+), stride: (\d+)/.exec(text);
    if (place === null) continue;
    const { segment, bus, device, function: fn } = block.address;
    const own = (bus << 8) | (device << 3) | fn;
    for (let index = 0; index < count; index += 1) {
      const id = own + Number(place[1]) + Number(place[2]) * index;
      if (id > 0xffff) break;
      const address = { segment, bus: id >>> 8, device: (id >>> 3) & 31, function: id & 7 };
      physicalOf.set(formatPciAddress(address), block.name);
    }
  }
  return physicalOf;
}

function describe(block: LspciBlock, survey: Survey, problems: TextProblem[]): FunctionDescription {
  const address = block.name;
  const description: FunctionDescription = { address };
  const { header } = block;
  if (header.name !== '') description.name = header.name;
  if (header.className !== undefined) description.className = header.className;
  readOwnLines(block.lines, description);
  const sizes = barSizes(block.lines);
  if (sizes.length > 0) description.barSizes = sizes;
  const physical = survey.physicalOf.get(address);
  if (physical !== undefined) description.physicalFunction = physical;
  const vendorId = header.vendorId ?? vendorByName(header.name);
  if (vendorId !== undefined) description.vendorId = vendorId;
  if (header.deviceId !== undefined) description.deviceId = header.deviceId;
  // A function that is powered down reads all ones; a virtual one does so in its ids only.
  const asleep = block.bytes?.subarray(0, 64).every((byte) => byte === 0xff) ?? false;
  if (asleep) {
    problems.push({
      line: block.line,
      problem: `${address} reads all ones (powered down?): its registers are unknown`,
    });
  }
  if (!asleep && block.bytes !== undefined && block.bytes.length >= 64)
    takeDump(block, block.bytes, survey, description, problems);
  else {
    if (!asleep && block.bytes !== undefined) {
      problems.push({
        line: block.line,
        problem: `the hex of ${address} ends after ${block.bytes.length} bytes, less than a header: the text is used instead`,
      });
    }
    rebuild(block, survey, description);
  }
  return description;
}

/** Lines of the device itself that are no registers. */
function readOwnLines(lines: readonly TextLine[], description: FunctionDescription): void {
  for (const { text, depth } of lines) {
    if (depth > 1) continue;
    const first = text.charCodeAt(0);
    if (first !== 75 && first !== 78 && first !== 73) continue;
    const match = /^(Kernel driver in use|Kernel modules|NUMA node|IOMMU group):\s*(.*)$/.exec(text);
    if (match === null) continue;
    if (match[1] === 'Kernel driver in use') description.driver = match[2];
    else if (match[1] === 'Kernel modules') description.kernelModules = match[2].split(/,\s*/);
    else if (match[1] === 'NUMA node') description.numaNode = Number(match[2]);
    else if (/^\d+$/.test(match[2])) description.group = Number(match[2]);
  }
}

const UNITS: Readonly<Record<string, number>> = { '': 0, K: 10, M: 20, G: 30, T: 40 };

/** `[size=512K]` of the regions and the expansion ROM. */
function barSizes(lines: readonly TextLine[]): { index: number; bytes: number }[] {
  const sizes: { index: number; bytes: number }[] = [];
  for (const { text, depth } of lines) {
    if (depth > 1 || !(text.startsWith('Region ') || text.includes('Expansion ROM at'))) continue;
    const size = /\[size=(\d+)([KMGT]?)\]/.exec(text);
    if (size === null) continue;
    const index = text.startsWith('Region ') ? Number(text[7]) : 6;
    if (index <= 6) sizes.push({ index, bytes: Number(size[1]) * 2 ** UNITS[size[2]] });
  }
  return sizes;
}

/** A hex dump, whole or cut short. */
function takeDump(
  block: LspciBlock,
  bytes: Uint8Array,
  survey: Survey,
  description: FunctionDescription,
  problems: TextProblem[],
): void {
  const whole = DUMP_SIZES.includes(bytes.length);
  const size = whole ? bytes.length : bytes.length < 256 ? 64 : 256;
  if (!whole) {
    const expected = bytes.length < 256 ? 256 : 4096;
    problems.push({
      line: block.line,
      problem: `the hex of ${description.address} is cut: ${bytes.length} bytes where ${expected} are expected; only the first ${size} are used`,
    });
  }
  const capabilities = textCapabilities(block.lines);
  const shown = capabilities.list.filter((one) => one.extended || size === 64);
  if (size < 4096 && shown.length > 0) {
    // The text goes on where the dump ends: lspci -vvx prints 64 bytes of hex and all capabilities in words.
    const longer = new Uint8Array(capabilities.list.some((one) => one.extended) ? 4096 : 256);
    longer.set(bytes.subarray(0, size));
    writeCapabilities(longer, shown, { nextAriFunction: nextFunction(block, survey) });
    description.config = hexOf(trimmed(longer));
    description.configSize = longer.length as 256 | 4096;
  } else {
    description.config = hexOf(bytes.subarray(0, size));
    description.configSize = size as 64 | 256 | 4096;
  }
  const virtual = bytes[0] === 0xff && bytes[1] === 0xff;
  const hasList = ((bytes[6] ?? 0) & 0x10) !== 0;
  const unknown: string[] = [];
  if (size === 64 && hasList && !virtual)
    unknown.push(shown.length > 0 ? 'device registers' : 'capabilities');
  if (size === 256 && capabilities.list.length === 0 && shortExpress(bytes))
    unknown.push('extended capabilities');
  if (size < 4096 && !virtual) unknown.push(...cutCapabilities(shown));
  if (size < 4096 && survey.maybeVirtual.has(busOf(block))) unknown.push('virtual functions');
  if (unknown.length > 0) description.unknown = unknown;
}

/** The devfn of the next function that the text lists in the slot: what an ARI chain would name. */
function nextFunction(block: LspciBlock, survey: Survey): number {
  const siblings = survey.slots.get(slotOf(block)) ?? [];
  const next = siblings.filter((fn) => fn > block.address.function).sort((a, b) => a - b)[0];
  return next === undefined ? 0 : block.address.device * 8 + next;
}

/** 256 bytes of a PCI Express function: lspci -xxx stops there, although the function may have more. */
function shortExpress(bytes: Uint8Array): boolean {
  if ((bytes[6] & 0x10) === 0) return false;
  let offset = bytes[0x34] & 0xfc;
  for (let count = 0; count < 48 && offset >= 0x40; count += 1) {
    if (bytes[offset] === 0x10) return true;
    offset = bytes[offset + 1] & 0xfc;
  }
  return false;
}

/** Where bytes are put together; what is kept of them is hex. */
const scratch = new Uint8Array(4096);

/** Bytes from text alone. */
function rebuild(block: LspciBlock, survey: Survey, description: FunctionDescription): void {
  const { header } = block;
  const capabilities = textCapabilities(block.lines);
  const extended = capabilities.list.some((one) => one.extended);
  const express = capabilities.list.some((one) => !one.extended && one.id === 0x10);
  const size = extended || express ? 4096 : 256;
  const bytes = size === 4096 ? scratch.fill(0) : scratch.subarray(0, 256).fill(0);
  const put16 = (offset: number, value: number): void => {
    bytes[offset] = value & 0xff;
    bytes[offset + 1] = value >>> 8;
  };
  const virtual = description.physicalFunction !== undefined;
  put16(0, virtual ? 0xffff : (description.vendorId ?? 0xfffe));
  put16(2, virtual ? 0xffff : (description.deviceId ?? 0));
  bytes[8] = header.revision === 0xff ? 0 : (header.revision ?? 0);
  bytes[9] = header.programmingInterface === 0xff ? 0 : (header.programmingInterface ?? 0);
  const classCode = header.classCode ?? classByName(header.className ?? '') ?? 0;
  put16(0x0a, classCode);
  const bridge = writeBridge(block.lines, bytes);
  if (!bridge) writeSubsystem(block.lines, bytes);
  const siblings = survey.slots.get(slotOf(block)) ?? [];
  if (!virtual && siblings.length > 1) bytes[0x0e] |= 0x80;
  writeCommand(block.lines, bytes);
  writeRegions(block.lines, bytes, bridge);
  writeCapabilities(bytes, capabilities.list, { nextAriFunction: nextFunction(block, survey) });
  description.config = hexOf(trimmed(bytes));
  description.configSize = size;
  const unknown = unknownParts(block, capabilities, survey, bridge, classCode);
  if (survey.maybeVirtual.has(busOf(block))) unknown.push('virtual functions');
  if (description.vendorId === undefined) unknown.push('vendor id');
  if (description.deviceId === undefined) unknown.push('device id');
  unknown.push('device registers');
  description.unknown = unknown;
}

/** What a text without hex leaves open. */
function unknownParts(
  block: LspciBlock,
  capabilities: TextCapabilities,
  survey: Survey,
  bridge: boolean,
  classCode: number,
): string[] {
  const unknown: string[] = [];
  const status = block.lines.find((line) => line.depth === 1 && line.text.startsWith('Status:'));
  const saysNone = status?.text.includes('Cap-') ?? false;
  const none = capabilities.list.length === 0;
  // lspci prints what it reads: all ones of a function that is powered down give revision ff and header type 7f.
  const asleep =
    (block.header.revision === 0xff && none) ||
    block.lines.some((line) => line.text.startsWith('!!! Unknown header type'));
  if (
    asleep ||
    capabilities.denied ||
    (none && !saysNone && (!survey.tellsCapabilities || status?.text.includes('Cap+')))
  ) {
    unknown.push('capabilities');
  }
  if (!bridge && classCode === 0x0604) unknown.push('bus numbers');
  unknown.push(...cutCapabilities(capabilities.list));
  return unknown;
}

/** Capabilities that a text names without the registers that groups depend on (lspci -v, lines cut off). */
function cutCapabilities(list: readonly TextCapability[]): string[] {
  const find = (extended: boolean, id: number): TextCapability | undefined =>
    list.find((one) => one.extended === extended && one.id === id);
  const express = find(false, 0x10);
  const acs = find(true, 0x0d);
  return [
    ...(express === undefined || showsPortType(express) ? [] : ['capabilities']),
    ...(acs === undefined || showsAcs(acs) ? [] : ['acs']),
  ];
}

/** Bus numbers and header type of a bridge; false when the device is none. */
function writeBridge(lines: readonly TextLine[], bytes: Uint8Array): boolean {
  for (const { text } of lines) {
    if (!text.startsWith('Bus: ')) continue;
    const match = /^Bus: primary=([0-9a-f]+), secondary=([0-9a-f]+), subordinate=([0-9a-f]+)/i.exec(text);
    if (match === null) continue;
    bytes[0x0e] = bytes[0x0b] === 0x06 && bytes[0x0a] === 0x07 ? 2 : 1;
    for (const [index, digits] of match.slice(1, 4).entries())
      bytes[0x18 + index] = Number.parseInt(digits, 16);
    return true;
  }
  return false;
}

function writeSubsystem(lines: readonly TextLine[], bytes: Uint8Array): void {
  for (const { text, depth } of lines) {
    if (depth > 1 || !text.startsWith('Subsystem:')) continue;
    const match = /\[?([0-9a-f]{4}):([0-9a-f]{4})\]?\s*$/i.exec(text);
    if (match === null) return;
    const vendor = Number.parseInt(match[1], 16);
    const id = Number.parseInt(match[2], 16);
    bytes.set([vendor & 0xff, vendor >>> 8, id & 0xff, id >>> 8], 0x2c);
    return;
  }
}

function writeCommand(lines: readonly TextLine[], bytes: Uint8Array): void {
  const control = lines.find((line) => line.depth === 1 && line.text.startsWith('Control:'))?.text;
  if (control !== undefined) {
    const flags = [
      'I/O',
      'Mem',
      'BusMaster',
      'SpecCycle',
      'MemWINV',
      'VGASnoop',
      'ParErr',
      'Stepping',
      'SERR',
      'FastB2B',
      'DisINTx',
    ];
    let value = 0;
    flags.forEach((name, index) => {
      if (control.includes(`${name}+`)) value |= 1 << index;
    });
    bytes[4] = value & 0xff;
    bytes[5] = value >>> 8;
  }
  const pin = lines.find(
    (line) => line.text.startsWith('Interrupt') && /^Interrupts?: pin ([A-D])/.test(line.text),
  )?.text;
  const letter = pin === undefined ? undefined : /pin ([A-D])/.exec(pin)?.[1];
  if (letter !== undefined) bytes[0x3d] = letter.charCodeAt(0) - 64;
}

/** Base addresses, as far as a 4 GiB or 64-bit register holds them. */
function writeRegions(lines: readonly TextLine[], bytes: Uint8Array, bridge: boolean): void {
  for (const { text, depth } of lines) {
    if (depth > 1 || !text.startsWith('Region ')) continue;
    const match =
      /^Region (\d): (Memory|I\/O ports) at ([0-9a-f]+)(?: \((32|64)-bit, (non-)?prefetchable\))?/i.exec(
        text,
      );
    if (match === null) continue;
    const index = Number(match[1]);
    if (index > (bridge ? 1 : 5)) continue;
    const value = BigInt(`0x${match[3]}`);
    const memory = match[2] === 'Memory';
    const wide = match[4] === '64';
    const flags = memory ? (wide ? 4 : 0) | (match[5] === undefined ? 8 : 0) : 1;
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    view.setUint32(0x10 + index * 4, Number((value & 0xfffffff0n) | BigInt(flags)) >>> 0, true);
    if (wide && index < (bridge ? 1 : 5)) view.setUint32(0x14 + index * 4, Number(value >> 32n) >>> 0, true);
  }
}

/** Bytes as lower-case hex. */
export function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex');
}

/** Without the zeros at the end, but never less than the header. */
function trimmed(bytes: Uint8Array): Uint8Array {
  let end = bytes.length;
  while (end > 64 && bytes[end - 1] === 0) end -= 1;
  return bytes.subarray(0, end);
}
