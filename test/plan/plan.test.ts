import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { XMLValidator } from 'fast-xml-parser';
import { describe, expect, it } from 'vitest';
import { buildHost, groupsOf, type HostDescription } from '../../hw/index.ts';
import { builtInHost } from '../../src/hosts/builtin.ts';
import { loadHost } from '../../src/hosts/import.ts';
import { planHost } from '../../src/plan/fleet-host.ts';
import { planSvg } from '../../src/plan/picture.ts';
import { makePlan, type PlanRequest } from '../../src/plan/plan.ts';
import { prepare } from '../../src/plan/prepare.ts';
import { recheckPlan } from '../../src/plan/recheck.ts';
import { rehearse } from '../../src/plan/rehearse.ts';
import { parseStatedRoles } from '../../src/plan/roles.ts';
import { planMarkdown, planText } from '../../src/plan/text.ts';
import { viewOfDescription, viewOfHost } from '../../src/plan/view.ts';
import { ISOLATING, machineOf } from '../support/pci-machine.ts';
import { sharedFolder } from '../support/shared.ts';

const request = (assign: string[], more: Partial<PlanRequest> = {}): PlanRequest => ({
  assign,
  machine: 'guest',
  memoryBytes: 2 ** 32,
  virtualIommu: false,
  acceptSiblings: [],
  roles: new Map(),
  ...more,
});

const server = builtInHost('server') as HostDescription;

/** A disk and a network card behind a port without ACS, and a network card behind one with it. */
function machine(): HostDescription {
  const description = machineOf([
    { at: '00:01.0', port: 4, buses: [1, 1] },
    { at: '01:00.0', port: 0, multifunction: true, classCode: 0x010802 },
    { at: '01:00.1', port: 0, multifunction: true },
    { at: '00:02.0', port: 4, buses: [2, 2], acs: ISOLATING },
    { at: '02:00.0', port: 0 },
  ]);
  const drivers = ['pcieport', 'nvme', 'e1000e', 'pcieport', 'e1000e'];
  return {
    ...description,
    name: 'small',
    functions: description.functions.map((one, at) => ({ ...one, className: 'device', driver: drivers[at] })),
  };
}

describe('what an assignment takes', () => {
  it('all members of the group; endpoints are locked out, ports stay (dma-ownership: pcieport does not count)', () => {
    const plan = makePlan(
      viewOfDescription(machine()),
      request(['0000:01:00.1'], { roles: parseStatedRoles(['0000:01:00.1=none', '0000:01:00.0=boot-disk']) }),
    );
    expect(plan.takes).toEqual(['0000:00:01.0', '0000:01:00.0', '0000:01:00.1']);
    expect(plan.stays).toEqual(['0000:00:01.0']);
    expect(plan.lockedOut).toMatchObject([
      { device: '0000:01:00.0', driver: 'nvme', role: 'boot disk', mustUnbind: true },
    ]);
    expect(plan.blockers.map(({ rule }) => rule)).toEqual(['group not viable']);
    expect(plan.ok).toBe(false);
  });
  it('a sibling whose loss is accepted blocks no more', () => {
    const plan = makePlan(
      viewOfDescription(machine()),
      request(['0000:01:00.1'], { acceptSiblings: ['0000:01:00.0', '0000:01:00.1'] }),
    );
    expect(plan).toMatchObject({ ok: true, lockedOut: [{ accepted: true }] });
  });
  it('a device alone in its group takes nothing else', () => {
    const plan = makePlan(
      viewOfDescription(machine()),
      request(['0000:02:00.0'], { roles: parseStatedRoles(['0000:02:00.0=none']) }),
    );
    expect(plan).toMatchObject({ ok: true, takes: ['0000:02:00.0'], lockedOut: [] });
  });
});

describe('roles of the host', () => {
  it('the only candidate has the role for certain, and its loss is refused', () => {
    const plan = makePlan(
      viewOfDescription(machine()),
      request(['0000:01:00.0'], { acceptSiblings: ['0000:01:00.1'] }),
    );
    expect(plan.blockers).toMatchObject([
      { rule: 'role of the host', detail: expect.stringContaining('boot disk') },
    ]);
  });
  it('one of several only may have it: a warning that asks', () => {
    const plan = makePlan(viewOfDescription(machine()), request(['0000:02:00.0']));
    expect(plan.ok).toBe(true);
    expect(plan.warnings).toMatchObject([
      { rule: 'role of the host', detail: expect.stringContaining('may be') },
    ]);
  });
  it('a stated role frees the other candidates', () => {
    const plan = makePlan(
      viewOfDescription(machine()),
      request(['0000:02:00.0'], { roles: parseStatedRoles(['0000:01:00.1=network']) }),
    );
    expect(plan.warnings.filter(({ rule }) => rule === 'role of the host')).toEqual([]);
  });
  it('words that are no role are refused', () =>
    expect(() => parseStatedRoles(['0000:02:00.0=king'])).toThrow(/states no role/));
});

describe('needs', () => {
  it('with a virtual IOMMU each device locks the whole guest (libvirt, memory lock limit)', () => {
    const view = viewOfDescription(machine());
    const locked = (assign: string[], virtualIommu: boolean): number =>
      makePlan(view, request(assign, { virtualIommu })).needs.lockedMemoryBytes;
    const both = ['0000:01:00.0', '0000:02:00.0'];
    expect(locked(both, false)).toBe(2 ** 32 + 2 ** 30);
    expect(locked(both, true)).toBe(2 * 2 ** 32 + 2 ** 30);
  });
  it('a device that is not there is an error that names it', () => {
    expect(() => makePlan(viewOfDescription(machine()), request(['0000:09:00.0']))).toThrow(
      /0000:09:00\.0 is not on small/,
    );
  });
});

describe('the rehearsal agrees with the plan', () => {
  const endpoints = server.functions.map(({ address }) => address);
  it.each(['5.15', '6.1', '7.2'] as const)('every function of the built-in server, profile %s', (profile) => {
    const host = buildHost(server, { profile });
    for (const address of endpoints) {
      const view = viewOfHost(host);
      if (view.functions.get(address)?.isBridge !== false) continue;
      const losses = makePlan(view, request([address])).lockedOut.map(({ device }) => device);
      const asked = request([address], { acceptSiblings: [address, ...losses] });
      const plan = makePlan(view, asked);
      const rehearsal = rehearse(host, plan, asked);
      expect({ address, ok: rehearsal.ok, failed: rehearsal.steps.filter(({ ok }) => !ok) }).toEqual({
        address,
        ok: plan.ok,
        failed: plan.ok ? [] : expect.anything(),
      });
      expect({ address, restored: rehearsal.restored }).toEqual({ address, restored: true });
    }
  });
});

describe('a newer capture of the machine', () => {
  it('a card that moved is followed by identity', () => {
    const before = machine();
    const after = machine();
    const disk = after.functions[1];
    after.functions[1] = { ...disk, address: '0000:01:00.2' };
    const recheck = recheckPlan(
      before,
      after,
      request(['0000:01:00.0'], { acceptSiblings: ['0000:01:00.0', '0000:01:00.1'] }),
    );
    expect(recheck).toMatchObject({
      holds: false,
      assign: ['0000:01:00.2'],
      changes: [expect.stringContaining('is now at 0000:01:00.2')],
    });
  });
  it('a card that is gone', () => {
    const after = { ...machine(), functions: machine().functions.slice(0, 4) };
    expect(recheckPlan(machine(), after, request(['0000:02:00.0']))).toMatchObject({
      holds: false,
      plan: undefined,
    });
  });
  it('the same capture: it holds', () =>
    expect(recheckPlan(machine(), machine(), request(['0000:02:00.0'])).holds).toBe(true));
});

describe('texts', () => {
  const plan = makePlan(viewOfDescription(machine()), request(['0000:01:00.1']));
  it('name the blocker and its remedy', () =>
    expect(planText(plan, ['0000:01:00.1'])).toMatch(
      /group not viable: 0000:01:00\.0.*nvme[\s\S]*--accept-siblings 0000:01:00\.0/,
    ));
  it('Markdown tables stay tables whatever is in a name', () =>
    expect(planMarkdown(plan, 'a|b\nc', ['x'])).toContain('# Device assignment on a\\|b c'));
  it('a host of a fleet that can not be read is a line of its own', () =>
    expect(planHost('/does/not/exist', request([]))).toMatchObject({
      host: '/does/not/exist',
      error: { code: expect.any(String) },
    }));
});

const real = sharedFolder('hosts/real');
describe.skipIf(real === undefined)(
  'real machines: a plan of every group makes no wrong claim (skipped without ../shared)',
  () => {
    const folder = real ?? '';
    const names =
      real === undefined
        ? []
        : readdirSync(folder).filter((name) => !name.includes('.') && name !== 'format-samples');
    it.each(names)('%s', (name) => {
      const { description } = loadHost(join(folder, name));
      const view = viewOfDescription(description);
      const told = new Map<number, string[]>();
      for (const { address, group } of description.functions)
        if (group !== undefined) told.set(group, [...(told.get(group) ?? []), address]);
      for (const group of groupsOf(description).groups) {
        const device = group.devices.find((candidate) => view.functions.get(candidate)?.isBridge === false);
        if (device === undefined) continue;
        const plan = makePlan(view, request([device]));
        expect(plan.takes).toEqual([...group.devices].sort());
        const claimed = description.functions.find(({ address }) => address === device)?.group;
        // Where the capture names the group, what the plan takes is exactly what that machine had together.
        if (claimed !== undefined) expect(plan.takes).toEqual([...(told.get(claimed) ?? [])].sort());
        for (const { device: lost, driver } of plan.lockedOut)
          expect(driver).toBe(description.functions.find(({ address }) => address === lost)?.driver ?? null);
      }
      // What the source does not let one tell is never said to be possible.
      for (const device of view.uncertain.keys()) {
        if (view.functions.get(device)?.isBridge === false)
          expect(makePlan(view, request([device])).ok).toBe(false);
      }
    });
  },
);

describe('what must be made first', () => {
  const prepared = (profile: '5.15' | '7.2', functions: string[], mdevs: string[]) => {
    const host = buildHost(server, { profile });
    return { host, preparation: prepare(host, functions, mdevs) };
  };
  it('virtual functions appear, and can be rehearsed', () => {
    const { host, preparation } = prepared('7.2', ['0000:16:00.1=4'], []);
    expect(preparation.made).toHaveLength(4);
    const asked = request([...preparation.made]);
    const plan = makePlan(viewOfHost(host), asked);
    expect(rehearse(host, plan, asked)).toMatchObject({ ok: true, restored: true });
  });
  it('more than there are: the kernel refuses, and the plan says so', () => {
    expect(prepared('7.2', ['0000:16:00.1=99'], []).preparation).toMatchObject({
      made: [],
      blockers: [{ device: '0000:16:00.1', detail: expect.stringContaining('ERANGE') }],
    });
  });
  it('two mediated devices of one parent share a machine (aux-domains 8: one domain, one PASID)', () => {
    const { host, preparation } = prepared('5.15', [], ['0000:6a:01.0=2']);
    const asked = request([...preparation.made]);
    expect(rehearse(host, makePlan(viewOfHost(host), asked), asked)).toMatchObject({
      ok: true,
      restored: true,
    });
  });
  it('instances run out, and an incapable parent names what it lacks', () => {
    expect(prepared('5.15', [], ['0000:6a:01.0=99']).preparation.blockers).toMatchObject([
      { rule: 'instances exhausted' },
    ]);
    expect(prepared('5.15', [], ['0000:83:00.0']).preparation.blockers.map(({ rule }) => rule)).toContain(
      'auxiliary mode',
    );
  });
  it('a type that the parent does not offer names those it does', () => {
    expect(() => prepared('5.15', [], ['0000:6a:01.0/nonsense'])).toThrow(/offers no type nonsense/);
  });
});

describe('the picture of a plan', () => {
  it('is well-formed SVG that holds every blocker, folded', () => {
    const plan = makePlan(viewOfDescription(machine()), request(['0000:01:00.1']));
    const svg = planSvg(planText(plan, ['0000:01:00.1']), 'plan <of> & "small"');
    expect(XMLValidator.validate(svg)).toBe(true);
    expect(svg).toContain('group not viable');
  });
});
