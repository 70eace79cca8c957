/**
 * What must be made before it can be assigned: virtual functions and mediated devices. Made on the emulated host, so
 * that every refusal of the kernel shows up as a blocker with its rule.
 */
import { randomUUID } from 'node:crypto';
import { type Host, KernelError } from '../../hw/index.ts';
import { usageError } from '../errors.ts';
import { shellCommand, shellWrite } from '../export/shell.ts';
import type { Blocker } from './blockers.ts';

export interface Preparation {
  /** Names of what was made: addresses of virtual functions, UUIDs. */
  readonly made: readonly string[];
  readonly blockers: readonly Blocker[];
  readonly commands: readonly string[];
  readonly undo: readonly string[];
}

/** Parses `0000:16:00.1=4`. @throws ApplicationError (usage). */
function counted(text: string, what: string): { name: string; count: number } {
  const match = /^([^=]+)(?:=(\d{1,5}))?$/.exec(text);
  const count = Number(match?.[2] ?? 1);
  if (match === null || count < 1)
    throw usageError(
      `"${text}" names no ${what}`,
      `write it as ${what === 'virtual functions' ? '0000:16:00.1=4' : '0000:6a:01.0/TYPE=2'}`,
    );
  return { name: match[1], count };
}

/** Makes the virtual functions and mediated devices asked for on `host`, which belongs to the plan alone. */
export function prepare(
  host: Host,
  virtualFunctions: readonly string[],
  mdevs: readonly string[],
): Preparation {
  const all = [
    ...virtualFunctions.map((text) => makeVirtualFunctions(host, counted(text, 'virtual functions'))),
    ...mdevs.map((text) => makeMdevs(host, counted(text, 'mediated devices'))),
  ];
  return {
    made: all.flatMap((one) => one.made),
    blockers: all.flatMap((one) => one.blockers),
    commands: all.flatMap((one) => one.commands),
    undo: all.flatMap((one) => one.undo),
  };
}

const nothing = { made: [], commands: [], undo: [] };

/** A refusal of the emulated kernel as a blocker. */
function refusal(thrown: unknown, device: string): Blocker {
  if (!(thrown instanceof KernelError)) throw thrown;
  return {
    rule: thrown.rule,
    device,
    detail: `${thrown.message} (${thrown.code})`,
    remedy: thrown.remedy ?? 'see the rule',
  };
}

function makeVirtualFunctions(host: Host, { name, count }: { name: string; count: number }): Preparation {
  const node = host.device(name);
  if (node === undefined)
    throw usageError(`${name} is not on ${host.description.name}`, 'vtdeck topology shows what is there');
  const file = `/sys/bus/pci/devices/${name}/sriov_numvfs`;
  const present = node.virtualFunctions.length;
  try {
    // The kernel changes a number only by way of none.
    if (present > 0) host.setVirtualFunctions(name, 0);
    host.setVirtualFunctions(name, count);
  } catch (thrown) {
    return { ...nothing, blockers: [refusal(thrown, name)] };
  }
  return {
    made: host.device(name)?.virtualFunctions ?? [],
    blockers: [],
    commands: [...(present > 0 ? [shellWrite('0', file)] : []), shellWrite(String(count), file)],
    undo: [shellWrite('0', file), ...(present > 0 ? [shellWrite(String(present), file)] : [])],
  };
}

function makeMdevs(host: Host, { name, count }: { name: string; count: number }): Preparation {
  const slash = name.indexOf('/');
  const parent = slash < 0 ? name : name.slice(0, slash);
  const wanted = slash < 0 ? undefined : name.slice(slash + 1);
  const missing =
    host.device(parent) === undefined ? [] : host.auxiliaryModeRequirements(parent).filter(({ met }) => !met);
  const offered = host.mdevParents().find(({ device }) => device === parent);
  const blockers: Blocker[] = missing.map(({ requirement, where }) => ({
    rule: 'auxiliary mode',
    device: parent,
    detail: `${parent} can not isolate mediated devices by PASID: ${requirement} (${where})`,
    remedy: 'without it mediated devices of this parent rest on its driver alone',
  }));
  if (offered === undefined) {
    return {
      ...nothing,
      blockers: [
        ...blockers,
        {
          rule: 'no mediated devices',
          device: parent,
          detail: `no driver offers mediated devices on ${parent}`,
          remedy: 'bind the driver that does',
        },
      ],
    };
  }
  const type =
    offered.types.find(({ id }) => id === wanted) ?? (wanted === undefined ? offered.types[0] : undefined);
  if (type === undefined) {
    throw usageError(
      `${parent} offers no type ${wanted}`,
      `it offers ${offered.types.map(({ id }) => id).join(', ')}`,
    );
  }
  if (type.availableInstances < count) {
    const others = offered.types
      .filter(({ devices, id }) => id !== type.id && devices.length > 0)
      .map(({ id }) => id);
    blockers.push({
      rule: 'instances exhausted',
      device: parent,
      detail: `${type.id} has ${type.availableInstances} of ${count} instances left${others.length > 0 ? `; instances of ${others.join(', ')} take from the same hardware` : ''}`,
      remedy: 'remove some, or take another parent',
    });
  }
  if (blockers.length > 0) return { ...nothing, blockers };
  const made: string[] = [];
  try {
    if (offered.auxiliaryMode === 'off') host.enableAuxiliaryMode(parent);
    for (let made_ = 0; made_ < count; made_ += 1) {
      const uuid = randomUUID();
      host.createMdev(parent, type.id, uuid);
      made.push(uuid);
    }
  } catch (thrown) {
    return { ...nothing, blockers: [refusal(thrown, parent)] };
  }
  return {
    made,
    blockers: [],
    commands: made.map((uuid) =>
      shellCommand('mdevctl', 'start', '--uuid', uuid, '--parent', parent, '--type', type.id),
    ),
    undo: made.map((uuid) => shellCommand('mdevctl', 'stop', '--uuid', uuid)),
  };
}
