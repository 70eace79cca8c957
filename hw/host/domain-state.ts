/** Domains and PASIDs: the kernel's domains with their attachments, and the PASID-table entries that memory holds. */
import type { IntelDomain } from '../kernel/intel/domain.ts';
import type { LinuxKernel } from '../kernel/kernel.ts';
import { PasidTableEntry, TranslationType } from '../vtd/layouts.ts';
import { registers } from '../vtd/registers.ts';
import type { Hardware } from './hardware.ts';
import type { Machines } from './machines.ts';
import type { DomainAttachmentState, DomainState, PasidEntryState } from './state.ts';
import { contextEntries, type PasidEntryInMemory, pasidEntries } from './tables.ts';

export function domainStates(kernel: LinuxKernel, machines: Machines): DomainState[] {
  const { intel } = kernel;
  if (intel === undefined) return [];
  const identity = intel.identity.devices.size > 0 ? [intel.identity] : [];
  return [...identity, ...intel.domains].map((domain) => domainState(machines, domain));
}

function domainState(machines: Machines, domain: IntelDomain): DomainState {
  return {
    name: domain.name,
    type: domain.type,
    level: domain.table === undefined ? 'none' : domain.firstLevel ? 'first' : 'second',
    tableRoot: domain.table === undefined ? undefined : BigInt(domain.table.root) << 12n,
    defaultPasid: domain.defaultPasid > 0 ? domain.defaultPasid : undefined,
    units: [...domain.unitUses].map(([unit, use]) => ({
      unit: unit.name,
      domainId: use.domainId,
      references: use.users,
    })),
    attachments: attachments(domain),
    owner: machines.ownerOfDomain(domain)?.name,
  };
}

function attachments(domain: IntelDomain): DomainAttachmentState[] {
  const all: DomainAttachmentState[] = [];
  for (const info of domain.devices)
    all.push({ device: info.device.name, kind: 'requester', pasid: 0, users: 1 });
  for (const record of domain.auxiliaryRecords)
    all.push({
      device: record.info.device.name,
      kind: 'auxiliary',
      pasid: domain.defaultPasid,
      users: record.users,
    });
  for (const [info, pasids] of domain.pasidAttachments)
    for (const pasid of pasids) all.push({ device: info.device.name, kind: 'pasid', pasid, users: 1 });
  return all;
}

/** Every PASID-table entry that hardware can reach now, in order of units, requester ids and PASIDs. */
export function pasidEntryStates(hardware: Hardware, kernel: LinuxKernel): PasidEntryState[] {
  const found: PasidEntryState[] = [];
  for (const wired of hardware.units) {
    const root = wired.unit.mmioRead(registers.RTADDR.offset, 8);
    for (const context of contextEntries(hardware.memory, root)) {
      if (!context.scalable) continue;
      for (const entry of pasidEntries(hardware.memory, context))
        found.push({
          device: deviceName(kernel, wired.structure.segment, entry.requesterId),
          requesterId: entry.requesterId,
          pasid: entry.pasid,
          address: BigInt(entry.address),
          words: entry.words,
          fields: PasidTableEntry.decode(entry.words),
          domain: domainOf(kernel, entry),
        });
    }
  }
  return found;
}

/** The function with a requester id; the id itself where no function has it (an alias). */
export function deviceName(kernel: LinuxKernel, segment: number, requesterId: number): string {
  return functionWith(kernel, segment, requesterId) ?? requesterText(requesterId);
}

/** `0000:6a:01.0`, or undefined: nobody has that requester id for its own. */
export function functionWith(kernel: LinuxKernel, segment: number, requesterId: number): string | undefined {
  return kernel.topology.devices.find(
    (device) => device.bus.segment === segment && ((device.bus.number << 8) | device.devfn) === requesterId,
  )?.name;
}

function requesterText(requesterId: number): string {
  const hex = (value: number): string => value.toString(16).padStart(2, '0');
  return `${hex(requesterId >>> 8)}:${hex((requesterId >>> 3) & 31)}.${requesterId & 7}`;
}

function domainOf(kernel: LinuxKernel, entry: PasidEntryInMemory): string | undefined {
  const { translationType, firstLevelPointer, secondLevelPointer } = PasidTableEntry.fields;
  const type = translationType.get(entry.words);
  if (type === TranslationType.passThrough) return kernel.intel?.identity.name;
  const pointer = type === TranslationType.firstLevel ? firstLevelPointer : secondLevelPointer;
  const frame = pointer.get(entry.words) / 4096;
  return kernel.intel?.domains.find((domain) => domain.table?.root === frame)?.name;
}
