/** Every action of the registry from the console: by the palette with completion, and by a key. */
import { describe, expect, it } from 'vitest';
import { describeArguments } from '../../src/actions/arguments.ts';
import { actions } from '../../src/actions/registry.ts';
import { allCommands } from '../../views/commands/all.ts';
import { freshWorkspace, Stage } from './stage.ts';

const MDEV = '11111111-2222-4333-8444-555555555555';

/** A machine on which every kind of thing is there. */
function furnished(): ReturnType<typeof freshWorkspace> {
  const workspace = freshWorkspace();
  const acts: readonly (readonly [string, Record<string, unknown>])[] = [
    ['device.aux-enable', { device: '0000:6a:01.0' }],
    ['mdev.create', { parent: '0000:6a:01.0', type: 'idxd-1dwq-v1', uuid: MDEV }],
    ['mdev.define', { parent: '0000:6a:01.0', type: 'idxd-1dwq-v1', uuid: MDEV, autostart: true }],
    ['vm.create', { vm: 'web', memory: '64M' }],
    ['vm.assign', { vm: 'web', device: MDEV }],
    ['module.load', { module: 'mtty' }],
  ];
  for (const [name, args] of acts) {
    const outcome = workspace.dispatch(name, args);
    if (!outcome.ok) throw outcome.error;
  }
  return workspace;
}

/** Keys that do one action or another, by what they find. */
const BY_TURNS: Readonly<Record<string, string>> = {
  'device.aux-enable': 'device.auxiliary',
  'device.aux-disable': 'device.auxiliary',
  'mdev.start': 'mdev.create',
  'vm.start': 'vm.start-stop',
  'vm.stop': 'vm.start-stop',
  'dirty.start': 'vm.dirty',
  'dirty.query': 'vm.dirty',
  'fault.clear': 'events.clear',
};

describe('an action', () => {
  it.each(actions.map((action) => action.name))('%s has a key', (name) => {
    const command = allCommands.find((candidate) => candidate.id === (BY_TURNS[name] ?? name));
    expect(command?.keys.length).toBeGreaterThan(0);
  });

  it('is found in the palette, and its arguments are completed', async () => {
    const stage = new Stage(160, 60, {}, furnished());
    for (const action of actions) {
      await stage.keys(':');
      await stage.type(action.name);
      expect(await stage.text(), action.name).toMatch(new RegExp(`(?:>|-) ${action.name} `));
      await stage.type(' ');
      const text = await stage.text();
      for (const argument of describeArguments(action.arguments).slice(0, 5))
        expect(text, action.name).toContain(`${argument.name}=`);
      await stage.keys('Esc');
    }
  });

  it.each([
    ['device.bind', 'device=0000:6a:01.0 driver=', /idxd|vfio-pci/],
    ['mdev.create', 'parent=0000:6a:01.0 type=', /idxd-1dwq-large-v1/],
    [`mdev.modify uuid=${MDEV}`, 'autostart=', /> yes/],
    ['vm.assign', 'vm=', /> web/],
    ['vm.guest-map', 'vm=web device=', new RegExp(MDEV)],
    ['host.boot', 'profile=', /7\.2/],
    ['module.unload', 'module=', /mtty/],
    ['kernel.call', 'call=', />/],
  ])('%s %s is answered from the machine', async (name, typed, answer) => {
    const stage = new Stage(120, 40, {}, furnished());
    await stage.keys(':');
    await stage.type(`${name} ${typed}`);
    const shown = (await stage.screen()).filter((line) => /│ [> -] /.test(line));
    expect(shown.join('\n')).toMatch(answer);
  });

  it('takes words without a name in the order of what it needs, and refuses what it does not know', async () => {
    const stage = new Stage(120, 40);
    await stage.type(':device.aux-enable 0000:6a:01.0\r');
    expect(await stage.text()).toContain('auxiliary mode of 0000:6a:01.0 is on');
    await stage.type(':device.aux-disable nonsense=1 0000:6a:01.0\r');
    expect(await stage.text()).toMatch(/✗ .*nonsense/);
    await stage.type(':session.rename\r');
    expect(await stage.text()).toContain('that is for a session on screen sessions');
  });

  it.each([
    ['1', '6a:01.0 Data', 'U', ':device.override device=0000:6a:01.0'],
    ['1', '0000:82:00.0', 'Ctrl-r', 'Reset the bus'],
    ['3', '1111', '>', 'address that the device will use'],
    ['3', '1111', '<', 'address that the device'],
    ['4', 'web', 'W', 'guest physical address'],
    ['4', 'web', 'N', 'are not counted'],
    ['4', 'web', 'X', 'Boot the host anew'],
    ['4', 'web', 'I', 'Load a sample mdev driver'],
    ['4', 'web', 'Ctrl-x', 'Unload a sample mdev driver'],
    ['4', 'web', '!', 'Write to a file in sysfs'],
    ['4', 'web', '&', ':kernel.call'],
  ])('on screen %s at %s has the key %s', async (screen, filter, key, says) => {
    const stage = new Stage(120, 40, {}, furnished());
    await stage.keys(screen, '/');
    await stage.type(filter);
    await stage.keys('Enter', key);
    expect(await stage.text()).toContain(says);
  });

  it('mdev.modify begins with the definition under the cursor', async () => {
    const stage = new Stage(120, 40, {}, furnished());
    await stage.keys('3', '/', ...'1111', 'Enter', 'M');
    await stage.type('autostart=no\r');
    expect(await stage.text()).toContain(`the definition of ${MDEV} is changed`);
    expect(stage.workspace.host.mdevDefinitions()[0].autostart).toBe(false);
  });
});
