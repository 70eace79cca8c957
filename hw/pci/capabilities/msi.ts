import { at, type CapabilityDeclaration, flag, standardCapability } from './declaration.ts';

/** Message control and the low half of the address: where they are in all four forms. */
const CONTROL = {
  enable: flag(2, 0),
  multipleCapable: at(2, 1, 3, { 0: '1', 1: '2', 2: '4', 3: '8', 4: '16', 5: '32' }),
  multipleEnable: at(2, 4, 6, { 0: '1', 1: '2', 2: '4', 3: '8', 4: '16', 5: '32' }),
  address64: flag(2, 7),
  perVectorMask: flag(2, 8),
  messageAddress: at(4, 0, 31),
} as const;

/** Message Signalled Interrupts, the part all four forms share. PCI 3.0, 6.8.1. */
export const Msi = standardCapability(0x05, 'msi', 'Message Signalled Interrupts', 8, CONTROL, {
  source: 'PCI 3.0, 6.8.1',
  writable: ['enable', 'multipleEnable', 'messageAddress'],
});

/** The form with a 32-bit address; mask and pending bits exist with `perVectorMask` only. */
const Msi32 = standardCapability(
  0x05,
  'msi',
  'Message Signalled Interrupts',
  0x14,
  { ...CONTROL, messageData: at(8, 0, 15), vectorMask: at(0x0c, 0, 31), vectorPending: at(0x10, 0, 31) },
  {
    source: 'PCI 3.0, 6.8.1',
    writable: ['enable', 'multipleEnable', 'messageAddress', 'messageData', 'vectorMask'],
  },
);

/** The form with a 64-bit address. */
const Msi64 = standardCapability(
  0x05,
  'msi',
  'Message Signalled Interrupts',
  0x18,
  {
    ...CONTROL,
    messageAddressHigh: at(8, 0, 31),
    messageData: at(0x0c, 0, 15),
    vectorMask: at(0x10, 0, 31),
    vectorPending: at(0x14, 0, 31),
  },
  {
    source: 'PCI 3.0, 6.8.1',
    writable: [
      'enable',
      'multipleEnable',
      'messageAddress',
      'messageAddressHigh',
      'messageData',
      'vectorMask',
    ],
  },
);

/** The form that a message control register declares: bit 7 for 64-bit addresses. */
export function msiForm(control: number): CapabilityDeclaration {
  return (control & 0x80) !== 0 ? Msi64 : Msi32;
}

/** Fields of the two forms that are there only with per-vector masking (bit 8 of message control). */
export const MSI_MASK_FIELDS: readonly string[] = ['vectorMask', 'vectorPending'];
