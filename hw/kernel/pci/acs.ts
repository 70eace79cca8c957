/** Whether a device keeps its peers apart: pci_acs_enabled and pci_acs_path_enabled of drivers/pci/pci.c. */
import { ACS_BIT_NAMES, AcsBit } from '../../pci/capabilities/acs.ts';
import { type AcsEnvironment, acsQuirk, brokenAcsControls } from './acs-quirks.ts';
import type { PciBus, PciDevice } from './pci-device.ts';

/** What grouping asks for (REQ_ACS_FLAGS): SV, RR, CR, UF. */
export const GROUPING_CONTROLS =
  AcsBit.sourceValidation | AcsBit.requestRedirect | AcsBit.completionRedirect | AcsBit.upstreamForwarding;

/** The machine around a device, and what a caller assumes instead of reading it. */
export interface AcsContext extends AcsEnvironment {
  /** An answer that stands instead of the device's own: what-if, or what a capture does not show. */
  readonly assume?: (device: PciDevice) => boolean | undefined;
}

/** Whether the controls hold, and in words why. */
export interface AcsVerdict {
  readonly isolated: boolean;
  readonly detail: string;
  /** Controls that the capability has and that are off; 0 when something else decides. */
  readonly missing: number;
}

/** Names of the controls in a mask: `ReqRedir, CmpltRedir`. */
export function acsControlNames(mask: number): string {
  return ACS_BIT_NAMES.filter((_, index) => ((mask >>> index) & 1) !== 0).join(', ');
}

/** pci_acs_enabled. */
export function acsEnabled(device: PciDevice, wanted: number, context: AcsContext): boolean {
  const assumed = context.assume?.(device);
  if (assumed !== undefined) return assumed;
  const quirk = acsQuirk(device, wanted, context);
  if (quirk !== undefined) return (quirk.wanted & ~quirk.held) === 0;
  switch (device.portType) {
    case 'conventional':
    case 'pcie-to-pci bridge':
    case 'pci-to-pcie bridge':
    case 'root complex event collector':
      return false;
    case 'root port':
    case 'downstream port':
      return missingControls(device, wanted) === 0;
    default:
      return !device.multifunction || missingControls(device, wanted) === 0;
  }
}

/**
 * pci_acs_flags_enabled: bits that the capability lacks count as on, except egress control. Without the capability, all
 * are missing.
 */
function missingControls(device: PciDevice, wanted: number): number {
  const acs = device.extendedCapability(0x0d);
  if (acs === undefined) return wanted;
  const capability = device.read(acs + 4, 2) & ~brokenAcsControls(device);
  return wanted & (capability | AcsBit.egressControl) & ~device.read(acs + 6, 2);
}

/** pci_acs_path_enabled: the bridge and all above it, up to the root bus. The first that fails, or undefined. */
export function firstOpenBridge(from: PciDevice, wanted: number, context: AcsContext): PciDevice | undefined {
  let bridge: PciDevice | undefined = from;
  while (bridge !== undefined) {
    if (!acsEnabled(bridge, wanted, context)) return bridge;
    bridge = bridgeAbove(bridge.bus);
  }
  return undefined;
}

/** The next bridge on the way to the root bus; virtual buses of VFs have none of their own. */
function bridgeAbove(bus: PciBus): PciDevice | undefined {
  for (let one: PciBus | undefined = bus; one !== undefined; one = one.parent) {
    if (one.bridge !== undefined) return one.bridge;
  }
  return undefined;
}

/** The same answer as `acsEnabled`, with the register and the bits that decide. */
export function explainAcs(device: PciDevice, wanted: number, context: AcsContext): AcsVerdict {
  const isolated = acsEnabled(device, wanted, context);
  const say = (detail: string, missing = 0): AcsVerdict => ({ isolated, detail, missing });
  const what = `${device.name} (${device.portType === 'conventional' ? 'conventional PCI' : device.portType})`;
  if (context.assume?.(device) !== undefined) {
    return say(`${what}: ${isolated ? 'taken as isolating' : 'taken as not isolating'} by assumption`);
  }
  const quirk = acsQuirk(device, wanted, context);
  if (quirk !== undefined) return say(`${what}: ${quirk.because}`, quirk.wanted & ~quirk.held);
  if (device.portType === 'conventional') {
    return say(`${what}: conventional PCI has no access control`);
  }
  if (!isolated && device.extendedCapability(0x0d) === undefined) {
    const reason = device.portType.endsWith('bridge') || device.portType.endsWith('collector');
    if (reason) return say(`${what}: this kind never isolates`);
    const port = device.portType === 'root port' || device.portType === 'downstream port';
    return say(
      `${what}: ${port ? 'has no ACS capability' : 'is one of several functions and has no ACS capability'}`,
    );
  }
  const acs = device.extendedCapability(0x0d);
  if (acs === undefined) return say(`${what}: single function, nothing beside it to reach`);
  const missing = missingControls(device, wanted);
  const place = `ACS control at 0x${(acs + 6).toString(16)} is 0x${device
    .read(acs + 6, 2)
    .toString(16)
    .padStart(4, '0')}`;
  if (isolated)
    return say(
      `${what}: ${missing === 0 ? `${place}, all that its capability has of ${acsControlNames(wanted)} is on` : 'single function'}`,
    );
  if (missing === 0) return say(`${what}: this kind never isolates`);
  return say(`${what}: ${place}: ${acsControlNames(missing)} off`, missing);
}
