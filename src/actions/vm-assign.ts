import { z } from 'zod';
import { defineAction } from './action.ts';
import { machineName, pciOrUuid } from './arguments.ts';
import { attachCost } from './cost.ts';
import { assignableNames, machineNames, missingDeviceOrMdev, missingMachine } from './find.ts';

/** Gives a PCI function or a mediated device to a virtual machine, through VFIO. */
export const assignDevice = defineAction({
  name: 'vm.assign',
  title: 'Assign a device to a virtual machine',
  arguments: z.object({ vm: machineName, device: pciOrUuid }),
  danger: 'confirm',
  disabledReason(host, { vm, device }) {
    const missing = missingMachine(host, vm) ?? missingDeviceOrMdev(host, device);
    if (missing !== undefined || vm === undefined || device === undefined) return missing;
    const blocker = host.assignmentBlockers(vm, device).find((requirement) => !requirement.met);
    return blocker === undefined ? undefined : `${blocker.requirement} (${blocker.where})`;
  },
  consequences(host, { device }) {
    const node = host.device(device);
    if (node === undefined) return [];
    const siblings = node.group === undefined ? [] : (host.group(node.group)?.devices ?? []);
    return [
      ...(node.driver === undefined || node.driver === 'vfio-pci'
        ? []
        : [`${device} leaves its driver ${node.driver}: the host can no longer use it`]),
      ...siblings.filter((name) => name !== device).map((name) => `${name} shares its group ${node.group}`),
    ];
  },
  run(host, { vm, device }) {
    host.assign(vm, device);
    const given = host.machineState(vm)?.devices.find((candidate) => candidate.device === device);
    const pasid = given?.pasid;
    return {
      summary: `${device} is assigned to ${vm}${pasid === undefined ? '' : `, by PASID ${pasid}`}`,
      value: { vm, device, group: given?.group ?? null, pasid: pasid ?? null },
    };
  },
  cost: (host, { vm }) => attachCost(host, vm),
  linuxCommand(host, { vm, device }) {
    const mdev = host.mdevs().some((candidate) => candidate.uuid === device);
    if (mdev) {
      return [
        `virsh qemu-monitor-command ${vm} --hmp "device_add vfio-pci,sysfsdev=/sys/bus/mdev/devices/${device}"`,
      ];
    }
    return [
      `echo ${device} > /sys/bus/pci/devices/${device}/driver/unbind`,
      `echo vfio-pci > /sys/bus/pci/devices/${device}/driver_override`,
      `echo ${device} > /sys/bus/pci/drivers_probe`,
      `virsh qemu-monitor-command ${vm} --hmp "device_add vfio-pci,host=${device}"`,
    ];
  },
  candidates: (host, argument) => (argument === 'vm' ? machineNames(host) : assignableNames(host)),
});
