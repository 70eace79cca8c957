/** Raw configuration space: what each byte is, of the header and of every capability. */
import type { DeviceNode, Host } from '../../hw/index.ts';
import { hex } from '../format/values.ts';
import type { HexDetail } from './screen.ts';

/** First byte, length in bytes, name. */
type Register = readonly [number, number, string];

/** Registers of the common header, by first byte: name and length. PCI 3.0 6.1. */
const HEADER: readonly Register[] = [
  [0x00, 2, 'vendor id'],
  [0x02, 2, 'device id'],
  [0x04, 2, 'command'],
  [0x06, 2, 'status'],
  [0x08, 1, 'revision id'],
  [0x09, 3, 'class code'],
  [0x0c, 1, 'cache line size'],
  [0x0d, 1, 'latency timer'],
  [0x0e, 1, 'header type'],
  [0x0f, 1, 'BIST'],
];

const ENDPOINT_HEADER: readonly Register[] = [
  ...[0, 1, 2, 3, 4, 5].map((bar) => [0x10 + 4 * bar, 4, `base address ${bar}`] as const),
  [0x28, 4, 'CardBus CIS pointer'],
  [0x2c, 2, 'subsystem vendor id'],
  [0x2e, 2, 'subsystem id'],
  [0x30, 4, 'expansion ROM base'],
  [0x34, 1, 'capabilities pointer'],
  [0x3c, 1, 'interrupt line'],
  [0x3d, 1, 'interrupt pin'],
  [0x3e, 1, 'minimum grant'],
  [0x3f, 1, 'maximum latency'],
];

const BRIDGE_HEADER: readonly Register[] = [
  [0x10, 4, 'base address 0'],
  [0x14, 4, 'base address 1'],
  [0x18, 1, 'primary bus'],
  [0x19, 1, 'secondary bus'],
  [0x1a, 1, 'subordinate bus'],
  [0x1b, 1, 'secondary latency timer'],
  [0x1c, 1, 'I/O base'],
  [0x1d, 1, 'I/O limit'],
  [0x1e, 2, 'secondary status'],
  [0x20, 2, 'memory base'],
  [0x22, 2, 'memory limit'],
  [0x24, 2, 'prefetchable base'],
  [0x26, 2, 'prefetchable limit'],
  [0x28, 4, 'prefetchable base, upper half'],
  [0x2c, 4, 'prefetchable limit, upper half'],
  [0x30, 2, 'I/O base, upper half'],
  [0x32, 2, 'I/O limit, upper half'],
  [0x34, 1, 'capabilities pointer'],
  [0x38, 4, 'expansion ROM base'],
  [0x3c, 1, 'interrupt line'],
  [0x3d, 1, 'interrupt pin'],
  [0x3e, 2, 'bridge control'],
];

/** Registers of capabilities of which not every bit is decoded, by the offset in the capability. PCIe 6.0 7.5.2, 7.5.3. */
const CAPABILITY_REGISTERS: Readonly<Record<string, readonly Register[]>> = {
  'PCI Express': [
    [0x02, 2, 'PCI Express capabilities'],
    [0x04, 4, 'device capabilities'],
    [0x08, 2, 'device control'],
    [0x0a, 2, 'device status'],
    [0x0c, 4, 'link capabilities'],
    [0x10, 2, 'link control'],
    [0x12, 2, 'link status'],
    [0x14, 4, 'slot capabilities'],
    [0x18, 2, 'slot control'],
    [0x1a, 2, 'slot status'],
    [0x1c, 2, 'root control'],
    [0x1e, 2, 'root capabilities'],
    [0x20, 4, 'root status'],
    [0x24, 4, 'device capabilities 2'],
    [0x28, 2, 'device control 2'],
    [0x2a, 2, 'device status 2'],
    [0x2c, 4, 'link capabilities 2'],
    [0x30, 2, 'link control 2'],
    [0x32, 2, 'link status 2'],
    [0x34, 4, 'slot capabilities 2'],
    [0x38, 2, 'slot control 2'],
    [0x3a, 2, 'slot status 2'],
  ],
  'Power Management': [
    [0x06, 1, 'bridge support extensions'],
    [0x07, 1, 'data'],
  ],
};

const registerAt = (registers: readonly Register[], offset: number): string | undefined =>
  registers.find(([start, length]) => offset >= start && offset < start + length)?.[2];

export function configurationSpace(node: DeviceNode, host: Host): HexDetail {
  const capabilities = host.capabilities(node.address);
  const header = [...HEADER, ...((node.headerType & 0x7f) === 1 ? BRIDGE_HEADER : ENDPOINT_HEADER)];
  return {
    bytes: host.configurationBytes(node.address),
    nameAt(offset) {
      const register = registerAt(header, offset);
      if (register !== undefined) return register;
      const within = capabilities.find(
        (candidate) => offset >= candidate.offset && offset < candidate.offset + candidate.bytes.length,
      );
      if (within === undefined) return offset < 0x40 ? 'reserved' : 'of no capability';
      const inside = offset - within.offset;
      const fields = within.fields.filter((field) => field.high >= 8 * inside && field.low < 8 * inside + 8);
      const named = fields.map(
        (field) => `${field.name} = ${field.text}${field.meaning === undefined ? '' : ` (${field.meaning})`}`,
      );
      const what =
        named.length > 0
          ? named.join(', ')
          : (registerAt(CAPABILITY_REGISTERS[within.name] ?? [], inside) ?? 'reserved');
      return `${within.name} +${hex(inside)}: ${what}`;
    },
  };
}
