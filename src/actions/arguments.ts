/** The arguments that actions share, each with what it accepts, for people and for machines. */
import { z } from 'zod';
import { printable, usageError } from '../errors.ts';
import type { ArgumentDescription, ArgumentValue, ArgumentValues } from './action.ts';

const PCI = /^(?:[0-9a-f]{4,8}:)?[0-9a-f]{2}:[0-1][0-9a-f]\.[0-7]$/i;
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** Segment 0 may be left out: sysfs names always have it. */
function fullAddress(text: string): string {
  const lower = text.toLowerCase();
  return /^[0-9a-f]{2}:/.test(lower) && lower.length === 7 ? `0000:${lower}` : lower;
}

export const pciAddress = z
  .string()
  .regex(PCI, 'is no PCI address such as 0000:6a:01.0')
  .overwrite(fullAddress)
  .describe('PCI address, such as 0000:6a:01.0');

/** Parents of mdevs are PCI functions, or platform devices by name. */
export const sysfsName = z
  .string()
  .min(1)
  .max(64)
  .regex(/^[A-Za-z0-9:._-]+$/, 'is no name of a device')
  .overwrite((text) => (PCI.test(text) ? fullAddress(text) : text))
  .describe('device as sysfs names it, such as 0000:6a:01.0');

export const uuid = z
  .string()
  .regex(UUID, 'is no UUID (8-4-4-4-12 hexadecimal digits)')
  .overwrite((text) => text.toLowerCase())
  .describe('UUID of the mediated device');

export const pciOrUuid = z
  .string()
  .refine((text) => PCI.test(text) || UUID.test(text), 'is neither a PCI address nor a UUID')
  .overwrite((text) => (PCI.test(text) ? fullAddress(text) : text.toLowerCase()))
  .describe('PCI address, or UUID of a mediated device');

export const machineName = z
  .string()
  .min(1)
  .max(64)
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]*$/, 'may hold letters, digits, dot, underscore and dash only')
  .describe('name of the virtual machine');

export const driverName = z
  .string()
  .min(1)
  .max(64)
  .regex(/^[A-Za-z0-9_-]+$/, 'is no name of a driver')
  .describe('name of the driver, such as vfio-pci');

/** A byte address in hex or decimal, kept as `0x…`. */
export const byteAddress = z
  .string()
  .refine((text) => addressOf(text) !== undefined, 'is no address (0x… or decimal, at most 64 bits)')
  .overwrite((text) => {
    const value = addressOf(text);
    return value === undefined ? text : `0x${value.toString(16)}`;
  });

function addressOf(text: string): bigint | undefined {
  if (!/^(0x[0-9a-f]{1,16}|[0-9]{1,20})$/i.test(text)) return undefined;
  const value = BigInt(text);
  return value < 1n << 64n ? value : undefined;
}

const SIZE = /^([0-9]+)\s*([KMGT]?)(i?B)?$/i;
const FACTORS: Readonly<Record<string, bigint>> = {
  '': 1n,
  K: 1n << 10n,
  M: 1n << 20n,
  G: 1n << 30n,
  T: 1n << 40n,
};

/** A size as a person writes it, such as 512M. */
export const memorySize = z.string().max(24).regex(SIZE, 'is no size such as 512M or 4G');

/** Bytes that a text accepted by `memorySize` stands for. */
export function sizeInBytes(text: string): bigint {
  const match = SIZE.exec(text);
  if (match === null) throw usageError(`"${text}" is no size such as 512M or 4G`);
  return BigInt(match[1]) * FACTORS[match[2].toUpperCase()];
}

/** Bytes in hex, at most 4096 of them. */
export const hexBytes = z
  .string()
  .max(8192)
  .regex(/^(?:[0-9a-f]{2})+$/i, 'is no row of bytes in hex, such as cafe01')
  .overwrite((text) => text.toLowerCase());

export function bytesOfHex(hex: string): Uint8Array {
  const bytes = new Uint8Array(hex.length / 2);
  for (let at = 0; at < bytes.length; at++) bytes[at] = Number.parseInt(hex.slice(2 * at, 2 * at + 2), 16);
  return bytes;
}

export function hexOfBytes(bytes: Uint8Array): string {
  let hex = '';
  for (const byte of bytes) hex += byte.toString(16).padStart(2, '0');
  return hex;
}

interface PropertySchema {
  type?: string;
  enum?: unknown[];
  description?: string;
  default?: ArgumentValue;
}

const descriptions = new WeakMap<z.ZodType, readonly ArgumentDescription[]>();

/** The arguments of a schema in the order declared. */
export function describeArguments(schema: z.ZodType): readonly ArgumentDescription[] {
  const known = descriptions.get(schema);
  if (known !== undefined) return known;
  const json = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as {
    properties?: Record<string, PropertySchema>;
    required?: string[];
  };
  const made = Object.entries(json.properties ?? {}).map(([name, property]): ArgumentDescription => {
    const choices = (property.enum ?? []).map(String);
    return {
      name,
      description: property.description ?? name,
      required: json.required?.includes(name) ?? false,
      kind:
        choices.length > 0
          ? 'choice'
          : property.type === 'integer' || property.type === 'number'
            ? 'number'
            : property.type === 'boolean'
              ? 'yes-no'
              : property.type === 'array'
                ? 'list'
                : 'text',
      choices,
      byDefault: property.default,
    };
  });
  descriptions.set(schema, made);
  return made;
}

/** Text from a command line or a palette in the kind that the schema wants; what doesn't fit is left for the schema. */
function coerce(value: unknown, kind: ArgumentDescription['kind']): unknown {
  if (kind === 'list') return typeof value === 'string' ? value.split(',') : value;
  if (kind === 'text' || kind === 'choice') return typeof value === 'number' ? String(value) : value;
  if (typeof value !== 'string') return value;
  if (kind === 'yes-no') {
    if (/^(true|yes|on|1)$/i.test(value)) return true;
    if (/^(false|no|off|0)$/i.test(value)) return false;
    return value;
  }
  return /^(0x[0-9a-f]+|-?[0-9]+)$/i.test(value) ? Number(value) : value;
}

/**
 * Raw values (from a command line, a palette, a file) as the action wants them: defaults filled in, names completed.
 * @throws ApplicationError USAGE that names the argument and lists what it takes.
 */
export function parseArguments(
  action: { readonly name: string; readonly arguments: z.ZodType },
  raw: Readonly<Record<string, unknown>>,
): ArgumentValues {
  const described = describeArguments(action.arguments);
  const given: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(raw)) {
    if (value === undefined) continue;
    const argument = described.find((candidate) => candidate.name === name);
    if (argument === undefined) {
      const names = described.map((candidate) => candidate.name).join(', ');
      throw usageError(
        `${action.name} has no argument "${name}"`,
        names === '' ? 'it takes none' : `it takes: ${names}`,
      );
    }
    if (typeof value === 'string' && printable(value) !== value) {
      throw usageError(`${name}: control characters can't be part of it`);
    }
    given[name] = coerce(value, argument.kind);
  }
  const parsed = action.arguments.safeParse(given);
  if (parsed.success) return parsed.data as ArgumentValues;
  const issue = parsed.error.issues[0];
  const name = String(issue.path[0] ?? '');
  const argument = described.find((candidate) => candidate.name === name);
  const value = given[name];
  const said =
    value === undefined ? `${action.name} needs ${name}` : `${name}: "${String(value)}" ${faultOf(issue)}`;
  throw usageError(said, argument === undefined ? undefined : `${name}: ${describeOne(argument)}`);
}

/** What is wrong with a value, as it goes on after the value. */
function faultOf(issue: z.core.$ZodIssue): string {
  if (issue.code === 'invalid_type')
    return `is no ${issue.expected === 'int' ? 'whole number' : issue.expected}`;
  if (issue.code === 'invalid_value') return 'is none of what it takes';
  if (issue.code !== 'too_small' && issue.code !== 'too_big') return issue.message;
  const limit = issue.code === 'too_small' ? issue.minimum : issue.maximum;
  if (issue.origin !== 'string') return `is ${issue.code === 'too_small' ? 'less' : 'more'} than ${limit}`;
  if (issue.code === 'too_big') return `is longer than ${limit} characters`;
  return limit === 1 ? 'is empty' : `is shorter than ${limit} characters`;
}

function describeOne(argument: ArgumentDescription): string {
  const choices = argument.choices.length > 0 ? `: one of ${argument.choices.join(', ')}` : '';
  return `${argument.description}${choices}${argument.required ? '' : ' (optional)'}`;
}
