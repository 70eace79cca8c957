/** A QEMU command line for a guest with assigned devices. */
import type { Artefact, Assignment, VirtualIommu } from './assignment.ts';
import { checkedName, fileName } from './names.ts';
import { shellWord } from './shell.ts';
import { has, requireFeature, type Targets } from './targets.ts';

/** How a function is named to QEMU: by address, or by its folder in sysfs (the only way for an mdev). */
export type FunctionForm = 'host' | 'sysfsdev';

/** A value inside a comma-separated option: a comma is doubled. */
function optionValue(text: string): string {
  return text.replaceAll(',', ',,');
}

/**
 * The words of the command line, unquoted. Without disk and network, which an assignment does not decide.
 * @throws ApplicationError when the target's QEMU or kernel lacks an option.
 */
export function qemuWords(assignment: Assignment, targets: Targets, form: FunctionForm = 'host'): string[] {
  const name = checkedName(assignment.machine);
  const mebibytes = Math.ceil(assignment.memoryBytes / 1048576);
  const iommu = assignment.virtualIommu;
  const words = ['qemu-system-x86_64', '-name', `guest=${optionValue(name)}`];
  // Interrupt remapping for the guest needs the I/O APIC outside the kernel.
  words.push(
    '-machine',
    `${assignment.machineType},accel=kvm${iommu?.interruptRemapping === true ? ',kernel-irqchip=split' : ''}`,
  );
  words.push('-m', `${mebibytes}M`, '-smp', String(assignment.virtualCpus));
  if (assignment.hugePageBytes !== undefined) {
    words.push(
      '-object',
      `memory-backend-file,id=ram0,size=${mebibytes}M,mem-path=${hugePagePath(assignment.hugePageBytes)},prealloc=on`,
    );
    words.push('-numa', 'node,memdev=ram0');
  }
  if (iommu !== undefined) words.push('-device', intelIommu(iommu, targets));
  if (assignment.iommufd) {
    requireFeature(targets, 'qemuIommufd');
    requireFeature(targets, 'linuxVfioDeviceNodes');
    words.push('-object', 'iommufd,id=iommufd0');
  }
  for (const device of assignment.devices) {
    const source =
      device.kind === 'mdev'
        ? `sysfsdev=/sys/bus/mdev/devices/${device.uuid}`
        : form === 'sysfsdev'
          ? `sysfsdev=/sys/bus/pci/devices/${device.address}`
          : `host=${device.address}`;
    words.push('-device', `vfio-pci,${source}${assignment.iommufd ? ',iommufd=iommufd0' : ''}`);
  }
  return words;
}

function hugePagePath(bytes: number): string {
  return bytes === 1073741824 ? '/dev/hugepages1G' : '/dev/hugepages';
}

function intelIommu(iommu: VirtualIommu, targets: Targets): string {
  if (iommu.addressWidth === 57) requireFeature(targets, 'qemuWide');
  const onOff = (value: boolean): string => (value ? 'on' : 'off');
  const options = [
    'intel-iommu',
    `intremap=${onOff(iommu.interruptRemapping)}`,
    `caching-mode=${onOff(iommu.cachingMode)}`,
  ];
  if (iommu.extendedInterruptMode !== undefined) options.push(`eim=${onOff(iommu.extendedInterruptMode)}`);
  if (iommu.deviceTlb !== undefined) options.push(`device-iotlb=${onOff(iommu.deviceTlb)}`);
  if (iommu.addressWidth !== undefined) options.push(`aw-bits=${iommu.addressWidth}`);
  if (iommu.scalableMode !== undefined) {
    options.push(`${has(targets, 'qemuScalableName') ? '' : 'x-'}scalable-mode=${onOff(iommu.scalableMode)}`);
  }
  return options.join(',');
}

/** The command line as a shell script, a word pair a line. */
export function qemuScript(assignment: Assignment, targets: Targets, form: FunctionForm = 'host'): Artefact {
  const words = qemuWords(assignment, targets, form).map(shellWord);
  const lines = [words[0]];
  for (let at = 1; at < words.length; at += 1) {
    if (words[at].startsWith('-')) lines.push(`  ${words[at]}`);
    else lines[lines.length - 1] += ` ${words[at]}`;
  }
  return {
    file: fileName(assignment.machine, 'sh'),
    purpose: `QEMU command line of ${assignment.machine} (devices and memory; add disk and network)`,
    text: `#!/bin/sh\nexec ${lines.join(' \\\n')} "$@"\n`,
  };
}
