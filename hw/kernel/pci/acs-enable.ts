/**
 * Switching ACS on at enumeration, and the command line options that override it: pci_enable_acs and __pci_config_acs of
 * drivers/pci/pci.c, Linux 7.2.
 */
import { AcsBit } from '../../pci/capabilities/acs.ts';
import { GROUPING_CONTROLS } from './acs.ts';
import { brokenAcsControls, hasDwordAcs } from './acs-quirks.ts';
import { matchesPciSpecification } from './match-specification.ts';
import type { PciDevice } from './pci-device.ts';

/** Bits that the options may name. */
const ALL_CONTROLS = 0x7f;
const REDIRECTION = AcsBit.requestRedirect | AcsBit.completionRedirect | AcsBit.egressControl;

interface AcsOverride {
  readonly mask: number;
  readonly flags: number;
  /** The device, as written. */
  readonly device: string;
}

/** `pci=disable_acs_redir=…` and `pci=config_acs=…`, in the order in which the kernel applies them. */
export interface AcsOptions {
  readonly withoutRedirection: readonly AcsOverride[];
  readonly configured: readonly AcsOverride[];
  /** What could not be read, for people. */
  readonly problems: readonly string[];
}

/**
 * Reads the options of a command line. Devices are separated by semicolons; each of `config_acs` has its flags before it
 * (`flags@device`), a string of 0, 1 and x, the right-most for source validation.
 */
export function acsOptions(words: readonly string[]): AcsOptions {
  let withoutRedirection: readonly AcsOverride[] = [];
  let configured: readonly AcsOverride[] = [];
  const problems: string[] = [];
  for (const word of words) {
    if (!word.startsWith('pci=')) continue;
    for (const part of word.slice(4).split(',')) {
      if (part.startsWith('disable_acs_redir=')) {
        const devices = part.slice(18).split(';');
        withoutRedirection = devices.map((device) => ({ mask: REDIRECTION, flags: 0, device }));
      } else if (part.startsWith('config_acs=')) {
        configured = configuredControls(part.slice(11).split(';'), problems);
      }
    }
  }
  return { withoutRedirection, configured, problems };
}

/** Up to the first that can't be read: there the kernel stops looking. */
function configuredControls(parts: readonly string[], problems: string[]): AcsOverride[] {
  const found: AcsOverride[] = [];
  for (const part of parts) {
    const at = part.indexOf('@');
    const bits = [...part.slice(0, Math.max(at, 0))].reverse();
    let mask = 0;
    let flags = 0;
    for (const [shift, bit] of bits.entries()) {
      if (bit === '0' || bit === '1') mask |= 1 << shift;
      if (bit === '1') flags |= 1 << shift;
    }
    const wrong = bits.find((bit) => !'01xX'.includes(bit));
    let problem: string | undefined;
    if (at < 0) problem = `"${part}" has no flags`;
    else if (wrong !== undefined) problem = `"${wrong}" is no flag (0, 1 or x)`;
    else if ((mask & ~ALL_CONTROLS) !== 0) problem = `${part} has more than seven flags`;
    if (problem !== undefined) {
      problems.push(`config_acs: ${problem}: it and all after it count for nothing`);
      break;
    }
    found.push({ mask, flags, device: part.slice(at + 1) });
  }
  return found;
}

/** Of each option the first that names the device. */
function overridesOf(device: PciDevice, options: AcsOptions): AcsOverride[] {
  return [options.withoutRedirection, options.configured].flatMap(
    (list) => list.find((one) => matchesPciSpecification(device, one.device)) ?? [],
  );
}

/**
 * What enumeration leaves in a device's ACS control register, and writes it.
 * @param requested an IOMMU driver asked for ACS (x86: a DMAR table was found and remapping is wanted)
 */
export function enableAcs(device: PciDevice, requested: boolean, options: AcsOptions): void {
  const acs = device.extendedCapability(0x0d);
  if (acs === undefined) return;
  const wide = hasDwordAcs(device);
  const controlOffset = acs + (wide ? 8 : 6);
  const capability = device.read(acs + 4, 2) & ~brokenAcsControls(device);
  const firmware = device.read(controlOffset, 2);
  let control = firmware;
  if (requested) control |= capability & GROUPING_CONTROLS;
  for (const override of overridesOf(device, options)) {
    // Ports with wide registers have a function of their own for "no redirection", which answers any of the options
    // (pci_dev_specific_disable_acs_redir); for others, bits that an option does not name go back to what firmware had set.
    control = wide ? control & ~REDIRECTION : (firmware & ~override.mask) | (override.flags & override.mask);
  }
  if (control !== firmware) device.write(controlOffset, 2, control);
}
