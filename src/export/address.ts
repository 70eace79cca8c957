import { type PciAddress, parsePciAddress } from '../../hw/index.ts';
import { usageError } from '../errors.ts';

/** Parses `0000:6a:01.0`. @throws ApplicationError (usage) for anything else. */
export function parseAddress(text: string): PciAddress {
  const at = parsePciAddress(text);
  if (at === undefined) throw usageError(`"${text}" is no PCI address`, 'write it as 0000:6a:01.0');
  return at;
}
