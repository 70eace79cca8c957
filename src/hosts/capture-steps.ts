/**
 * The shell steps that were run on a captured machine after boot, as far as they change groups: SR-IOV, removal, rescan,
 * group types, hot plug through QMP. The script is not run; its functions are recognised by what they write.
 */
import type { HostEvent } from '../../hw/index.ts';

/** What a shell function does, with the number of the argument that names the device and the one that gives a value. */
interface Verb {
  readonly kind: 'virtual-functions' | 'remove' | 'group-type';
  readonly device: number;
  readonly value: number;
  /** It unbinds the drivers of the group first. */
  readonly unbinds?: boolean;
}

const ADDRESS = /^[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]$/i;

/**
 * Reads a script into events, in order.
 * @param resolve the address of a device by its QEMU id or by the id of the bus it is put on, where that is known
 */
export function stepsToEvents(
  script: string,
  resolve: (name: PlugName) => string | undefined = () => undefined,
): HostEvent[] {
  const verbs = new Map<string, Verb>();
  const events: HostEvent[] = [];
  let pending: Plug | undefined;
  /** Where devices went that QMP added, by their ids. */
  const places = new Map<string, string>();
  const happened = (plug: Plug, device: string): void => {
    events.push({ kind: plug.kind, device });
    if (plug.kind === 'plug' && plug.id !== undefined) places.set(plug.id, device);
  };
  for (const line of topLevelLines(script, verbs)) {
    const words = line.split(/\s+/).map((word) => word.replace(/^['"]|['"]$/g, ''));
    const verb = verbs.get(words[0]);
    const direct = directWrite(line);
    const plug = plugOf(line);
    if (verb !== undefined || direct !== undefined || plug !== undefined) pending = undefined;
    if (verb !== undefined) {
      const event = called(verb, words);
      if (event !== undefined) events.push(event);
    } else if (direct !== undefined) events.push(direct);
    else if (plug !== undefined) {
      // Where it sits is told by the QEMU command line, else by the wait for it that follows.
      const device = places.get(plug.id ?? '') ?? resolve(plug);
      if (device === undefined) pending = plug;
      else happened(plug, device);
    }
    const waited = /\b(absent|present)\s+(\S+)/.exec(line);
    if (waited === null || pending === undefined || !ADDRESS.test(waited[2])) continue;
    if ((pending.kind === 'unplug') === (waited[1] === 'absent')) {
      happened(pending, waited[2].toLowerCase());
      pending = undefined;
    }
  }
  return events;
}

/** What QMP says of a device: its id, and for a new one where it goes. */
export interface PlugName {
  readonly id?: string;
  readonly bus?: string;
  /** `5`, `0x5`, `05.0`: the slot on the bus; absent: the first. */
  readonly addr?: string;
}

interface Plug extends PlugName {
  readonly kind: 'plug' | 'unplug';
}

/** `device_add` and `device_del` with the names that they give. */
function plugOf(line: string): Plug | undefined {
  const verb = /device_(add|del)/.exec(line);
  if (verb === null) return undefined;
  const id = /"id":\s*"([^"]+)"/.exec(line)?.[1];
  const bus = /"bus":\s*"([^"]+)"/.exec(line)?.[1];
  const addr = /"addr":\s*"?([0-9a-fx.]+)/i.exec(line)?.[1];
  return { kind: verb[1] === 'add' ? 'plug' : 'unplug', id, bus, addr };
}

/** Lines outside functions, split at `;` and `&&`; function bodies are looked at for what they write. */
function topLevelLines(script: string, verbs: Map<string, Verb>): string[] {
  const lines: string[] = [];
  let name: string | undefined;
  let body: string[] = [];
  for (const raw of loopsOnOneLine(script.replaceAll(/\\\n/g, ' ')).split('\n')) {
    const line = raw.trim();
    if (line === '' || line.startsWith('#')) continue;
    if (name !== undefined) {
      if (line === '}') {
        learn(name, body.join('\n'), verbs);
        name = undefined;
      } else body.push(line);
      continue;
    }
    const oneLine = /^(\w+)\s*\(\)\s*\{(.*)\}$/.exec(line);
    const opening = /^(\w+)\s*\(\)\s*\{(.*)$/.exec(line);
    if (oneLine !== null) learn(oneLine[1], oneLine[2], verbs);
    else if (opening !== null) {
      name = opening[1];
      body = [opening[2]];
    } else {
      for (const part of loopIterations(line)) lines.push(...splitCommands(part));
    }
  }
  return lines;
}

/** Commands of a line; what stands in quotes (JSON for QMP) stays whole. */
function splitCommands(line: string): string[] {
  return (line.match(/(?:'[^']*'|"[^"]*"|[^;&'"])+/g) ?? [])
    .map((part) => part.trim())
    .filter((part) => part !== '');
}

/** `for x in a b; do`, its lines and `done` as one line. */
function loopsOnOneLine(script: string): string {
  return script.replaceAll(
    /^[ \t]*for (\w+) in ([^;\n]*);?\s*do[ \t]*\n([\s\S]*?)^[ \t]*done[ \t]*$/gm,
    (_loop, name: string, list: string, body: string) => {
      const commands = body.split('\n').map((line) => line.trim().replace(/;$/, ''));
      return `for ${name} in ${list}; do ${commands.filter((line) => line !== '').join('; ')}; done`;
    },
  );
}

/** `for x in a b; do …; done` on one line, unrolled. */
function loopIterations(line: string): string[] {
  const loop = /^for (\w+) in ([^;]*);\s*do (.*);?\s*done$/.exec(line);
  if (loop === null) return [line];
  return loop[2]
    .split(/\s+/)
    .filter((word) => word !== '')
    .map((word) => loop[3].replaceAll(`\${${loop[1]}}`, word).replaceAll(`$${loop[1]}`, word));
}

function learn(name: string, body: string, verbs: Map<string, Verb>): void {
  const value = /echo "?\$\{?(\d)\}?"? >/.exec(body);
  const device = /devices\/"?\$\{?(\d)\}?/.exec(body);
  if (/\/sriov_numvfs/.test(body) && value !== null && device !== null) {
    verbs.set(name, { kind: 'virtual-functions', device: Number(device[1]), value: Number(value[1]) });
  } else if (/\/type\b/.test(body) && value !== null && device !== null) {
    verbs.set(name, {
      kind: 'group-type',
      device: Number(device[1]),
      value: Number(value[1]),
      unbinds: /\/unbind\b/.test(body),
    });
  } else if (/\/remove\b/.test(body) && device !== null) {
    verbs.set(name, { kind: 'remove', device: Number(device[1]), value: 0 });
  }
}

function called(verb: Verb, words: readonly string[]): HostEvent | undefined {
  const device = words[verb.device]?.toLowerCase();
  const value = words[verb.value];
  if (device === undefined || !ADDRESS.test(device)) return undefined;
  if (verb.kind === 'remove') return { kind: 'remove', device };
  if (verb.kind === 'group-type') {
    return { kind: 'group-type', device, type: value, ...(verb.unbinds === true ? { unbound: true } : {}) };
  }
  return { kind: 'virtual-functions', device, count: Number(value) };
}

/** `echo VALUE > /sys/…` written out. */
function directWrite(line: string): HostEvent | undefined {
  const write = /^echo\s+(\S+)\s*>\s*(\S+)/.exec(line);
  if (write === null) return undefined;
  const value = write[1].replace(/['"]/g, '');
  const path = write[2].replace(/['"]/g, '');
  const rescan = rescanOf(path);
  if (rescan !== undefined) return rescan;
  const group = /\/iommu_groups\/(\d+)\/type$/.exec(path);
  if (group !== null) return { kind: 'group-type', device: Number(group[1]), type: value };
  const at = /\/([0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7])\/(\w+)(?:\/(\w+))?$/i.exec(path);
  if (at === null) return undefined;
  const device = at[1].toLowerCase();
  if (at[2] === 'remove') return { kind: 'remove', device };
  if (at[2] === 'sriov_numvfs') return { kind: 'virtual-functions', device, count: Number(value) };
  if (at[2] === 'iommu_group' && at[3] === 'type') return { kind: 'group-type', device, type: value };
  return undefined;
}

/** `/sys/bus/pci/rescan`, `…/pci_bus/0000:01/rescan`, or `…/0000:01:00.0/rescan`, which rescans the bus of the device. */
function rescanOf(path: string): HostEvent | undefined {
  if (/^\/sys\/bus\/pci\/rescan$/.test(path)) return { kind: 'rescan' };
  const bus = /\/([0-9a-f]{4,8}:[0-9a-f]{2})(?::[0-9a-f]{2}\.[0-7])?\/(?:dev_|bus_)?rescan$/i.exec(path);
  return bus === null ? undefined : { kind: 'rescan', bus: bus[1].toLowerCase() };
}
