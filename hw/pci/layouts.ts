/** The configuration headers as data. PCI 3.0, 6.1 and 6.2.5; PCI-to-PCI bridge architecture 1.2, 3.2. */
import { layout } from '../layout.ts';
import { at, flag } from './capabilities/declaration.ts';

/** Byte offsets of the registers that code names one by one. */
export const HeaderOffset = {
  vendorId: 0x00,
  deviceId: 0x02,
  command: 0x04,
  status: 0x06,
  revision: 0x08,
  classCode: 0x09,
  headerType: 0x0e,
  baseAddresses: 0x10,
  primaryBus: 0x18,
  secondaryBus: 0x19,
  subordinateBus: 0x1a,
  subsystemVendorId: 0x2c,
  subsystemId: 0x2e,
  romAddress: 0x30,
  capabilityPointer: 0x34,
  bridgeRomAddress: 0x38,
  interruptLine: 0x3c,
  bridgeControl: 0x3e,
} as const;

/** Bits of the command register. */
export const CommandBit = {
  ioSpace: 0x0001,
  memorySpace: 0x0002,
  busMaster: 0x0004,
  interruptDisable: 0x0400,
} as const;

const COMMON = {
  vendorId: at(0x00, 0, 15),
  deviceId: at(0x02, 0, 15),
  ioSpace: flag(0x04, 0),
  memorySpace: flag(0x04, 1),
  busMaster: flag(0x04, 2),
  parityErrorResponse: flag(0x04, 6),
  serrEnable: flag(0x04, 8),
  interruptDisable: flag(0x04, 10),
  interruptStatus: flag(0x06, 3),
  capabilityList: flag(0x06, 4),
  revision: at(0x08, 0, 7),
  programmingInterface: at(0x09, 0, 7),
  subClass: at(0x0a, 0, 7),
  baseClass: at(0x0b, 0, 7),
  cacheLineSize: at(0x0c, 0, 7),
  latencyTimer: at(0x0d, 0, 7),
  headerLayout: at(0x0e, 0, 6, { 0: 'endpoint', 1: 'bridge', 2: 'CardBus bridge' }),
  multifunction: flag(0x0e, 7),
  capabilityPointer: at(0x34, 0, 7),
  interruptLine: at(0x3c, 0, 7),
  interruptPin: at(0x3d, 0, 7, { 0: 'none', 1: 'A', 2: 'B', 3: 'C', 4: 'D' }),
} as const;

/** Header type 0: endpoints. */
export const EndpointHeader = layout(
  'endpoint header',
  0x40 * 8,
  {
    ...COMMON,
    baseAddress0: at(0x10, 0, 31),
    baseAddress1: at(0x14, 0, 31),
    baseAddress2: at(0x18, 0, 31),
    baseAddress3: at(0x1c, 0, 31),
    baseAddress4: at(0x20, 0, 31),
    baseAddress5: at(0x24, 0, 31),
    subsystemVendorId: at(0x2c, 0, 15),
    subsystemId: at(0x2e, 0, 15),
    romAddress: at(0x30, 0, 31),
  },
  'PCI 3.0, 6.1',
);

/** Header type 1: bridges and ports. Windows: base and limit are the high bits, low ones read as zero and one. */
export const BridgeHeader = layout(
  'bridge header',
  0x40 * 8,
  {
    ...COMMON,
    baseAddress0: at(0x10, 0, 31),
    baseAddress1: at(0x14, 0, 31),
    primaryBus: at(0x18, 0, 7),
    secondaryBus: at(0x19, 0, 7),
    subordinateBus: at(0x1a, 0, 7),
    secondaryLatencyTimer: at(0x1b, 0, 7),
    ioBase: at(0x1c, 0, 7),
    ioLimit: at(0x1d, 0, 7),
    secondaryStatus: at(0x1e, 0, 15),
    memoryBase: at(0x20, 0, 15),
    memoryLimit: at(0x22, 0, 15),
    prefetchableBase: at(0x24, 0, 15),
    prefetchableLimit: at(0x26, 0, 15),
    prefetchableBaseUpper: at(0x28, 0, 31),
    prefetchableLimitUpper: at(0x2c, 0, 31),
    ioBaseUpper: at(0x30, 0, 15),
    ioLimitUpper: at(0x32, 0, 15),
    romAddress: at(0x38, 0, 31),
    bridgeParityErrorResponse: flag(0x3e, 0),
    bridgeSerrEnable: flag(0x3e, 1),
    isaEnable: flag(0x3e, 2),
    vgaEnable: flag(0x3e, 3),
    vga16: flag(0x3e, 4),
    masterAbortMode: flag(0x3e, 5),
    secondaryBusReset: flag(0x3e, 6),
  },
  'PCI-to-PCI bridge 1.2, 3.2',
);
