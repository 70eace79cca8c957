/** The schema of a host description, for files that people hand over. */
import { z } from 'zod';
import type { HostDescription } from '../../hw/index.ts';
import { fileError } from '../errors.ts';

const address = z
  .string()
  .regex(/^[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]$/i, 'a PCI address as 0000:00:1f.2');
const hex = z.string().regex(/^(?:[0-9a-f]{2})*$/i, 'bytes in hex');
const number = z.string().regex(/^0x[0-9a-f]{1,16}$/i, 'a number as 0xfed90000');
const size = z.union([z.literal(64), z.literal(256), z.literal(4096)]);

const functionDescription = z.looseObject({
  address,
  config: hex.max(8192).optional(),
  configSize: size.optional(),
  barSizes: z
    .array(z.object({ index: z.number().int().min(0).max(6), bytes: z.number().positive() }))
    .optional(),
  unknown: z.array(z.string()).optional(),
  name: z.string().max(500).optional(),
  className: z.string().max(200).optional(),
  driver: z.string().nullable().optional(),
  kernelModules: z.array(z.string()).optional(),
  numaNode: z.number().int().optional(),
  group: z.number().int().nonnegative().optional(),
  physicalFunction: address.optional(),
  vendorId: z.number().int().min(0).max(0xffff).optional(),
  deviceId: z.number().int().min(0).max(0xffff).optional(),
  model: z.looseObject({ kind: z.string() }).optional(),
});

const event = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('virtual-functions'),
    device: address,
    count: z.number().int().min(0).max(0xffff),
  }),
  z.object({ kind: z.literal('remove'), device: address }),
  z.object({ kind: z.literal('unplug'), device: address }),
  z.object({ kind: z.literal('plug'), device: address }),
  z.object({ kind: z.literal('rescan'), bus: z.string().max(20).optional() }),
  z.object({
    kind: z.literal('group-type'),
    device: z.union([address, z.number().int().min(0)]),
    type: z.string().max(20),
    unbound: z.boolean().optional(),
  }),
]);

const hostDescription = z.looseObject({
  format: z.literal('vtdeck-host'),
  version: z.literal(1),
  name: z.string().min(1).max(200),
  origin: z.string().max(1000),
  functions: z.array(functionDescription).max(1 << 20),
  dmar: hex.optional(),
  units: z
    .array(z.object({ registerBase: number, cap: number.optional(), ecap: number.optional() }))
    .optional(),
  rootBuses: z.array(z.string().regex(/^[0-9a-f]{4,8}:[0-9a-f]{2}$/i)).optional(),
  memory: z.array(z.object({ start: number, end: number })).optional(),
  kernelCommandLine: z.string().max(65536).optional(),
  iommu: z
    .object({ state: z.enum(['on', 'off', 'unknown', 'assumed']), because: z.string().max(1000) })
    .optional(),
  history: z.array(event).optional(),
  formerFunctions: z.array(functionDescription).optional(),
  otherDevices: z
    .array(
      z.looseObject({
        name: z.string().max(200),
        bus: z.string().max(40),
        parent: z.string().max(200).optional(),
        acpiPath: z.string().max(200).optional(),
        group: z.number().int().nonnegative().optional(),
      }),
    )
    .optional(),
});

/** Reads a host description. @throws ApplicationError FORMAT naming the file and the part that is wrong. */
export function parseHostDescription(text: string, file: string): HostDescription {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw fileError(`no JSON: ${error instanceof Error ? error.message : String(error)}`, { file });
  }
  const result = hostDescription.safeParse(value);
  if (!result.success) {
    const issue = result.error.issues[0];
    throw fileError(`${issue.path.map(String).join('.') || 'the document'}: ${issue.message}`, { file });
  }
  return result.data as HostDescription;
}
