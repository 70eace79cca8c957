/** Devices of the ACPI name space that do DMA, as the kernel log tells of them: no list of PCI devices holds them. */
import type { OtherDeviceDescription } from '../../hw/index.ts';
import { readableTable } from './readable-table.ts';

/** What the kernel says of each ANDD structure, one line each and in the order of the table (dmar_acpi_dev_scope_init). */
const VERDICT =
  /DMAR: (?:Failed to (?:find handle|get device) for ACPI object|ACPI device "([^"]+)" under DMAR|No IOMMU scope found for ANDD)/g;

/**
 * The platform devices that units name by their ACPI path. The log tells what the path leads to, and that there is a
 * platform device for it: such devices are given to their unit before any PCI device, in the order of the platform bus.
 */
export function loggedNamespaceDevices(
  dmesg: string | undefined,
  dmar: Uint8Array | undefined,
): OtherDeviceDescription[] {
  const table = dmar === undefined ? undefined : readableTable(dmar);
  if (dmesg === undefined || table === undefined) return [];
  const paths = table.structures.flatMap((one) => (one.kind === 'ANDD' ? [one.name] : []));
  const found = [...dmesg.matchAll(VERDICT)].flatMap(([, name], index) => {
    const at = name === undefined ? -1 : dmesg.indexOf(` ${name}: Adding to iommu group`);
    return at < 0 ? [] : [{ at, device: { name, bus: 'platform', acpiPath: paths[index] } }];
  });
  return found.sort((a, b) => a.at - b.at).map(({ device }) => device);
}
