import { type Capabilities, decodeCapabilities, encodeCapabilities } from './registers.ts';

/** What a remapping unit is built as: its two capability registers, and what no register tells. */
export interface UnitConfiguration {
  readonly cap: bigint;
  readonly ecap: bigint;
  /** Bits of a physical address: those at and above it are reserved in tables and registers. */
  readonly hostAddressWidth: number;
  /** VER: major in bits 7:4. */
  readonly version: number;
  /** Bit 62 of second-level entries that are pages (TM of older revisions) is ignored rather than reserved. */
  readonly ignoresTransientMapping: boolean;
}

/** The options of QEMU's intel-iommu device, named as on its command line. */
export interface QemuUnitOptions {
  readonly 'aw-bits'?: number;
  readonly 'caching-mode'?: boolean;
  readonly 'device-iotlb'?: boolean;
  readonly 'scalable-mode'?: boolean;
  readonly fsts?: boolean;
  readonly 'pasid-bits'?: number;
  readonly svm?: boolean;
  readonly fs1gp?: boolean;
  readonly 'snoop-control'?: boolean;
  readonly 'stale-tm'?: boolean;
  readonly intremap?: boolean;
  readonly eim?: boolean;
  readonly 'dma-translation'?: boolean;
}

/** SAGAW of a unit that walks tables up to this width (bits). */
function addressWidthsUpTo(bits: number): number {
  return (bits >= 39 ? 0b0010 : 0) | (bits >= 48 ? 0b0100 : 0) | (bits >= 57 ? 0b1000 : 0);
}

/** A unit from capabilities by name; fields not named are 0. */
function unitOf(
  capabilities: Partial<Capabilities>,
  hostAddressWidth: number,
  more: Partial<UnitConfiguration>,
): UnitConfiguration {
  return {
    ...encodeCapabilities(capabilities),
    hostAddressWidth,
    version: 0x10,
    ignoresTransientMapping: false,
    ...more,
  };
}

/** The unit that QEMU 11.1's intel-iommu offers with these options. */
export function qemuUnit(options: QemuUnitOptions = {}): UnitConfiguration {
  const width = options['aw-bits'] ?? 48;
  const scalable = options['scalable-mode'] === true;
  const firstLevel = scalable && options.fsts === true;
  const secondLevel = scalable && !firstLevel;
  const pasidBits = options['pasid-bits'] ?? 0;
  const interrupts = options.intremap !== false;
  const svm = options.svm === true;
  return unitOf(
    {
      domainIdCode: 6,
      cachingMode: Number(options['caching-mode'] === true),
      addressWidths: options['dma-translation'] === false ? 0 : addressWidthsUpTo(width),
      maximumGuestAddressWidth: width - 1,
      faultRecordOffset: 0x22,
      secondLevelLargePages: 3,
      pageSelectiveInvalidation: 1,
      maximumAddressMask: 18,
      writeDraining: 1,
      readDraining: 1,
      firstLevel1GibPages: Number(firstLevel && options.fs1gp !== false),
      setRootTableInvalidates: 1,
      queuedInvalidation: 1,
      deviceTlb: Number(options['device-iotlb'] === true),
      interruptRemapping: Number(interrupts),
      extendedInterruptMode: Number(interrupts && options.eim === true),
      passThrough: 1,
      snoopControl: Number(options['snoop-control'] === true),
      iotlbRegisterOffset: 0xf,
      maximumHandleMask: interrupts ? 15 : 0,
      scalableMode: Number(scalable),
      secondLevelTranslation: Number(secondLevel),
      supervisorRequests: Number(secondLevel),
      firstLevelTranslation: Number(firstLevel),
      processAddressSpaceIds: Number(pasidBits > 0),
      pasidSize: pasidBits > 0 ? pasidBits - 1 : 0,
      pageRequests: Number(svm),
      pageRequestDrain: Number(svm),
      noWriteFlag: Number(svm),
    },
    width,
    { ignoresTransientMapping: options['stale-tm'] === true && options['device-iotlb'] === true },
  );
}

/** A unit like those of a server of today: everything on, 52-bit host, 57-bit tables, eight fault records. */
export function serverUnit(changes: Partial<Capabilities> = {}, hostAddressWidth = 52): UnitConfiguration {
  return unitOf(
    {
      domainIdCode: 6,
      addressWidths: addressWidthsUpTo(57),
      maximumGuestAddressWidth: 56,
      zeroLengthRead: 1,
      faultRecordOffset: 0x40,
      faultRecords: 7,
      secondLevelLargePages: 3,
      pageSelectiveInvalidation: 1,
      maximumAddressMask: 18,
      writeDraining: 1,
      readDraining: 1,
      firstLevel1GibPages: 1,
      firstLevel5Levels: 1,
      postedInterrupts: 1,
      setRootTableInvalidates: 0,
      coherentPageWalk: 1,
      queuedInvalidation: 1,
      deviceTlb: 1,
      interruptRemapping: 1,
      extendedInterruptMode: 1,
      passThrough: 1,
      snoopControl: 1,
      iotlbRegisterOffset: 0x50,
      maximumHandleMask: 15,
      nestedTranslation: 1,
      pageRequests: 1,
      executeRequests: 0,
      supervisorRequests: 1,
      noWriteFlag: 1,
      extendedAccessedFlag: 1,
      pasidSize: 19,
      processAddressSpaceIds: 1,
      deviceTlbThrottle: 1,
      pageRequestDrain: 1,
      scalableMode: 1,
      secondLevelAccessDirty: 1,
      secondLevelTranslation: 1,
      firstLevelTranslation: 1,
      scalableWalkCoherency: 1,
      ridPasid: 1,
      ...changes,
    },
    hostAddressWidth,
    { version: 0x60 },
  );
}

/** A unit with the registers that a real machine reported. */
export function unitWithRegisters(
  cap: bigint,
  ecap: bigint,
  hostAddressWidth: number,
  more: Partial<UnitConfiguration> = {},
): UnitConfiguration {
  return {
    cap,
    ecap,
    hostAddressWidth,
    version: 0x10,
    ignoresTransientMapping: false,
    ...more,
  };
}

/** CAP and ECAP of a configuration taken apart. */
export function capabilitiesOf(configuration: UnitConfiguration): Capabilities {
  return decodeCapabilities(configuration.cap, configuration.ecap);
}
