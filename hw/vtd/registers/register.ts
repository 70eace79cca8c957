import { type FieldDeclaration, Layout } from '../../layout.ts';
import type { Capabilities } from './capabilities.ts';

/** How software may touch a field. RO-zero fields of missing features are found by `requires`. */
export type Access = 'RO' | 'RW' | 'RW1C' | 'WO';

/** A feature test: the field or register exists only where it holds. */
export type Requirement = (capabilities: Capabilities) => unknown;

interface RegisterField extends FieldDeclaration {
  readonly access: Access;
  readonly requires?: Requirement;
}

/** Read-only field. */
export const ro = (field: FieldDeclaration): RegisterField => ({ ...field, access: 'RO' });
/** Read/write field; reserved (reads zero) where `requires` doesn't hold. */
export const rw = (field: FieldDeclaration, requires?: Requirement): RegisterField => ({
  ...field,
  access: 'RW',
  requires,
});
/** Field whose bits software clears by writing ones. */
export const rw1c = (field: FieldDeclaration): RegisterField => ({ ...field, access: 'RW1C' });
/** Write-only field: reads zero. */
export const wo = (field: FieldDeclaration): RegisterField => ({ ...field, access: 'WO' });

/** What is particular about a register besides its fields. */
interface RegisterOptions {
  /** Value after reset; 0 unless stated. */
  readonly reset?: bigint;
  readonly requires?: Requirement;
  /** Offsets of these count from the place that CAP.FRO or ECAP.IRO names. */
  readonly relativeTo?: 'fault records' | 'iotlb registers';
  readonly source?: string;
}

/** The bits of a field as a mask of the whole register. */
function maskOf(field: FieldDeclaration): bigint {
  return ((1n << BigInt(field.high - field.low + 1)) - 1n) << BigInt(field.low);
}

/** One register: where it is, how wide, its fields with their access, its value after reset. */
export class Register<Name extends string = string> {
  /** The specification's short name: "GCMD". */
  readonly name: string;
  readonly title: string;
  /** Bytes from the base of the unit, or from `relativeTo`. */
  readonly offset: number;
  readonly widthBytes: number;
  readonly layout: Layout<Name>;
  readonly access: Readonly<Record<Name, Access>>;
  readonly reset: bigint;
  readonly requires: Requirement | undefined;
  readonly relativeTo: RegisterOptions['relativeTo'];
  private readonly declarations: readonly RegisterField[];

  constructor(
    name: string,
    title: string,
    offset: number,
    widthBytes: number,
    fields: Record<Name, RegisterField>,
    options: RegisterOptions = {},
  ) {
    this.name = name;
    this.title = title;
    this.offset = offset;
    this.widthBytes = widthBytes;
    this.layout = new Layout(name, widthBytes * 8, fields, options.source ?? 'VT-d 11.4');
    this.declarations = Object.values(fields) as RegisterField[];
    this.access = Object.fromEntries(
      Object.entries(fields).map(([key, field]) => [key, (field as RegisterField).access]),
    ) as Record<Name, Access>;
    this.reset = options.reset ?? 0n;
    this.requires = options.requires;
    this.relativeTo = options.relativeTo;
  }

  /** True when a unit with these capabilities implements the register. */
  implementedBy(capabilities: Capabilities): boolean {
    return this.requires === undefined || Boolean(this.requires(capabilities));
  }

  /**
   * Bits of this access that a unit implements. Address fields end at the host address width (bits), the others are
   * whole; fields of missing features have none.
   */
  maskFor(access: Access, capabilities: Capabilities, hostAddressWidth: number): bigint {
    if (!this.implementedBy(capabilities)) return 0n;
    let mask = 0n;
    for (const field of this.declarations) {
      if (field.access !== access) continue;
      if (field.requires !== undefined && !field.requires(capabilities)) continue;
      const whole = maskOf(field);
      const isWideAddress = field.kind === 'address' && field.high === 63;
      mask |= isWideAddress ? whole & ((1n << BigInt(hostAddressWidth)) - 1n) : whole;
    }
    return mask;
  }

  /** Bytes from the base of a unit with these capabilities. */
  offsetIn(capabilities: Capabilities): number {
    if (this.relativeTo === 'fault records') return capabilities.faultRecordOffset * 16 + this.offset;
    if (this.relativeTo === 'iotlb registers') return capabilities.iotlbRegisterOffset * 16 + this.offset;
    return this.offset;
  }
}

/** Declares a register. */
export function register<Name extends string>(
  name: string,
  title: string,
  offset: number,
  widthBytes: number,
  fields: Record<Name, RegisterField>,
  options?: RegisterOptions,
): Register<Name> {
  return new Register(name, title, offset, widthBytes, fields, options);
}
