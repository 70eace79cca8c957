import { at, extendedCapability, flag } from './declaration.ts';

/** Access Control Services. PCIe 7.7.11. Capability word at 04, control word at 06 with the same low bits. */
export const Acs = extendedCapability(
  0x0d,
  'acs',
  'Access Control Services',
  8,
  {
    sourceValidation: flag(4, 0),
    translationBlocking: flag(4, 1),
    requestRedirect: flag(4, 2),
    completionRedirect: flag(4, 3),
    upstreamForwarding: flag(4, 4),
    egressControl: flag(4, 5),
    directTranslated: flag(4, 6),
    enhanced: flag(4, 7),
    egressVectorSize: at(4, 8, 15),
    sourceValidationEnable: flag(6, 0),
    translationBlockingEnable: flag(6, 1),
    requestRedirectEnable: flag(6, 2),
    completionRedirectEnable: flag(6, 3),
    upstreamForwardingEnable: flag(6, 4),
    egressControlEnable: flag(6, 5),
    directTranslatedEnable: flag(6, 6),
  },
  {
    source: 'PCIe 7.7.11',
    writable: [
      'sourceValidationEnable',
      'translationBlockingEnable',
      'requestRedirectEnable',
      'completionRedirectEnable',
      'upstreamForwardingEnable',
      'egressControlEnable',
      'directTranslatedEnable',
    ],
  },
);

/** Bits of the ACS capability and control words (include/uapi/linux/pci_regs.h names them PCI_ACS_*). */
export const AcsBit = {
  sourceValidation: 0x01,
  translationBlocking: 0x02,
  requestRedirect: 0x04,
  completionRedirect: 0x08,
  upstreamForwarding: 0x10,
  egressControl: 0x20,
  directTranslated: 0x40,
} as const;

/** Short names of the ACS bits, from bit 0, as lspci prints them. */
export const ACS_BIT_NAMES = [
  'SrcValid',
  'TransBlk',
  'ReqRedir',
  'CmpltRedir',
  'UpstreamFwd',
  'EgressCtrl',
  'DirectTrans',
] as const;

/** Root ports of the Intel 100 and 200 series. 100 series specification update, erratum 23; 200 series, erratum 22. */
const DWORD_ACS_PORTS: readonly (readonly [number, number])[] = [
  [0xa110, 0xa11f],
  [0xa167, 0xa16a],
  [0xa290, 0xa29f],
  [0xa2e7, 0xa2ee],
  [0x9d10, 0x9d1b],
];

/** Ports whose ACS registers are dwords where the specification has words: control is at 08 instead of 06. */
export function isDwordAcs(vendorId: number, deviceId: number): boolean {
  return (
    vendorId === 0x8086 && DWORD_ACS_PORTS.some(([first, last]) => deviceId >= first && deviceId <= last)
  );
}
