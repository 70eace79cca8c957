/**
 * The JSON that commands print with --json, as schemas: what scripts may rely on. Objects may get more fields in later
 * versions; those named here stay.
 */
import { z } from 'zod';

const hex = z.string().regex(/^0x[0-9a-f]+$/);
const count = z.number().int().nonnegative();

const groups = z.looseObject({
  groups: z.array(
    z.looseObject({
      id: count,
      devices: z.array(z.string()),
      type: z.string().describe('as sysfs prints it: DMA, DMA-FQ, identity'),
      reserved: z.array(z.looseObject({ start: hex, end: hex, type: z.string() })),
      reasons: z.array(
        z.looseObject({
          device: z.string(),
          with: z.string().nullable(),
          rule: z.string(),
          detail: z.string(),
        }),
      ),
    }),
  ),
  ungrouped: z.array(z.looseObject({ device: z.string(), why: z.string() })),
  unknown: z.array(z.looseObject({ device: z.string(), why: z.string() })),
});

const replay = z.looseObject({
  files: count,
  passed: count,
  failed: count,
  results: z.array(
    z.looseObject({
      file: z.string(),
      ok: z.boolean(),
      ops: count,
      difference: z
        .looseObject({ op: count, expected: z.unknown(), actual: z.unknown(), note: z.string() })
        .nullable(),
    }),
  ),
});

const blocker = z.looseObject({
  rule: z.string(),
  device: z.string(),
  detail: z.string(),
  remedy: z.string(),
});

const plan = z.looseObject({
  ok: z.boolean(),
  group: z.number().int().describe('group of the first device; -1: none'),
  groups: z.array(count),
  takes: z.array(z.string()),
  lockedOut: z.array(
    z.looseObject({ device: z.string(), driver: z.string().nullable(), role: z.string().nullable() }),
  ),
  stays: z.array(z.string()),
  blockers: z.array(blocker),
  warnings: z.array(blocker),
  reach: z.array(z.looseObject({ device: z.string(), memory: z.string(), peers: z.array(z.string()) })),
  needs: z.looseObject({ lockedMemoryBytes: count }),
  commands: z.array(z.string()),
  undo: z.array(z.string()),
});

const translate = z.looseObject({
  ok: z.boolean(),
  physical: hex.nullable(),
  page: z.enum(['4K', '2M', '1G']).nullable(),
  cached: z.enum(['iotlb', 'none']),
  steps: z.array(
    z.looseObject({
      structure: z.string(),
      address: hex,
      raw: hex,
      fields: z.record(z.string(), z.unknown()),
    }),
  ),
  fault: z.looseObject({ reason: hex, meaning: z.string(), recorded: z.boolean() }).nullable(),
});

const error = z.looseObject({
  error: z.looseObject({
    code: z.string(),
    rule: z.string(),
    message: z.string(),
    remedy: z.string().optional(),
  }),
});

const fleet = z.union([
  z.looseObject({ host: z.string(), plans: z.array(plan) }),
  z.looseObject({ host: z.string(), ...error.shape }),
]);

/** By the name of the command; `error` is what any command prints when it fails, `fleet` one line of plan --fleet. */
export const outputSchemas: Readonly<Record<string, z.ZodType>> = {
  groups,
  replay,
  plan,
  translate,
  error,
  fleet,
};
