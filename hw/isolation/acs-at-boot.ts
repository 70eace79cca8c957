/** ACS as Linux has it when it forms groups. */
import type { HostDescription } from '../host-description.ts';
import { commandLineWords } from '../kernel/iommu/grouping-options.ts';
import { acsOptions, enableAcs } from '../kernel/pci/acs-enable.ts';
import type { ScannedMachine } from './machine.ts';

/**
 * Where registers are not as Linux left them, does to them what enumeration would: ACS on where an IOMMU asks for it, then
 * the options of the command line. False: they are as they were.
 */
export function applyAcs(description: HostDescription, machine: ScannedMachine, requested: boolean): boolean {
  const state = description.iommu?.state;
  const asLinuxLeft = state === 'on' || state === 'unknown' || state === 'off';
  // What was removed before the capture has no registers that Linux left.
  const former = new Set(description.formerFunctions?.map((one) => one.address));
  if (asLinuxLeft && former.size === 0) return false;
  const options = acsOptions(commandLineWords(description.kernelCommandLine ?? ''));
  for (const device of machine.topology.devices) {
    if (!asLinuxLeft || former.has(device.name)) enableAcs(device, requested, options);
  }
  return !asLinuxLeft;
}
