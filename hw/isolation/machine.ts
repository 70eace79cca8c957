/** The PCI side of a described host as Linux would see it after boot: hardware from bytes, then the kernel's scan. */
import type { FunctionDescription, HostDescription } from '../host-description.ts';
import { type PciTopology, type RootBus, scanPci, VMD_SEGMENT } from '../kernel/pci/scan.ts';
import { type PciAddress, parsePciAddress } from '../pci/address.ts';
import { buildHierarchy } from '../pci/from-description.ts';
import type { PciHierarchy } from '../pci/hierarchy.ts';

export interface MachineProblem {
  readonly device: string;
  readonly problem: string;
}

export interface ScannedMachine {
  readonly hierarchy: PciHierarchy;
  readonly topology: PciTopology;
  /** Segment * 256 + bus of buses behind bridges that could not be followed. */
  readonly lostBuses: ReadonlySet<number>;
  /** What is wrong with the description, device by device; the rest is usable. */
  readonly problems: readonly MachineProblem[];
  readonly described: ReadonlyMap<string, FunctionDescription>;
}

/** Builds and scans. Virtual functions are left to the caller: they come after boot. */
export function scanMachine(description: HostDescription): ScannedMachine {
  const functions = [...description.functions, ...(description.formerFunctions ?? [])];
  const { hierarchy, problems: built } = buildHierarchy({ ...description, functions });
  const described = new Map(functions.map((one) => [one.address, one]));
  const problems: MachineProblem[] = [...built];
  // What pretends to be a virtual function but has no physical one is an ordinary function that can't be scanned.
  const listed: PciAddress[] = [];
  for (const one of hierarchy.functions) {
    if (one.physicalFunction === undefined) {
      listed.push({ segment: one.segment, bus: one.bus, device: one.devfn >>> 3, function: one.devfn & 7 });
    }
  }
  const roots = rootBuses(description, hierarchy);
  const topology = scanPci(hierarchy, roots, { virtualFunctions: false, listed });
  problems.push(...topology.problems.map(({ device, problem }) => ({ device, problem })));
  const lostBuses = new Set(
    topology.problems.flatMap((one) =>
      one.lostBus === undefined ? [] : [one.lostBus.segment * 256 + one.lostBus.bus],
    ),
  );
  return { hierarchy, topology, problems, described, lostBuses };
}

/**
 * The buses that no bridge leads to, in the order of the description where it knows one, then by number. Segments of VMD
 * endpoints come last: Linux makes them when the driver binds.
 */
export function rootBuses(description: HostDescription, hierarchy: PciHierarchy): RootBus[] {
  const present = new Set<number>();
  const behind = new Set<number>();
  for (const one of hierarchy.functions) {
    if (one.physicalFunction !== undefined) continue;
    present.add(one.segment * 256 + one.bus);
    if (!one.isBridge) continue;
    const secondary = one.read(0x19, 1);
    const subordinate = one.read(0x1a, 1);
    if (secondary > one.bus && subordinate >= secondary) behind.add(one.segment * 256 + secondary);
  }
  const found = [...present].filter((key) => !behind.has(key)).sort((a, b) => a - b);
  const ordered: number[] = [];
  for (const text of description.rootBuses ?? []) {
    const at = parsePciAddress(`${text}:00.0`);
    if (at !== undefined) ordered.push(at.segment * 256 + at.bus);
  }
  const rest = found.filter((key) => !ordered.includes(key));
  const all = [...ordered.filter((key) => present.has(key)), ...rest];
  const isVmd = (key: number): boolean => key >= VMD_SEGMENT * 256;
  return [...all.filter((key) => !isVmd(key)), ...all.filter(isVmd)].map((key) => ({
    segment: Math.floor(key / 256),
    bus: key & 0xff,
  }));
}
