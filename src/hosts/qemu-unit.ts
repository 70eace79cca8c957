/** The remapping unit of a QEMU machine, as its command line makes it. */
import { type QemuUnitOptions, qemuUnit, type UnitDescription } from '../../hw/index.ts';
import { readableTable } from './readable-table.ts';

/** Where QEMU puts its only unit. */
const UNIT_BASE = 0xfed90000n;

const SWITCHES: Readonly<Record<string, boolean>> = {
  on: true,
  yes: true,
  true: true,
  y: true,
  off: false,
  no: false,
  false: false,
  n: false,
};

/** `intel-iommu,intremap=on,aw-bits=48` as options of the unit; undefined for another kind of IOMMU, or none. */
export function unitOptions(device: string): QemuUnitOptions | undefined {
  const [driver, ...parts] = device.split(',');
  if (driver !== 'intel-iommu') return undefined;
  const options: Record<string, boolean | number> = {};
  for (const part of parts) {
    const [name, value] = part.split('=');
    options[name] = SWITCHES[value] ?? Number(value);
  }
  return options;
}

/**
 * CAP and ECAP of the units that a DMAR table lists, on a QEMU machine: one is real, as its command line says where that is
 * known, and where a table of somebody's own lists others, reads there give 0.
 */
export function qemuUnits(commandLine: string | undefined, dmar: Uint8Array): UnitDescription[] {
  const devices = [...(commandLine ?? '').matchAll(/-device\s+'?(intel-iommu[^\s']*)/g)];
  const options = devices.map(([, words]) => unitOptions(words)).find((one) => one !== undefined);
  return (readableTable(dmar)?.structures ?? []).flatMap((one) => {
    if (one.kind !== 'DRHD') return [];
    const registerBase = `0x${one.registerBase.toString(16)}`;
    if (one.registerBase !== UNIT_BASE) return [{ registerBase, cap: '0x0', ecap: '0x0' }];
    if (options === undefined) return [];
    const { cap, ecap } = qemuUnit(options);
    return [{ registerBase, cap: `0x${cap.toString(16)}`, ecap: `0x${ecap.toString(16)}` }];
  });
}
