/** The built-in server as tests boot it, and what they ask of it again and again. */
import { buildHost, type Host } from '../../hw/host.ts';
import { KernelError } from '../../hw/kernel/errno.ts';
import type { ProfileName } from '../../hw/kernel/profile.ts';
import { parsePciAddress } from '../../hw/pci/address.ts';
import type { PciFunction } from '../../hw/pci/function.ts';
import { builtInHost, DEFAULT_HOST } from '../../src/hosts/builtin.ts';

/** It offers assignable interfaces of several types. */
export const ACCELERATOR = '0000:6a:01.0';
/** An NVMe drive, alone in its group. */
export const DRIVE = '0000:27:00.0';

export function server(profile: ProfileName = '5.15'): Host {
  const description = builtInHost(DEFAULT_HOST);
  if (description === undefined) throw new Error('the built-in host is missing');
  return buildHost(description, { profile });
}

/** What the act was refused with. @throws when it was not. */
export function refusal(act: () => void): KernelError {
  try {
    act();
  } catch (error) {
    if (error instanceof KernelError) return error;
    throw error;
  }
  throw new Error('nothing was refused');
}

/** The function as the hardware has it. */
export function functionAt(host: Host, address: string): PciFunction {
  const at = parsePciAddress(address);
  const found = at === undefined ? undefined : host.hardware.pci.find(at);
  if (found === undefined) throw new Error(`${address} is missing`);
  return found;
}
