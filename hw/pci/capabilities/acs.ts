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
