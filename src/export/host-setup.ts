/**
 * What must outlive a boot on the host: which driver a function gets, kernel parameters, lock limits. Each with the
 * commands that take it back.
 */
import type { Artefact, AssignedFunction, Assignment } from './assignment.ts';
import { lockedMemoryBytes } from './locked-memory.ts';
import { fileName } from './names.ts';
import { shellCommand, shellWrite } from './shell.ts';

/** What the exporters need to know of the host, beside the assignment. */
export interface HostFacts {
  /** Functions by address: ids as `8086:0b25`, and every function on the host that carries the same ids. */
  readonly identities: ReadonlyMap<string, { readonly ids: string; readonly sameIds: readonly string[] }>;
  /** The kernel command line that is there now, where known. */
  readonly kernelCommandLine?: string;
  /** Mediated devices isolated by PASID are in use: the units must run in scalable mode. */
  readonly scalableModeNeeded: boolean;
}

const functionsOf = (assignment: Assignment): AssignedFunction[] =>
  assignment.devices.filter((device) => device.kind === 'pci');

/** driverctl: an override that is kept and applied at each boot (a udev rule of its own). */
export function driverctlScript(assignment: Assignment): Artefact[] {
  const functions = functionsOf(assignment);
  if (functions.length === 0) return [];
  const set = functions.map((device) =>
    shellCommand('driverctl', 'set-override', device.address, 'vfio-pci'),
  );
  const unset = functions.map((device) => shellCommand('driverctl', 'unset-override', device.address));
  return [
    { file: 'driverctl.sh', purpose: 'binds the functions to vfio-pci now and at each boot', text: sh(set) },
    {
      file: 'driverctl-undo.sh',
      purpose: 'undo: the functions go back to their own drivers',
      text: sh(unset.reverse()),
    },
  ];
}

/** The same for this boot only, by sysfs alone. */
export function bindScript(assignment: Assignment): Artefact[] {
  const functions = functionsOf(assignment);
  if (functions.length === 0) return [];
  const bind = functions.flatMap((device) => bindCommands(device.address, device.driver));
  const undo = functions.flatMap((device) => unbindCommands(device.address, device.driver));
  return [
    {
      file: 'bind.sh',
      purpose: 'binds the functions to vfio-pci until the next boot',
      text: sh(['modprobe vfio-pci', ...bind]),
    },
    { file: 'bind-undo.sh', purpose: 'undo: gives the functions back to their drivers', text: sh(undo) },
  ];
}

/** The sysfs writes that take a function from its driver to vfio-pci. */
export function bindCommands(address: string, driver: string | undefined): string[] {
  const folder = `/sys/bus/pci/devices/${address}`;
  return [
    ...(driver === undefined || driver === 'vfio-pci'
      ? []
      : [shellWrite(address, `${folder}/driver/unbind`)]),
    shellWrite('vfio-pci', `${folder}/driver_override`),
    shellWrite(address, '/sys/bus/pci/drivers_probe'),
  ];
}

/** The way back. */
export function unbindCommands(address: string, driver: string | undefined): string[] {
  const folder = `/sys/bus/pci/devices/${address}`;
  return [
    shellWrite(address, '/sys/bus/pci/drivers/vfio-pci/unbind'),
    shellWrite('', `${folder}/driver_override`),
    ...(driver === undefined || driver === 'vfio-pci'
      ? []
      : [shellWrite(address, `/sys/bus/pci/drivers/${driver}/bind`)]),
  ];
}

/**
 * modprobe.d: vfio-pci takes functions by vendor and device id. Only right when the host has no other function of the
 * same ids; where it has, the file is not made and the comment of the driverctl script is the way.
 */
export function modprobeFile(assignment: Assignment, facts: HostFacts): Artefact[] {
  const functions = functionsOf(assignment);
  const chosen = new Set(functions.map((device) => device.address));
  const known = functions.flatMap((device) => {
    const identity = facts.identities.get(device.address);
    return identity === undefined ? [] : [{ ...identity, driver: device.driver }];
  });
  if (known.length !== functions.length || functions.length === 0) return [];
  if (known.some(({ sameIds }) => sameIds.some((address) => !chosen.has(address)))) return [];
  const ids = [...new Set(known.map(({ ids: id }) => id))];
  const drivers = [
    ...new Set(known.map(({ driver }) => driver).filter((name) => name !== undefined && name !== 'vfio-pci')),
  ];
  const lines = [
    `options vfio-pci ids=${ids.join(',')}`,
    ...drivers.map((driver) => `softdep ${driver} pre: vfio-pci`),
  ];
  return [
    {
      file: 'vtdeck-vfio.conf',
      purpose:
        'for /etc/modprobe.d: vfio-pci takes these ids before their own drivers (undo: remove it; renew the initramfs after either)',
      text: `${lines.join('\n')}\n`,
    },
  ];
}

/** Kernel parameters that the assignment needs and the present command line lacks. */
export function kernelParameters(assignment: Assignment, facts: HostFacts): string[] {
  const present = new Set((facts.kernelCommandLine ?? '').split(/\s+/));
  const intel = [...present]
    .filter((word) => word.startsWith('intel_iommu='))
    .flatMap((word) => word.slice(12).split(','));
  const wanted: string[] = [];
  const options = ['on', ...(facts.scalableModeNeeded ? ['sm_on'] : [])].filter(
    (option) => !intel.includes(option),
  );
  if (options.length > 0) wanted.push(`intel_iommu=${options.join(',')}`);
  if (assignment.hugePageBytes !== undefined) {
    const size = assignment.hugePageBytes === 1073741824 ? '1G' : '2M';
    wanted.push(
      `hugepagesz=${size}`,
      `hugepages=${Math.ceil(assignment.memoryBytes / assignment.hugePageBytes)}`,
    );
  }
  return wanted.filter((word) => !present.has(word));
}

/** The parameters as a file for grub's drop-in folder. */
export function kernelParametersFile(assignment: Assignment, facts: HostFacts): Artefact[] {
  const words = kernelParameters(assignment, facts);
  if (words.length === 0) return [];
  return [
    {
      file: 'vtdeck-kernel.cfg',
      purpose: 'for /etc/default/grub.d, then update-grub and a boot (undo: remove it, and the same again)',
      text: `GRUB_CMDLINE_LINUX_DEFAULT="$GRUB_CMDLINE_LINUX_DEFAULT ${words.join(' ')}"\n`,
    },
  ];
}

/** A unit drop-in that raises the lock limit of the guest's service, for hypervisors started by systemd. */
export function lockLimitDropIn(assignment: Assignment): Artefact[] {
  const bytes = lockedMemoryBytes(assignment);
  if (bytes === 0) return [];
  return [
    {
      file: fileName(`${assignment.machine}-memlock`, 'conf'),
      purpose:
        "for the guest's service: /etc/systemd/system/NAME.service.d (QEMU started by a unit; libvirt sets its own; undo: remove it)",
      text: `[Service]\nLimitMEMLOCK=${bytes}\n`,
    },
  ];
}

/** A udev rule that lets a group of users open the VFIO node of a function's group by driver, whatever its number. */
export function udevRule(assignment: Assignment): Artefact[] {
  if (assignment.devices.length === 0) return [];
  return [
    {
      file: '70-vtdeck-vfio.rules',
      purpose:
        'for /etc/udev/rules.d: members of group kvm may open VFIO groups and device nodes (undo: remove it, udevadm trigger)',
      text: [
        'SUBSYSTEM=="vfio", KERNEL!="vfio", GROUP="kvm", MODE="0660"',
        'SUBSYSTEM=="vfio-dev", GROUP="kvm", MODE="0660"',
        'KERNEL=="vfio", SUBSYSTEM=="misc", GROUP="kvm", MODE="0660"',
        '',
      ].join('\n'),
    },
  ];
}

function sh(commands: readonly string[]): string {
  return `#!/bin/sh\nset -eu\n${commands.join('\n')}\n`;
}
