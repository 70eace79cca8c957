/** A small machine for tests of the kernel half: one unit, endpoints of several kinds, everything real but few. */

import { ScopeType } from '../../../hw/acpi/dmar.ts';
import { writeDmar } from '../../../hw/acpi/dmar-writer.ts';
import { BareMachine } from '../../../hw/host/bare-machine.ts';
import type { FunctionDescription, HostDescription } from '../../../hw/host-description.ts';
import type { Device } from '../../../hw/kernel/device.ts';
import type { IntelDriver } from '../../../hw/kernel/intel/driver.ts';
import type { ProfileName } from '../../../hw/kernel/profile.ts';
import type { Frame, Page } from '../../../hw/memory/types.ts';
import { Ats } from '../../../hw/pci/capabilities/ats.ts';
import { SiovDvsec } from '../../../hw/pci/capabilities/dvsec.ts';
import { Express } from '../../../hw/pci/capabilities/express.ts';
import { PasidCapability } from '../../../hw/pci/capabilities/pasid.ts';
import { Pri } from '../../../hw/pci/capabilities/pri.ts';
import {
  bridgeConfiguration,
  capability,
  endpointConfiguration,
  type PlacedCapability,
} from '../../../hw/pci/configuration-builder.ts';
import { Trace } from '../../../hw/trace.ts';
import { serverUnit } from '../../../hw/vtd/configuration.ts';
import { dmaRead, dmaWrite } from '../../../hw/vtd/dma.ts';
import type { Capabilities } from '../../../hw/vtd/registers.ts';

export const REGISTER_BASE = 0xfed90000n;

/** Addresses by the name that tests use. */
export const AT = {
  /** PASID 20 bits, ATS, PRI, SIOV. */
  A: '0000:00:02.0',
  /** The same as A. */
  B: '0000:00:03.0',
  /** Plain PCI Express. */
  C: '0000:00:04.0',
  /** PASID of 4 bits. */
  narrow: '0000:00:05.0',
  /** Two functions without ACS: one group. */
  M0: '0000:00:08.0',
  M1: '0000:00:08.1',
  /** RMRR of a storage controller: not relaxable. */
  storage: '0000:00:1d.0',
  /** RMRR of a USB controller: relaxable. */
  usb: '0000:00:14.0',
  /** Conventional devices behind a conventional bridge: one group with it. */
  bridge: '0000:00:1e.0',
  P0: '0000:01:01.0',
  P1: '0000:01:02.0',
} as const;

export type DeviceName = keyof typeof AT;

const RMRR = { storage: [0x7e000000n, 0x7e003fffn], usb: [0x7f000000n, 0x7f00ffffn] } as const;

export interface SmallHostOptions {
  readonly profile?: ProfileName;
  /** Changes to the capabilities of a server's unit. */
  readonly unit?: Partial<Capabilities>;
  readonly commandLine?: string;
  readonly trace?: Trace;
}

export class SmallHost {
  readonly machine: BareMachine;
  readonly trace: Trace;
  /** Invalidation descriptors queued since the last `takeDescriptors`, as "type:low:high" without waits. */
  private queued: { type: number; low: bigint; high: bigint }[] = [];

  constructor(options: SmallHostOptions = {}) {
    this.trace = options.trace ?? new Trace();
    this.trace.listen(({ part, kind, data }) => {
      if (part !== 'kernel/intel' || kind !== 'descriptor') return;
      this.queued.push({ type: data?.type as number, low: data?.low as bigint, high: data?.high as bigint });
    });
    this.machine = new BareMachine(describe(options), {
      profile: options.profile ?? '7.2',
      autoprobe: false,
      trace: this.trace,
    });
  }

  get kernel() {
    return this.machine.kernel;
  }

  get core() {
    return this.kernel.iommu;
  }

  get driver(): IntelDriver {
    const { intel } = this.kernel;
    if (intel === undefined) throw new Error('no Intel driver');
    return intel;
  }

  get unit() {
    return this.driver.units[0];
  }

  device(name: DeviceName): Device {
    const device = this.kernel.pciDevice(AT[name]);
    if (device === undefined) throw new Error(`no device ${name}`);
    return device;
  }

  info(name: DeviceName) {
    const info = this.driver.infoOf(this.device(name));
    if (info === undefined) throw new Error(`${name} is not with the driver`);
    return info;
  }

  group(name: DeviceName) {
    const group = this.core.groupOf(this.device(name));
    if (group === undefined) throw new Error(`${name} has no group`);
    return group;
  }

  /** A user's domain for the device. */
  domain(name: DeviceName) {
    return this.driver.allocate(this.device(name), {});
  }

  takeDescriptors(): { type: number; low: bigint; high: bigint }[] {
    const taken = this.queued;
    this.queued = [];
    return taken;
  }

  /** Types of the descriptors queued since the last look. */
  takeTypes(): number[] {
    return this.takeDescriptors().map(({ type }) => type);
  }

  /** The hardware's own walk: the frame a page leads to, or the fault reason as a negative number. */
  walk(name: DeviceName, page: number, access = 1, pasid = -1): number {
    const result = this.hardwareUnit.translate(this.requesterId(name), page as Page, access, pasid);
    return result;
  }

  write(name: DeviceName, address: bigint, bytes: Uint8Array, pasid = -1) {
    return dmaWrite(this.hardwareUnit, this.requesterId(name), address, bytes, { pasid });
  }

  read(name: DeviceName, address: bigint, length: number, pasid = -1) {
    return dmaRead(this.hardwareUnit, this.requesterId(name), address, length, { pasid });
  }

  get hardwareUnit() {
    return this.machine.hardware.units[0].unit;
  }

  requesterId(name: DeviceName): number {
    const route = this.machine.hardware.fabric.route(this.functionOf(name));
    return route.requesterId;
  }

  private functionOf(name: DeviceName) {
    const { pci } = this.machine.hardware;
    const address = this.device(name).pci?.address;
    const found = address === undefined ? undefined : pci.find(address);
    if (found === undefined) throw new Error(`no function ${name}`);
    return found;
  }
}

export const page = (number: number): Page => number as Page;
export const frame = (number: number): Frame => number as Frame;

function describe(options: SmallHostOptions): HostDescription {
  const unit = serverUnit(options.unit, 46);
  return {
    format: 'vtdeck-host',
    version: 1,
    name: 'small',
    origin: 'test',
    functions: functions(),
    dmar: hex(dmar()),
    units: [
      {
        registerBase: `0x${REGISTER_BASE.toString(16)}`,
        cap: `0x${unit.cap.toString(16)}`,
        ecap: `0x${unit.ecap.toString(16)}`,
      },
    ],
    memory: [{ start: '0x0', end: '0x7fffffff' }],
    ...(options.commandLine === undefined ? {} : { kernelCommandLine: options.commandLine }),
  };
}

function functions(): FunctionDescription[] {
  const integrated = () => capability(Express, { version: 2, portType: 9, endToEndPrefixSupported: 1 });
  const full = (width: number): PlacedCapability[] => [
    integrated(),
    capability(Ats, { pageAlignedRequest: 1, invalidateQueueDepth: 16 }),
    capability(Pri, { responsePasidRequired: 1, stopped: 1, maximumOutstanding: 64 }),
    capability(PasidCapability, { executeSupported: 1, privilegedSupported: 1, maximumWidth: width }),
    capability(SiovDvsec, { vendor: 0x8086, length: 0x18, dvsecId: 5 }),
  ];
  return [
    endpoint('0000:00:00.0', 0x060000, []),
    endpoint(AT.A, 0x088000, full(20)),
    endpoint(AT.B, 0x088000, full(20)),
    endpoint(AT.C, 0x020000, [integrated()]),
    endpoint(AT.narrow, 0x088000, full(4)),
    endpoint(AT.M0, 0x020000, [integrated()], true),
    endpoint(AT.M1, 0x020000, [integrated()], true),
    endpoint(AT.usb, 0x0c0330, [integrated()]),
    endpoint(AT.storage, 0x010700, [integrated()]),
    {
      address: AT.bridge,
      config: hex(
        bridgeConfiguration({
          header: {
            vendorId: 0x1234,
            deviceId: 0x244e,
            baseClass: 6,
            subClass: 4,
            secondaryBus: 1,
            subordinateBus: 1,
          },
          size: 256,
        }),
      ),
      driver: null,
    },
    endpoint(AT.P0, 0x020000, [], false, 256),
    endpoint(AT.P1, 0x020000, [], false, 256),
  ];
}

function endpoint(
  address: string,
  classCode: number,
  capabilities: PlacedCapability[],
  multifunction = false,
  size: 256 | 4096 = 4096,
): FunctionDescription {
  const config = endpointConfiguration({
    header: {
      vendorId: 0x1234,
      deviceId: 0x1111,
      programmingInterface: classCode & 0xff,
      subClass: (classCode >>> 8) & 0xff,
      baseClass: classCode >>> 16,
      multifunction: multifunction ? 1 : 0,
      busMaster: 1,
    },
    capabilities,
    size,
  });
  return { address, config: hex(config), driver: null };
}

function dmar(): Uint8Array {
  const scope = (device: number) => ({
    type: ScopeType.endpoint,
    flags: 0,
    enumerationId: 0,
    startBus: 0,
    path: [{ device, function: 0 }],
  });
  const region = ([base, limit]: readonly [bigint, bigint], device: number) =>
    ({ kind: 'RMRR', segment: 0, base, limit, scopes: [scope(device)] }) as const;
  return writeDmar({
    revision: 1,
    oemId: 'TEST',
    oemTableId: 'SMALL',
    oemRevision: 1,
    creatorId: 'TEST',
    creatorRevision: 1,
    hostAddressWidth: 46,
    interruptRemapping: true,
    x2apicOptOut: false,
    dmaControlOptIn: false,
    structures: [
      { kind: 'DRHD', includeAll: true, sizeShift: 0, segment: 0, registerBase: REGISTER_BASE, scopes: [] },
      region(RMRR.storage, 0x1d),
      region(RMRR.usb, 0x14),
      { kind: 'ATSR', allPorts: true, segment: 0, scopes: [] },
    ],
    warnings: [],
  });
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
