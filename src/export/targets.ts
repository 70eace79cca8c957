/**
 * Which version of which tool first knew what. An exporter asks before it writes; what the target lacks is refused
 * with the version that has it, never left out silently.
 */
import { ApplicationError, ExitCode, usageError } from '../errors.ts';

export type ToolName = 'libvirt' | 'qemu' | 'linux' | 'mdevctl';

/** `9.0.0` as numbers. */
export type Version = readonly number[];

export type Targets = Readonly<Record<ToolName, Version>>;

/** What Debian 12 ships, but for the kernel: the console's newest profile. */
export const DEFAULT_TARGETS: Targets = {
  libvirt: [9, 0, 0],
  qemu: [7, 2, 0],
  linux: [6, 1, 0],
  mdevctl: [1, 2, 0],
};

interface Feature {
  readonly tool: ToolName;
  readonly since: Version;
  readonly what: string;
}

/** Sources: libvirt formatdomain ("Since …"), QEMU's change logs, kernel releases, mdevctl's NEWS. */
export const FEATURES = {
  libvirtMdev: { tool: 'libvirt', since: [3, 2, 0], what: 'mediated devices in <hostdev>' },
  libvirtIommuOptions: { tool: 'libvirt', since: [3, 4, 0], what: "options of <iommu model='intel'>" },
  libvirtDeviceTlb: {
    tool: 'libvirt',
    since: [3, 5, 0],
    what: "the iotlb attribute of <iommu model='intel'>",
  },
  libvirtAddressWidth: { tool: 'libvirt', since: [6, 5, 0], what: 'the aw_bits attribute of <iommu>' },
  libvirtMdevDefine: {
    tool: 'libvirt',
    since: [7, 3, 0],
    what: 'persistent mediated devices (virsh nodedev-define)',
  },
  libvirtMdevAutostart: { tool: 'libvirt', since: [7, 8, 0], what: 'autostart of node devices' },
  libvirtIommufd: {
    tool: 'libvirt',
    since: [12, 1, 0],
    what: "iommufd in the <driver> of <hostdev type='pci'>",
  },
  libvirtScalableMode: { tool: 'libvirt', since: [12, 8, 0], what: 'the scalable_mode attribute of <iommu>' },
  qemuIommufd: { tool: 'qemu', since: [9, 0, 0], what: 'the iommufd object' },
  qemuWide: { tool: 'qemu', since: [12, 0, 0], what: 'an intel-iommu of 57 bits' },
  qemuScalableName: { tool: 'qemu', since: [11, 0, 0], what: 'scalable-mode without the x- prefix' },
  linuxIommufd: { tool: 'linux', since: [6, 2, 0], what: 'iommufd' },
  linuxVfioDeviceNodes: { tool: 'linux', since: [6, 6, 0], what: 'VFIO device nodes (/dev/vfio/devices)' },
} as const satisfies Readonly<Record<string, Feature>>;

export type FeatureName = keyof typeof FEATURES;

/** Parses `9`, `9.0`, `v9.0.0`, `6.1.0-18-amd64`. @throws ApplicationError (usage) for anything else. */
export function parseVersion(text: string): Version {
  const match = /^v?(\d{1,4})(?:\.(\d{1,4}))?(?:\.(\d{1,4}))?(?:[-+.~].*)?$/.exec(text);
  if (match === null) throw usageError(`"${text}" is no version`, 'write it as 9.0.0');
  return [Number(match[1]), Number(match[2] ?? 0), Number(match[3] ?? 0)];
}

export function formatVersion(version: Version): string {
  return version.join('.');
}

export function atLeast(version: Version, wanted: Version): boolean {
  for (let index = 0; index < wanted.length; index += 1) {
    const difference = (version[index] ?? 0) - wanted[index];
    if (difference !== 0) return difference > 0;
  }
  return true;
}

/** Whether the target has the feature. */
export function has(targets: Targets, name: FeatureName): boolean {
  const feature = FEATURES[name];
  return atLeast(targets[feature.tool], feature.since);
}

/** @throws ApplicationError (exit code 2) that names what is lacking, the target's version and the first that has it. */
export function requireFeature(targets: Targets, name: FeatureName): void {
  if (has(targets, name)) return;
  const { tool, what, since } = FEATURES[name];
  throw new ApplicationError('UNSUPPORTED', `${tool} ${formatVersion(targets[tool])} does not know ${what}`, {
    rule: 'target version',
    remedy: `${tool} ${formatVersion(since)} is the first that has it: give --${tool} ${formatVersion(since)} or leave the option out`,
    exitCode: ExitCode.usage,
  });
}
