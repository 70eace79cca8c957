/**
 * The machine of the auxiliary-domain transcripts: QEMU's q35 with one remapping unit, and endpoints on the root bus
 * whose extended capabilities the header names. Kernel 5.15.
 */
import {
  Ats,
  BareMachine,
  capability,
  Express,
  endpointConfiguration,
  type FunctionDescription,
  type HostDescription,
  PasidCapability,
  type PlacedCapability,
  Pri,
  qemuUnit,
  SiovDvsec,
  Trace,
  writeDmar,
} from '../../../hw/index.ts';

const REGISTER_BASE = 0xfed90000n;

/** Capabilities of a test device. */
interface TestDevice {
  readonly at: string;
  readonly multifunction?: boolean;
  readonly pasidWidth?: number;
  readonly ats?: boolean;
  readonly pri?: boolean;
  readonly siov?: boolean;
}

/** Every machine has all of them; a header lists those that its scenario dumps. */
export const TEST_DEVICES: Readonly<Record<string, TestDevice>> = {
  A: { at: '0000:00:02.0', pasidWidth: 20, ats: true, pri: true, siov: true },
  B: { at: '0000:00:03.0', pasidWidth: 4, ats: true, pri: true, siov: true },
  C: { at: '0000:00:04.0' },
  N: { at: '0000:00:05.0', pasidWidth: 20, ats: true, pri: true },
  A2: { at: '0000:00:06.0', pasidWidth: 20, siov: true },
  V: { at: '0000:00:07.0', ats: true, siov: true },
  M0: { at: '0000:00:08.0', pasidWidth: 20, siov: true, multifunction: true },
  M1: { at: '0000:00:08.1', pasidWidth: 20, siov: true, multifunction: true },
};

/** Chipset functions: address, ids, class, several functions in the slot. */
const CHIPSET: readonly (readonly [string, number, number, boolean])[] = [
  ['0000:00:00.0', 0x29c0, 0x060000, false],
  ['0000:00:1f.0', 0x2918, 0x060100, true],
  ['0000:00:1f.2', 0x2922, 0x010601, true],
  ['0000:00:1f.3', 0x2930, 0x0c0500, true],
];

export interface MachineSetup {
  /** Properties of the unit, as on QEMU's command line. */
  readonly unit: string;
  readonly commandLine: string;
  /** Bits that the recording kernel saw in ECAP on top of QEMU's. */
  readonly ecapBitsAdded: bigint;
}

/** Builds and boots the machine. `trace` already listens during the boot. */
export function bootMachine(setup: MachineSetup, trace = new Trace()): BareMachine {
  const options = Object.fromEntries(
    setup.unit.split(',').map((word) => {
      const [key, value = 'on'] = word.split('=');
      return [key, value === 'on' ? true : value === 'off' ? false : Number(value)];
    }),
  );
  const unit = qemuUnit(options);
  const description: HostDescription = {
    format: 'vtdeck-host',
    version: 1,
    name: 'q35',
    origin: 'transcript',
    functions: [...CHIPSET.map(chipsetFunction), ...Object.values(TEST_DEVICES).map(testFunction)],
    dmar: hexOf(dmarTable(unit.hostAddressWidth, options['device-iotlb'] === true)),
    units: [
      {
        registerBase: `0x${REGISTER_BASE.toString(16)}`,
        cap: `0x${unit.cap.toString(16)}`,
        ecap: `0x${(unit.ecap | setup.ecapBitsAdded).toString(16)}`,
      },
    ],
    memory: [{ start: '0x0', end: '0x3fffffff' }],
    kernelCommandLine: setup.commandLine,
  };
  return new BareMachine(description, { profile: '5.15', autoprobe: false, trace });
}

function chipsetFunction([
  at,
  deviceId,
  classCode,
  multifunction,
]: (typeof CHIPSET)[number]): FunctionDescription {
  return described(at, 0x8086, deviceId, classCode, multifunction, []);
}

function testFunction(device: TestDevice): FunctionDescription {
  const list: PlacedCapability[] = [
    // The recording kernel set the end-to-end prefix bit as well.
    capability(Express, { version: 2, portType: 9, endToEndPrefixSupported: 1 }),
  ];
  if (device.ats) list.push(capability(Ats, { pageAlignedRequest: 1 }));
  if (device.pri)
    list.push(capability(Pri, { responsePasidRequired: 1, stopped: 1, maximumOutstanding: 64 }));
  if (device.pasidWidth !== undefined) {
    list.push(
      capability(PasidCapability, {
        executeSupported: 1,
        privilegedSupported: 1,
        maximumWidth: device.pasidWidth,
      }),
    );
  }
  if (device.siov) list.push(capability(SiovDvsec, { vendor: 0x8086, length: 0x18, dvsecId: 5 }));
  return described(device.at, 0x1234, 0x11e8, 0x00ff00, device.multifunction === true, list);
}

function described(
  address: string,
  vendorId: number,
  deviceId: number,
  classCode: number,
  multifunction: boolean,
  capabilities: PlacedCapability[],
): FunctionDescription {
  const bytes = endpointConfiguration({
    header: {
      vendorId,
      deviceId,
      programmingInterface: classCode & 0xff,
      subClass: (classCode >>> 8) & 0xff,
      baseClass: classCode >>> 16,
      multifunction: multifunction ? 1 : 0,
    },
    capabilities,
  });
  return { address, config: hexOf(bytes), driver: null };
}

/** One unit for everything; with device-TLBs an ATSR for all ports. */
function dmarTable(hostAddressWidth: number, deviceTlb: boolean): Uint8Array {
  return writeDmar({
    revision: 1,
    oemId: 'BOCHS',
    oemTableId: 'BXPC',
    oemRevision: 1,
    creatorId: 'BXPC',
    creatorRevision: 1,
    hostAddressWidth,
    interruptRemapping: true,
    x2apicOptOut: false,
    dmaControlOptIn: false,
    structures: [
      { kind: 'DRHD', includeAll: true, sizeShift: 0, segment: 0, registerBase: REGISTER_BASE, scopes: [] },
      ...(deviceTlb ? [{ kind: 'ATSR', allPorts: true, segment: 0, scopes: [] } as const] : []),
    ],
    warnings: [],
  });
}

function hexOf(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
