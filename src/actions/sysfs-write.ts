import { z } from 'zod';
import { defineAction } from './action.ts';

/** Writes to a file of sysfs: what `echo` does on a machine. */
export const writeSysfs = defineAction({
  name: 'sysfs.write',
  title: 'Write to a file in sysfs',
  arguments: z.object({
    path: z
      .string()
      .min(1)
      .max(4096)
      .regex(/^\/(?:sys|dev)\//, 'is no path below /sys')
      .describe('file, such as /sys/bus/pci/drivers/vfio-pci/new_id'),
    data: z.string().max(4096).describe('what is written, without a newline'),
  }),
  danger: 'confirm',
  disabledReason: () => undefined,
  consequences: (_host, { path }) =>
    /\/(?:remove|unbind|reset|sriov_numvfs)$/.test(path)
      ? [`${path}: what is behind it stops working for the host`]
      : [],
  run(host, { path, data }) {
    host.writeSysfs(path, data);
    return {
      summary: `${data.length} bytes written to ${path}`,
      value: { path, data, written: data.length },
    };
  },
  linuxCommand: (_host, { path, data }) => [
    `echo ${/^[\w:.@/-]+$/.test(data) ? data : JSON.stringify(data)} > ${path}`,
  ],
});
