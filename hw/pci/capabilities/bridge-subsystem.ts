import { at, standardCapability } from './declaration.ts';

/** Subsystem ids of a bridge. PCI bridge architecture 1.2, 3.2.5. */
export const BridgeSubsystem = standardCapability(
  0x0d,
  'ssvid',
  'Subsystem of a bridge',
  8,
  { subsystemVendorId: at(4, 0, 15), subsystemId: at(6, 0, 15) },
  { source: 'PCI-to-PCI bridge 1.2, 3.2.5' },
);
