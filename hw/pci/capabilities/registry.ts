/** All capabilities that are decoded field by field. */
import { Acs } from './acs.ts';
import { AdvancedFeatures } from './advanced-features.ts';
import { Aer } from './aer.ts';
import { Ari } from './ari.ts';
import { Ats } from './ats.ts';
import { BridgeSubsystem } from './bridge-subsystem.ts';
import type { CapabilityDeclaration, CapabilityList } from './declaration.ts';
import { Dvsec, SIOV_DVSEC, SiovDvsec } from './dvsec.ts';
import { Express } from './express.ts';
import { Msi, msiForm } from './msi.ts';
import { MsiX } from './msix.ts';
import { PasidCapability } from './pasid.ts';
import { PowerManagement } from './power-management.ts';
import { Pri } from './pri.ts';
import { SerialNumber } from './serial-number.ts';
import { Sriov } from './sriov.ts';
import { VendorSpecific, VendorSpecificExtended } from './vendor-specific.ts';
import { Vpd } from './vpd.ts';
import type { ConfigRead } from './walk.ts';

const DECLARATIONS: readonly CapabilityDeclaration[] = [
  PowerManagement,
  Vpd,
  Msi,
  VendorSpecific,
  BridgeSubsystem,
  Express,
  MsiX,
  AdvancedFeatures,
  Aer,
  SerialNumber,
  VendorSpecificExtended,
  Acs,
  Ari,
  Ats,
  Sriov,
  Pri,
  PasidCapability,
  Dvsec,
];

const STANDARD = new Map(DECLARATIONS.filter((one) => one.list === 'standard').map((one) => [one.id, one]));
const EXTENDED = new Map(DECLARATIONS.filter((one) => one.list === 'extended').map((one) => [one.id, one]));

/** The declaration for a structure in this list with this id, or undefined when only its name is known. */
export function declarationOf(list: CapabilityList, id: number): CapabilityDeclaration | undefined {
  return (list === 'standard' ? STANDARD : EXTENDED).get(id);
}

/** The declaration of a DVSEC by the vendor and id in its headers; the common part for unknown ones. */
export function dvsecDeclaration(vendor: number, id: number): CapabilityDeclaration {
  return vendor === SIOV_DVSEC.vendor && id === SIOV_DVSEC.id ? SiovDvsec : Dvsec;
}

/**
 * The declaration that fits a structure as it reads: DVSECs by their vendor and id, MSI by its form.
 * @param read configuration space of the function
 */
export function declarationAt(
  list: CapabilityList,
  id: number,
  offset: number,
  read: ConfigRead,
): CapabilityDeclaration | undefined {
  if (list === 'extended' && id === Dvsec.id) {
    return dvsecDeclaration(read(offset + 4, 2), read(offset + 8, 2));
  }
  if (list === 'standard' && id === Msi.id) return msiForm(read(offset + 2, 2));
  return declarationOf(list, id);
}
