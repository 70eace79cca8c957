/**
 * Every device and every slice of one against every machine's memory: how many pages it can reach, found by following
 * the tables as hardware does.
 */
import type { Machine } from '../guest/machine.ts';
import type { LinuxKernel } from '../kernel/kernel.ts';
import { LegacyContextEntry, PasidTableEntry, TranslationType } from '../vtd/layouts.ts';
import { registers } from '../vtd/registers.ts';
import { deviceName } from './domain-state.ts';
import type { Hardware } from './hardware.ts';
import type { ReachCell } from './state.ts';
import { contextEntries, forEachLeaf, type PagingRoot, pagingRoots, pasidEntries } from './tables.ts';

/** Where the requests of one (requester, PASID) go. */
interface Path {
  readonly device: string;
  readonly pasid: number | undefined;
  readonly roots: readonly PagingRoot[];
  readonly passThrough: boolean;
}

interface Reach {
  readable: number;
  writable: number;
}

/** Cells with at least one page; whoever is missing reaches nothing. */
export function isolationMatrix(
  hardware: Hardware,
  kernel: LinuxKernel,
  machines: readonly Machine[],
): ReachCell[] {
  const owners = frameOwners(kernel, machines);
  if (owners.size === 0) return [];
  const cells: ReachCell[] = [];
  const known = new Map<string, Map<string, Reach>>();
  for (const path of paths(hardware, kernel)) {
    const key = path.passThrough ? 'all' : path.roots.map((root) => `${root.kind} ${root.address}`).join(',');
    let reach = known.get(key);
    if (reach === undefined) {
      reach = path.passThrough ? everything(owners) : follow(hardware, path.roots, owners);
      known.set(key, reach);
    }
    for (const [machine, { readable, writable }] of reach)
      cells.push({
        device: path.device,
        pasid: path.pasid,
        machine,
        readablePages: readable,
        writablePages: writable,
      });
  }
  return cells;
}

/** Which machine a frame belongs to, for frames that devices may have been given: pinned memory of running machines. */
function frameOwners(kernel: LinuxKernel, machines: readonly Machine[]): Map<number, string> {
  const owners = new Map<number, string>();
  for (const machine of machines) {
    for (const container of machine.vfio?.open ?? []) {
      for (const { domain } of container.backend?.state.domains ?? []) {
        const intel = kernel.intel?.domains.find((each) => each === domain);
        intel?.table?.forEachLeaf((_page, leaf) => {
          const pages = 512 ** (leaf.level - 1);
          for (let frame = 0; frame < pages; frame += 1) owners.set(leaf.frame + frame, machine.name);
        });
      }
    }
  }
  return owners;
}

function* paths(hardware: Hardware, kernel: LinuxKernel): Generator<Path> {
  for (const wired of hardware.units) {
    const root = wired.unit.mmioRead(registers.RTADDR.offset, 8);
    for (const context of contextEntries(hardware.memory, root)) {
      const device = deviceName(kernel, wired.structure.segment, context.requesterId);
      if (!context.scalable) {
        yield {
          device,
          pasid: undefined,
          roots: pagingRoots(context, 'context'),
          passThrough: LegacyContextEntry.fields.translationType.get(context.words) === 2,
        };
        continue;
      }
      for (const entry of pasidEntries(hardware.memory, context))
        yield {
          device,
          pasid: entry.pasid === 0 ? undefined : entry.pasid,
          roots: pagingRoots(entry, 'pasid'),
          passThrough:
            PasidTableEntry.fields.translationType.get(entry.words) === TranslationType.passThrough,
        };
    }
  }
}

function follow(
  hardware: Hardware,
  roots: readonly PagingRoot[],
  owners: ReadonlyMap<number, string>,
): Map<string, Reach> {
  const reach = new Map<string, Reach>();
  for (const root of roots) {
    forEachLeaf(hardware.memory, root, (leaf) => {
      for (let page = 0; page < leaf.pages; page += 1) {
        const machine = owners.get(leaf.frame + page);
        if (machine !== undefined) count(reach, machine, leaf.readable, leaf.writable);
      }
    });
  }
  return reach;
}

function everything(owners: ReadonlyMap<number, string>): Map<string, Reach> {
  const reach = new Map<string, Reach>();
  for (const machine of owners.values()) count(reach, machine, true, true);
  return reach;
}

function count(reach: Map<string, Reach>, machine: string, readable: boolean, writable: boolean): void {
  let cell = reach.get(machine);
  if (cell === undefined) {
    cell = { readable: 0, writable: 0 };
    reach.set(machine, cell);
  }
  if (readable) cell.readable += 1;
  if (writable) cell.writable += 1;
}
