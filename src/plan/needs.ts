/** What an assignment asks of the host: memory, address space, place. */
import type { Assignment } from '../export/assignment.ts';
import { lockedMemoryBytes } from '../export/locked-memory.ts';
import { Capability, type PlanFunction, type PlanRegion, type PlanView } from './view.ts';

export interface Needs {
  readonly lockedMemoryBytes: number;
  /** Huge pages that would back the guest, for the two sizes. */
  readonly hugePages: { readonly '2M': number; readonly '1G': number };
  /** Holes that the guest's memory must leave: reserved regions of the groups taken. */
  readonly reserved: readonly PlanRegion[];
  /** Widest I/O virtual address the units above offer, in bits; null: the source does not tell. */
  readonly iovaBits: number | null;
  /** NUMA node that suits the devices; null: they are on several, or it is not known. */
  readonly numaNode: number | null;
}

export function needsOf(
  view: PlanView,
  assignment: Assignment,
  functions: readonly PlanFunction[],
  groups: readonly number[],
): Needs {
  const widths = functions.map((found) => view.iovaBits(found.address)).filter((bits) => bits !== undefined);
  const nodes = [...byNode(functions).keys()];
  const regions = new Map<string, PlanRegion>();
  for (const id of groups) {
    for (const region of view.groups.get(id)?.reserved ?? []) {
      regions.set(`${region.start}-${region.end}-${region.type}`, {
        start: region.start,
        end: region.end,
        type: region.type,
      });
    }
  }
  return {
    lockedMemoryBytes: lockedMemoryBytes(assignment),
    hugePages: {
      '2M': Math.ceil(assignment.memoryBytes / 2 ** 21),
      '1G': Math.ceil(assignment.memoryBytes / 2 ** 30),
    },
    reserved: [...regions.values()],
    iovaBits: widths.length === 0 ? null : Math.min(...widths),
    numaNode: nodes.length === 1 ? nodes[0] : null,
  };
}

/** Advice that blocks nothing: where to place the guest, what to hand out in place of a whole function. */
export function adviceOf(functions: readonly PlanFunction[]): string[] {
  const nodes = byNode(functions);
  const advice: string[] = [];
  if (nodes.size === 1) {
    advice.push(
      `place the guest's processors and memory on NUMA node ${[...nodes.keys()][0]}, where its devices are`,
    );
  } else if (nodes.size > 1) {
    const places = [...nodes].map(([node, names]) => `${names.join(', ')} on node ${node}`).join('; ');
    advice.push(
      `the devices are on different NUMA nodes (${places}): every DMA of one of them crosses the socket link`,
    );
  }
  for (const found of functions) {
    const total = found.field(Capability.sriov, 'totalVirtualFunctions') ?? 0n;
    if (total > 0n && found.virtualFunctions.length === 0) {
      advice.push(
        `${found.address} offers ${total} virtual functions: giving one away would leave the rest to the host`,
      );
    }
  }
  return advice;
}

function byNode(functions: readonly PlanFunction[]): Map<number, string[]> {
  const nodes = new Map<number, string[]>();
  for (const { numaNode, address } of functions) {
    if (numaNode === undefined || numaNode < 0) continue;
    nodes.set(numaNode, [...(nodes.get(numaNode) ?? []), address]);
  }
  return nodes;
}
