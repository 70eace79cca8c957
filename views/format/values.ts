/** Numbers as the field writes them. */

/** `0x1f` */
export function hex(value: number | bigint, digits = 0): string {
  return `0x${value.toString(16).padStart(digits, '0')}`;
}

/** Hexadecimal without prefix, as in `8086:0b25`. */
export function hexDigits(value: number, digits: number): string {
  return value.toString(16).padStart(digits, '0');
}

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];

/** `512 MiB`; exact where it comes out even, else with one decimal. */
export function size(bytes: bigint): string {
  let unit = 0;
  let rest = bytes;
  while (unit + 1 < UNITS.length && rest >= 1024n && rest % 1024n === 0n) {
    rest /= 1024n;
    unit += 1;
  }
  if (rest < 10_000n || unit + 1 === UNITS.length) return `${rest} ${UNITS[unit]}`;
  let value = Number(rest);
  while (unit + 1 < UNITS.length && value >= 1024) {
    value /= 1024;
    unit += 1;
  }
  return `${value.toFixed(1)} ${UNITS[unit]}`;
}

/** `12,345`. Written out here because the language's own way loads the number formats of all countries. */
export function grouped(count: number): string {
  return String(count).replace(/\B(?=(?:\d{3})+$)/g, ',');
}

/** `1 device`, `2 devices` */
export function counted(count: number, one: string, many = `${one}s`): string {
  return `${grouped(count)} ${count === 1 ? one : many}`;
}

/** `vendor:device` */
export function identity(vendorId: number, deviceId: number): string {
  return `${hexDigits(vendorId, 4)}:${hexDigits(deviceId, 4)}`;
}

/** Bytes as `de ad be ef`. */
export function byteRow(bytes: ArrayLike<number>): string {
  return Array.from(bytes, (byte) => hexDigits(byte, 2)).join(' ');
}

/** 64-bit groups of little-endian words, highest first as specifications print them. */
export function wordRow(words: ArrayLike<number>): string {
  const parts: string[] = [];
  for (let at = 0; at < words.length; at += 2) {
    parts.push(`${hexDigits((words[at + 1] ?? 0) >>> 0, 8)}${hexDigits(words[at] >>> 0, 8)}`);
  }
  return parts.join(' ');
}

const COMPANY =
  /^.*?\b(?:Corporation|Corp|Incorporated|Inc|Limited|Ltd|LLC|GmbH|AG|Co|Technologies|Technology|Electronics|Semiconductors?|Instruments|Devices|Systems)\b[.,]*\s+(?=\S)/;

/** A device's name without the maker's: on a narrow screen what it is matters more than who made it. */
export function briefName(name: string): string {
  let rest = name;
  for (;;) {
    const match = COMPANY.exec(rest);
    if (match === null || match[0].length > 60) break;
    rest = rest.slice(match[0].length);
  }
  return rest.replace(/^\[[^\]]*\]\s+(?=\S)/, '').replace(/^\([^)]*\)\s+(?=\S)/, '');
}
