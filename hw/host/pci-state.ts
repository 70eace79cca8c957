/** Configuration space as the screens show it: bytes, and capabilities decoded from them. */

import { wordsOf } from '../layout.ts';
import { EXTENDED_CAPABILITY_NAMES, STANDARD_CAPABILITY_NAMES } from '../pci/capabilities/names.ts';
import { declarationOf, dvsecDeclaration } from '../pci/capabilities/registry.ts';
import { walkCapabilities } from '../pci/capabilities/walk.ts';
import type { PciFunction } from '../pci/function.ts';
import { BridgeHeader, EndpointHeader } from '../pci/layouts.ts';
import type { CapabilityState, DecodedHeader } from './state.ts';

/** Both capability lists in their order, each decoded as far as it is declared. */
export function capabilityStates(of: PciFunction): CapabilityState[] {
  const bytes = of.config.snapshot();
  const { found } = walkCapabilities((offset, size) => of.read(offset, size), of.config.size);
  const offsets = found.map((one) => one.offset);
  return found.map((one) => {
    const extended = one.list === 'extended';
    const declaration =
      extended && one.id === 0x23
        ? dvsecDeclaration(of.read(one.offset + 4, 2), of.read(one.offset + 8, 2))
        : declarationOf(one.list, one.id);
    const names = extended ? EXTENDED_CAPABILITY_NAMES : STANDARD_CAPABILITY_NAMES;
    const length = declaration?.layout.widthBytes ?? untilNext(one.offset, offsets, bytes.length);
    const own = bytes.slice(one.offset, Math.min(one.offset + length, bytes.length));
    return {
      name: declaration?.name ?? names[one.id] ?? `capability 0x${one.id.toString(16)}`,
      id: one.id,
      extended,
      offset: one.offset,
      version: extended ? one.version : undefined,
      bytes: own,
      fields:
        declaration === undefined || own.length < declaration.layout.widthBytes
          ? []
          : declaration.layout.decode(wordsOf(own)),
    };
  });
}

/** Bytes up to the next capability, at most 64: for structures whose length nobody declares. */
function untilNext(offset: number, offsets: readonly number[], end: number): number {
  let next = end;
  for (const other of offsets) if (other > offset && other < next) next = other;
  return Math.min(next - offset, 64);
}

/** The header's registers. */
export function headerState(of: PciFunction): DecodedHeader {
  const layout = of.isBridge ? BridgeHeader : EndpointHeader;
  const words = wordsOf(of.config.snapshot().subarray(0, 0x40));
  return { name: layout.name, fields: layout.decode(words) };
}
