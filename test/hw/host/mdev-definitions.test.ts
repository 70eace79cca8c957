/** Definitions of mediated devices: what mdevctl 1.4 keeps, changes and starts (mdevctl.rst, src/mdev.rs). */
import { describe, expect, it } from 'vitest';
import { type Host, rebootHost } from '../../../hw/host.ts';
import type { KernelError } from '../../../hw/kernel/errno.ts';
import { refusal, server } from '../../support/built-in-server.ts';

const CARD = '0000:83:00.0';
const PARAMETERS = 'nvidia/vgpu_params';
const uuid = (number: number): string => `00000000-0000-4000-8000-${number.toString().padStart(12, '0')}`;

const typesOf = (host: Host, parent = CARD): string[] =>
  host
    .mdevParents()
    .find((one) => one.device === parent)
    ?.types.map((type) => type.id) ?? [];

const attributesOf = (host: Host, name = uuid(1)): readonly (readonly [string, string])[] =>
  host.mdevDefinitions().find((one) => one.uuid === name)?.attributes ?? [];

const parametersOf = (host: Host, name: string): string =>
  host.readSysfs(`/sys/bus/mdev/devices/${name}/${PARAMETERS}`);

describe('attributes of a definition', () => {
  it('keep order and repetition: added at the end or before a position, taken from the end or from one', () => {
    const host = server();
    host.defineMdev(CARD, typesOf(host)[0], uuid(1), false);
    host.modifyMdev(uuid(1), { add: { file: 'a', value: '1' } });
    host.modifyMdev(uuid(1), { add: { file: 'a', value: '2' } });
    host.modifyMdev(uuid(1), { add: { file: 'b', value: '0', index: 0 } });
    host.modifyMdev(uuid(1), { add: { file: 'c', value: '3', index: 3 } });
    expect(attributesOf(host).map((one) => one.join('='))).toEqual(['b=0', 'a=1', 'a=2', 'c=3']);
    host.modifyMdev(uuid(1), { remove: { index: 1 } });
    host.modifyMdev(uuid(1), { remove: {} });
    expect(attributesOf(host).map((one) => one.join('='))).toEqual(['b=0', 'a=2']);
  });

  it('are refused beyond the end, with names that leave the directory, and where there is no definition', () => {
    const host = server();
    host.defineMdev(CARD, typesOf(host)[0], uuid(1), false);
    const add = (file: string, index?: number): KernelError =>
      refusal(() => host.modifyMdev(uuid(1), { add: { file, value: 'x', index } }));
    expect(add('a', 1).rule).toBe('attribute position');
    for (const bad of ['../remove', '/sys/x', 'a/../b', '', 'a//b', '.', 'a\nb'])
      expect(add(bad).rule, bad).toBe('attribute name');
    expect(refusal(() => host.modifyMdev(uuid(1), { remove: {} })).rule).toBe('attribute position');
    expect(refusal(() => host.modifyMdev(uuid(2), { autostart: true })).code).toBe('ENOENT');
    expect(attributesOf(host)).toEqual([]);
  });

  it('are written in their order when it starts', () => {
    const host = server();
    const [type] = typesOf(host);
    host.defineMdev(CARD, type, uuid(1), false, [
      [PARAMETERS, 'frame_rate_limiter=1'],
      [PARAMETERS, 'frame_rate_limiter=0, disable_vnc=1'],
    ]);
    host.startMdev(uuid(1));
    expect(parametersOf(host, uuid(1))).toBe('frame_rate_limiter=0, disable_vnc=1\n');
    // A running device stays as it is when its definition changes.
    host.modifyMdev(uuid(1), { remove: {} });
    expect(parametersOf(host, uuid(1))).toBe('frame_rate_limiter=0, disable_vnc=1\n');
  });

  it('that can not be written take the device away again', () => {
    const host = server();
    const [type] = typesOf(host);
    const left = host.mdevParents()[0].types.map((one) => one.availableInstances);
    host.defineMdev(CARD, type, uuid(1), false, [
      [PARAMETERS, 'a=1'],
      ['nvidia/no_such_file', '1'],
    ]);
    expect(refusal(() => host.startMdev(uuid(1))).code).toBe('ENOENT');
    expect(host.mdevs()).toEqual([]);
    expect(host.mdevParents()[0].types.map((one) => one.availableInstances)).toEqual(left);
  });
});

describe('starting a definition', () => {
  it('tells three ways apart in which the UUID runs already', () => {
    const host = server();
    host.loadModule('mtty');
    const [small, large] = typesOf(host);
    host.createMdev(CARD, small, uuid(1));
    host.defineMdev(CARD, small, uuid(1), false);
    expect(refusal(() => host.startMdev(uuid(1))).message).toMatch(/runs already/);
    host.modifyMdev(uuid(1), { type: large });
    expect(refusal(() => host.startMdev(uuid(1))).message).toMatch(/runs with another type/);
    host.undefineMdev(uuid(1));
    host.defineMdev('mtty', typesOf(host, 'mtty')[0], uuid(1), false);
    expect(refusal(() => host.startMdev(uuid(1))).message).toMatch(/runs under another parent/);
  });

  it('looks at available_instances first, and at the case of the parent’s name', () => {
    const host = server();
    const [small, large] = typesOf(host);
    host.createMdev(CARD, large, uuid(9));
    host.defineMdev(CARD, small, uuid(1), false);
    expect(refusal(() => host.startMdev(uuid(1))).rule).toBe('no instance available');
    host.loadModule('mtty');
    host.defineMdev('MTTY', typesOf(host, 'mtty')[0], uuid(2), false);
    expect(refusal(() => host.startMdev(uuid(2))).remedy).toMatch(/mtty/);
  });

  it('needs the parent where a UUID is defined under several, of which one can run', () => {
    const host = server();
    host.loadModule('mtty');
    host.defineMdev(CARD, typesOf(host)[0], uuid(1), false);
    host.defineMdev('mtty', typesOf(host, 'mtty')[0], uuid(1), false);
    expect(refusal(() => host.defineMdev(CARD, 'x', uuid(1), false)).code).toBe('EEXIST');
    expect(refusal(() => host.startMdev(uuid(1))).rule).toBe('several definitions');
    host.startMdev(uuid(1), 'mtty');
    expect(host.mdevDefinitions().map((one) => [one.parent, one.active])).toEqual([
      [CARD, false],
      ['mtty', true],
    ]);
    host.undefineMdev(uuid(1), CARD);
    expect(host.mdevDefinitions().map((one) => one.parent)).toEqual(['mtty']);
    host.undefineMdev(uuid(1));
    expect(host.mdevDefinitions()).toEqual([]);
    expect(host.mdevs()).toHaveLength(1);
  });
});

describe('a boot', () => {
  it('loses what was only made, and brings back what is defined with autostart, attributes written', () => {
    const host = server();
    const [type] = typesOf(host);
    host.createMdev(CARD, type, uuid(3));
    host.defineMdev(CARD, type, uuid(1), true, [[PARAMETERS, 'a=1']]);
    host.defineMdev(CARD, type, uuid(2), false);
    const after = rebootHost(host);
    expect(after.mdevs().map((one) => one.uuid)).toEqual([uuid(1)]);
    expect(parametersOf(after, uuid(1))).toBe('a=1\n');
    expect(after.mdevDefinitions().map((one) => [one.uuid, one.active])).toEqual([
      [uuid(1), true],
      [uuid(2), false],
    ]);
  });

  it('logs what can not be started and tries the next one', () => {
    const host = server();
    const [small, large] = typesOf(host);
    host.defineMdev(CARD, large, uuid(1), true);
    host.defineMdev(CARD, small, uuid(2), true);
    host.defineMdev(CARD, large, uuid(3), true, [['no/such', '1']]);
    const after = rebootHost(host);
    expect(after.mdevs().map((one) => one.uuid)).toEqual([uuid(1)]);
    const log = after.kernel.log.lines.map(String).join('\n');
    expect(log).toMatch(new RegExp(`mdevctl: ${uuid(2)} was not started`));
    expect(log).toMatch(new RegExp(`mdevctl: ${uuid(3)} was not started`));
  });

  it('of the driver of a parent does the same: definitions stay, automatic ones return in new groups', () => {
    const host = server();
    const [type] = typesOf(host);
    host.defineMdev(CARD, type, uuid(1), true);
    host.startMdev(uuid(1));
    const driver = host.device(CARD)?.driver ?? '';
    host.unbindDriver(CARD);
    expect(host.mdevs()).toEqual([]);
    host.bindDriver(CARD, driver);
    expect(host.mdevs().map((one) => one.uuid)).toEqual([uuid(1)]);
  });
});
