/** The state after a call, as the transcripts of auxiliary domains record it: read from tables and registers. */
import {
  atsEnabled,
  type DeviceInfo,
  type IntelDomain,
  type IntelDriver,
  type LinuxKernel,
  PasidTableEntry,
  pasidEnabled,
  priEnabled,
  ScalableContextEntry,
} from '../../../hw/index.ts';
import { TEST_DEVICES } from './machine.ts';
import type { DomainNames } from './names.ts';

const hex = (value: bigint | number, digits = 0): string => `0x${value.toString(16).padStart(digits, '0')}`;

/** `after` of a transcript line. @param devices Names of the devices that the scenario uses. */
export function dumpState(kernel: LinuxKernel, devices: readonly string[], names: DomainNames): unknown {
  return {
    devices: Object.fromEntries(devices.map((name) => [name, dumpDevice(kernel, name, names)])),
    domains: Object.fromEntries(
      [...names.own()].map(([name, domain]) => [name, dumpDomain(domain, kernel)] as const),
    ),
  };
}

function dumpDevice(kernel: LinuxKernel, name: string, names: DomainNames): unknown {
  const device = kernel.pciDevice(TEST_DEVICES[name].at);
  const info = device === undefined ? undefined : kernel.intel?.infoOf(device);
  const pci = device?.pci;
  if (kernel.intel === undefined || info?.domain === undefined || pci === undefined) return { info: null };
  const control = (id: number, offset: number): string | undefined => {
    const at = pci.extendedCapability(id);
    return at === undefined ? undefined : hex(pci.read(at + offset, 2), 4);
  };
  const state: Record<string, unknown> = {
    aux_enabled: Number(info.auxiliary),
    domain: names.of(info.domain),
    pasid_supported: Number(info.pasidSupported),
    pasid_enabled: Number(info.pasidEnabled && pasidEnabled(pci)),
    ats_enabled: Number(info.atsEnabled && atsEnabled(pci)),
    pri_enabled: Number(info.priEnabled && priEnabled(pci)),
  };
  for (const [key, id, offset] of [
    ['pasid_ctrl', 0x1b, 6],
    ['ats_ctrl', 0x0f, 6],
    ['pri_ctrl', 0x13, 4],
  ] as const) {
    const value = control(id, offset);
    if (value !== undefined) state[key] = value;
  }
  state.context = dumpContext(kernel.intel, info);
  state.subdevices = [...info.auxiliaryRecords].map(({ domain, users }) => ({
    domain: names.of(domain),
    users,
  }));
  const table = info.pasidTable;
  if (table === undefined) return { ...state, pasid_table: null };
  return {
    ...state,
    table_max_pasid: table.capacity,
    entries: table.entries().map(({ pasid, words }) => dumpEntry(pasid, words, names)),
    leaf_tables: table.leafTables,
  };
}

function dumpContext(driver: IntelDriver, info: DeviceInfo): unknown {
  const words = driver.entries.readContext(info);
  if (words === undefined || !ScalableContextEntry.fields.present.isSet(words)) return null;
  return { lo_low12: hex(words[0] & 0xfff, 3), hi: hex(quad(words, 1), 16) };
}

function dumpEntry(pasid: number, words: Uint32Array, names: DomainNames): unknown {
  const field = PasidTableEntry.fields;
  const type = field.translationType.get(words);
  const root = Number(
    (type === 1 || type === 0 ? field.firstLevelPointer : field.secondLevelPointer).getBig(words),
  );
  return {
    pasid,
    present: field.present.get(words),
    fpd: field.faultDisable.get(words),
    aw: field.addressWidth.get(words),
    pgtt: type,
    did: field.domainId.get(words),
    pgsnp: field.pageSnoop.get(words),
    pwsnp: field.pageWalkSnoop.get(words),
    sre: field.supervisorRequestEnable.get(words),
    flpm: field.firstLevelPagingMode.get(words),
    wpe: field.writeProtectEnable.get(words),
    root: root === 0 ? '-' : names.ofRoot(root / 4096),
    q0_low12: hex(words[0] & 0xfff, 3),
    q1: hex(quad(words, 1), 16),
    q2_low12: hex(words[4] & 0xfff, 3),
  };
}

function dumpDomain(domain: IntelDomain, kernel: LinuxKernel): unknown {
  const [unit] = kernel.intel?.units ?? [];
  const use = unit === undefined ? undefined : domain.unitUses.get(unit);
  return {
    default_pasid: domain.defaultPasid,
    gaw: domain.addressBits,
    agaw: (domain.table?.levels ?? 2) - 2,
    max_addr: hex(BigInt(domain.highestPage) * 4096n),
    unit_refs: use?.users ?? 0,
    did: use?.domainId ?? -1,
    first_level: Number(domain.firstLevel),
    attached_aux: domain.auxiliaryRecords.map(({ info, users }) => ({ dev: deviceName(info), users })),
  };
}

function deviceName(info: DeviceInfo): string {
  const found = Object.entries(TEST_DEVICES).find(([, { at }]) => at === info.device.name);
  return found?.[0] ?? info.device.name;
}

function quad(words: Uint32Array, index: number): bigint {
  return BigInt(words[index * 2]) | (BigInt(words[index * 2 + 1]) << 32n);
}
