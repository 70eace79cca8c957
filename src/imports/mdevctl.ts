/** Reads mdevctl's own JSON: `list --dumpjson` and `types --dumpjson`. */
import { z } from 'zod';
import { fileError } from '../errors.ts';
import type { AssignedMdev } from '../export/assignment.ts';

const definition = z.object({
  mdev_type: z.string(),
  start: z.string().default('manual'),
  attrs: z
    .array(
      z.record(z.string(), z.string()).refine((entry) => Object.keys(entry).length === 1, {
        message: 'each attribute is an object with exactly one name',
      }),
    )
    .default([]),
});
const listed = z.array(z.record(z.string(), z.array(z.record(z.string(), definition))));
const type = z.object({
  available_instances: z.coerce.number(),
  device_api: z.string(),
  name: z.string().optional(),
  description: z.string().optional(),
});
const types = z.array(z.record(z.string(), z.array(z.record(z.string(), type))));

/** One type of one parent. */
export interface ListedType {
  readonly parent: string;
  readonly id: string;
  readonly deviceApi: string;
  readonly availableInstances: number;
}

/** The mdevs of `mdevctl list [--defined] --dumpjson`. @throws ApplicationError (exit code 2) with the place. */
export function mdevsFromJson(text: string, file: string): AssignedMdev[] {
  return parse(listed, text, file).flatMap((entry) =>
    Object.entries(entry).flatMap(([parent, mdevs]) =>
      mdevs.flatMap((mdev) =>
        Object.entries(mdev).map(
          ([uuid, found]): AssignedMdev => ({
            kind: 'mdev',
            uuid,
            parent,
            type: found.mdev_type,
            deviceApi: 'vfio-pci',
            // Anything but "auto" counts as manual (mdevctl.rst).
            start: found.start === 'auto' ? 'auto' : 'manual',
            attributes: found.attrs.flatMap((entry_) => Object.entries(entry_)),
          }),
        ),
      ),
    ),
  );
}

/** The types of `mdevctl types --dumpjson`. @throws ApplicationError (exit code 2) with the place. */
export function typesFromJson(text: string, file: string): ListedType[] {
  return parse(types, text, file).flatMap((entry) =>
    Object.entries(entry).flatMap(([parent, list]) =>
      list.flatMap((item) =>
        Object.entries(item).map(([id, found]) => ({
          parent,
          id,
          deviceApi: found.device_api,
          availableInstances: found.available_instances,
        })),
      ),
    ),
  );
}

function parse<Shape>(schema: z.ZodType<Shape>, text: string, file: string): Shape {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (thrown) {
    throw fileError(
      `not JSON: ${(thrown as Error).message}`,
      { file },
      'give the output of mdevctl … --dumpjson',
    );
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw fileError(
    `${issue.path.join('.') || 'the top'}: ${issue.message}`,
    { file },
    'give the output of mdevctl … --dumpjson',
  );
}
