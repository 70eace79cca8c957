/** Bringing an area's pages into page tables and out of them again (iopt_area_fill_domain and its reverse). */
import { type Area, areaLength } from './area-tree.ts';
import type { PagingDomain } from './paging-domain.ts';

const PAGE = 4096;

/** Pages that the area touches: index of the first, and how many. */
export function pageRange(area: Area): { first: number; count: number } {
  const first = Number(area.startByte >> 12n);
  const last = Number((area.startByte + areaLength(area) - 1n) >> 12n);
  return { first, count: last - first + 1 };
}

/**
 * Maps a whole area whose pages are held: one call for each run of consecutive frames, or one for each page when large
 * pages are off, so that every entry can be taken back alone.
 * @throws KernelError of the page table; the area is then mapped nowhere in it.
 */
export function fillDomain(area: Area, domain: PagingDomain, largePages: boolean): void {
  const { first, count } = pageRange(area);
  const pages = area.pages;
  const length = areaLength(area);
  let offset = Number(area.startByte & 0xfffn);
  let iova = area.iova;
  let left = Number(length);
  try {
    for (let index = 0; index < count; ) {
      const frame = pages.frame(first + index);
      const run = largePages ? pages.run(first + index, count - index) : 1;
      const bytes = Math.min(left, run * PAGE - offset);
      domain.map(iova, frame * PAGE + offset, bytes, area.prot);
      iova += BigInt(bytes);
      left -= bytes;
      offset = 0;
      index += run;
    }
  } catch (error) {
    if (iova > area.iova) domain.unmap(area.iova, iova - area.iova);
    throw error;
  }
}
