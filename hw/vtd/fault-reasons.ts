/**
 * Fault reasons: what the unit puts into the reason field of a fault record. VT-d 7.1.3, tables of fault conditions.
 * A qualified fault is not recorded when fault processing is disabled on the way (FPD); an unqualified one always is.
 */

export interface FaultReason {
  readonly code: number;
  /** The name in the specification's tables: "SPT.2". */
  readonly class: string;
  readonly qualified: boolean;
  readonly meaning: string;
  /** What an operator or driver writer looks at first. */
  readonly remedy: string;
}

const ROOT = 'The driver has to write the root table and set it with GCMD.SRTP.';
const CONTEXT = 'No domain is attached to the device, or its context entry is damaged: attach it again.';
const MAP = 'The owner of the device has not mapped this address for this direction.';
const TABLES = 'A table pointer leads outside memory: the tables were damaged after they were written.';
const PASID_ATTACH = 'Attach a domain to this PASID of the device before the device uses it.';
const CAPABILITY = 'The entry uses a field that this unit does not offer: compare with CAP and ECAP.';
const RESERVED = 'A bit that must be zero is set, or a field of a feature this unit lacks.';
const INTERRUPT_WINDOW = 'No mapping may lead into 0xfee00000-0xfeefffff: choose another physical target.';
const IRTE = 'The interrupt was freed or never set up: the device still holds an old message address.';
const POSTED = 'The posted-interrupt descriptor of the virtual CPU is not where the entry says.';
const ATS = 'Enable the device-TLB for the function in its context entry, or switch ATS off in the device.';

const table: readonly (readonly [number, string, 'Q' | 'U', string, string])[] = [
  [0x01, 'LRT.2', 'U', 'root entry not present', ROOT],
  [0x02, 'LCT.2', 'Q', 'context entry not present', CONTEXT],
  [
    0x03,
    'LCT.4',
    'Q',
    'context entry programmed with an address width, type or table pointer that is not valid',
    CAPABILITY,
  ],
  [0x04, 'LGN.1', 'Q', 'address beyond the width of the domain or of the host', MAP],
  [0x05, 'LGN.2', 'Q', 'write without write permission', MAP],
  [0x06, 'LGN.3', 'Q', 'read without read permission', MAP],
  [0x07, 'LSL.1', 'Q', 'second-level table not readable', TABLES],
  [0x08, 'LRT.1', 'U', 'root table not readable', ROOT],
  [0x09, 'LCT.1', 'U', 'context table not readable', TABLES],
  [0x0a, 'LRT.3', 'U', 'reserved field set in a root entry', RESERVED],
  [0x0b, 'LCT.3', 'Q', 'reserved field set in a context entry', RESERVED],
  [0x0c, 'LSL.2', 'Q', 'reserved field set in a second-level entry', RESERVED],
  [0x0d, 'LCT.5', 'Q', 'translation or translated request blocked by the translation type', ATS],
  [0x0e, 'LGN.4', 'Q', 'output address in the interrupt range', INTERRUPT_WINDOW],
  [0x20, 'INTR.1', 'U', 'reserved field set in an interrupt request', RESERVED],
  [0x21, 'INTR.2', 'U', 'interrupt index beyond the table', IRTE],
  [0x22, 'INTR.3', 'Q', 'interrupt table entry not present', IRTE],
  [0x23, 'INTR.4', 'U', 'interrupt table not readable', TABLES],
  [0x24, 'INTR.5', 'Q', 'reserved field set in an interrupt table entry', RESERVED],
  [
    0x25,
    'INTR.6',
    'U',
    'compatibility-format interrupt blocked',
    'The device sends an interrupt that was not remapped: its message must be programmed again.',
  ],
  [
    0x26,
    'INTR.7',
    'Q',
    'source id of an interrupt not verified',
    'Another function than the one the entry was made for sent this interrupt.',
  ],
  [0x27, 'INTR.8', 'Q', 'posted-interrupt descriptor not readable', POSTED],
  [0x28, 'INTR.9', 'Q', 'reserved field set in a posted-interrupt descriptor', POSTED],
  [
    0x30,
    'RTA.1',
    'U',
    'translation table mode not supported',
    'RTADDR.TTM was latched with a mode this unit lacks.',
  ],
  [
    0x31,
    'RTA.2',
    'U',
    'request with PASID in legacy mode',
    'Switch the unit to scalable mode or PASID off in the device.',
  ],
  [0x32, 'RTA.3', 'U', 'page request in legacy mode', 'Switch page requests off in the device.'],
  [0x38, 'SRT.1', 'U', 'scalable-mode root table not readable', ROOT],
  [0x39, 'SRT.2', 'U', 'scalable-mode root entry not present', ROOT],
  [0x3a, 'SRT.3', 'U', 'reserved field set in a scalable-mode root entry', RESERVED],
  [0x40, 'SCT.1', 'U', 'scalable-mode context table not readable', TABLES],
  [0x41, 'SCT.2', 'Q', 'scalable-mode context entry not present', CONTEXT],
  [0x42, 'SCT.3', 'Q', 'reserved field set in a scalable-mode context entry', RESERVED],
  [0x43, 'SCT.4', 'Q', 'scalable-mode context entry programmed with values that are not valid', CAPABILITY],
  [0x44, 'SCT.5', 'Q', 'translation request while the device-TLB is not enabled', ATS],
  [
    0x45,
    'SCT.6',
    'Q',
    'request with PASID while PASIDs are not enabled',
    'Enable PASIDs for the function in its context entry.',
  ],
  [0x46, 'SCT.7', 'Q', 'PASID beyond the size of the PASID directory', PASID_ATTACH],
  [
    0x47,
    'SCT.8',
    'Q',
    'page request while page requests are not enabled',
    'Enable page requests for the function in its context entry.',
  ],
  [
    0x48,
    'SCT.9',
    'Q',
    'PASID of requests without PASID is beyond the directory',
    'RID_PASID of the context entry is wrong.',
  ],
  [0x50, 'SPD.1', 'U', 'PASID directory not readable', TABLES],
  [0x51, 'SPD.2', 'Q', 'PASID directory entry not present', PASID_ATTACH],
  [0x52, 'SPD.3', 'Q', 'reserved field set in a PASID directory entry', RESERVED],
  [0x58, 'SPT.1', 'U', 'PASID table not readable', TABLES],
  [0x59, 'SPT.2', 'Q', 'PASID-table entry not present', PASID_ATTACH],
  [0x5a, 'SPT.3', 'Q', 'reserved field set in a PASID-table entry', RESERVED],
  [
    0x5b,
    'SPT.4',
    'Q',
    'PASID-table entry programmed with a type, width or mode that is not valid',
    CAPABILITY,
  ],
  [
    0x5c,
    'SPT.5',
    'Q',
    'execute request while execute requests are not enabled',
    'The device must not ask for execute rights here.',
  ],
  [
    0x5d,
    'SPT.6',
    'Q',
    'supervisor request while supervisor requests are not enabled',
    'The device must not ask for privileged access here.',
  ],
  [0x70, 'SFL.1', 'Q', 'first-level table not readable', TABLES],
  [0x71, 'SFL.2', 'Q', 'first-level entry not present', MAP],
  [0x72, 'SFL.3', 'Q', 'reserved field set in a first-level entry', RESERVED],
  [0x73, 'SFL.4', 'Q', 'first-level table pointer not readable', TABLES],
  [0x74, 'SFL.5', 'Q', 'nested: first-level address beyond the second-level width', MAP],
  [0x75, 'SFL.6', 'Q', 'nested: second level gives no read access to the first-level root table', MAP],
  [0x76, 'SFL.7', 'Q', 'nested: second level gives no read access to a first-level table', MAP],
  [
    0x77,
    'SFL.8',
    'Q',
    'nested: second level gives no write access for an accessed or dirty bit of the first level',
    MAP,
  ],
  [0x78, 'SSL.1', 'Q', 'second-level table not readable', TABLES],
  [0x79, 'SSL.2', 'Q', 'second-level entry not present', MAP],
  [0x7a, 'SSL.3', 'Q', 'reserved field set in a second-level entry', RESERVED],
  [0x7b, 'SSL.4', 'Q', 'second-level table pointer not readable', TABLES],
  [
    0x7c,
    'SSL.5',
    'Q',
    'accessed or dirty bit of the second level needs an update without page-walk snoop',
    CAPABILITY,
  ],
  [0x7d, 'SSL.6', 'Q', 'update of an accessed or dirty bit of the second level failed', TABLES],
  [0x80, 'SGN.1', 'Q', 'address of a first-level request not canonical', MAP],
  [0x81, 'SGN.2', 'Q', 'user request to a supervisor page', MAP],
  [0x82, 'SGN.3', 'Q', 'execute request without execute permission', MAP],
  [0x83, 'SGN.4', 'Q', 'address beyond the host address width', MAP],
  [0x84, 'SGN.5', 'Q', 'address beyond the width of the second level', MAP],
  [0x85, 'SGN.6', 'Q', 'write without write permission', MAP],
  [0x86, 'SGN.7', 'Q', 'read without read permission', MAP],
  [0x87, 'SGN.8', 'Q', 'output address in the interrupt range', INTERRUPT_WINDOW],
  [
    0x90,
    'SFL.9',
    'Q',
    'accessed or dirty bit of the first level needs an update without page-walk snoop',
    CAPABILITY,
  ],
  [0x91, 'SFL.10', 'Q', 'update of an accessed or dirty bit of the first level failed', TABLES],
];

/** All reasons by code. */
export const faultReasons: ReadonlyMap<number, FaultReason> = new Map(
  table.map(([code, name, kind, meaning, remedy]) => [
    code,
    { code, class: name, qualified: kind === 'Q', meaning, remedy },
  ]),
);

/** One bit for each code: the qualified ones, for the hot path. */
const qualified = new Uint8Array(256);
for (const reason of faultReasons.values()) qualified[reason.code] = reason.qualified ? 1 : 0;

/** True when fault-processing-disable on the way suppresses the record. */
export function isQualified(code: number): boolean {
  return qualified[code] === 1;
}

/** The meaning of a code, also of one that is not defined. */
export function faultMeaning(code: number): string {
  return faultReasons.get(code)?.meaning ?? `fault reason 0x${code.toString(16)} is not defined`;
}

/** Reason codes by name, as the walker gives them. */
export const Fault = {
  rootNotPresent: 0x01,
  contextNotPresent: 0x02,
  contextInvalid: 0x03,
  addressTooWide: 0x04,
  write: 0x05,
  read: 0x06,
  tableAccess: 0x07,
  rootAccess: 0x08,
  contextAccess: 0x09,
  rootReserved: 0x0a,
  contextReserved: 0x0b,
  entryReserved: 0x0c,
  translationTypeBlocks: 0x0d,
  interruptRange: 0x0e,
  interruptRequestReserved: 0x20,
  interruptIndex: 0x21,
  interruptNotPresent: 0x22,
  interruptTableAccess: 0x23,
  interruptReserved: 0x24,
  interruptCompatibility: 0x25,
  interruptSource: 0x26,
  postedDescriptorAccess: 0x27,
  postedDescriptorReserved: 0x28,
  tableMode: 0x30,
  pasidInLegacyMode: 0x31,
  pageRequestInLegacyMode: 0x32,
  scalableRootAccess: 0x38,
  scalableRootNotPresent: 0x39,
  scalableRootReserved: 0x3a,
  scalableContextAccess: 0x40,
  scalableContextNotPresent: 0x41,
  scalableContextReserved: 0x42,
  scalableContextInvalid: 0x43,
  deviceTlbDisabled: 0x44,
  pasidDisabled: 0x45,
  pasidTooBig: 0x46,
  pageRequestDisabled: 0x47,
  pasidDirectoryAccess: 0x50,
  pasidDirectoryNotPresent: 0x51,
  pasidDirectoryReserved: 0x52,
  pasidTableAccess: 0x58,
  pasidNotPresent: 0x59,
  pasidReserved: 0x5a,
  pasidInvalid: 0x5b,
  executeDisabled: 0x5c,
  supervisorDisabled: 0x5d,
  firstLevelAccess: 0x70,
  firstLevelNotPresent: 0x71,
  firstLevelReserved: 0x72,
  firstLevelRootAccess: 0x73,
  nestedAddressTooWide: 0x74,
  nestedRootRead: 0x75,
  nestedTableRead: 0x76,
  nestedFlagWrite: 0x77,
  secondLevelAccess: 0x78,
  secondLevelNotPresent: 0x79,
  secondLevelReserved: 0x7a,
  secondLevelRootAccess: 0x7b,
  secondLevelFlagSnoop: 0x7c,
  secondLevelFlagUpdate: 0x7d,
  notCanonical: 0x80,
  userToSupervisor: 0x81,
  execute: 0x82,
  hostAddressTooWide: 0x83,
  secondLevelTooWide: 0x84,
  scalableWrite: 0x85,
  scalableRead: 0x86,
  scalableInterruptRange: 0x87,
  firstLevelFlagSnoop: 0x90,
  firstLevelFlagUpdate: 0x91,
} as const;
