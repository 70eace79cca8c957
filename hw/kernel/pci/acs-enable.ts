/**
 * Switching ACS on at enumeration, and the command line options that override it: pci_enable_acs and __pci_config_acs of
 * drivers/pci/pci.c, Linux 7.2.
 */
import { AcsBit } from '../../pci/capabilities/acs.ts';
import { GROUPING_CONTROLS } from './acs.ts';
import { hasDwordAcs } from './acs-quirks.ts';
import { matchesPciSpecification } from './match-specification.ts';
import type { PciDevice } from './pci-device.ts';

/** Bits that the options may name. */
const ALL_CONTROLS = 0x7f;
const REDIRECTION = AcsBit.requestRedirect | AcsBit.completionRedirect | AcsBit.egressControl;

interface AcsOverride {
  readonly mask: number;
  readonly flags: number;
  /** Devices, each as written. */
  readonly devices: readonly string[];
}

/** `pci=disable_acs_redir=…` and `pci=config_acs=…`, in the order in which the kernel applies them. */
export interface AcsOptions {
  readonly disableRedirection: AcsOverride | undefined;
  readonly configured: readonly AcsOverride[];
  /** What could not be read, for people. */
  readonly problems: readonly string[];
}

/**
 * Reads the options of a command line. Devices are separated by semicolons; `config_acs` takes groups of `flags@device`, with
 * a flag string of 0, 1 and x, the right-most for source validation.
 */
export function acsOptions(words: readonly string[]): AcsOptions {
  let disableRedirection: AcsOverride | undefined;
  let configured: readonly AcsOverride[] = [];
  const problems: string[] = [];
  for (const word of words) {
    if (!word.startsWith('pci=')) continue;
    for (const part of word.slice(4).split(',')) {
      if (part.startsWith('disable_acs_redir=')) {
        disableRedirection = { mask: REDIRECTION, flags: 0, devices: part.slice(18).split(';') };
      } else if (part.startsWith('config_acs=')) {
        configured = part
          .slice(11)
          .split(';')
          .reduce<AcsOverride[]>((found, one) => collect(found, one, problems), []);
      }
    }
  }
  return { disableRedirection, configured, problems };
}

/** A part without flags names a further device for the flags before it. */
function collect(found: AcsOverride[], part: string, problems: string[]): AcsOverride[] {
  const at = part.indexOf('@');
  if (at < 0) {
    const last = found.at(-1);
    if (last === undefined) problems.push(`config_acs: "${part}" has no flags`);
    else found[found.length - 1] = { ...last, devices: [...last.devices, part] };
    return found;
  }
  const bits = [...part.slice(0, at)].reverse();
  let mask = 0;
  let flags = 0;
  for (const [shift, bit] of bits.entries()) {
    if (bit === '0' || bit === '1') mask |= 1 << shift;
    if (bit === '1') flags |= 1 << shift;
    if (!'01xX'.includes(bit)) problems.push(`config_acs: "${bit}" is no flag (0, 1 or x)`);
  }
  if ((mask & ~ALL_CONTROLS) !== 0) problems.push(`config_acs: ${part} has more than seven flags`);
  else found.push({ mask, flags, devices: [part.slice(at + 1)] });
  return found;
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
  const capability = device.read(acs + 4, 2);
  const firmware = device.read(controlOffset, 2);
  let control = firmware;
  if (requested) control |= capability & GROUPING_CONTROLS;
  const overrides = [options.disableRedirection, ...options.configured];
  for (const override of overrides) {
    if (override === undefined) continue;
    if (!override.devices.some((text) => matchesPciSpecification(device, text))) continue;
    // Bits that an option does not name go back to what firmware had set.
    control = (firmware & ~override.mask) | (override.flags & override.mask);
  }
  if (control !== firmware) device.write(controlOffset, 2, control);
}
