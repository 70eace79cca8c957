/**
 * What differs between the kernel generations, in one table. Code asks for a named behaviour, never for a version:
 * `profile.dmaOwnership === 'viability'`, not `profile.name === '5.15'`. A part that needs a further difference adds a
 * field here, with the source that shows it.
 */
export type ProfileName = '5.15' | '6.1' | '7.2';

/**
 * A defect of one generation that the emulation keeps, because what a running kernel does is the rule. The console
 * points at these by name when one of them shapes what the operator sees.
 */
export interface KernelQuirk {
  /** Stable name: "aux-stale-pasid". */
  readonly name: string;
  /** One sentence for people. */
  readonly effect: string;
  /** Where it was seen. */
  readonly source: string;
}

export interface KernelProfile {
  readonly name: ProfileName;
  /** Full version that the rules were read from. */
  readonly version: string;

  // Groups, ownership, attachment (drivers/iommu/iommu.c)
  /**
   * Who keeps kernel DMA and user domains apart. 'viability': VFIO looks at the bound drivers, nothing refuses a
   * binding (5.15). 'group': owner_cnt, one claim per group (6.1). 'device': the same, and a claim per device that the
   * same owner may repeat (7.2).
   */
  readonly dmaOwnership: 'viability' | 'group' | 'device';
  /** Auxiliary domains (IOMMU_DEV_FEAT_AUX, iommu_aux_attach_device). */
  readonly auxiliaryDomains: boolean;
  /** iommu_attach_device_pasid for any caller. */
  readonly pasidAttach: boolean;
  /** One blocking and one identity domain that belong to the driver, not to a group. */
  readonly staticDomains: boolean;
  /** use_default_domain refuses with EPROBE_DEFER while the group has no default domain yet. */
  readonly deferUntilDefaultDomain: boolean;
  /** Binding is allowed while an identity domain other than the default one is attached. */
  readonly identityStandsForIdentity: boolean;
  /** group_claim with a null owner: EINVAL; before, it was taken. */
  readonly claimNeedsOwner: boolean;
  /**
   * The type of a group changes only for a group of one device without driver (EINVAL, EBUSY); since then for any that
   * nobody uses (EPERM).
   */
  readonly singletonTypeChange: boolean;
  /**
   * A device with a direct (non-relaxable) RMRR: 'at-attach' refuses an unmanaged domain with EPERM, 'at-blocking'
   * refuses the step to the blocking domain with EINVAL.
   */
  readonly reservedMemoryRefusal: 'at-attach' | 'at-blocking';
  /** An attach of the very domain that the group is on moves its devices all the same; since 7.x nothing happens. */
  readonly attachRepeats: boolean;

  // Intel driver (drivers/iommu/intel)
  /**
   * Kind of table of a new paging domain in scalable mode. 'all-units': first level if every unit supports it.
   * 'by-type': with both at hand first level for kernel DMA, second for user domains. 'by-device': first level
   * wherever the unit of the device has it, unless the caller asks for what only second level can do.
   */
  readonly firstLevelChoice: 'all-units' | 'by-type' | 'by-device';
  /** Width a new domain starts with: 57 bits cut down at attach, or the width of the unit behind the device. */
  readonly domainWidth: 'widest-then-cut' | 'unit';
  /** Whatever fails in the unit at a normal attach (tables, domain ids) comes out as EBUSY, or as the errno it had. */
  readonly attachFailure: 'busy' | 'driver';
  /** Caching mode makes flushing strict for all domains, or for second-level ones only. */
  readonly cachingModeStrict: 'always' | 'second-level';
  /** Units that flush their caches themselves at SRTP (CAP.ESRTPS) are spared the global flushes. */
  readonly trustsSelfFlush: boolean;
  /** PASID, PRI and ATS are switched on when the device is probed; before, at the first attach. */
  readonly deviceFeaturesAt: 'attach' | 'probe';
  /** A PASID entry that goes: zeroed and then flushed, or its present bit cleared, flushed, and then zeroed. */
  readonly pasidTearDown: 'zero-first' | 'present-first';
  /** PGSNP: set for every unmanaged domain, or only once the domain enforces snooping. */
  readonly pageSnoop: 'unmanaged' | 'enforced';
  /** SRE for paging domains: wherever the unit supports it (PASID other than 0), or never. */
  readonly supervisorRequests: boolean;
  /** First-level entries carry XD everywhere. */
  readonly firstLevelExecuteDisable: boolean;
  /** Second-level leaves carry R whatever is asked: what is mapped for writing only can be read. */
  readonly leavesAlwaysReadable: boolean;
  /** Descriptors of page-selective flushes carry the address as unmapped, not aligned to their mask. */
  readonly exactFlushAddress: boolean;
  /**
   * First-level flushes cover 2^n pages from the aligned address, n from the length alone: a range that crosses such a
   * boundary is flushed in part.
   */
  readonly shortFirstLevelFlush: boolean;
  /**
   * An unmap goes in runs of one page size, each with flushes of its own; lists of devices are newest first; the flush of
   * one unit is followed by those of the device-TLBs behind all units.
   */
  readonly unmapInRuns: boolean;
  /** Freeing a domain detaches its devices first; else it is refused while attached. */
  readonly freeDetaches: boolean;
  /** A group whose members can't all be moved to a domain is put back; else those that were moved stay. */
  readonly revertsFailedSwitch: boolean;
  /** A mapping that fails syncs an empty range: the flush names the last page of the address space. */
  readonly failedMapFlush: boolean;
  /** map over something mapped: what is there is 'kept', with a warning and no error, or EADDRINUSE. */
  readonly mapOverMapping: 'kept' | 'refused';
  /** errno for a mapping beyond the domain's width. */
  readonly mapBeyondWidth: 'EFAULT' | 'ERANGE';

  // VFIO (drivers/vfio)
  /** errno for sizes and addresses that wrap in type1. */
  readonly vfioWrapErrno: 'EINVAL' | 'EOVERFLOW';
  /** pgsize_bitmap of a container without IOMMU domain: all ones, or all sizes from the CPU's page up. */
  readonly vfioInitialPageSizes: bigint;
  /**
   * UPDATE_VADDR as reworked in 6.2, and in the stable 6.1: EBUSY beside a mediated device and for a group that joins while addresses are
   * suspended (before, callers waited), and the charge moves to the process that updates.
   */
  readonly reworkedVaddrUpdate: boolean;
  /** UNMAP stops at a mapping that another process made. */
  readonly unmapStopsAtOtherProcess: boolean;
  /** type1 asks the domain to enforce cache coherency; before, it asks the bus whether all units can. */
  readonly type1EnforcesCoherency: boolean;
  /** type1 maps two pages and unmaps one in a fresh domain to learn about large pages (fgsp). */
  readonly type1TestsSuperpages: boolean;
  /** CHECK_EXTENSION(TYPE1_NESTING_IOMMU) answers 1. */
  readonly type1Nesting: boolean;
  /** A nesting domain is refused by a unit without nested translation (EINVAL at attach). */
  readonly nestingNeedsUnit: boolean;
  /** The IOMMU driver takes nesting domains at all; without, such a container gets EINVAL. */
  readonly type1NestingAttach: boolean;
  /** Capabilities in the answers of VFIO start at multiples of 8 bytes. */
  readonly alignedCapabilities: boolean;
  /** Vectors can be added to enabled MSI-X. */
  readonly dynamicMsix: boolean;
  /** errno of SET_CONTAINER for a descriptor that is neither a container nor an IOMMUFD. */
  readonly notAContainerErrno: 'EINVAL' | 'EBADFD';
  /** VFIO_DEVICE_FEATURE_LOW_POWER_*: users may let a PCI function sleep. */
  readonly vfioLowPower: boolean;
  /** No-IOMMU mode is for buses without any IOMMU; since then, for any device that is in no group. */
  readonly noIommuWholeBus: boolean;
  /** mdev isolation by the parent's auxiliary domains (mdev_set_iommu_device). */
  readonly mdevIommuDevice: boolean;
  /** available_instances: counted by the parent driver alone, or by the core as well (EUSERS). */
  readonly mdevInstanceCount: 'driver' | 'core';
  /** /dev/iommu and per-device nodes. */
  readonly iommufd: boolean;
  /** struct ioasid_set allocator in the kernel. */
  readonly ioasidAllocator: boolean;

  readonly quirks: readonly KernelQuirk[];
}

const AUX_SOURCE = 'Linux 5.15.85, drivers/iommu/intel/iommu.c, seen on a running kernel';

const QUIRKS_5_15 = [
  {
    name: 'aux-disable-leak',
    effect:
      'Disabling auxiliary mode with auxiliary domains attached only clears the flag: later detaches are ignored, so PASID entry, record and PASID stay until the mode is switched on again.',
    source: AUX_SOURCE,
  },
  {
    name: 'aux-stale-pasid',
    effect:
      "A domain keeps the number of its released default PASID and uses it again without allocating it: EBUSY, or another domain's number released.",
    source: AUX_SOURCE,
  },
  {
    name: 'aux-detach-underflow',
    effect:
      'An auxiliary detach of a pair that is not attached warns and releases the default PASID of a domain without records, even when somebody else owns the number now.',
    source: AUX_SOURCE,
  },
  {
    name: 'aux-lost-on-normal-attach',
    effect:
      "A normal attach of a DMA or identity domain in auxiliary mode replaces the device's record: mode off, PASID table new, while the domains keep their (domain, device) records; a later auxiliary attach counts a user and writes no entry.",
    source: AUX_SOURCE,
  },
  {
    name: 'aux-first-level-leftover',
    effect:
      'Auxiliary attach of a first-level domain on a unit without supervisor requests fails with EINVAL, leaves the root pointer in a not-present entry, and the PASID query answers a released number.',
    source: AUX_SOURCE,
  },
  {
    name: 'aux-free-while-attached',
    effect:
      'Freeing a domain that is still attached in auxiliary mode leaves PASID entry, record and number behind; the entry points to freed memory.',
    source: AUX_SOURCE,
  },
  {
    name: 'pasid-table-page',
    effect:
      "A PASID directory is at least one page (32,768 PASIDs), so a number beyond the device's own width fits its table.",
    source: AUX_SOURCE,
  },
  {
    name: 'pasid-device-limit-only',
    effect: "Allocation of a default PASID looks at the device's limit only, not at the width of the unit.",
    source: AUX_SOURCE,
  },
  {
    name: 'aux-unmap-plain-device-tlb',
    effect:
      'An unmap flushes the device-TLB of an auxiliary device by the descriptor without PASID, which does not reach entries cached for its PASID.',
    source: AUX_SOURCE,
  },
  {
    name: 'aux-missed-device-tlb',
    effect:
      'A domain that is in use on a unit already and is then aux-attached to a device with ATS behind it is not marked as having device-TLBs: unmaps do not flush what the device caches.',
    source: AUX_SOURCE,
  },
  {
    name: 'first-level-short-flush',
    effect:
      'A first-level unmap flushes 2^n pages from the aligned address, n from the length alone: a range across such a boundary stays cached in part.',
    source: 'Linux 5.15.85, drivers/iommu/intel/dmar.c',
  },
  {
    name: 'page-snoop-without-capability',
    effect:
      'PGSNP is set in the PASID entries of user domains whether or not the unit has snoop control; there it is a reserved bit.',
    source: AUX_SOURCE,
  },
  {
    name: 'failed-map-flushes-last-page',
    effect:
      'A mapping that fails before its first page syncs an empty range: the flush names the last page of the address space.',
    source: AUX_SOURCE,
  },
  {
    name: 'failed-attach-loses-domain',
    effect:
      'A normal attach that fails leaves the device without any domain: its default domain went first and is not put back.',
    source: AUX_SOURCE,
  },
  {
    name: 'aux-enable-ignores-dvsec',
    effect: 'The capability query demands the Intel SIOV DVSEC, enabling does not test it.',
    source: AUX_SOURCE,
  },
] as const satisfies readonly KernelQuirk[];

/** Of VFIO type1 and the mdev core, in every generation. */
const QUIRKS_VFIO = [
  {
    name: 'type1-dirty-stale-bits',
    effect:
      'GET_BITMAP shifts the bitmap of a mapping in place when it does not start on a word of the request, and clears only the bits of the mapping afterwards: those shifted out behind it stay, and show up further on in later answers.',
    source: 'drivers/vfio/vfio_iommu_type1.c, seen on a running 7.2',
  },
  {
    name: 'mdev-uuid-tail',
    effect: 'The 37th character of a write to an mdev create file is ignored, whatever it is.',
    source: 'drivers/vfio/mdev/mdev_sysfs.c, seen on a running 7.2',
  },
] as const satisfies readonly KernelQuirk[];

export type QuirkName = (typeof QUIRKS_5_15)[number]['name'] | (typeof QUIRKS_VFIO)[number]['name'];

const LINUX_5_15: KernelProfile = {
  name: '5.15',
  version: '5.15.85',
  dmaOwnership: 'viability',
  auxiliaryDomains: true,
  pasidAttach: false,
  staticDomains: false,
  deferUntilDefaultDomain: false,
  identityStandsForIdentity: false,
  claimNeedsOwner: false,
  singletonTypeChange: true,
  reservedMemoryRefusal: 'at-attach',
  attachRepeats: true,
  firstLevelChoice: 'all-units',
  domainWidth: 'widest-then-cut',
  attachFailure: 'busy',
  cachingModeStrict: 'always',
  trustsSelfFlush: false,
  deviceFeaturesAt: 'attach',
  pasidTearDown: 'zero-first',
  pageSnoop: 'unmanaged',
  supervisorRequests: true,
  firstLevelExecuteDisable: true,
  leavesAlwaysReadable: true,
  exactFlushAddress: true,
  shortFirstLevelFlush: true,
  unmapInRuns: true,
  freeDetaches: true,
  revertsFailedSwitch: false,
  failedMapFlush: true,
  mapOverMapping: 'kept',
  mapBeyondWidth: 'EFAULT',
  vfioWrapErrno: 'EINVAL',
  vfioInitialPageSizes: 0xffff_ffff_ffff_ffffn,
  reworkedVaddrUpdate: false,
  unmapStopsAtOtherProcess: true,
  type1EnforcesCoherency: false,
  type1TestsSuperpages: true,
  type1Nesting: true,
  nestingNeedsUnit: true,
  type1NestingAttach: true,
  alignedCapabilities: false,
  dynamicMsix: false,
  notAContainerErrno: 'EINVAL',
  vfioLowPower: false,
  noIommuWholeBus: true,
  mdevIommuDevice: true,
  mdevInstanceCount: 'driver',
  iommufd: false,
  ioasidAllocator: true,
  quirks: [...QUIRKS_5_15, ...QUIRKS_VFIO],
};

const LINUX_6_1: KernelProfile = {
  ...LINUX_5_15,
  name: '6.1',
  version: '6.1.192',
  dmaOwnership: 'group',
  auxiliaryDomains: false,
  staticDomains: false,
  identityStandsForIdentity: true,
  revertsFailedSwitch: true,
  freeDetaches: false,
  firstLevelChoice: 'by-type',
  attachFailure: 'driver',
  nestingNeedsUnit: false,
  cachingModeStrict: 'second-level',
  pageSnoop: 'enforced',
  vfioInitialPageSizes: 0xffff_ffff_ffff_f000n,
  unmapStopsAtOtherProcess: false,
  reworkedVaddrUpdate: true,
  type1EnforcesCoherency: true,
  type1NestingAttach: false,
  vfioLowPower: true,
  noIommuWholeBus: false,
  mdevIommuDevice: false,
  mdevInstanceCount: 'core',
  quirks: QUIRKS_VFIO,
};

const LINUX_7_2: KernelProfile = {
  ...LINUX_6_1,
  name: '7.2',
  version: '7.2.13',
  dmaOwnership: 'device',
  pasidAttach: true,
  staticDomains: true,
  deferUntilDefaultDomain: true,
  identityStandsForIdentity: false,
  claimNeedsOwner: true,
  singletonTypeChange: false,
  reservedMemoryRefusal: 'at-blocking',
  attachRepeats: false,
  firstLevelChoice: 'by-device',
  domainWidth: 'unit',
  trustsSelfFlush: true,
  deviceFeaturesAt: 'probe',
  pasidTearDown: 'present-first',
  supervisorRequests: false,
  firstLevelExecuteDisable: false,
  leavesAlwaysReadable: false,
  exactFlushAddress: false,
  shortFirstLevelFlush: false,
  unmapInRuns: false,
  failedMapFlush: false,
  mapOverMapping: 'refused',
  mapBeyondWidth: 'ERANGE',
  vfioWrapErrno: 'EOVERFLOW',
  type1TestsSuperpages: false,
  type1Nesting: false,
  notAContainerErrno: 'EBADFD',
  alignedCapabilities: true,
  dynamicMsix: true,
  iommufd: true,
  ioasidAllocator: false,
};

export const KERNEL_PROFILES: Readonly<Record<ProfileName, KernelProfile>> = {
  '5.15': LINUX_5_15,
  '6.1': LINUX_6_1,
  '7.2': LINUX_7_2,
};

/** The quirk of this name in the profile, or undefined where that generation doesn't have it. */
export function quirkOf(profile: KernelProfile, name: QuirkName): KernelQuirk | undefined {
  return profile.quirks.find((quirk) => quirk.name === name);
}
