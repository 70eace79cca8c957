/** Functions that a capture no longer holds but that had a group when the machine was up. */
import {
  capability,
  Express,
  endpointConfiguration,
  type FunctionDescription,
  formatPciAddress,
  type HostDescription,
  parsePciAddress,
} from '../../hw/index.ts';
import { hexOf } from './lspci.ts';

/** Root buses of segment 0 by number: present, and behind no bridge. */
export function rootBusNumbers(functions: readonly FunctionDescription[]): number[] {
  const present = new Set<number>();
  const behind = new Set<number>();
  for (const one of functions) {
    const at = parsePciAddress(one.address);
    if (at === undefined || at.segment !== 0 || isVirtual(one)) continue;
    present.add(at.bus);
    const secondary = secondaryBus(one);
    if (secondary !== undefined) behind.add(secondary);
  }
  return [...present].filter((bus) => !behind.has(bus)).sort((a, b) => a - b);
}

function isVirtual(one: FunctionDescription): boolean {
  return one.physicalFunction !== undefined || one.config?.startsWith('ffff') === true;
}

function byteAt(one: FunctionDescription, offset: number): number {
  return Number.parseInt(one.config?.slice(offset * 2, offset * 2 + 2) || '0', 16);
}

function secondaryBus(one: FunctionDescription): number | undefined {
  return (byteAt(one, 0x0e) & 0x7f) === 1 ? byteAt(one, 0x19) : undefined;
}

/**
 * Stands for a function that is gone: an endpoint without ACS, PCI Express where its bus is one. Nothing more is known of
 * it, and nothing more matters for the numbers of the others.
 */
export function formerFunction(
  address: string,
  former: readonly string[],
  description: HostDescription,
): FunctionDescription[] {
  const at = parsePciAddress(address);
  if (at === undefined) return [];
  const slot = address.slice(0, -2);
  const mates = [...former, ...description.functions.map((one) => one.address)].filter(
    (other) => other !== address && other.startsWith(slot),
  );
  const behindPort = description.functions.some((one) => {
    const bridge = parsePciAddress(one.address);
    return bridge?.segment === at.segment && secondaryBus(one) === at.bus;
  });
  const bytes = endpointConfiguration({
    header: { vendorId: 0xfffe, deviceId: 0, baseClass: 0xff, multifunction: mates.length > 0 ? 1 : 0 },
    capabilities: behindPort ? [capability(Express, { version: 2, portType: 0 })] : [],
    size: 256,
  });
  return [
    {
      address: formatPciAddress(at),
      config: hexOf(bytes),
      configSize: 256,
      name: 'a device that was removed before the capture',
      vendorId: 0xfffe,
      deviceId: 0,
    },
  ];
}
