/**
 * What to take of a text that holds an address more than once: a dump that was pasted twice, the words and the hex of one
 * machine one after the other, or the dumps of two machines.
 */
import type { LspciBlock, TextProblem } from './lspci-blocks.ts';

/** One block per address, of one machine; what is left out is named with its lines. */
export function oneListing(blocks: readonly LspciBlock[], problems: TextProblem[]): LspciBlock[] {
  const kept: LspciBlock[] = [];
  const places = new Map<string, number>();
  for (const listing of listings(blocks)) {
    const other = kept.length > 1 ? strangerIn(listing, kept, places) : undefined;
    if (other !== undefined) {
      const { block, before } = other;
      problems.push({
        line: listing[0].line,
        problem:
          `a listing begins again, of another machine: ${block.name} is ${idText(before)} at line ${before.line} and ` +
          `${idText(block)} at line ${block.line}; dumps of two machines in one text? ` +
          `The ${listing.length} device${listing.length === 1 ? '' : 's'} from here on are left out`,
      });
      continue;
    }
    for (const block of listing) {
      const place = places.get(block.name);
      if (place === undefined) {
        places.set(block.name, kept.push(block) - 1);
        continue;
      }
      const before = kept[place];
      const same = agree(before, block);
      if (same && complete(before, block)) {
        kept[place] = merged(before, block);
        continue;
      }
      problems.push({
        line: block.line,
        problem: same
          ? `${block.name} is there twice, first at line ${before.line}: the second is left out`
          : `${block.name} is there twice with different ids, first at line ${before.line}: dumps of two machines in one text? The second is left out`,
      });
    }
  }
  return kept;
}

/** lspci lists in order of address: where the first address of the text or one before it comes up, a listing begins. */
function listings(blocks: readonly LspciBlock[]): LspciBlock[][] {
  const found: LspciBlock[][] = [];
  for (const block of blocks) {
    const current = found.at(-1);
    if (current === undefined || order(block) <= order(blocks[0])) found.push([block]);
    else current.push(block);
  }
  return found;
}

function order({ address }: LspciBlock): number {
  return ((address.segment * 256 + address.bus) * 32 + address.device) * 8 + address.function;
}

/** The first device of a listing that is another one than the device kept for its address. */
function strangerIn(
  listing: readonly LspciBlock[],
  kept: readonly LspciBlock[],
  places: ReadonlyMap<string, number>,
): { block: LspciBlock; before: LspciBlock } | undefined {
  for (const block of listing) {
    const place = places.get(block.name);
    if (place !== undefined && !agree(kept[place], block)) return { block, before: kept[place] };
  }
  return undefined;
}

/** Vendor and device, from the header line or else the first bytes; undefined where neither tells (a VF reads ffff). */
function idsOf({ header, bytes }: LspciBlock): readonly (number | undefined)[] {
  const word = (offset: number): number | undefined => {
    const value = bytes === undefined || bytes.length < 4 ? 0xffff : bytes[offset] | (bytes[offset + 1] << 8);
    return value === 0xffff ? undefined : value;
  };
  return [header.vendorId ?? word(0), header.deviceId ?? word(2)];
}

function agree(one: LspciBlock, other: LspciBlock): boolean {
  const others = idsOf(other);
  return idsOf(one).every((id, index) => {
    const second = others[index];
    return id === undefined || second === undefined || id === second;
  });
}

function idText(block: LspciBlock): string {
  return idsOf(block)
    .map((id) => (id === undefined ? '?' : id.toString(16).padStart(4, '0')))
    .join(':');
}

/** One has the hex that the other lacks: "lspci -vv" and "lspci -xxxx" into one file. */
function complete(one: LspciBlock, other: LspciBlock): boolean {
  return (one.bytes === undefined) !== (other.bytes === undefined);
}

function merged(one: LspciBlock, other: LspciBlock): LspciBlock {
  return {
    ...one,
    header: {
      className: one.header.className ?? other.header.className,
      classCode: one.header.classCode ?? other.header.classCode,
      name: one.header.name === '' ? other.header.name : one.header.name,
      vendorId: one.header.vendorId ?? other.header.vendorId,
      deviceId: one.header.deviceId ?? other.header.deviceId,
      revision: one.header.revision ?? other.header.revision,
      programmingInterface: one.header.programmingInterface ?? other.header.programmingInterface,
    },
    lines: one.lines.length > 0 ? one.lines : other.lines,
    bytes: one.bytes ?? other.bytes,
  };
}
