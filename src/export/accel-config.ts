/**
 * The work queues of a DSA-like accelerator as accel-config's JSON (accel-config load-config -c FILE). The mdev type
 * "1dwq-v1" that hands a queue to a guest was proposed in 2020 and 2021 and never merged: the file is marked so.
 */
import type { Artefact, Assignment } from './assignment.ts';

/** A device of accel-config: `dsa0` with one group, one engine and a dedicated queue for each mdev. */
export function accelConfig(assignment: Assignment): Artefact[] {
  const parents = new Map<string, string[]>();
  for (const device of assignment.devices) {
    if (device.kind !== 'mdev' || !/^(idxd|dsa)-/.test(device.type)) continue;
    parents.set(device.parent, [...(parents.get(device.parent) ?? []), device.uuid]);
  }
  if (parents.size === 0) return [];
  const devices = [...parents].map(([, uuids], index) => ({
    dev: `dsa${index}`,
    groups: uuids.map((uuid, queue) => ({
      dev: `group${index}.${queue}`,
      grouped_workqueues: [
        {
          dev: `wq${index}.${queue}`,
          mode: 'dedicated',
          size: 16,
          group_id: queue,
          priority: 10,
          block_on_fault: 0,
          type: 'mdev',
          name: uuid,
        },
      ],
      grouped_engines: [{ dev: `engine${index}.${queue}`, group_id: queue }],
    })),
  }));
  return [
    {
      file: 'accel-config.json',
      purpose:
        'HISTORICAL: queues of type "mdev" existed only in the driver proposed in 2020-21; no released kernel takes them',
      text: `${JSON.stringify(devices, null, 2)}\n`,
    },
  ];
}
