/** Acts that ask for more than their row says: which type, which machine, which address. */
import { act, actOnAll } from '../act.ts';
import type { Console } from '../console.ts';
import { byteRow, hex } from '../format/values.ts';
import { Picker } from '../overlays/picker.ts';
import { Prompt } from '../overlays/prompt.ts';

/** Type picked from what the parent offers, then the UUID; a definition is started. The cursor goes to the new device. */
export function createMdev(console: Console): void {
  const subject = console.subject();
  if (subject === undefined) return;
  if (subject.kind === 'definition') {
    const definition = console.hostState
      .mdevDefinitions()
      .find((candidate) => candidate.uuid === subject.name);
    if (definition !== undefined)
      act(console, 'mdev.start', { uuid: definition.uuid, parent: definition.parent }, () =>
        console.standOn(definition.uuid),
      );
    return;
  }
  if (subject.kind === 'mdev type') return createOf(console, subject.parent, subject.type);
  const parent = console.hostState.mdevParents().find((candidate) => candidate.device === subject.name);
  if (parent === undefined) {
    act(console, 'mdev.create', { parent: subject.name }); // says why not
    return;
  }
  console.push(
    new Picker({
      title: `Types that ${parent.device} offers`,
      titles: ['Type', 'Left', 'What it is'],
      items: parent.types.map((type) => ({
        value: type.id,
        cells: [type.id, String(type.availableInstances), type.description.replace(/\s+/g, ' ') || type.name],
        disabled: type.availableInstances > 0 ? undefined : 'no instance is left',
      })),
      onPick: (type) => {
        console.pop();
        createOf(console, parent.device, type);
      },
      onCancel: () => console.pop(),
      onRefused: (reason) => console.warn(reason),
    }),
  );
}

function createOf(console: Console, parent: string, type: string): void {
  const before = new Set(console.hostState.mdevs().map((mdev) => mdev.uuid));
  const created = (): void => {
    const made = console.hostState.mdevs().find((mdev) => !before.has(mdev.uuid));
    if (made !== undefined) console.standOn(made.uuid);
  };
  console.push(
    new Prompt({
      title: `New ${type} on ${parent}`,
      lines: ['UUID of the new device; empty: one is made.'],
      check: (value) =>
        value === '' || /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(value)
          ? undefined
          : 'that is no UUID (8-4-4-4-12 hexadecimal digits)',
      onAnswer: (value) => {
        console.pop();
        act(console, 'mdev.create', { parent, type, ...(value === '' ? {} : { uuid: value }) }, created);
      },
      onCancel: () => console.pop(),
    }),
  );
}

const NEW_MACHINE = '\u0000new';

/** Asks for a machine, an existing one or a new one. */
function chooseMachine(
  console: Console,
  title: string,
  blockers: (machine: string) => string | undefined,
  then: (machine: string) => void,
): void {
  const machines = console.hostState.machineStates();
  console.push(
    new Picker({
      title,
      titles: ['Machine', 'State', 'Devices'],
      items: [
        ...machines.map((machine) => ({
          value: machine.name,
          cells: [machine.name, machine.state, String(machine.devices.length)],
          disabled: blockers(machine.name),
        })),
        { value: NEW_MACHINE, cells: ['+ a new one', '', ''] },
      ],
      onPick: (machine) => {
        console.pop();
        if (machine === NEW_MACHINE) createMachine(console, then);
        else then(machine);
      },
      onCancel: () => console.pop(),
      onRefused: (reason) => console.warn(reason),
    }),
  );
}

/** Name and memory, both with a proposal. */
export function createMachine(console: Console, then: (machine: string) => void): void {
  const taken = new Set(console.hostState.machineStates().map((machine) => machine.name));
  let number = 1;
  while (taken.has(`vm${number}`)) number += 1;
  console.push(
    new Prompt({
      title: 'New virtual machine',
      lines: ['Name, and memory if not 512M (such as: web 2G).'],
      value: `vm${number}`,
      check: (value) =>
        /^\S+(\s+[0-9]+[KMGT]?)?$/i.test(value) ? undefined : 'a name, then maybe a size such as 512M or 4G',
      onAnswer: (value) => {
        console.pop();
        const [vm, memory] = value.split(/\s+/);
        act(console, 'vm.create', { vm, ...(memory === undefined ? {} : { memory }) }, () => {
          if (console.screenId === 'machines') console.standOn(vm);
          then(vm);
        });
      },
      onCancel: () => console.pop(),
    }),
  );
}

/** From a device: to which machine. From a machine: which device. */
export function assign(console: Console): void {
  const subject = console.subject();
  if (subject?.kind === 'machine') {
    act(console, 'vm.assign', { vm: subject.name });
    return;
  }
  const names = console.chosenNames(['device', 'mdev']);
  if (names.length === 0) return;
  const blocked = (vm: string): string | undefined =>
    console.workspace.disabledReason('vm.assign', { vm, device: names[0] });
  const what = names.length === 1 ? names[0] : `${names.length} devices`;
  chooseMachine(console, `Assign ${what} to`, blocked, (vm) =>
    actOnAll(console, 'vm.assign', 'device', names, { vm }),
  );
}

export function release(console: Console): void {
  const subject = console.subject();
  if (subject?.kind === 'machine') {
    act(console, 'vm.release', { vm: subject.name });
    return;
  }
  const names = console.chosenNames(['device', 'mdev']);
  const owners = ownersOf(console);
  const owner = owners.get(names[0]);
  if (owner === undefined) {
    console.warn(`${names[0]} is assigned to nobody`);
    return;
  }
  const held = names.filter((name) => owners.get(name) === owner);
  actOnAll(console, 'vm.release', 'device', held, { vm: owner });
}

/** Machines by what they have. */
function ownersOf(console: Console): ReadonlyMap<string, string> {
  return new Map(
    console.hostState
      .machineStates()
      .flatMap(({ name, devices }) => devices.map(({ device }): [string, string] => [device, name])),
  );
}

/** The machine that has a device or mdev. */
export function ownerOf(console: Console, name: string): string | undefined {
  return console.hostState
    .machineStates()
    .find((machine) => machine.devices.some((device) => device.device === name))?.name;
}

/** An act of the machine that has the device, on that device. */
export function onOwner(console: Console, action: string): void {
  const [device] = console.chosenNames(['device', 'mdev']);
  const vm = device === undefined ? undefined : ownerOf(console, device);
  if (vm === undefined) console.warn(`${device ?? 'it'} is assigned to nobody`);
  else act(console, action, { vm, device });
}

export function startOrStop(console: Console): void {
  const [name] = console.chosenNames(['machine']);
  const machine = name === undefined ? undefined : console.hostState.machineState(name);
  if (machine === undefined) return;
  act(console, machine.state === 'running' ? 'vm.stop' : 'vm.start', { vm: machine.name });
}

/** Starts counting; from then on reads and clears what was written since: a round of copying memory over. */
export function dirtyRound(console: Console): void {
  const [name] = console.chosenNames(['machine']);
  const machine = name === undefined ? undefined : console.hostState.machineState(name);
  if (machine === undefined) return;
  act(console, machine.dirtyTracking ? 'dirty.query' : 'dirty.start', { vm: machine.name });
}

export function defineMdev(console: Console): void {
  const [uuid] = console.chosenNames(['mdev']);
  const mdev = console.hostState.mdevs().find((candidate) => candidate.uuid === uuid);
  if (mdev === undefined) return;
  act(console, 'mdev.define', { parent: mdev.parent, type: mdev.type, uuid: mdev.uuid, autostart: true });
}

const DMA = /^(?:(read|write)\s+)?(0x[0-9a-f]+|[0-9]+)(?:\s+([0-9a-f]+))?$/i;

/** `0x1000`, `read 0x1000 64`, `write 0x1000 cafe`. */
export function exerciseDma(console: Console): void {
  const [device] = console.chosenNames(['device', 'mdev']);
  if (device === undefined) return;
  console.push(
    new Prompt({
      title: `DMA of ${device}`,
      lines: ['Address to write to; or: read ADDRESS LENGTH; or: write ADDRESS BYTES (hex).'],
      value: console.lastAddress,
      check: (value) => (DMA.test(value) ? undefined : 'an address in hex, or read/write and an address'),
      onAnswer: (value) => {
        console.pop();
        const [, verb = 'write', iova, rest] = DMA.exec(value) as RegExpExecArray;
        const access = verb.toLowerCase();
        console.lastAddress = iova;
        const more: Record<string, string> =
          rest === undefined ? {} : access === 'read' ? { length: rest } : { data: rest };
        act(console, 'device.dma', { device, iova, access, ...more }, (summary, result) =>
          tellDma(console, device, BigInt(iova), summary, result),
        );
      },
      onCancel: () => console.pop(),
    }),
  );
}

/** What the DMA did, and what now stands in the guest's memory, read back from there. */
function tellDma(console: Console, device: string, iova: bigint, summary: string, result: unknown): void {
  if ((result as { ok?: boolean } | null)?.ok !== true) {
    console.warn(`${summary}. 8 shows the fault, t walks the tables.`);
    return;
  }
  const owner = ownerOf(console, device);
  let memory = '';
  try {
    if (owner !== undefined)
      memory = `; memory of ${owner} there: ${byteRow(console.hostState.readMachineMemory(owner, iova, 8))} …`;
  } catch {
    // Not an address of the guest: the summary says what happened.
  }
  console.say(summary + memory);
}

/** Asks for the address to walk; from an event it is the one that faulted. */
export function setWalk(console: Console): void {
  const target = walkDevice(console);
  if (target === undefined) {
    console.warn('pick a device or mediated device first (1 or 3), then t');
    return;
  }
  const { device, proposal, pasid } = target;
  console.push(
    new Prompt({
      title: `Walk the tables for ${device}`,
      lines: ['Address; or: write ADDRESS, read ADDRESS.'],
      value: proposal,
      check: (value) =>
        /^(?:(?:read|write)\s+)?(?:0x[0-9a-f]{1,16}|[0-9]{1,19})$/i.test(value)
          ? undefined
          : 'an address, such as 0x1000',
      onAnswer: (value) => {
        console.pop();
        const [first, second] = value.split(/\s+/);
        const iova = second ?? first;
        console.lastAddress = iova;
        console.setWalk({
          device,
          pasid,
          iova: BigInt.asUintN(64, BigInt(iova)),
          access: second !== undefined && first.toLowerCase() === 'write' ? 'write' : 'read',
          flip: undefined,
        });
        console.go('walk');
      },
      onCancel: () => console.pop(),
    }),
  );
}

function walkDevice(
  console: Console,
): { device: string; proposal: string; pasid: number | undefined } | undefined {
  const subject = console.subject();
  if (subject?.kind === 'event') {
    const fault = console.hostState.events().find((event) => String(event.sequence) === subject.name)?.fault;
    if (fault?.device === undefined) return undefined;
    return {
      device: fault.device,
      proposal: `${fault.access === 'write' ? 'write ' : ''}${hex(fault.address)}`,
      pasid: fault.pasid,
    };
  }
  if (subject?.kind === 'device' || subject?.kind === 'mdev') {
    return { device: subject.name, proposal: console.lastAddress, pasid: undefined };
  }
  if (console.walk === undefined) return undefined;
  return { device: console.walk.device, proposal: hex(console.walk.iova), pasid: console.walk.pasid };
}

/** Turns one bit of the entry under the cursor over and walks again. */
export function turnBit(console: Console): void {
  const step = console.walkStep();
  if (step === undefined || console.walk === undefined) {
    console.warn('put the cursor on the step whose entry it should be');
    return;
  }
  const { walk } = console;
  const last = step.words.length * 32 - 1;
  console.push(
    new Prompt({
      title: `Turn a bit of the ${step.structure}`,
      lines: [`Bit 0 to ${last}, as the fields number them. Memory stays as it is.`],
      value: '0',
      check: (value) =>
        /^[0-9]{1,4}$/.test(value) && Number(value) <= last ? undefined : `a number from 0 to ${last}`,
      onAnswer: (value) => {
        console.pop();
        console.setWalk({ ...walk, flip: { address: step.address, bit: Number(value) } });
      },
      onCancel: () => console.pop(),
    }),
  );
}
