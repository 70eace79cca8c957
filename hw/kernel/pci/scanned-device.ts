/** The concrete bus and device objects that the scan makes. */
import { type PciAddress, requesterIdOf } from '../../pci/address.ts';
import { walkCapabilities } from '../../pci/capabilities/walk.ts';
import type { ConfigSpacePort } from '../../port.ts';
import { dmaAliasesOf } from './dma-alias.ts';
import type { PciBus, PciDevice, PciePortType } from './pci-device.ts';

export class ScannedBus implements PciBus {
  readonly segment: number;
  readonly number: number;
  readonly lastNumber: number;
  readonly parent: ScannedBus | undefined;
  readonly bridge: ScannedDevice | undefined;
  readonly devices: ScannedDevice[] = [];

  constructor(
    segment: number,
    number: number,
    lastNumber: number,
    parent: ScannedBus | undefined,
    bridge: ScannedDevice | undefined,
  ) {
    this.segment = segment;
    this.number = number;
    this.lastNumber = lastNumber;
    this.parent = parent;
    this.bridge = bridge;
  }
}

/** Capability bits 7:4 to the name; reserved values have none and behave like no known port. */
const PORT_TYPES: readonly (PciePortType | undefined)[] = [
  'endpoint',
  'legacy endpoint',
  undefined,
  undefined,
  'root port',
  'upstream port',
  'downstream port',
  'pcie-to-pci bridge',
  'pci-to-pcie bridge',
  'root complex integrated endpoint',
  'root complex event collector',
];

/** What a reserved port type counts as: acs_ok lets it pass like a single-function endpoint, and it forwards nothing. */
const UNKNOWN_PORT_TYPE: PciePortType = 'endpoint';

export class ScannedDevice implements PciDevice {
  readonly address: PciAddress;
  readonly devfn: number;
  readonly name: string;
  readonly bus: ScannedBus;
  readonly vendorId: number;
  readonly deviceId: number;
  readonly subsystemVendorId: number;
  readonly subsystemId: number;
  readonly revision: number;
  readonly classCode: number;
  readonly headerType: 0 | 1 | 2;
  readonly multifunction: boolean;
  readonly portType: PciePortType;
  readonly isVirtualFunction: boolean;
  readonly physicalFunction: PciDevice | undefined;
  readonly capabilityProblems: readonly string[];
  subordinate: ScannedBus | undefined;
  realDmaDevice: PciDevice = this;
  private readonly port: ConfigSpacePort;
  /** id, offset pairs of the conventional list, in order. */
  private readonly standard: readonly number[];
  private readonly extended: readonly number[];

  constructor(
    port: ConfigSpacePort,
    bus: ScannedBus,
    address: PciAddress,
    name: string,
    vendorId: number,
    deviceId: number,
    options: { multifunction: boolean; physicalFunction?: PciDevice },
  ) {
    this.port = port;
    this.bus = bus;
    this.address = address;
    this.devfn = (address.device << 3) | address.function;
    this.name = name;
    this.vendorId = vendorId;
    this.deviceId = deviceId;
    this.multifunction = options.multifunction;
    this.physicalFunction = options.physicalFunction;
    this.isVirtualFunction = options.physicalFunction !== undefined;
    const classAndRevision = this.read(0x08, 4);
    this.revision = classAndRevision & 0xff;
    this.classCode = classAndRevision >>> 8;
    const layout = this.read(0x0e, 1) & 0x7f;
    this.headerType = layout === 1 || layout === 2 ? layout : 0;
    const standard: number[] = [];
    const extended: number[] = [];
    // Bytes 0x40 on exist for every function; whether the extended space does shows in its first header.
    const walk = walkCapabilities((offset, size) => this.read(offset, size), 4096);
    for (const one of walk.found) (one.list === 'standard' ? standard : extended).push(one.id, one.offset);
    this.standard = standard;
    this.extended = extended;
    this.capabilityProblems = walk.problems;
    const subsystem = this.subsystemOffset();
    this.subsystemVendorId = subsystem === undefined ? 0 : this.read(subsystem, 2);
    this.subsystemId = subsystem === undefined ? 0 : this.read(subsystem + 2, 2);
    this.portType = this.findPortType();
  }

  get isExpress(): boolean {
    return this.portType !== 'conventional';
  }

  get isBridge(): boolean {
    return this.headerType !== 0;
  }

  get dmaAliases(): readonly number[] {
    return dmaAliasesOf(this);
  }

  get requesterId(): number {
    return requesterIdOf(this.address);
  }

  capability(id: number): number | undefined {
    return lookUp(this.standard, id);
  }

  extendedCapability(id: number): number | undefined {
    return lookUp(this.extended, id);
  }

  dvsec(vendor: number, id: number): number | undefined {
    for (let index = 0; index < this.extended.length; index += 2) {
      const offset = this.extended[index + 1];
      if (
        this.extended[index] === 0x23 &&
        this.read(offset + 4, 2) === vendor &&
        this.read(offset + 8, 2) === id
      ) {
        return offset;
      }
    }
    return undefined;
  }

  read(offset: number, size: 1 | 2 | 4): number {
    return this.port.read(this.address, offset, size);
  }

  write(offset: number, size: 1 | 2 | 4, value: number): void {
    this.port.write(this.address, offset, size, value);
  }

  /** Header type 0 has its own registers, a bridge may have a capability. */
  private subsystemOffset(): number | undefined {
    if (this.headerType === 0) return 0x2c;
    const capability = this.capability(0x0d);
    return capability === undefined ? undefined : capability + 4;
  }

  /** The type as Linux corrects it: two ports of one kind in a row can't be (set_pcie_port_type). */
  private findPortType(): PciePortType {
    const express = this.capability(0x10);
    if (express === undefined) return 'conventional';
    const type = PORT_TYPES[(this.read(express + 2, 2) >>> 4) & 0xf] ?? UNKNOWN_PORT_TYPE;
    const above = this.bus.bridge?.portType;
    if (type === 'downstream port') {
      const facesDown =
        above === 'root port' || above === 'downstream port' || above === 'pci-to-pcie bridge';
      return facesDown ? 'upstream port' : type;
    }
    if (type === 'upstream port' && above === 'upstream port') return 'downstream port';
    return type;
  }
}

function lookUp(pairs: readonly number[], id: number): number | undefined {
  for (let index = 0; index < pairs.length; index += 2) if (pairs[index] === id) return pairs[index + 1];
  return undefined;
}
