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

type Exporter = (assignment: Assignment, targets: Targets, facts: HostFacts) => Artefact[];

export const exporters: Readonly<Record<string, Exporter>> = {
  libvirt: (assignment, targets) => [
    libvirtDomain(assignment, targets),
    ...libvirtHostDevices(assignment, targets),
    ...libvirtNodeDevices(assignment, targets),
  ],
  qemu: (assignment, targets) => [qemuScript(assignment, targets)],
  mdevctl: (assignment) => mdevctlArtefacts(assignment),
  driverctl: (assignment) => driverctlScript(assignment),
  sysfs: (assignment) => bindScript(assignment),
  host: (assignment, _targets, facts) => [
    ...modprobeFile(assignment, facts),
    ...kernelParametersFile(assignment, facts),
    ...lockLimitDropIn(assignment),
    ...udevRule(assignment),
  ],
  'accel-config': (assignment) => accelConfig(assignment),
};
