/** A host as the text of `lspci -Dxxxx`: what `lspci -F` reads back and decodes. */
import type { FunctionDescription, HostDescription } from '../../hw/index.ts';

/** Addresses with their bytes, 16 a line; only devices whose bytes are known. */
export function hexExport(description: HostDescription): string {
  return description.functions
    .filter((one) => one.config !== undefined)
    .map(block)
    .join('\n');
}

function block(one: FunctionDescription): string {
  const config = one.config ?? '';
  const size = one.configSize ?? config.length / 2;
  const hex = config.padEnd(size * 2, '0');
  const lines = [`${one.address} ${header(one)}`];
  for (let offset = 0; offset < size; offset += 16) {
    const row = hex.slice(offset * 2, offset * 2 + 32).match(/../g) ?? [];
    lines.push(
      `${offset
        .toString(16)
        .padStart(size > 256 ? 3 : 2, '0')
        .replace(/^0(?=[0-9a-f]{2}$)/, '')}: ${row.join(' ')}`,
    );
  }
  return `${lines.join('\n')}\n`;
}

/** `Class 0200: 8086:10c9`, which lspci -F takes as well as names. */
function header(one: FunctionDescription): string {
  const at = (offset: number, length: number): string => {
    const bytes = (one.config ?? '').slice(offset * 2, (offset + length) * 2).match(/../g) ?? [];
    return bytes.reverse().join('');
  };
  const classCode = at(0x0a, 2);
  const vendor = one.vendorId?.toString(16).padStart(4, '0') ?? at(0, 2);
  const device = one.deviceId?.toString(16).padStart(4, '0') ?? at(2, 2);
  return `Class ${classCode}: ${vendor}:${device}`;
}
