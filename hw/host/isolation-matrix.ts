/**
 * Every device and every slice of one against every machine's memory: how many pages it can reach, found by following
 * the tables as hardware does.
 */
import type { Machine } from '../guest/machine.ts';
import type { LinuxKernel } from '../kernel/kernel.ts';
import { PAGE_SIZE } from '../memory/types.ts';
import { CommandBit, HeaderOffset } from '../pci/layouts.ts';
import { LegacyContextEntry, PasidTableEntry, TranslationType } from '../vtd/layouts.ts';
import { registers } from '../vtd/registers.ts';
import type { Progress, Work } from '../work.ts';
import { addressOf } from './addresses.ts';
import { deviceName } from './domain-state.ts';
import type { Hardware } from './hardware.ts';
import type { ReachCell } from './state.ts';
import { contextEntries, type PagingRoot, pagingRoots, pasidEntries, visitLeaves } from './tables.ts';

/** GSTS.TES: translation is on. VT-d 11.4.4.2. */
const TRANSLATES = 0x80000000n;
/** Between two pauses. */
const PAGES_A_STEP = 8192;
const DEVICES_A_STEP = 64;
const UNKNOWN: Progress = { done: 0, total: undefined };
/** Frames in a piece of the table of owners. */
const PIECE = 512;

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

/** Cells with at least one page; whoever is missing reaches nothing. In steps of some thousand pages. */
export function* isolationMatrix(
  hardware: Hardware,
  kernel: LinuxKernel,
  machines: readonly Machine[],
): Work<ReachCell[]> {
  const owners = yield* frameOwners(machines);
  const cells: ReachCell[] = [];
  const known = new Map<string, Reach[]>();
  let walked = 0;
  for (const path of paths(hardware, kernel)) {
    walked += 1;
    if (walked % DEVICES_A_STEP === 0) yield UNKNOWN;
    const key = path.passThrough ? 'all' : path.roots.map((root) => `${root.kind} ${root.address}`).join(',');
    let reach = known.get(key);
    if (reach === undefined) {
      reach = path.passThrough ? owners.totals : yield* follow(hardware, path.roots, owners);
      known.set(key, reach);
    }
    for (const [index, { readable, writable }] of reach.entries()) {
      if (readable === 0 && writable === 0) continue;
      cells.push({
        device: path.device,
        pasid: path.pasid,
        machine: owners.names[index],
        readablePages: readable,
        writablePages: writable,
      });
    }
  }
  return cells;
}

/** Which machine a frame belongs to: machine numbers (from 1) by frame, in pieces of 512. 0: none. */
class FrameOwners {
  readonly names: string[] = [];
  private readonly pieces = new Map<number, Uint16Array>();
  private last: Uint16Array | undefined;
  private lastNumber = -1;

  set(frame: number, machine: number): void {
    const number = Math.floor(frame / PIECE);
    let piece = this.pieces.get(number);
    if (piece === undefined) {
      piece = new Uint16Array(PIECE);
      this.pieces.set(number, piece);
    }
    piece[frame % PIECE] = machine;
  }

  get(frame: number): number {
    const number = Math.floor(frame / PIECE);
    if (number !== this.lastNumber) {
      this.last = this.pieces.get(number);
      this.lastNumber = number;
    }
    return this.last === undefined ? 0 : this.last[frame % PIECE];
  }

  /** Pages of each machine, by its number. */
  get totals(): Reach[] {
    const totals = this.names.map(() => ({ readable: 0, writable: 0 }));
    for (const piece of this.pieces.values()) {
      for (const machine of piece) {
        if (machine === 0) continue;
        totals[machine - 1].readable += 1;
        totals[machine - 1].writable += 1;
      }
    }
    return totals;
  }
}

/** Frames that devices may have been given: the memory of machines that run with devices, which is pinned. */
function* frameOwners(machines: readonly Machine[]): Work<FrameOwners> {
  const owners = new FrameOwners();
  for (const machine of machines) {
    const number = owners.names.push(machine.name);
    const { process } = machine;
    if (process === undefined || machine.user?.hasDevices !== true) continue;
    for (const slot of machine.memorySlots) {
      const first = (slot.userAddress ?? 0) / PAGE_SIZE;
      const pages = Number(slot.lengthBytes) / PAGE_SIZE;
      for (let page = 0; page < pages; page += 1) {
        if (page % PAGES_A_STEP === PAGES_A_STEP - 1) yield UNKNOWN;
        owners.set(process.memory.frameAt(first + page, false), number);
      }
    }
  }
  return owners;
}

function* paths(hardware: Hardware, kernel: LinuxKernel): Generator<Path> {
  yield* unprotected(hardware);
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

/** Functions that may do DMA now with no unit in their way, or one that does not translate: all memory is theirs. */
function* unprotected(hardware: Hardware): Generator<Path> {
  for (const from of hardware.pci.functions) {
    if (from.isBridge) continue;
    if ((from.read(HeaderOffset.command, 2) & CommandBit.busMaster) === 0) continue;
    const unit = hardware.fabric.wiring.unitFor(from);
    if (unit !== undefined && (unit.unit.mmioRead(registers.GSTS.offset, 4) & TRANSLATES) !== 0n) continue;
    yield { device: addressOf(from), pasid: undefined, roots: [], passThrough: true };
  }
}

function* follow(hardware: Hardware, roots: readonly PagingRoot[], owners: FrameOwners): Work<Reach[]> {
  const reach = owners.names.map(() => ({ readable: 0, writable: 0 }));
  for (const root of roots) {
    const tables = visitLeaves(hardware.memory, root, (leaf) => {
      for (let page = 0; page < leaf.pages; page += 1) {
        const machine = owners.get(leaf.frame + page);
        if (machine === 0) continue;
        if (leaf.readable) reach[machine - 1].readable += 1;
        if (leaf.writable) reach[machine - 1].writable += 1;
      }
    });
    for (const _ of tables) yield UNKNOWN;
  }
  return reach;
}
