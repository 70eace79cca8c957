/** Reads back what libvirt writes: which devices a domain has today, and what a node device says of itself. */
import { formatPciAddress } from '../../hw/index.ts';
import { fileError } from '../errors.ts';
import type { AssignedDevice, Assignment } from '../export/assignment.ts';
import { attribute, child, children, parseXml, textOf, type XmlNode } from '../export/xml.ts';

const UNITS: Readonly<Record<string, number>> = {
  b: 1,
  bytes: 1,
  KB: 1e3,
  k: 1024,
  KiB: 1024,
  MB: 1e6,
  M: 2 ** 20,
  MiB: 2 ** 20,
  GB: 1e9,
  G: 2 ** 30,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
};

/** A domain's assigned devices, memory and virtual IOMMU. @throws ApplicationError (exit code 2) with file and line. */
export function assignmentFromDomainXml(text: string, file: string): Assignment {
  const domain = child(parseXml(text, file), 'domain');
  if (domain === undefined)
    throw fileError('there is no <domain> at the top', { file }, 'give the output of virsh dumpxml');
  const memory = child(domain, 'memory');
  const amount = Number(textOf(memory));
  const unit = UNITS[attribute(memory, 'unit') ?? 'KiB'];
  if (!Number.isFinite(amount) || unit === undefined) {
    throw fileError('<memory> holds no size', { file }, "libvirt writes <memory unit='KiB'>4194304</memory>");
  }
  const devices = child(domain, 'devices');
  const iommu = children(devices, 'iommu').find((node) => attribute(node, 'model') === 'intel');
  const machineType = attribute(child(child(domain, 'os'), 'type'), 'machine') ?? 'q35';
  return {
    machine: textOf(child(domain, 'name')) ?? 'unnamed',
    memoryBytes: amount * unit,
    virtualCpus: Number(textOf(child(domain, 'vcpu')) ?? 1),
    machineType: machineType.includes('q35') ? 'q35' : 'pc',
    iommufd: children(devices, 'hostdev').some(
      (node) => attribute(child(node, 'driver'), 'iommufd') === 'yes',
    ),
    devices: children(devices, 'hostdev').flatMap((node) => hostDevice(node, file)),
    ...(iommu === undefined ? {} : { virtualIommu: virtualIommu(iommu) }),
  };
}

function hostDevice(node: XmlNode, file: string): AssignedDevice[] {
  const address = child(child(node, 'source'), 'address');
  switch (attribute(node, 'type')) {
    case 'pci':
      return [
        { kind: 'pci', address: pciAddress(address, file), managed: attribute(node, 'managed') === 'yes' },
      ];
    case 'mdev': {
      const uuid = attribute(address, 'uuid');
      if (uuid === undefined)
        throw fileError(
          'an mdev <hostdev> names no uuid',
          { file },
          'libvirt writes <address uuid=…/> in its <source>',
        );
      // The domain names the device only; parent and type stand in its node device.
      return [
        {
          kind: 'mdev',
          uuid,
          parent: '',
          type: '',
          deviceApi: attribute(node, 'model') ?? 'vfio-pci',
          start: 'manual',
          attributes: [],
        },
      ];
    }
    default:
      return [];
  }
}

function pciAddress(node: XmlNode | undefined, file: string): string {
  const [segment, bus, device, fn] = ['domain', 'bus', 'slot', 'function'].map((name) =>
    Number(attribute(node, name) ?? (name === 'domain' ? 0 : Number.NaN)),
  );
  if (![segment, bus, device, fn].every(Number.isInteger) || bus > 255 || device > 31 || fn > 7) {
    throw fileError(
      'a PCI <hostdev> names no address',
      { file },
      "libvirt writes <address domain='0x0000' bus='0x6a' slot='0x01' function='0x0'/>",
    );
  }
  return formatPciAddress({ segment, bus, device, function: fn });
}

function virtualIommu(node: XmlNode): NonNullable<Assignment['virtualIommu']> {
  const driver = child(node, 'driver');
  const on = (name: string): boolean => attribute(driver, name) === 'on';
  const width = Number(attribute(driver, 'aw_bits'));
  return {
    interruptRemapping: on('intremap'),
    cachingMode: on('caching_mode'),
    ...(attribute(driver, 'iotlb') === undefined ? {} : { deviceTlb: on('iotlb') }),
    ...(attribute(driver, 'eim') === undefined ? {} : { extendedInterruptMode: on('eim') }),
    ...(width === 39 || width === 48 || width === 57 ? { addressWidth: width } : {}),
    ...(attribute(driver, 'scalable_mode') === undefined ? {} : { scalableMode: on('scalable_mode') }),
  };
}

/** What `virsh nodedev-dumpxml` says of a PCI function or an mdev. */
export interface NodeDevice {
  readonly name: string;
  readonly driver: string | undefined;
  readonly parent: string | undefined;
  /** PCI functions: address, group and the members of the group. */
  readonly address: string | undefined;
  readonly group: number | undefined;
  readonly groupMembers: readonly string[];
  readonly numaNode: number | undefined;
  readonly mdevTypes: readonly {
    readonly id: string;
    readonly deviceApi: string;
    readonly availableInstances: number;
  }[];
  /** Mdevs: uuid and type. */
  readonly uuid: string | undefined;
  readonly type: string | undefined;
}

/** @throws ApplicationError (exit code 2) with file and line. */
export function nodeDeviceFromXml(text: string, file: string): NodeDevice {
  const device = child(parseXml(text, file), 'device');
  if (device === undefined)
    throw fileError('there is no <device> at the top', { file }, 'give the output of virsh nodedev-dumpxml');
  const capability = child(device, 'capability');
  const group = child(capability, 'iommuGroup');
  const kind = attribute(capability, 'type');
  const number = (node: XmlNode | undefined, name: string): number | undefined => {
    const value = attribute(node, name);
    return value === undefined ? undefined : Number(value);
  };
  return {
    name: textOf(child(device, 'name')) ?? '',
    driver: textOf(child(child(device, 'driver'), 'name')),
    parent: textOf(child(device, 'parent')),
    address:
      kind === 'pci'
        ? formatPciAddress({
            segment: part(capability, 'domain'),
            bus: part(capability, 'bus'),
            device: part(capability, 'slot'),
            function: part(capability, 'function'),
          })
        : undefined,
    group: number(group, 'number'),
    groupMembers: children(group, 'address').map((node) => pciAddress(node, file)),
    numaNode: number(child(capability, 'numa'), 'node'),
    mdevTypes: children(capability, 'capability')
      .filter((node) => attribute(node, 'type') === 'mdev_types')
      .flatMap((node) => children(node, 'type'))
      .map((node) => ({
        id: attribute(node, 'id') ?? '',
        deviceApi: textOf(child(node, 'deviceAPI')) ?? '',
        availableInstances: Number(textOf(child(node, 'availableInstances')) ?? 0),
      })),
    uuid: kind === 'mdev' ? textOf(child(capability, 'uuid')) : undefined,
    type: kind === 'mdev' ? attribute(child(capability, 'type'), 'id') : undefined,
  };
}

function part(capability: XmlNode | undefined, name: string): number {
  return Number(textOf(child(capability, name)) ?? 0);
}
