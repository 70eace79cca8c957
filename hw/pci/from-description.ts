/** Builds the PCI hardware of a host from its description. */
import type { FunctionDescription, HostDescription } from '../host-description.ts';
import { formatPciAddress, type PciAddress, parsePciAddress } from './address.ts';
import { Sriov } from './capabilities/sriov.ts';
import { ConfigurationSpace } from './configuration-space.ts';
import type { PciFunction } from './function.ts';
import { PciHierarchy } from './hierarchy.ts';

export interface BuiltHierarchy {
  readonly hierarchy: PciHierarchy;
  /** Functions that could not be built, and why; the others are usable. */
  readonly problems: readonly { readonly device: string; readonly problem: string }[];
}

const NIBBLE = new Int8Array(128).fill(-1);
for (let value = 0; value < 16; value += 1) {
  NIBBLE[value.toString(16).charCodeAt(0)] = value;
  NIBBLE[value.toString(16).toUpperCase().charCodeAt(0)] = value;
}

/** Bytes of a hex string, or undefined when it holds anything else or an odd number of digits. */
export function bytesOfHex(text: string): Uint8Array | undefined {
  if (text.length % 2 !== 0) return undefined;
  const bytes = new Uint8Array(text.length / 2);
  for (let index = 0; index < bytes.length; index += 1) {
    const high = NIBBLE[text.charCodeAt(index * 2)] ?? -1;
    const low = NIBBLE[text.charCodeAt(index * 2 + 1)] ?? -1;
    if (high < 0 || low < 0) return undefined;
    bytes[index] = (high << 4) | low;
  }
  return bytes;
}

/** Makes the address bits of a BAR writable that its size leaves: sizing it reads them back. PCI 3.0, 6.2.5.1. */
function sizeRegion(config: ConfigurationSpace, region: { bar: number; sizeBytes: number }): void {
  const { bar, sizeBytes } = region;
  if (!Number.isInteger(bar) || bar < 0 || bar > 6 || !(sizeBytes >= 4) || Math.log2(sizeBytes) % 1 !== 0)
    return;
  const offset = bar === 6 ? 0x30 : 0x10 + bar * 4;
  const low = config.read(offset, 4);
  const kept = bar === 6 ? 0x7fe : (low & 1) !== 0 ? 3 : 15;
  const mask = sizeBytes >= 2 ** 32 ? 0 : ~(sizeBytes - 1) & ~kept;
  config.allowWrites(offset, 4, mask >>> 0);
  const wide = bar < 5 && (low & 7) === 4;
  if (wide)
    config.allowWrites(offset + 4, 4, sizeBytes > 2 ** 32 ? ~(sizeBytes / 2 ** 32 - 1) >>> 0 : 0xffffffff);
}

/** Physical functions first, then the virtual ones that their SR-IOV registers call for. */
export function buildHierarchy(description: HostDescription): BuiltHierarchy {
  const hierarchy = new PciHierarchy();
  const problems: { device: string; problem: string }[] = [];
  const waiting: { at: PciAddress; one: FunctionDescription; config: ConfigurationSpace }[] = [];
  for (const one of description.functions) {
    const at = parsePciAddress(one.address);
    if (at === undefined) {
      problems.push({ device: one.address, problem: 'no PCI address' });
      continue;
    }
    const bytes = bytesOfHex(one.config ?? '');
    if (bytes === undefined || bytes.length < 64) {
      if (one.configSize === undefined) {
        problems.push({ device: one.address, problem: 'no configuration space of 64 bytes or more' });
        continue;
      }
    }
    const config = new ConfigurationSpace(bytes ?? new Uint8Array(), one.configSize ?? bytes?.length ?? 0);
    for (const region of one.regions ?? []) sizeRegion(config, region);
    for (const bar of one.barSizes ?? []) config.sizeBar(bar.index, bar.bytes);
    if (one.physicalFunction !== undefined || config.read(0, 4) === 0xffffffff)
      waiting.push({ at, one, config });
    else if (hierarchy.find(at) !== undefined)
      problems.push({ device: one.address, problem: 'described twice' });
    else hierarchy.add(at, config);
  }
  addVirtualFunctions(hierarchy, waiting, problems);
  return { hierarchy, problems };
}

function addVirtualFunctions(
  hierarchy: PciHierarchy,
  waiting: readonly { at: PciAddress; one: FunctionDescription; config: ConfigurationSpace }[],
  problems: { device: string; problem: string }[],
): void {
  if (waiting.length === 0) return;
  const parents = virtualFunctionParents(hierarchy);
  for (const { at, one, config } of waiting) {
    if (hierarchy.find(at) !== undefined) {
      problems.push({ device: one.address, problem: 'described twice' });
      continue;
    }
    const named = one.physicalFunction === undefined ? undefined : parsePciAddress(one.physicalFunction);
    const physical =
      (named === undefined ? undefined : hierarchy.find(named)) ?? parents.get(formatPciAddress(at));
    if (physical === undefined) {
      problems.push({
        device: one.address,
        problem: 'reads ffff:ffff, and no SR-IOV capability accounts for it',
      });
    }
    hierarchy.add(at, config, physical);
  }
}

/** Which physical function each requester id of an enabled virtual function belongs to. */
function virtualFunctionParents(hierarchy: PciHierarchy): Map<string, PciFunction> {
  const parents = new Map<string, PciFunction>();
  for (const one of hierarchy.functions) {
    const offset = one.extendedCapability(Sriov.id);
    if (offset === undefined || (one.read(offset + 8, 2) & 1) === 0) continue;
    const count = one.read(offset + 0x10, 2);
    const first = one.read(offset + 0x14, 2);
    const stride = one.read(offset + 0x16, 2);
    for (let index = 0; index < count; index += 1) {
      const id = one.requesterId + first + stride * index;
      parents.set(
        formatPciAddress({
          segment: one.segment,
          bus: (id >>> 8) & 0xff,
          device: (id >>> 3) & 31,
          function: id & 7,
        }),
        one,
      );
    }
  }
  return parents;
}
