/** The kinds of artefact by name: what `vtdeck export KIND` makes. */
import { accelConfig } from './accel-config.ts';
import type { Artefact, Assignment } from './assignment.ts';
import {
  bindScript,
  driverctlScript,
  type HostFacts,
  kernelParametersFile,
  lockLimitDropIn,
  modprobeFile,
  udevRule,
} from './host-setup.ts';
import { libvirtDomain, libvirtHostDevices } from './libvirt-domain.ts';
import { libvirtNodeDevices } from './libvirt-nodedev.ts';
import { mdevctlArtefacts } from './mdevctl.ts';
import { qemuScript } from './qemu.ts';
import type { Targets } from './targets.ts';

interface Exporter {
  /** One set of files a machine. */
  perMachine?(assignment: Assignment, targets: Targets): Artefact[];
  /** Files of the host, for all machines together. */
  perHost?(all: Assignment, targets: Targets, facts: HostFacts): Artefact[];
}

export const exporters: Readonly<Record<string, Exporter>> = {
  libvirt: {
    perMachine: (assignment, targets) => [
      libvirtDomain(assignment, targets),
      ...libvirtHostDevices(assignment, targets),
      ...libvirtNodeDevices(assignment, targets),
    ],
  },
  qemu: { perMachine: (assignment, targets) => [qemuScript(assignment, targets)] },
  mdevctl: { perHost: (all) => mdevctlArtefacts(all) },
  driverctl: { perHost: (all) => driverctlScript(all) },
  sysfs: { perHost: (all) => bindScript(all) },
  host: {
    perMachine: (assignment) => lockLimitDropIn(assignment),
    perHost: (all, _targets, facts) => [
      ...modprobeFile(all, facts),
      ...kernelParametersFile(all, facts),
      ...udevRule(all),
    ],
  },
  'accel-config': { perHost: (all) => accelConfig(all) },
};

/** All files of some kinds for some machines: each name once. */
export function artefactsOf(
  kinds: readonly string[],
  assignments: readonly Assignment[],
  targets: Targets,
  factsOf: (all: Assignment) => HostFacts,
): Artefact[] {
  const [first] = assignments;
  if (first === undefined) return [];
  const all: Assignment = {
    ...first,
    memoryBytes: assignments.reduce((sum, one) => sum + one.memoryBytes, 0),
    devices: assignments.flatMap((one) => one.devices),
  };
  const facts = factsOf(all);
  return kinds.flatMap((kind) => [
    ...assignments.flatMap((one) => exporters[kind].perMachine?.(one, targets) ?? []),
    ...(exporters[kind].perHost?.(all, targets, facts) ?? []),
  ]);
}
