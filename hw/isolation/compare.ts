/** Two captures of one machine, compared by what a device is, not by where it sits or which number its group has. */
import type { FunctionDescription, HostDescription } from '../host-description.ts';
import { bytesOfHex } from '../pci/from-description.ts';
import { type GroupsReport, groupsOf } from './groups.ts';

export interface ComparedDevice {
  readonly identity: string;
  readonly before: string;
  readonly after: string;
}

export interface HostComparison {
  /** In both, at the same address. */
  readonly unchanged: number;
  /** In both, at another address. */
  readonly moved: readonly ComparedDevice[];
  readonly added: readonly string[];
  readonly removed: readonly string[];
  /** Same company, another group number. */
  readonly renumbered: readonly {
    readonly device: string;
    readonly before: number;
    readonly after: number;
  }[];
  /** Company changed: who joined, who left, as addresses of the second capture (of the first for those gone). */
  readonly regrouped: readonly {
    readonly device: string;
    readonly joined: readonly string[];
    readonly left: readonly string[];
  }[];
}

/**
 * Compares. A device is the same when ids, class, subsystem and serial number agree; among several of a kind, those at the
 * same address first, then in order of address.
 */
export function compareHosts(before: HostDescription, after: HostDescription): HostComparison {
  const pairs = matchDevices(before.functions, after.functions);
  const groupsBefore = membership(groupsOf(before));
  const groupsAfter = membership(groupsOf(after));
  const toAfter = new Map(pairs.map(([one, other]) => [one.address, other.address]));
  const matchedAfter = new Set(toAfter.values());
  const moved: ComparedDevice[] = [];
  const renumbered: { device: string; before: number; after: number }[] = [];
  const regrouped: { device: string; joined: string[]; left: string[] }[] = [];
  for (const [one, other] of pairs) {
    if (one.address !== other.address) {
      moved.push({ identity: identityText(other), before: one.address, after: other.address });
    }
    const old = groupsBefore.get(one.address);
    const now = groupsAfter.get(other.address);
    const oldMembers = new Set((old?.devices ?? []).map((name) => toAfter.get(name) ?? name));
    const newMembers = new Set(now?.devices ?? []);
    const joined = [...newMembers].filter((name) => !oldMembers.has(name));
    const left = [...oldMembers].filter((name) => !newMembers.has(name));
    if (joined.length > 0 || left.length > 0) regrouped.push({ device: other.address, joined, left });
    else if (old !== undefined && now !== undefined && old.id !== now.id) {
      renumbered.push({ device: other.address, before: old.id, after: now.id });
    }
  }
  return {
    unchanged: pairs.length - moved.length,
    moved,
    added: after.functions.map((one) => one.address).filter((address) => !matchedAfter.has(address)),
    removed: before.functions.map((one) => one.address).filter((address) => !toAfter.has(address)),
    renumbered,
    regrouped,
  };
}

function membership(report: GroupsReport): Map<string, GroupsReport['groups'][number]> {
  return new Map(report.groups.flatMap((group) => group.devices.map((device) => [device, group] as const)));
}

/** Pairs in the order of the second list. */
function matchDevices(
  before: readonly FunctionDescription[],
  after: readonly FunctionDescription[],
): [FunctionDescription, FunctionDescription][] {
  const byIdentity = new Map<string, FunctionDescription[]>();
  for (const one of before) {
    const identity = identityOf(one);
    byIdentity.set(identity, [...(byIdentity.get(identity) ?? []), one]);
  }
  const pairs: [FunctionDescription, FunctionDescription][] = [];
  const waiting: FunctionDescription[] = [];
  for (const other of after) {
    const candidates = byIdentity.get(identityOf(other)) ?? [];
    const index = candidates.findIndex((one) => one.address === other.address);
    if (index < 0) waiting.push(other);
    else pairs.push([candidates.splice(index, 1)[0], other]);
  }
  for (const other of waiting) {
    const one = byIdentity.get(identityOf(other))?.shift();
    if (one !== undefined) pairs.push([one, other]);
  }
  return pairs;
}

/** Vendor, device, revision and class, subsystem, serial number where there is one; what the text told where bytes lack. */
function identityOf(one: FunctionDescription): string {
  const bytes = bytesOfHex(one.config ?? '') ?? new Uint8Array();
  const at = (offset: number, length: number): string =>
    Array.from(bytes.subarray(offset, offset + length)).join('.');
  const ids = one.vendorId !== undefined ? `${one.vendorId}:${one.deviceId ?? ''}` : at(0, 4);
  const virtual = one.physicalFunction !== undefined || (bytes[0] === 0xff && bytes[1] === 0xff);
  const bridge = ((bytes[0x0e] ?? 0) & 0x7f) === 1;
  return [ids, at(8, 4), bridge ? '' : at(0x2c, 4), virtual ? 'virtual' : '', serialNumber(bytes)].join('|');
}

/** Device Serial Number, extended capability 3. */
function serialNumber(bytes: Uint8Array): string {
  let offset = 0x100;
  for (let count = 0; count < 480 && offset >= 0x100 && offset + 12 <= bytes.length; count += 1) {
    const id = bytes[offset] | (bytes[offset + 1] << 8);
    if (id === 3) return Array.from(bytes.subarray(offset + 4, offset + 12)).join('.');
    offset = ((bytes[offset + 2] >>> 4) | (bytes[offset + 3] << 4)) & 0xffc;
  }
  return '';
}

function identityText(one: FunctionDescription): string {
  if (one.name !== undefined) return one.name;
  const bytes = bytesOfHex((one.config ?? '').slice(0, 8)) ?? new Uint8Array();
  const hex = (value: number): string => value.toString(16).padStart(4, '0');
  const vendor = one.vendorId ?? bytes[0] | (bytes[1] << 8);
  return `${hex(vendor)}:${hex(one.deviceId ?? bytes[2] | (bytes[3] << 8))}`;
}
