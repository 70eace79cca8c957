/** Definitions for mdevctl, which brings mediated devices back after a boot. */
import type { Artefact, AssignedMdev, Assignment } from './assignment.ts';
import { fileName } from './names.ts';
import { shellCommand } from './shell.ts';

/** The content of a definition file: one object, every attribute value a string (mdevctl.rst). */
export function mdevctlDefinition(device: AssignedMdev): Record<string, unknown> {
  return {
    mdev_type: device.type,
    start: device.start,
    attrs: device.attributes.map(([name, value]) => ({ [name]: value })),
  };
}

/** A JSON file an mdev, and the script that defines and starts them all. */
export function mdevctlArtefacts(assignment: Assignment): Artefact[] {
  const mdevs = assignment.devices.filter((device) => device.kind === 'mdev');
  if (mdevs.length === 0) return [];
  const files = mdevs.map((device) => ({
    file: fileName(`mdev-${device.uuid}`, 'json'),
    purpose: `definition of ${device.uuid}: mdevctl define --jsonfile`,
    text: `${JSON.stringify(mdevctlDefinition(device), null, 2)}\n`,
  }));
  const commands = mdevs.flatMap((device, index) => [
    shellCommand(
      'mdevctl',
      'define',
      '--uuid',
      device.uuid,
      '--parent',
      device.parent,
      '--jsonfile',
      files[index].file,
    ),
    shellCommand('mdevctl', 'start', '--uuid', device.uuid),
  ]);
  const undo = mdevs.flatMap((device) => [
    shellCommand('mdevctl', 'stop', '--uuid', device.uuid),
    shellCommand('mdevctl', 'undefine', '--uuid', device.uuid),
  ]);
  return [
    ...files,
    script('define-mdevs.sh', 'defines and starts the mediated devices', commands),
    script('undefine-mdevs.sh', 'undo: stops and forgets the mediated devices', undo.reverse()),
  ];
}

function script(file: string, purpose: string, commands: readonly string[]): Artefact {
  return { file, purpose, text: `#!/bin/sh\nset -eu\n${commands.join('\n')}\n` };
}
