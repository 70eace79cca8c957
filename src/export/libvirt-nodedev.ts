/** libvirt's node device XML of mediated devices (formatnode). */
import { parsePciAddress } from '../../hw/index.ts';
import type { Artefact, AssignedMdev, Assignment } from './assignment.ts';
import { fileName } from './names.ts';
import { requireFeature, type Targets } from './targets.ts';
import { xmlText } from './xml.ts';

/** `pci_0000_6a_01_0`, or the sysfs name with everything but letters and digits as underscore. */
export function nodeDeviceName(sysfsName: string): string {
  const prefix = parsePciAddress(sysfsName) === undefined ? '' : 'pci_';
  return prefix + sysfsName.replace(/[^A-Za-z0-9]/g, '_');
}

/**
 * One document an mdev: `virsh nodedev-define FILE`, then `nodedev-start`, and `nodedev-autostart` for automatic ones.
 * @throws ApplicationError when the target's libvirt can't define mediated devices.
 */
export function libvirtNodeDevices(assignment: Assignment, targets: Targets): Artefact[] {
  return assignment.devices
    .filter((device) => device.kind === 'mdev')
    .map((device) => nodeDevice(device, targets));
}

function nodeDevice(device: AssignedMdev, targets: Targets): Artefact {
  requireFeature(targets, 'libvirtMdevDefine');
  if (device.start === 'auto') requireFeature(targets, 'libvirtMdevAutostart');
  const text = xmlText({
    device: {
      // A new device's name is libvirt's to make; it demands the element and ignores what stands in it.
      name: `mdev_${device.uuid.replaceAll('-', '_')}`,
      parent: nodeDeviceName(device.parent),
      capability: {
        '@type': 'mdev',
        type: { '@id': device.type },
        uuid: device.uuid,
        ...(device.attributes.length === 0
          ? {}
          : { attr: device.attributes.map(([name, value]) => ({ '@name': name, '@value': value })) }),
      },
    },
  });
  return {
    file: fileName(`nodedev-${device.uuid}`, 'xml'),
    purpose: `mediated device ${device.uuid} on ${device.parent}: virsh nodedev-define`,
    text,
  };
}
