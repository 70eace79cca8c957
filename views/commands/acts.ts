/** Acts on what the row under the cursor stands for. Each is an action of the registry; here it only gets its key. */
import { act, actOnAll } from '../act.ts';
import type { Console } from '../console.ts';
import type { Command } from '../keymap.ts';
import {
  assign,
  createMachine,
  createMdev,
  defineMdev,
  dirtyRound,
  exerciseDma,
  onOwner,
  release,
  setWalk,
  startOrStop,
  turnBit,
} from './jobs.ts';
import { togglePick } from './list-moves.ts';
import { beginInPalette, beginOn } from './palette.ts';
import { togglePause } from './tools.ts';

/** An action whose argument `name` is the row's name, for all that are marked. */
const simple = (
  command: Pick<Command, 'id' | 'keys' | 'title' | 'subjects' | 'hint' | 'screens'>,
  action: string,
  argument: string,
): Command => ({
  ...command,
  run: (console) => actOnAll(console, action, argument, console.chosenNames(command.subjects ?? []), {}),
});

function toggleAuxiliary(console: Console): void {
  const names = console.chosenNames(['device']);
  const on = names.length > 0 && console.hostState.device(names[0])?.auxiliaryMode === 'on';
  actOnAll(console, on ? 'device.aux-disable' : 'device.aux-enable', 'device', names, {});
}

const all: readonly Command[] = [
  {
    id: 'device.auxiliary',
    keys: ['x'],
    title: 'auxiliary mode on or off',
    subjects: ['device'],
    hint: 'aux mode',
    run: toggleAuxiliary,
  },
  {
    id: 'mdev.create',
    keys: ['c'],
    title: 'create a mediated device',
    subjects: ['device', 'mdev type', 'definition'],
    hint: 'create mdev',
    run: createMdev,
  },
  {
    id: 'vm.assign',
    keys: ['a'],
    title: 'assign to a virtual machine',
    subjects: ['device', 'mdev', 'machine'],
    hint: 'assign',
    run: assign,
  },
  {
    id: 'vm.release',
    keys: ['u'],
    title: 'take back from its virtual machine',
    subjects: ['device', 'mdev', 'machine'],
    hint: 'release',
    run: release,
  },
  {
    id: 'device.dma',
    keys: ['d'],
    title: 'let it do DMA',
    subjects: ['device', 'mdev'],
    hint: 'DMA',
    run: exerciseDma,
  },
  {
    id: 'device.walk',
    keys: ['t'],
    title: 'walk the tables for an address',
    subjects: ['device', 'mdev', 'event'],
    hint: 'walk',
    run: setWalk,
  },
  {
    id: 'walk.target',
    keys: ['t', 'i'],
    title: 'walk another address',
    screens: ['walk'],
    hint: 'address',
    run: setWalk,
  },
  {
    id: 'walk.flip',
    keys: ['f'],
    title: 'the same walk with one bit turned over',
    screens: ['walk'],
    hint: 'turn a bit',
    run: turnBit,
  },
  {
    id: 'walk.unflip',
    keys: ['F'],
    title: 'the walk as it is again',
    screens: ['walk'],
    run: (console) => {
      if (console.walk?.flip === undefined) console.note('no bit is turned over');
      else console.setWalk({ ...console.walk, flip: undefined });
    },
  },
  simple(
    { id: 'device.bind', keys: ['b'], title: 'bind a driver', subjects: ['device'], hint: 'bind' },
    'device.bind',
    'device',
  ),
  simple(
    { id: 'device.unbind', keys: ['B'], title: 'unbind the driver', subjects: ['device'] },
    'device.unbind',
    'device',
  ),
  simple(
    { id: 'sriov.set', keys: ['V'], title: 'set the number of virtual functions', subjects: ['device'] },
    'sriov.set',
    'device',
  ),
  simple(
    { id: 'device.reset', keys: ['R'], title: 'reset the function', subjects: ['device'] },
    'device.reset',
    'device',
  ),
  simple(
    {
      id: 'mdev.remove',
      keys: ['D', 'Delete'],
      title: 'remove the mediated device',
      subjects: ['mdev'],
      hint: 'remove',
    },
    'mdev.remove',
    'uuid',
  ),
  simple(
    { id: 'mdev.undefine', keys: ['D', 'Delete'], title: 'forget the definition', subjects: ['definition'] },
    'mdev.undefine',
    'uuid',
  ),
  {
    id: 'vm.create',
    keys: ['n'],
    title: 'new virtual machine',
    hint: 'new VM',
    run: (console) => createMachine(console, () => {}),
  },
  {
    id: 'vm.start-stop',
    keys: ['r'],
    title: 'start or stop the machine',
    subjects: ['machine'],
    hint: 'start/stop',
    run: startOrStop,
  },
  simple({ id: 'vm.kill', keys: ['K'], title: 'kill the machine', subjects: ['machine'] }, 'vm.kill', 'vm'),
  simple(
    { id: 'vm.remove', keys: ['D', 'Delete'], title: 'remove the machine', subjects: ['machine'] },
    'vm.remove',
    'vm',
  ),
  simple(
    { id: 'vm.add-memory', keys: ['+'], title: 'plug memory in', subjects: ['machine'] },
    'vm.add-memory',
    'vm',
  ),
  simple(
    {
      id: 'vm.remove-memory',
      keys: ['_'],
      title: 'unplug the memory plugged in last',
      subjects: ['machine'],
    },
    'vm.remove-memory',
    'vm',
  ),
  {
    id: 'vm.dirty',
    keys: ['L'],
    title: 'count dirty pages; pressed again: one round of the migration',
    subjects: ['machine'],
    hint: 'dirty round',
    run: dirtyRound,
  },
  simple(
    { id: 'device.workload', keys: ['W'], title: 'let it work for a while', subjects: ['device', 'mdev'] },
    'device.workload',
    'device',
  ),
  {
    id: 'mdev.define',
    keys: ['E'],
    title: 'define it, so that it outlives a boot',
    subjects: ['mdev'],
    run: defineMdev,
  },
  simple(
    { id: 'device.bus-reset', keys: ['Ctrl-r'], title: 'reset the bus of the device', subjects: ['device'] },
    'device.bus-reset',
    'device',
  ),
  {
    id: 'device.override',
    keys: ['U'],
    title: 'driver_override: which driver may bind',
    subjects: ['device'],
    run: beginOn('device.override', 'device', 'device'),
  },
  {
    id: 'mdev.modify',
    keys: ['M'],
    title: 'change the definition',
    subjects: ['definition', 'mdev'],
    run: beginOn('mdev.modify', 'uuid', 'definition', 'mdev'),
  },
  simple(
    { id: 'vm.write', keys: ['W'], title: 'let the guest write to its memory', subjects: ['machine'] },
    'vm.write',
    'vm',
  ),
  {
    id: 'vm.guest-map',
    keys: ['>'],
    title: 'let the guest map for it (virtual IOMMU)',
    subjects: ['device', 'mdev'],
    run: (console) => onOwner(console, 'vm.guest-map'),
  },
  {
    id: 'vm.guest-unmap',
    keys: ['<'],
    title: 'let the guest unmap (virtual IOMMU)',
    subjects: ['device', 'mdev'],
    run: (console) => onOwner(console, 'vm.guest-unmap'),
  },
  simple(
    { id: 'dirty.stop', keys: ['N'], title: 'stop counting dirty pages', subjects: ['machine'] },
    'dirty.stop',
    'vm',
  ),
  {
    id: 'module.load',
    keys: ['I'],
    title: 'load a sample mdev driver',
    run: (console) => act(console, 'module.load', {}),
  },
  {
    id: 'module.unload',
    keys: ['Ctrl-x'],
    title: 'unload a sample mdev driver',
    run: (console) => act(console, 'module.unload', {}),
  },
  {
    id: 'host.boot',
    keys: ['X'],
    title: 'boot the host anew, with this or another kernel',
    run: (console) => act(console, 'host.boot', {}),
  },
  {
    id: 'sysfs.write',
    keys: ['!'],
    title: 'write to a file in sysfs',
    run: (console) => act(console, 'sysfs.write', {}),
  },
  {
    id: 'kernel.call',
    keys: ['&'],
    title: 'make a kernel call',
    run: beginInPalette('kernel.call'),
  },
  {
    id: 'plan.pick',
    keys: ['Space'],
    title: 'take the device into the plan, or out of it',
    screens: ['plan'],
    hint: 'pick',
    run: togglePick,
  },
  {
    id: 'events.pause',
    keys: ['p'],
    title: 'pause, or follow again',
    screens: ['events'],
    hint: 'pause',
    run: togglePause,
  },
  {
    id: 'events.clear',
    keys: ['C'],
    title: 'forget the events',
    screens: ['events'],
    hint: 'clear',
    run: (console) => act(console, 'fault.clear', {}),
  },
];

/** Commands that only look: the rest changes the session. */
const LOOKS = /^(?:walk\.|device\.walk$|plan\.|events\.pause$)/;

export const actCommands: readonly Command[] = all.map((command) =>
  LOOKS.test(command.id) ? command : { ...command, changes: true },
);
