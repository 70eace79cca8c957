/** Where a PCI function sits: segment (domain) up to 32 bits, bus 8, device 5, function 3. */
export interface PciAddress {
  readonly segment: number;
  readonly bus: number;
  readonly device: number;
  readonly function: number;
}

const PATTERN = /^(?:([0-9a-fA-F]{4,8}):)?([0-9a-fA-F]{2}):([0-9a-fA-F]{2})\.([0-7])$/;

/** Parses `0000:00:1f.2`, `00:1f.2` (segment 0) and segments of up to eight digits. Undefined when it is none. */
export function parsePciAddress(text: string): PciAddress | undefined {
  const match = PATTERN.exec(text);
  if (match === null) return undefined;
  const device = Number.parseInt(match[3], 16);
  if (device > 31) return undefined;
  return {
    segment: match[1] === undefined ? 0 : Number.parseInt(match[1], 16),
    bus: Number.parseInt(match[2], 16),
    device,
    function: Number.parseInt(match[4], 16),
  };
}

/** `0000:00:1f.2`, as sysfs names it. */
export function formatPciAddress(at: PciAddress): string {
  const hex = (value: number, digits: number): string => value.toString(16).padStart(digits, '0');
  return `${hex(at.segment, 4)}:${hex(at.bus, 2)}:${hex(at.device, 2)}.${at.function}`;
}

/** Device and function as the low byte of a requester id. */
export function devfnOf(at: PciAddress): number {
  return (at.device << 3) | at.function;
}

/** The requester id (source id) that the function's own address gives. */
export function requesterIdOf(at: PciAddress): number {
  return (at.bus << 8) | devfnOf(at);
}
