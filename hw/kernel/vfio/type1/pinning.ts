/**
 * Pinning user pages and putting them into the container's domains, and the way back. The IOMMU's tables are the only
 * record of which frame stands behind an address: unmapping asks them. vfio_iommu_type1.c: vfio_pin_pages_remote,
 * vfio_pin_map_dma, vfio_unmap_unpin, vfio_iommu_replay.
 */

import type { Frame, Page } from '../../../memory/types.ts';
import type { IommuDomain } from '../../iommu/types.ts';
import { IommuProt } from '../../iommu/types.ts';
import type { PinnedRun } from '../../process/address-space.ts';
import { MappingFlag, NONE } from './mapping-table.ts';
import { limitPages, memoryLockExceeded, type Type1State } from './state.ts';

/** Filled by the pin in hand; the engine has one thread. */
const found: PinnedRun = { frame: 0, count: 0, reserved: false };

/** The result of `pinChunk`: pages found, and whether they are pages that count. */
const chunk: PinnedRun = { frame: 0, count: 0, reserved: false };

/**
 * Pins pages of a mapping from `page` on as far as their frames follow each other, at most `max`, and charges them:
 * not device registers, and not pages that a mediated device pinned before (those are charged already). Fills `chunk`.
 * @throws KernelError EFAULT, ENOMEM; nothing stays pinned then.
 */
function pinChunk(state: Type1State, slot: number, page: number, max: number): void {
  const owner = state.ownerOf(slot);
  const { mappings } = state;
  const userPage = mappings.userPage(slot) + (page - mappings.start(slot));
  const write = (mappings.flags(slot) & IommuProt.write) !== 0;
  const pins = state.externalPins.get(slot);
  const limit = owner.unlimited ? Number.POSITIVE_INFINITY : limitPages(owner.process);
  let charged = 0;
  chunk.count = 0;
  while (chunk.count < max) {
    try {
      owner.memory.pin(userPage + chunk.count, max - chunk.count, write, found);
    } catch (error) {
      // A chunk that has pages ends here; the next one meets the fault first.
      if (chunk.count > 0) break;
      throw error;
    }
    if (chunk.count === 0) {
      chunk.frame = found.frame;
      chunk.reserved = found.reserved;
    } else if (found.frame !== chunk.frame + chunk.count || found.reserved !== chunk.reserved) {
      if (!found.reserved) owner.memory.unpin(found.frame, found.count);
      break;
    }
    chunk.count += found.count;
    if (!found.reserved) {
      let fresh = found.count;
      if (pins !== undefined) {
        for (let at = page + chunk.count - found.count; at < page + chunk.count; at += 1) {
          if (pins.has(at * 4096)) fresh -= 1;
        }
      }
      if (fresh > 0 && owner.memory.lockedPages + charged + fresh > limit) {
        owner.memory.unpin(chunk.frame, chunk.count);
        state.environment.log(
          `vfio_pin_pages_remote: RLIMIT_MEMLOCK (${owner.process.memoryLockLimitBytes}) exceeded`,
        );
        throw memoryLockExceeded(owner.process);
      }
      charged += fresh;
    }
    if (state.environment.parameters.disableHugepages) {
      if (chunk.count > 1) {
        if (!chunk.reserved) owner.memory.unpin(chunk.frame + 1, chunk.count - 1);
        chunk.count = 1;
        charged = Math.min(charged, 1);
      }
      break;
    }
  }
  owner.memory.lockedPages += charged;
}

/** Unpins `count` pages from `frame`, which back the mapping from `page` on; the number that were real pages. */
function unpinChunk(
  state: Type1State,
  slot: number,
  page: number,
  frame: number,
  count: number,
  account: boolean,
): number {
  const owner = state.ownerOf(slot);
  let unlocked = 0;
  const { pages } = owner.memory;
  // Registers have no reference count and are left alone.
  if (pages.references(frame as Frame) > 0) {
    unlocked = count;
    owner.memory.unpin(frame, count);
  }
  if (account && unlocked > 0) {
    const pins = state.externalPins.get(slot);
    let stillPinned = 0;
    if (pins !== undefined)
      for (let at = page; at < page + count; at += 1) if (pins.has(at * 4096)) stillPinned += 1;
    owner.memory.lockedPages -= unlocked - stillPinned;
  }
  return unlocked;
}

/** Maps a chunk in every domain; on failure it is taken out again where it went in. */
function mapEverywhere(state: Type1State, page: number, frame: number, count: number, prot: number): void {
  const done: IommuDomain[] = [];
  try {
    for (const { domain } of state.domains) {
      domain.map(page as Page, frame as Frame, count, prot);
      done.push(domain);
    }
  } catch (error) {
    for (const domain of done) domain.unmap(page as Page, count);
    throw error;
  }
}

function protOf(state: Type1State, slot: number): number {
  return (state.mappings.flags(slot) & (IommuProt.read | IommuProt.write)) | IommuProt.cache;
}

/** Pins a whole mapping and puts it into all domains. @throws KernelError; then nothing of it is left. */
export function pinAndMap(state: Type1State, slot: number): void {
  const { mappings } = state;
  const first = mappings.start(slot);
  const end = mappings.end(slot);
  const prot = protOf(state, slot);
  for (let page = first; page < end; ) {
    try {
      pinChunk(state, slot, page, end - page);
      const { frame, count } = chunk;
      try {
        mapEverywhere(state, page, frame, count, prot);
      } catch (error) {
        unpinChunk(state, slot, page, frame, count, true);
        throw error;
      }
      page += count;
    } catch (error) {
      unmapRange(state, slot, first, page, true);
      throw error;
    }
  }
  mappings.setFlag(slot, MappingFlag.iommuMapped, true);
}

/** Consecutive pages of a domain with consecutive frames; filled by `findRun`. */
const run = { frame: 0, count: 0 };

/** Fills `run` with what a domain has from `page` on, up to `end`; false: nothing there. */
function findRun(domain: IommuDomain, page: number, end: number): boolean {
  run.count = 0;
  while (page + run.count < end) {
    const at = (page + run.count) as Page;
    let frame: number | undefined;
    let pages = 1;
    if (domain.leafAt === undefined) frame = domain.iovaToFrame(at);
    else {
      const leaf = domain.leafAt(at);
      frame = leaf?.frame;
      pages = leaf?.pages ?? 0;
    }
    if (frame === undefined || (run.count > 0 && frame !== run.frame + run.count)) break;
    if (run.count === 0) run.frame = frame;
    run.count += Math.min(pages, end - at);
  }
  return run.count > 0;
}

/** Runs that wait for one flush of the IOTLB before their frames are let go (VFIO_IOMMU_TLB_SYNC_MAX). */
const RUNS_PER_FLUSH = 512;
/** Pages and frames of the runs that wait, three numbers each: first page, first frame, pages. */
const waiting = new Float64Array(3 * RUNS_PER_FLUSH);

/** Takes pages [first, end) of a mapping out of all domains and unpins them; the number of real pages. */
function unmapRange(state: Type1State, slot: number, first: number, end: number, account: boolean): number {
  const [source, ...others] = state.domains;
  if (source === undefined || first === end) return 0;
  for (const { domain } of others) unmapPages(domain, first, end - first);
  let unlocked = 0;
  for (let page = first; page < end; ) {
    let runs = 0;
    let next = page;
    for (; runs < RUNS_PER_FLUSH && next < end && findRun(source.domain, next, end); runs += 1) {
      waiting[3 * runs] = next;
      waiting[3 * runs + 1] = run.frame;
      waiting[3 * runs + 2] = run.count;
      next += run.count;
    }
    if (runs === 0) {
      page += 1;
      continue;
    }
    const reached = unmapUpTo(source.domain, page, next);
    for (let index = 0; index < 3 * runs && waiting[index] < reached; index += 3) {
      const count = Math.min(waiting[index + 2], reached - waiting[index]);
      unlocked += unpinChunk(state, slot, waiting[index], waiting[index + 1], count, account);
    }
    if (reached < next) break;
    page = next;
  }
  return unlocked;
}

/** Unmaps pages without gaps; where it got to. */
function unmapUpTo(domain: IommuDomain, first: number, end: number): number {
  let page = first;
  while (page < end) {
    const unmapped = domain.unmap(page as Page, end - page);
    if (unmapped === 0) break;
    page += unmapped;
  }
  return Math.min(page, end);
}

/** Unmaps pages that may have gaps. */
function unmapPages(domain: IommuDomain, first: number, count: number): void {
  for (let page = first; page < first + count; ) {
    const unmapped = domain.unmap(page as Page, first + count - page);
    page += Math.max(unmapped, 1);
  }
}

/** Takes a mapping out of all domains (vfio_unmap_unpin); the number of pages unpinned. */
export function unmapAndUnpin(state: Type1State, slot: number, account: boolean): number {
  const { mappings } = state;
  if (state.domains.length === 0) return 0;
  const unlocked = unmapRange(state, slot, mappings.start(slot), mappings.end(slot), account);
  mappings.setFlag(slot, MappingFlag.iommuMapped, false);
  return unlocked;
}

/**
 * Brings all mappings into a domain that joins the container: copied from the first domain where there is one, pinned
 * now where the container had none. @throws KernelError; the domain is empty again then, and what was pinned is free.
 */
export function replay(state: Type1State, domain: IommuDomain): void {
  const { mappings } = state;
  const source = state.domains[0]?.domain;
  const pinned: { slot: number; page: number; frame: number; count: number }[] = [];
  let at = mappings.first();
  let reached = NONE;
  try {
    for (; at !== NONE; at = mappings.next(at)) {
      const end = mappings.end(at);
      const prot = protOf(state, at);
      const copied = (mappings.flags(at) & MappingFlag.iommuMapped) !== 0;
      for (let page = mappings.start(at); page < end; ) {
        reached = page;
        let frame: number;
        let count: number;
        if (copied) {
          if (source === undefined || !findRun(source, page, end)) {
            page += 1;
            continue;
          }
          ({ frame, count } = run);
        } else {
          pinChunk(state, at, page, end - page);
          ({ frame, count } = chunk);
          pinned.push({ slot: at, page, frame, count });
        }
        domain.map(page as Page, frame as Frame, count, prot);
        page += count;
      }
    }
  } catch (error) {
    for (
      let slot = mappings.first();
      slot !== NONE && mappings.start(slot) <= reached;
      slot = mappings.next(slot)
    ) {
      const end = Math.min(mappings.end(slot), reached);
      if (end > mappings.start(slot)) unmapPages(domain, mappings.start(slot), end - mappings.start(slot));
    }
    for (const { slot, page, frame, count } of pinned) unpinChunk(state, slot, page, frame, count, true);
    throw error;
  }
  for (at = mappings.first(); at !== NONE; at = mappings.next(at))
    mappings.setFlag(at, MappingFlag.iommuMapped, true);
}

/** All pages leave the domains, but those that mediated devices pinned stay charged (…_unpin_reaccount). */
export function unmapAllKeepExternal(state: Type1State): void {
  const { mappings } = state;
  for (let slot = mappings.first(); slot !== NONE; slot = mappings.next(slot)) {
    const unlocked = unmapAndUnpin(state, slot, false);
    let locked = 0;
    for (const pin of state.externalPins.get(slot)?.values() ?? []) if (!pin.reserved) locked += 1;
    state.ownerOf(slot).memory.lockedPages += locked - unlocked;
  }
}
