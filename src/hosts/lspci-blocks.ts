/**
 * Cuts the output of lspci (any of -v to -vvv, -n, -nn, -k, -D, -x to -xxxx, of old and new pciutils) into one block per
 * device: header line, indented lines, hex. What a line means is decided elsewhere; here nothing is lost but blanks.
 */
import { formatPciAddress, type PciAddress, parsePciAddress } from '../../hw/index.ts';

export interface TextLine {
  /** Counted from 1. */
  readonly number: number;
  /** Without indentation. */
  readonly text: string;
  /** 1 for a line of the device, 2 and more for lines of a capability. */
  readonly depth: number;
}

export interface LspciHeader {
  readonly className: string | undefined;
  /** 16 bits: base class and sub-class. */
  readonly classCode: number | undefined;
  readonly name: string;
  readonly vendorId: number | undefined;
  readonly deviceId: number | undefined;
  readonly revision: number | undefined;
  readonly programmingInterface: number | undefined;
}

export interface LspciBlock {
  /** Line of the header, counted from 1. */
  readonly line: number;
  readonly address: PciAddress;
  /** The address as text, with its domain. */
  readonly name: string;
  readonly header: LspciHeader;
  readonly lines: readonly TextLine[];
  /** Bytes of the hex dump, or undefined without one. */
  readonly bytes: Uint8Array | undefined;
}

/** Something wrong at a line, the rest being usable. */
export interface TextProblem {
  readonly line: number;
  readonly problem: string;
}

export interface LspciBlocks {
  readonly blocks: readonly LspciBlock[];
  readonly problems: readonly TextProblem[];
}

const HEADER = /^((?:[0-9a-f]{4,8}:)?[0-9a-f]{2}:[0-9a-f]{2}\.[0-7])\s+(\S.*)$/i;
/** The header line that lspci -nn prints, whole. */
const USUAL_HEADER =
  /^([^[\]]*) \[([0-9a-f]{4})\]: (.*) \[([0-9a-f]{4}):([0-9a-f]{4})\](?: \(rev ([0-9a-f]{2})\))?(?: \(prog-if ([0-9a-f]{2})[^:]*)?$/i;
const HEX_LINE = /^([0-9a-f]{2,3}):((?:\s[0-9a-f]{2})+)\s*$/i;

/** Cuts text into blocks. Lines that belong to no device are named, once for a run of them. */
export function lspciBlocks(text: string): LspciBlocks {
  const cutter = new Cutter();
  // A byte order mark, as UTF-8 read byte by byte.
  const lines = text.replace(/^(?:\u00ef\u00bb\u00bf|\ufeff)/, '').split('\n');
  for (let index = 0; index < lines.length; index += 1) cutter.take(lines[index], index + 1);
  return cutter.finish();
}

interface OpenBlock {
  line: number;
  address: PciAddress;
  header: LspciHeader;
  lines: TextLine[];
  hex: number[] | undefined;
  /** A hole or a bad line ends the dump: what follows can't be placed. */
  hexBroken: boolean;
}

class Cutter {
  private readonly blocks: LspciBlock[] = [];
  private readonly problems: TextProblem[] = [];
  private open: OpenBlock | undefined;
  private strayReported = false;
  private indentUnit: number | undefined;

  take(raw: string, number: number): void {
    const line = raw.endsWith('\r') ? raw.slice(0, -1) : raw;
    if (line === '') return;
    const first = line.charCodeAt(0);
    if (first === 9 || first === 32) {
      if (line.trim() !== '') this.indented(line, number);
      return;
    }
    if (line.charCodeAt(3) === 32 || line.charCodeAt(4) === 32) {
      const hex = HEX_LINE.exec(line);
      if (hex !== null) {
        this.hexLine(Number.parseInt(hex[1], 16), hex[2], number);
        return;
      }
    }
    const header = HEADER.exec(line);
    const address = header === null ? undefined : parsePciAddress(header[1]);
    if (header !== null && address !== undefined) {
      this.close();
      this.strayReported = false;
      this.open = {
        line: number,
        address,
        header: parseHeader(header[2]),
        lines: [],
        hex: undefined,
        hexBroken: false,
      };
      return;
    }
    if (/^[0-9a-f]{2,3}:/i.test(line) && this.open !== undefined) {
      this.problems.push({ line: number, problem: `not a line of hex: ${shorten(line)}` });
      this.open.hexBroken = true;
      return;
    }
    this.stray(line, number);
  }

  private indented(line: string, number: number): void {
    if (this.open === undefined) {
      this.stray(line, number);
      return;
    }
    const trimmed = line.trimStart();
    const indentation = line.length - trimmed.length;
    // Text that was pasted has blanks for tabs, as many as somebody's terminal makes of one.
    if (line.charCodeAt(0) === 32) this.indentUnit ??= indentation;
    const unit = this.indentUnit ?? 8;
    const depth = line.charCodeAt(0) === 9 ? tabs(line) : Math.max(1, Math.round(indentation / unit));
    this.open.lines.push({ number, text: trimmed.trimEnd(), depth });
  }

  private hexLine(offset: number, digits: string, number: number): void {
    const open = this.open;
    if (open === undefined) {
      this.stray(`${offset.toString(16)}:${digits}`, number);
      return;
    }
    open.hex ??= [];
    if (open.hexBroken) return;
    if (offset !== open.hex.length) {
      this.problems.push({
        line: number,
        problem: `hex jumps to 0x${offset.toString(16)} where 0x${open.hex.length.toString(16)} should follow`,
      });
      open.hexBroken = true;
      return;
    }
    for (let index = 1; index < digits.length; index += 3) {
      open.hex.push((nibble(digits.charCodeAt(index)) << 4) | nibble(digits.charCodeAt(index + 1)));
    }
  }

  private stray(line: string, number: number): void {
    if (this.strayReported) return;
    this.strayReported = true;
    this.problems.push({ line: number, problem: `belongs to no device: ${shorten(line)}` });
  }

  private close(): void {
    const open = this.open;
    if (open === undefined) return;
    this.open = undefined;
    this.blocks.push({
      line: open.line,
      address: open.address,
      name: formatPciAddress(open.address),
      header: open.header,
      lines: open.lines,
      bytes: open.hex === undefined ? undefined : Uint8Array.from(open.hex),
    });
  }

  finish(): LspciBlocks {
    this.close();
    return { blocks: this.blocks, problems: this.problems };
  }
}

/** Value of a hex digit that is known to be one. */
function nibble(code: number): number {
  return code <= 57 ? code - 48 : (code | 32) - 87;
}

function tabs(line: string): number {
  let count = 0;
  while (line.charCodeAt(count) === 9) count += 1;
  return count;
}

function shorten(text: string): string {
  const trimmed = text.trim();
  return trimmed.length > 60 ? `${trimmed.slice(0, 57)}...` : trimmed;
}

/**
 * `VGA compatible controller [0300]: NVIDIA Corporation GP106M [10de:1c20] (rev a1) (prog-if 00 [VGA controller])`, with
 * names only, with numbers only (`0300: 10de:1c20`), and with an id that a narrow terminal cut off (`[8086... (rev 02)`).
 */
function parseHeader(text: string): LspciHeader {
  const usual = USUAL_HEADER.exec(text);
  if (usual !== null) {
    return {
      className: usual[1],
      classCode: Number.parseInt(usual[2], 16),
      name: usual[3],
      vendorId: Number.parseInt(usual[4], 16),
      deviceId: Number.parseInt(usual[5], 16),
      revision: numberOf(usual[6]),
      programmingInterface: numberOf(usual[7]),
    };
  }
  const revision = /\(rev ([0-9a-f]{2})\)/i.exec(text);
  const interfaceCode = /\(prog-if ([0-9a-f]{2})/i.exec(text);
  const rest = text
    // Always last, and its name may hold brackets of its own: "(prog-if 10 [CXL Memory Device (CXL 2.x)])".
    .replace(/\s*\(prog-if [0-9a-f]{2}.*$/i, '')
    .replace(/\s*\(rev [0-9a-f]{2}\)/i, '')
    .trim();
  const numeric = /^(?:Class )?\[?([0-9a-f]{4})\]?: ([0-9a-f]{4}):([0-9a-f]{4})\b/i.exec(rest);
  const common = {
    revision: revision === null ? undefined : Number.parseInt(revision[1], 16),
    programmingInterface: interfaceCode === null ? undefined : Number.parseInt(interfaceCode[1], 16),
  };
  if (numeric !== null) {
    return {
      ...common,
      className: undefined,
      classCode: Number.parseInt(numeric[1], 16),
      name: '',
      vendorId: Number.parseInt(numeric[2], 16),
      deviceId: Number.parseInt(numeric[3], 16),
    };
  }
  const classPart = /^(.*?)(?: \[([0-9a-f]{4})\])?: (.*)$/i.exec(rest);
  const className = classPart === null ? undefined : classPart[1];
  const described = classPart === null ? rest : classPart[3];
  const ids = /\[([0-9a-f]{4}):([0-9a-f]{4})\]\s*$/i.exec(described);
  // Without a name for it lspci prints the number: "Device 1234:11e8", "Intel Corporation Device a0ef".
  const unnamed = ids === null ? /^(?:.* )?Device (?:([0-9a-f]{4}):)?([0-9a-f]{4})$/.exec(described) : null;
  const cut = /\[([0-9a-f]{4})?(?::[0-9a-f]{0,3})?\.\.\.\s*$/i.exec(described);
  return {
    ...common,
    className,
    classCode: classPart?.[2] === undefined ? undefined : Number.parseInt(classPart[2], 16),
    name: described.replace(/\s*\[[0-9a-f]{4}:[0-9a-f]{4}\]\s*$/i, '').trim(),
    vendorId: numberOf(ids?.[1] ?? cut?.[1] ?? unnamed?.[1]),
    deviceId: numberOf(ids?.[2] ?? unnamed?.[2]),
  };
}

function numberOf(digits: string | undefined): number | undefined {
  return digits === undefined ? undefined : Number.parseInt(digits, 16);
}
