/**
 * The machine this runs on, or a copy of its /sys: devices, their configuration space, groups, the DMAR table. Everything is
 * opened to read only.
 */
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { FunctionDescription, HostDescription, UnitDescription } from '../../hw/index.ts';
import { ApplicationError, ExitCode } from '../errors.ts';
import { isQemuMachine, qemuRootBusOrder } from './capture-files.ts';
import { rootBusNumbers } from './former-functions.ts';
import { hexOf } from './lspci.ts';

export interface SysfsScan {
  readonly description: HostDescription;
  readonly problems: readonly string[];
}

const ADDRESS = /^[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]$/;

/**
 * Reads `<root>/sys` and `<root>/proc`.
 * @throws ApplicationError ENOENT when there is no PCI bus in it.
 */
export function scanSysfs(root: string, name: string): SysfsScan {
  const problems: string[] = [];
  const devices = join(root, 'sys/bus/pci/devices');
  if (!existsSync(devices)) {
    throw new ApplicationError('ENOENT', `no PCI bus in ${devices}`, {
      rule: 'host scan',
      remedy: 'run it on a machine with PCI, or give --root a folder that holds a copy of /sys',
      exitCode: ExitCode.usage,
    });
  }
  const functions = readdirSync(devices)
    .filter((entry) => ADDRESS.test(entry))
    .sort()
    .map((address) => readFunction(join(devices, address), address, problems));
  const description: HostDescription = {
    format: 'vtdeck-host',
    version: 1,
    name,
    origin: `scan of ${root === '/' ? 'this machine' : root}`,
    functions,
  };
  const table = join(root, 'sys/firmware/acpi/tables/DMAR');
  const units = readUnits(join(root, 'sys/class/iommu'));
  if (existsSync(table)) {
    const bytes = readOrUndefined(table);
    if (bytes === undefined) problems.push(`${table}: not readable (it takes root): units are assumed`);
    else description.dmar = hexOf(bytes);
  }
  if (units.length > 0) description.units = units;
  const commandLine = readOrUndefined(join(root, 'proc/cmdline'))?.toString('latin1').trim();
  if (commandLine !== undefined) description.kernelCommandLine = commandLine;
  description.iommu = iommuState(root, description);
  if (isQemuMachine(description)) description.rootBuses = qemuRootBusOrder(rootBusNumbers(functions));
  const others = otherDevices(join(root, 'sys/kernel/iommu_groups'));
  if (others.length > 0) description.otherDevices = others;
  return { description, problems };
}

/** Linux lists the units it uses, and groups exist only with one; a copy need not hold either folder. */
function iommuState(root: string, description: HostDescription): HostDescription['iommu'] {
  const listed = (folder: string): string[] | undefined => {
    const path = join(root, folder);
    return existsSync(path) ? readdirSync(path) : undefined;
  };
  const units = listed('sys/class/iommu');
  const groups = listed('sys/kernel/iommu_groups');
  const grouped = groups !== undefined && groups.length > 0;
  if (units === undefined && !grouped) {
    return { state: 'unknown', because: 'the tree has no /sys/class/iommu' };
  }
  if (!grouped && units?.length === 0) {
    return { state: 'off', because: '/sys/class/iommu is empty: Linux uses no IOMMU' };
  }
  if (description.dmar === undefined) {
    return { state: 'unknown', because: 'the DMAR table was not readable' };
  }
  const used = units !== undefined && units.length > 0 ? units.join(', ') : `${groups?.length} groups`;
  return { state: 'on', because: `Linux uses ${used}` };
}

function readOrUndefined(path: string): Buffer | undefined {
  try {
    return readFileSync(path);
  } catch {
    return undefined;
  }
}

function textOf(path: string): string | undefined {
  return readOrUndefined(path)?.toString('latin1').trim();
}

function linkName(path: string): string | undefined {
  try {
    return basename(readlinkSync(path));
  } catch {
    return undefined;
  }
}

function numberOf(text: string | undefined): number | undefined {
  return text === undefined || text === '' || Number.isNaN(Number(text)) ? undefined : Number(text);
}

function readFunction(folder: string, address: string, problems: string[]): FunctionDescription {
  const one: FunctionDescription = { address };
  const bytes = readOrUndefined(join(folder, 'config'));
  if (bytes === undefined || bytes.length < 64) problems.push(`${folder}/config: not readable`);
  else {
    const size = bytes.length >= 4096 ? 4096 : bytes.length >= 256 ? 256 : 64;
    one.config = hexOf(bytes.subarray(0, size));
    one.configSize = size;
    if (size === 64 && (bytes[6] & 0x10) !== 0) one.unknown = ['capabilities'];
  }
  const vendorId = numberOf(textOf(join(folder, 'vendor')));
  const deviceId = numberOf(textOf(join(folder, 'device')));
  if (vendorId !== undefined) one.vendorId = vendorId;
  if (deviceId !== undefined) one.deviceId = deviceId;
  one.driver = linkName(join(folder, 'driver')) ?? null;
  const node = numberOf(textOf(join(folder, 'numa_node')));
  if (node !== undefined && node >= 0) one.numaNode = node;
  const group = numberOf(linkName(join(folder, 'iommu_group')));
  if (group !== undefined) one.group = group;
  const sizes = barSizes(textOf(join(folder, 'resource')));
  if (sizes.length > 0) one.barSizes = sizes;
  const physical = linkName(join(folder, 'physfn'));
  if (physical !== undefined) one.physicalFunction = physical;
  return one;
}

/** Lines `start end flags`, the first seven are the base addresses and the ROM. */
function barSizes(resource: string | undefined): { index: number; bytes: number }[] {
  const sizes: { index: number; bytes: number }[] = [];
  for (const [index, line] of (resource ?? '').split('\n').slice(0, 7).entries()) {
    const match = /^0x([0-9a-f]+) 0x([0-9a-f]+) /.exec(line);
    if (match === null) continue;
    const bytes = Number(BigInt(`0x${match[2]}`) - BigInt(`0x${match[1]}`)) + 1;
    if (bytes > 1) sizes.push({ index, bytes });
  }
  return sizes;
}

function readUnits(folder: string): UnitDescription[] {
  if (!existsSync(folder)) return [];
  const units: UnitDescription[] = [];
  for (const name of readdirSync(folder).sort()) {
    const read = (file: string): string | undefined => textOf(join(folder, name, 'intel-iommu', file));
    const address = read('address');
    const cap = read('cap');
    const ecap = read('ecap');
    if (address === undefined || cap === undefined || ecap === undefined) continue;
    units.push({ registerBase: `0x${address}`, cap: `0x${cap}`, ecap: `0x${ecap}` });
  }
  return units;
}

/** Members of groups that are no PCI functions. */
function otherDevices(groups: string): NonNullable<HostDescription['otherDevices']> {
  if (!existsSync(groups)) return [];
  const found: NonNullable<HostDescription['otherDevices']> = [];
  for (const group of readdirSync(groups)) {
    const members = join(groups, group, 'devices');
    if (!existsSync(members)) continue;
    for (const member of readdirSync(members)) {
      if (ADDRESS.test(member)) continue;
      const target = readLink(join(members, member));
      const bus = /\/platform\//.test(target)
        ? 'platform'
        : /mdev|[0-9a-f]{8}-[0-9a-f]{4}-/.test(member)
          ? 'mdev'
          : 'acpi';
      const acpiPath = textOf(join(members, member, 'firmware_node/path'));
      const parent = target.split('/').findLast((part) => ADDRESS.test(part));
      found.push({
        name: member,
        bus,
        ...(parent === undefined ? {} : { parent }),
        ...(acpiPath === undefined ? {} : { acpiPath }),
        ...(numberOf(group) === undefined ? {} : { group: Number(group) }),
      });
    }
  }
  return found;
}

function readLink(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}
