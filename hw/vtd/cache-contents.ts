/** What the caches of a unit hold, in words, for the screens. */
import { Access } from './access.ts';
import type { VtdUnit } from './unit.ts';

const SIZES = ['4K', '2M', '1G'];

const hex = (high: number, low: number): string =>
  `0x${((BigInt(high >>> 0) << 32n) | (BigInt(low & 0xfffff) << 12n)).toString(16)}`;

const requester = (id: number): string => {
  const byte = (value: number): string => value.toString(16).padStart(2, '0');
  return `${byte(id >>> 8)}:${byte((id >>> 3) & 31)}.${id & 7}`;
};

const TYPES = ['', 'first-level', 'second-level', 'nested', 'pass-through'];

/** Every cache with its entries, one line each. */
export function cacheContents(unit: VtdUnit): { name: string; entries: string[] }[] {
  const { structures, iotlb, paging, interrupts, tags } = unit.caches;
  const contexts = [
    ...[...structures.legacyContexts.values()].map(
      (space) => `${requester(space.requesterId)} → ${TYPES[space.type]}, domain ${space.domainId}`,
    ),
    ...[...structures.scalableContexts.values()].map(
      (context) =>
        `${requester(context.requesterId)} → PASID directory ${hex(context.directoryHigh, context.directoryLow >>> 12)}`,
    ),
  ];
  const pasids = [...structures.pasidSpaces].map(
    (space) =>
      `${requester(space.requesterId)} PASID ${space.pasid} → ${TYPES[space.type]}, domain ${space.domainId}`,
  );
  const translations = iotlb.contents().map((entry) => {
    const rights = `${entry.grants & Access.read ? 'r' : '-'}${entry.grants & Access.write ? 'w' : '-'}`;
    const page = hex(entry.pageHigh, entry.pageLow);
    const frame = hex(entry.frameHigh, entry.frameLow);
    return `${tags.describe(entry.tag)}: ${page} → ${frame} ${SIZES[entry.size]} ${rights}`;
  });
  return [
    { name: 'context cache', entries: contexts },
    { name: 'PASID cache', entries: pasids },
    { name: 'IOTLB', entries: translations },
    { name: 'paging-structure cache', entries: paging.count === 0 ? [] : [`${paging.count} table pointers`] },
    { name: 'interrupt entry cache', entries: interrupts.indices.map((index) => `entry ${index}`) },
  ];
}
