/**
 * The built-in host: a server of two sockets in the manner of Sapphire Rapids. The unit of socket 0 offers first-,
 * second-level and nested translation, that of socket 1 has no first level; so a 5.15 kernel uses second-level tables
 * everywhere, while later ones choose by device.
 */
import {
  type DeviceScope,
  encodeCapabilities,
  type HostDescription,
  ScopeType,
  writeDmar,
} from '../../../hw/index.ts';
import { socket0 } from './socket0.ts';
import { socket1 } from './socket1.ts';

export const BUILT_IN_SERVER = 'server';

const UNIT_OF_SOCKET_0 = 0xfbffc000n;
const UNIT_OF_SOCKET_1 = 0xd77fc000n;

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

function scope(type: number, startBus: number, ...path: [device: number, fn: number][]): DeviceScope {
  return {
    type,
    flags: 0,
    enumerationId: 0,
    startBus,
    path: path.map(([device, fn]) => ({ device, function: fn })),
  };
}

function dmar(): Uint8Array {
  const endpoint = ScopeType.endpoint;
  const port = ScopeType.bridge;
  return writeDmar({
    revision: 1,
    oemId: 'VTDECK',
    oemTableId: 'SERVER',
    oemRevision: 1,
    creatorId: 'VTDK',
    creatorRevision: 1,
    hostAddressWidth: 46,
    interruptRemapping: true,
    x2apicOptOut: false,
    dmaControlOptIn: false,
    warnings: [],
    structures: [
      {
        kind: 'DRHD',
        includeAll: false,
        sizeShift: 0,
        segment: 0,
        registerBase: UNIT_OF_SOCKET_1,
        scopes: [
          scope(endpoint, 0x80, [0, 0]),
          scope(endpoint, 0x80, [0, 1]),
          scope(endpoint, 0x80, [0, 4]),
          scope(port, 0x80, [1, 0]),
          scope(port, 0x80, [3, 0]),
          scope(port, 0x80, [5, 0]),
          scope(endpoint, 0xe7, [0, 0]),
          scope(endpoint, 0xe7, [0, 1]),
          scope(endpoint, 0xe7, [1, 0]),
          scope(endpoint, 0xe7, [2, 0]),
        ],
      },
      {
        kind: 'DRHD',
        includeAll: true,
        sizeShift: 0,
        segment: 0,
        registerBase: UNIT_OF_SOCKET_0,
        scopes: [
          { ...scope(ScopeType.ioApic, 0x00, [0x1e, 7]), enumerationId: 8 },
          scope(ScopeType.hpet, 0x00, [0x1e, 6]),
        ],
      },
      {
        kind: 'RMRR',
        segment: 0,
        base: 0x6f000000n,
        limit: 0x6f020fffn,
        scopes: [scope(endpoint, 0x00, [0x14, 0])],
      },
      {
        kind: 'RMRR',
        segment: 0,
        base: 0x6f100000n,
        limit: 0x6f17ffffn,
        scopes: [scope(endpoint, 0x80, [1, 0], [0, 0])],
      },
      {
        kind: 'ATSR',
        allPorts: false,
        segment: 0,
        scopes: [
          scope(port, 0x15, [1, 0]),
          scope(port, 0x26, [1, 0]),
          scope(port, 0x26, [3, 0]),
          scope(port, 0x37, [1, 0]),
          scope(port, 0x80, [1, 0]),
          scope(port, 0x80, [3, 0]),
          scope(port, 0x80, [5, 0]),
        ],
      },
      { kind: 'RHSA', registerBase: UNIT_OF_SOCKET_1, proximityDomain: 1 },
      { kind: 'RHSA', registerBase: UNIT_OF_SOCKET_0, proximityDomain: 0 },
      {
        kind: 'SATC',
        atcRequired: false,
        segment: 0,
        scopes: [
          scope(endpoint, 0x6a, [1, 0]),
          scope(endpoint, 0x6a, [2, 0]),
          scope(endpoint, 0xe7, [1, 0]),
          scope(endpoint, 0xe7, [2, 0]),
        ],
      },
    ],
  });
}

/** What both units offer. */
const COMMON = {
  domainIdCode: 6,
  addressWidths: 0b00100,
  maximumGuestAddressWidth: 47,
  zeroLengthRead: 1,
  faultRecordOffset: 0x40,
  faultRecords: 7,
  secondLevelLargePages: 3,
  pageSelectiveInvalidation: 1,
  maximumAddressMask: 18,
  writeDraining: 1,
  readDraining: 1,
  postedInterrupts: 1,
  coherentPageWalk: 1,
  queuedInvalidation: 1,
  deviceTlb: 1,
  interruptRemapping: 1,
  extendedInterruptMode: 1,
  passThrough: 1,
  snoopControl: 1,
  iotlbRegisterOffset: 0x50,
  maximumHandleMask: 15,
  pageRequests: 1,
  supervisorRequests: 1,
  pasidSize: 19,
  processAddressSpaceIds: 1,
  pageRequestDrain: 1,
  scalableMode: 1,
  secondLevelTranslation: 1,
  secondLevelAccessDirty: 1,
  scalableWalkCoherency: 1,
  ridPasid: 1,
} as const;

const FIRST_LEVEL = { firstLevelTranslation: 1, nestedTranslation: 1, firstLevel1GibPages: 1 } as const;

function unit(registerBase: bigint, capabilities: Parameters<typeof encodeCapabilities>[0]) {
  const { cap, ecap } = encodeCapabilities(capabilities);
  return {
    registerBase: `0x${registerBase.toString(16)}`,
    cap: `0x${cap.toString(16)}`,
    ecap: `0x${ecap.toString(16)}`,
  };
}

/** The description of the built-in server; always the same. */
export function builtInServer(): HostDescription {
  return {
    format: 'vtdeck-host',
    version: 1,
    name: BUILT_IN_SERVER,
    origin: 'built in',
    functions: [...socket0(), ...socket1()],
    dmar: hex(dmar()),
    units: [unit(UNIT_OF_SOCKET_1, COMMON), unit(UNIT_OF_SOCKET_0, { ...COMMON, ...FIRST_LEVEL })],
    rootBuses: ['0000:00', '0000:15', '0000:26', '0000:37', '0000:6a', '0000:80', '0000:e7'],
    memory: [
      { start: '0x0', end: '0x9ffff' },
      { start: '0x100000', end: '0x7fffffff' },
      { start: '0x100000000', end: '0x107fffffff' },
    ],
    kernelCommandLine: 'intel_iommu=on,sm_on',
  };
}
