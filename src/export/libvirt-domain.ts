/** libvirt's domain XML for a guest with assigned devices (formatdomain). */
import { parseAddress } from './address.ts';
import type { Artefact, AssignedDevice, Assignment, VirtualIommu } from './assignment.ts';
import { lockedMemoryBytes } from './locked-memory.ts';
import { checkedName, fileName } from './names.ts';
import { has, requireFeature, type Targets } from './targets.ts';
import { type XmlNode, xmlText } from './xml.ts';

/**
 * The whole domain: `virsh define FILE`. Without disk and network, which the plan does not decide; the elements can
 * be merged into an existing domain with `virsh edit`.
 * @throws ApplicationError when the target's libvirt lacks an option.
 */
export function libvirtDomain(assignment: Assignment, targets: Targets): Artefact {
  const name = checkedName(assignment.machine);
  const kib = Math.ceil(assignment.memoryBytes / 1024);
  const functions = assignment.devices.filter((device) => device.kind === 'pci');
  if (assignment.iommufd && functions.length > 0) requireFeature(targets, 'libvirtIommufd');
  const domain: XmlNode = {
    '@type': 'kvm',
    name,
    memory: { '@unit': 'KiB', '#': kib },
    ...(assignment.devices.length === 0 ? {} : { memtune: memoryTuning(assignment) }),
    ...(assignment.hugePageBytes === undefined
      ? {}
      : {
          memoryBacking: {
            hugepages: { page: { '@size': assignment.hugePageBytes / 1024, '@unit': 'KiB' } },
          },
        }),
    vcpu: { '@placement': 'static', '#': assignment.virtualCpus },
    os: { type: { '@arch': 'x86_64', '@machine': assignment.machineType, '#': 'hvm' } },
    features: {
      acpi: '',
      apic: '',
      // The split interrupt controller is what libvirt asks for when interrupts of the guest are remapped.
      ...(assignment.virtualIommu?.interruptRemapping === true ? { ioapic: { '@driver': 'qemu' } } : {}),
    },
    devices: {
      emulator: '/usr/bin/qemu-system-x86_64',
      hostdev: assignment.devices.map((device) => hostDevice(device, assignment.iommufd, targets)),
      ...(assignment.virtualIommu === undefined
        ? {}
        : { iommu: virtualIommu(assignment.virtualIommu, targets) }),
    },
  };
  return {
    file: fileName(name, 'xml'),
    purpose: `domain XML of ${name}: virsh define`,
    text: xmlText({ domain }),
  };
}

function memoryTuning(assignment: Assignment): XmlNode {
  return { hard_limit: { '@unit': 'KiB', '#': Math.ceil(lockedMemoryBytes(assignment) / 1024) } };
}

/** One `<hostdev>`. */
export function hostDevice(device: AssignedDevice, iommufd: boolean, targets: Targets): XmlNode {
  if (device.kind === 'mdev') {
    requireFeature(targets, 'libvirtMdev');
    return {
      '@mode': 'subsystem',
      '@type': 'mdev',
      '@model': device.deviceApi,
      source: { address: { '@uuid': device.uuid } },
    };
  }
  const at = parseAddress(device.address);
  const hex = (value: number, digits: number): string => `0x${value.toString(16).padStart(digits, '0')}`;
  return {
    '@mode': 'subsystem',
    '@type': 'pci',
    '@managed': device.managed ? 'yes' : 'no',
    ...(iommufd ? { driver: { '@iommufd': 'yes' } } : {}),
    source: {
      address: {
        '@domain': hex(at.segment, 4),
        '@bus': hex(at.bus, 2),
        '@slot': hex(at.device, 2),
        '@function': hex(at.function, 1),
      },
    },
  };
}

function virtualIommu(iommu: VirtualIommu, targets: Targets): XmlNode {
  requireFeature(targets, 'libvirtIommuOptions');
  if (iommu.deviceTlb !== undefined) requireFeature(targets, 'libvirtDeviceTlb');
  if (iommu.addressWidth !== undefined) requireFeature(targets, 'libvirtAddressWidth');
  if (iommu.scalableMode !== undefined) requireFeature(targets, 'libvirtScalableMode');
  const onOff = (value: boolean): string => (value ? 'on' : 'off');
  return {
    '@model': 'intel',
    driver: {
      '@intremap': onOff(iommu.interruptRemapping),
      '@caching_mode': onOff(iommu.cachingMode),
      ...(iommu.extendedInterruptMode === undefined ? {} : { '@eim': onOff(iommu.extendedInterruptMode) }),
      ...(iommu.deviceTlb === undefined ? {} : { '@iotlb': onOff(iommu.deviceTlb) }),
      ...(iommu.addressWidth === undefined ? {} : { '@aw_bits': iommu.addressWidth }),
      ...(iommu.scalableMode === undefined ? {} : { '@scalable_mode': onOff(iommu.scalableMode) }),
    },
  };
}

/** The `<hostdev>` elements alone: `virsh attach-device NAME FILE --config`, one file a device. */
export function libvirtHostDevices(assignment: Assignment, targets: Targets): Artefact[] {
  return assignment.devices.map((device) => {
    const id = device.kind === 'pci' ? device.address : device.uuid;
    return {
      file: fileName(`hostdev-${id}`, 'xml'),
      purpose: `${id} alone: virsh attach-device ${assignment.machine} --config`,
      text: xmlText({
        hostdev: hostDevice(device, assignment.iommufd && has(targets, 'libvirtIommufd'), targets),
      }),
    };
  });
}
