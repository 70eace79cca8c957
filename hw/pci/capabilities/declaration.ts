/**
 * How a capability is declared: its place in one of the two lists, its layout as data, and which of its fields
 * software may change. From one declaration come the decoded view, the encoder of the emulated devices and the write
 * masks of configuration space.
 */
import { bit, bits, type FieldDeclaration, Layout } from '../../layout.ts';

/** `standard`: the list that starts at 0x34, 8-bit ids. `extended`: the list at 0x100, 16-bit ids. */
export type CapabilityList = 'standard' | 'extended';

/** One capability structure, header included. */
export interface CapabilityDeclaration<Name extends string = string> {
  readonly list: CapabilityList;
  readonly id: number;
  /** In a word: `acs`. */
  readonly key: string;
  /** As the specification names it: `Access Control Services`. */
  readonly name: string;
  /** Version in the header of an extended capability. */
  readonly version: number;
  readonly layout: Layout<Name>;
  /** Fields that software may write. All others are read-only. */
  readonly writable: readonly Name[];
  /** Fields whose bits software clears by writing ones. */
  readonly writeOneToClear: readonly Name[];
}

interface CapabilityOptions<Name extends string> {
  readonly version?: number;
  readonly writable?: readonly NoInfer<Name>[];
  readonly writeOneToClear?: readonly NoInfer<Name>[];
  readonly source: string;
}

/** Header fields that every structure of the conventional list starts with. PCI 3.0, 6.7. */
const STANDARD_HEADER = { capabilityId: bits(0, 7), nextCapability: bits(8, 15) } as const;

/** Header fields that every structure of the extended list starts with. PCIe 7.9.3. */
const EXTENDED_HEADER = {
  capabilityId: bits(0, 15),
  capabilityVersion: bits(16, 19),
  nextCapability: bits(20, 31),
} as const;

type StandardHeaderName = keyof typeof STANDARD_HEADER;
type ExtendedHeaderName = keyof typeof EXTENDED_HEADER;

/** Declares a capability of the conventional list. Bit positions count from the structure's first byte. */
export function standardCapability<Name extends string>(
  id: number,
  key: string,
  name: string,
  lengthBytes: number,
  fields: Record<Name, FieldDeclaration>,
  options: CapabilityOptions<Name>,
): CapabilityDeclaration<Name | StandardHeaderName> {
  return {
    list: 'standard',
    id,
    key,
    name,
    version: 0,
    layout: new Layout<Name | StandardHeaderName>(
      name,
      lengthBytes * 8,
      { ...STANDARD_HEADER, ...fields } as Record<Name | StandardHeaderName, FieldDeclaration>,
      options.source,
    ),
    writable: options.writable ?? [],
    writeOneToClear: options.writeOneToClear ?? [],
  };
}

/** Declares a capability of the extended list. Bit positions count from the structure's first byte. */
export function extendedCapability<Name extends string>(
  id: number,
  key: string,
  name: string,
  lengthBytes: number,
  fields: Record<Name, FieldDeclaration>,
  options: CapabilityOptions<Name>,
): CapabilityDeclaration<Name | ExtendedHeaderName> {
  return {
    list: 'extended',
    id,
    key,
    name,
    version: options.version ?? 1,
    layout: new Layout<Name | ExtendedHeaderName>(
      name,
      lengthBytes * 8,
      { ...EXTENDED_HEADER, ...fields } as Record<Name | ExtendedHeaderName, FieldDeclaration>,
      options.source,
    ),
    writable: options.writable ?? [],
    writeOneToClear: options.writeOneToClear ?? [],
  };
}

/** A field at byte `offset`, bits `low` to `high` of the register there. */
export function at(
  offset: number,
  low: number,
  high: number,
  meanings?: Record<number, string>,
): FieldDeclaration {
  return bits(offset * 8 + low, offset * 8 + high, meanings);
}

/** A flag at byte `offset`, bit `position` of the register there. */
export function flag(offset: number, position: number): FieldDeclaration {
  return bit(offset * 8 + position);
}
