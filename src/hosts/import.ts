/**
 * Brings a host in: from a folder (lspci.txt and what lies beside it), from single files, or by the name it was imported
 * under. Nothing of the groups that a capture lists is used to compute; it is kept for comparing.
 */
import { existsSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { gunzipSync } from 'node:zlib';
import {
  DmarError,
  type DmarTable,
  formatPciAddress,
  type HostDescription,
  parsePciAddress,
  readDmar,
} from '../../hw/index.ts';
import { fileError, usageError } from '../errors.ts';
import { readInputBytes } from '../input.ts';
import { isAcpidump, parseAcpidump } from './acpidump.ts';
import { builtInHost, builtInHostNames } from './builtin.ts';
import {
  commandLineWithDefaults,
  iommuRefusal,
  isQemuMachine,
  kernelCommandLine,
  loggedRootBuses,
  qemuRootBusOrder,
  unitRegisters,
} from './capture-files.ts';
import { stepsToEvents } from './capture-steps.ts';
import { formerFunctions, rootBusNumbers } from './former-functions.ts';
import { type GroupListing, parseGroupListing } from './iommu-groups.ts';
import { hexOf, importLspci } from './lspci.ts';
import { loggedNamespaceDevices } from './namespace-devices.ts';
import { devicesOf, qemuResolver } from './qemu-devices.ts';
import { qemuUnits } from './qemu-unit.ts';
import { parseHostDescription } from './schema.ts';
import { importedHost, importedHostNames } from './store.ts';

export interface ImportedHost {
  readonly description: HostDescription;
  /** What was wrong with the source, with file and line. */
  readonly problems: readonly string[];
  /** Groups that the capture lists, where it does. */
  readonly listing: GroupListing;
}

export interface ImportOptions {
  /** DMAR table beside the lspci text: raw bytes or acpidump text. */
  readonly dmar?: string;
  readonly name?: string;
}

/** Text files larger than this are no captures. */
const LARGEST_TEXT_BYTES = 512 * 1024 * 1024;

/**
 * A host by folder, file, or the name of a built-in or imported one.
 * @throws ApplicationError USAGE when there is no such thing, FORMAT with file and line when it can't be read.
 */
export function loadHost(source: string, options: ImportOptions = {}): ImportedHost {
  if (options.dmar === undefined && !source.includes('/') && !existsSync(source)) {
    const known = builtInHost(source) ?? importedHost(source);
    if (known !== undefined) return { description: known, problems: [], listing: new Map() };
  }
  if (!existsSync(source)) {
    const names = [...builtInHostNames(), ...importedHostNames()];
    if (options.dmar !== undefined && names.includes(source)) {
      throw usageError(
        `${source} is a host with its own DMAR table`,
        'a table goes beside an lspci text; for the rest there is vtdeck groups --what-if-dmar',
      );
    }
    throw usageError(
      `no host "${source}": no such folder or file, and no host of that name`,
      `give a folder with lspci.txt, an lspci text, or one of: ${names.join(', ')}`,
    );
  }
  return statSync(source).isDirectory() ? fromFolder(source, options) : fromFile(source, options);
}

function fromFile(path: string, options: ImportOptions): ImportedHost {
  const text = readText(path);
  if (text.trimStart().startsWith('{')) {
    return { description: parseHostDescription(text, path), problems: [], listing: new Map() };
  }
  const name = options.name ?? basename(path).replace(/\.(?:txt|gz)$/g, '');
  return fromParts({ lspci: text, lspciPath: path, firmware: firmwareTables(options.dmar), name });
}

const LSPCI_FILES = ['lspci.txt', 'lspci.txt.gz', 'lspci'];
const DMAR_FILES = ['dmar.bin', 'DMAR', 'dmar.dat', 'acpidump.txt', 'acpidump'];

function fromFolder(folder: string, options: ImportOptions): ImportedHost {
  const named = (name: string): string => join(folder, name);
  const lspciPath = LSPCI_FILES.map(named).find((path) => existsSync(path));
  if (lspciPath === undefined) {
    const json = named('host.json');
    if (existsSync(json)) return fromFile(json, options);
    throw usageError(
      `${folder} holds no lspci.txt`,
      'make one with "lspci -Dvvvnnxxxx > lspci.txt" as root, and copy /sys/firmware/acpi/tables/DMAR beside it as dmar.bin',
    );
  }
  const optional = (name: string): string | undefined => {
    const path = named(name);
    return existsSync(path) ? readText(path) : undefined;
  };
  const dmarPath = options.dmar ?? DMAR_FILES.map(named).find((path) => existsSync(path));
  return fromParts({
    lspci: readText(lspciPath),
    lspciPath,
    firmware: firmwareTables(dmarPath),
    name: options.name ?? basename(resolve(folder)),
    qemu: optional('qemu.txt'),
    dmesg: optional('dmesg.txt'),
    iommu: optional('iommu.json'),
    steps: optional('steps.txt'),
    groups: optional('iommu-groups.txt'),
    commandLine: optional('cmdline')?.trim() ?? optional('cmdline.txt')?.trim(),
  });
}

interface Parts {
  readonly lspci: string;
  readonly lspciPath: string;
  readonly firmware: FirmwareTables;
  readonly name: string;
  readonly qemu?: string;
  readonly dmesg?: string;
  readonly iommu?: string;
  readonly steps?: string;
  readonly groups?: string;
  readonly commandLine?: string;
}

function fromParts(parts: Parts): ImportedHost {
  const { functions, problems } = importLspci(parts.lspci);
  if (functions.length === 0) {
    throw fileError(
      'no PCI device in it',
      { file: parts.lspciPath, line: 1 },
      'make the text with "lspci -Dvvvnnxxxx", as root',
    );
  }
  const description: HostDescription = {
    format: 'vtdeck-host',
    version: 1,
    name: parts.name,
    origin: `imported from ${basename(dirname(parts.lspciPath))}/${basename(parts.lspciPath)}`,
    functions,
  };
  if (parts.firmware.dmar !== undefined) description.dmar = hexOf(parts.firmware.dmar);
  const line = commandLineWithDefaults(
    parts.commandLine ?? kernelCommandLine({ qemu: parts.qemu, dmesg: parts.dmesg }),
    parts.dmesg,
  );
  if (line !== undefined) description.kernelCommandLine = line;
  const logged = unitRegisters({ dmesg: parts.dmesg, iommu: parts.iommu });
  const { dmar } = parts.firmware;
  const units =
    logged.length === 0 && isQemuMachine(description) && dmar !== undefined
      ? qemuUnits(parts.qemu, dmar)
      : logged;
  if (units.length > 0) description.units = units;
  const others = loggedNamespaceDevices(parts.dmesg, dmar);
  if (others.length > 0) description.otherDevices = others;
  const booted = parts.dmesg !== undefined || parts.qemu !== undefined;
  description.iommu = booted
    ? { state: 'on', because: 'the files of the capture tell how the kernel was started' }
    : { state: 'unknown', because: 'the source tells nothing of the IOMMU' };
  if (parts.firmware.noIommu) {
    description.iommu = { state: 'off', because: 'the ACPI dump holds neither a DMAR nor an IVRS table' };
  }
  const refusal = iommuRefusal(parts.dmesg);
  if (refusal !== undefined) description.iommu = { state: 'off', because: refusal };
  const roots = loggedRootBuses(parts.dmesg);
  if (roots !== undefined) description.rootBuses = roots;
  else if (isQemuMachine(description)) {
    const expanders = devicesOf(parts.qemu ?? '').flatMap(({ busNumber }) => busNumber ?? []);
    description.rootBuses = qemuRootBusOrder(rootBusNumbers(functions), expanders);
  }
  addHistory(description, parts.steps, parts.qemu);
  const listing = parts.groups === undefined ? new Map<string, number>() : parseGroupListing(parts.groups);
  for (const one of functions) if (one.group !== undefined) listing.set(one.address, one.group);
  for (const one of functions) one.group ??= listing.get(one.address);
  return {
    description,
    problems: problems.map((one) => `${parts.lspciPath}:${one.line}: ${one.problem}`),
    listing,
  };
}

/** Events after boot; what they took away is put back as a function that was there. */
function addHistory(description: HostDescription, steps: string | undefined, qemu: string | undefined): void {
  if (steps === undefined) return;
  const events = stepsToEvents(steps, qemu === undefined ? undefined : qemuResolver(qemu, description));
  if (events.length === 0) return;
  description.history = events;
  const former = formerFunctions(events, description, devicesOf(qemu ?? ''));
  if (former.length > 0) description.formerFunctions = former;
}

function readText(path: string): string {
  return textOf(readBytes(path));
}

/** Text as it was saved: UTF-8, or UTF-16 as Windows shells redirect it. */
function textOf(bytes: Buffer): string {
  return bytes[0] === 0xff && bytes[1] === 0xfe ? bytes.toString('utf16le') : bytes.toString('utf8');
}

/** The bytes of a file, unpacked where they are gzip. */
function readBytes(path: string): Buffer {
  let bytes: Buffer | undefined;
  if (statSync(path).size <= LARGEST_TEXT_BYTES) bytes = readInputBytes(path);
  if (bytes === undefined) throw fileError('larger than 512 MiB: no capture', { file: path });
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return bytes;
  try {
    return gunzipSync(bytes);
  } catch (error) {
    throw fileError(`gzip: ${error instanceof Error ? error.message : String(error)}`, { file: path });
  }
}

/** What a firmware file says: the table, or that the machine has none. */
interface FirmwareTables {
  readonly dmar: Uint8Array | undefined;
  /** A whole dump without DMAR and without IVRS. */
  readonly noIommu: boolean;
}

/** The table of a file: raw bytes, or the DMAR of an acpidump. */
function firmwareTables(path: string | undefined): FirmwareTables {
  if (path === undefined) return { dmar: undefined, noIommu: false };
  const bytes = readBytes(path);
  const text = textOf(bytes);
  if (isAcpidump(text)) {
    const { tables, problems } = parseAcpidump(text);
    const problem = problems.find((one) => one.problem.startsWith('DMAR'));
    if (problem !== undefined) throw fileError(problem.problem, { file: path, line: problem.line });
    const dmar = tables.find((one) => one.signature === 'DMAR')?.bytes;
    return { dmar, noIommu: dmar === undefined && !tables.some((one) => one.signature === 'IVRS') };
  }
  if (text.startsWith('DMAR')) return { dmar: new Uint8Array(bytes), noIommu: false };
  if (bytes.length === 0) return { dmar: undefined, noIommu: false };
  throw fileError(
    'neither a raw DMAR table nor the text of acpidump',
    { file: path, offset: 0 },
    'copy /sys/firmware/acpi/tables/DMAR, or save the output of acpidump',
  );
}

/**
 * A DMAR table with its bytes, from a file as the kernel gives it or from the text of acpidump.
 * @throws ApplicationError FORMAT when there is none in it, or one that is wrong, with its offset.
 */
export function readDmarFile(path: string): { readonly bytes: Uint8Array; readonly table: DmarTable } {
  const { dmar: bytes } = firmwareTables(path);
  if (bytes === undefined) throw fileError('no DMAR table in it', { file: path });
  try {
    return { bytes, table: readDmar(bytes) };
  } catch (error) {
    if (!(error instanceof DmarError)) throw error;
    throw fileError(error.message, { file: path, offset: error.offset });
  }
}

/** An address as this program writes it, or undefined. */
export function normalAddress(text: string): string | undefined {
  const at = parsePciAddress(text.trim());
  return at === undefined ? undefined : formatPciAddress(at);
}
