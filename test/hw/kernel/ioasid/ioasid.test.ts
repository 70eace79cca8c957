import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { KernelError } from '../../../../hw/kernel/errno.ts';
import { INVALID_IOASID, IOASID_COUNT, IoasidAllocator } from '../../../../hw/kernel/ioasid/allocator.ts';
import { critiqueOf } from '../../../../hw/kernel/ioasid/critique.ts';
import { IoasidCgroup, IoasidDevice } from '../../../../hw/kernel/ioasid/ioasid-device.ts';
import { IoasidSets } from '../../../../hw/kernel/ioasid/ioasid-sets.ts';
import { type IoasidEvent, NotifierPriority } from '../../../../hw/kernel/ioasid/notifiers.ts';
import { KernelLog } from '../../../../hw/kernel/kernel-log.ts';
import { SmallHost } from '../small-host.ts';

function codeOf(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    if (error instanceof KernelError) return error.code;
    throw error;
  }
  return 'ok';
}

describe('the allocator that was merged (ioasid.c, 5.15)', () => {
  it('gives the smallest free number of a range, and INVALID when there is none', () => {
    const allocator = new IoasidAllocator(new KernelLog());
    const set = {};
    expect(allocator.allocate(set, 100, 101)).toBe(100);
    expect(allocator.allocate(set, 1, 200)).toBe(1);
    expect(allocator.allocate(set, 100, 101)).toBe(101);
    expect(allocator.allocate(set, 100, 101)).toBe(INVALID_IOASID);
    expect(allocator.put(100)).toBe(true);
    expect(allocator.allocate(set, 50, 200)).toBe(50);
    expect(allocator.allocate(set, 100, 200)).toBe(100);
  });

  it('frees with the last reference; finds by set', () => {
    const allocator = new IoasidAllocator(new KernelLog());
    const [set, other] = [{}, {}];
    const id = allocator.allocate(set, 1, 10, 'data');
    allocator.get(id);
    expect(allocator.put(id)).toBe(false);
    expect(allocator.find(set, id)).toBe('data');
    expect(codeOf(() => allocator.find(other, id))).toBe('EACCES');
    expect(allocator.find(set, id, () => false)).toBeUndefined();
    expect(allocator.put(id)).toBe(true);
    expect(codeOf(() => allocator.find(set, id))).toBe('ENOENT');
    expect(codeOf(() => allocator.setData(id, 1))).toBe('ENOENT');
  });

  it('tells in the log what failed, and gives a number that a custom allocator repeats back to it', () => {
    const log = new KernelLog();
    const allocator = new IoasidAllocator(log);
    expect(allocator.allocate(undefined, 5, 4)).toBe(INVALID_IOASID);
    const answers = [9, 9, INVALID_IOASID];
    const freed: number[] = [];
    allocator.register({
      allocate: () => answers.shift() ?? INVALID_IOASID,
      free: (id: number) => void freed.push(id),
    });
    const given = [1, 2, 3].map(() => allocator.allocate(undefined, 0, 20));
    expect(given).toEqual([9, INVALID_IOASID, INVALID_IOASID]);
    expect(freed).toEqual([9]);
    expect(log.lines).toEqual([
      'Failed to alloc ioasid from 5 to 4',
      'Failed ASID allocation 0',
      'Failed to alloc ioasid from 9',
      'Failed ASID allocation 1',
    ]);
  });

  it('hands over to a custom allocator only while the default one has nothing out', () => {
    const allocator = new IoasidAllocator(new KernelLog());
    let next = 500;
    const freed: number[] = [];
    const custom = { allocate: () => next++, free: (id: number) => void freed.push(id) };
    const id = allocator.allocate(undefined, 1, 10);
    expect(codeOf(() => allocator.register(custom))).toBe('EAGAIN');
    allocator.put(id);
    allocator.register(custom);
    expect(codeOf(() => allocator.register(custom))).toBe('EEXIST');
    expect(allocator.allocate(undefined, 1, 1000)).toBe(500);
    expect(allocator.put(500)).toBe(true);
    expect(freed).toEqual([500]);
    allocator.unregister(custom);
    expect(allocator.allocate(undefined, 1, 10)).toBe(1);
  });
});

describe('IOASID sets as proposed in February 2021 (V4 05/18)', () => {
  it('a quota bounds a set, and a free leaves the quota lost: the defect', () => {
    const sets = new IoasidSets(new KernelLog());
    const token = {};
    const set = sets.allocateSet('mm', token, 2);
    expect(sets.available).toBe(IOASID_COUNT - 2);
    expect(codeOf(() => sets.allocateSet('mm', token, 1))).toBe('EEXIST');
    expect(codeOf(() => sets.allocateSet('mm', undefined, 1))).toBe('EINVAL');
    expect(codeOf(() => sets.allocateSet('null', {}, 1))).toBe('EINVAL');
    expect(codeOf(() => sets.allocateSet('null', undefined, IOASID_COUNT))).toBe('ENOSPC');
    sets.allocate(set, 1, 10);
    sets.allocate(set, 1, 10);
    expect(sets.allocate(set, 1, 10)).toBe(INVALID_IOASID);
    expect(codeOf(() => sets.freeSet(set))).toBe('EBUSY');
    sets.freeAll(set);
    expect(codeOf(() => sets.freeSet(set))).toBe('EINVAL');
    expect(sets.lostCapacity).toBe(2);
    expect(critiqueOf(sets)[0].evidence).toContain('2 of 1048576 IOASIDs are lost');
  });

  it('quota 0 takes everything, so the next set gets nothing', () => {
    const sets = new IoasidSets(new KernelLog());
    sets.allocateSet('mm', {}, 0);
    expect(sets.available).toBe(0);
    expect(codeOf(() => sets.allocateSet('mm', {}, 1))).toBe('ENOSPC');
  });

  it('two guests know different numbers by the same private one', () => {
    const sets = new IoasidSets(new KernelLog());
    const [vm1, vm2] = [sets.allocateSet('mm', {}, 10), sets.allocateSet('mm', {}, 10)];
    const [a, b] = [sets.allocate(vm1, 201, 300), sets.allocate(vm2, 201, 300)];
    sets.attachSpid(a, 101);
    sets.attachSpid(b, 101);
    expect(sets.findBySpid(vm1, 101, false)).toBe(201);
    expect(sets.findBySpid(vm2, 101, false)).toBe(202);
    expect(codeOf(() => sets.attachSpid(a, INVALID_IOASID))).toBe('EINVAL');
    expect(codeOf(() => sets.attachSpid(999, 5))).toBe('ENOENT');
    sets.detachSpid(a);
    expect(sets.findBySpid(vm1, 101, false)).toBe(INVALID_IOASID);
  });

  it('a number that is freed while in use tells its users, CPU before IOMMU before drivers, and waits for them', () => {
    const sets = new IoasidSets(new KernelLog());
    const token = {};
    const heard: string[] = [];
    const block = (name: string, priority: number) => ({
      name,
      priority,
      notify: ({ event }: { event: IoasidEvent }) => void heard.push(`${name} ${event}`),
    });
    // Registered before the set exists: what it misses is not told later.
    sets.registerNotifierByToken(token, block('driver', NotifierPriority.device));
    const set = sets.allocateSet('mm', token, 4);
    sets.registerNotifier(set, block('kvm', NotifierPriority.cpu));
    sets.registerNotifier(undefined, block('iommu', NotifierPriority.iommu));
    const id = sets.allocate(set, 1, 9);
    expect(sets.stateOf(id)).toBe('idle');
    sets.get(set, id);
    expect(sets.stateOf(id)).toBe('active');
    heard.length = 0;
    sets.free(set, id);
    expect(heard).toEqual(['kvm free', 'driver free', 'iommu free']);
    expect(sets.stateOf(id)).toBe('free pending');
    expect(codeOf(() => sets.get(set, id))).toBe('EBUSY');
    sets.free(set, id);
    expect(heard).toHaveLength(3);
    sets.put(set, id);
    expect(sets.stateOf(id)).toBeUndefined();
    expect(set.freed).toBe(true);
  });

  it('a handler that causes an event itself is refused', () => {
    const sets = new IoasidSets(new KernelLog());
    const set = sets.allocateSet('null', undefined, 4);
    sets.registerNotifier(set, { name: 'bad', priority: 0, notify: () => void sets.allocate(set, 1, 9) });
    expect(codeOf(() => sets.allocate(set, 1, 9))).toBe('EDEADLK');
  });

  it('private data is set once, capacity is installed once, listeners can leave', () => {
    const sets = new IoasidSets(new KernelLog());
    sets.installCapacity(100);
    sets.installCapacity(5);
    expect([sets.totalCapacity, sets.available]).toEqual([100, 100]);
    const set = sets.allocateSet('null', undefined, 4);
    const id = sets.allocate(set, 1, 9);
    sets.attachData(id, 'a');
    expect(codeOf(() => sets.attachData(id, 'b'))).toBe('EBUSY');
    sets.detachData(id);
    expect(codeOf(() => sets.attachData(id, 'b'))).toBe('ok');
    expect(codeOf(() => sets.attachData(99, 'b'))).toBe('ENOENT');
    const heard: number[] = [];
    const block = {
      name: 'x',
      priority: 0,
      notify: ({ id: which }: { id: number }) => void heard.push(which),
    };
    sets.registerNotifier(set, block);
    expect(codeOf(() => sets.registerNotifier(set, block))).toBe('EEXIST');
    sets.allocate(set, 1, 9);
    sets.unregisterNotifier(set, block);
    expect(codeOf(() => sets.unregisterNotifier(set, block))).toBe('ENOENT');
    sets.allocate(set, 1, 9);
    expect(heard).toEqual([2]);
  });

  it('counts equal what is out, whatever the order of acts', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(4), fc.nat(3), fc.nat(20)), { maxLength: 80 }), (acts) => {
        const sets = new IoasidSets(new KernelLog());
        const all = Array.from({ length: 4 }, () => sets.allocateSet('mm', {}, 6));
        const held = new Map<number, { set: number; users: number; freed: boolean }>();
        for (const [what, which, number] of acts) {
          const set = all[which];
          const ids = [...held.keys()].filter((id) => held.get(id)?.set === which);
          const id = ids[number % Math.max(1, ids.length)];
          const entry = id === undefined ? undefined : held.get(id);
          if (what === 0) {
            const got = sets.allocate(set, 1, 1000);
            if (got !== INVALID_IOASID) held.set(got, { set: which, users: 0, freed: false });
          } else if (entry === undefined || id === undefined) continue;
          else if (what === 1 && !entry.freed) {
            sets.get(set, id);
            entry.users += 1;
          } else if (what === 2 && entry.users > 0) {
            sets.put(set, id);
            entry.users -= 1;
          } else if (what === 3) {
            sets.free(set, id);
            entry.freed = true;
          }
          if (entry !== undefined && id !== undefined && entry.freed && entry.users === 0) held.delete(id);
          for (const [each, { freed, users }] of held)
            expect(sets.stateOf(each)).toBe(freed ? 'free pending' : users > 0 ? 'active' : 'idle');
          all.forEach((each, index) => {
            expect(each.count).toBe([...held.values()].filter((entry2) => entry2.set === index).length);
          });
        }
        const quotas = sets.allSets.reduce((sum, set) => sum + set.quota, 0);
        expect(sets.available + quotas + sets.lostCapacity).toBe(sets.totalCapacity);
      }),
      { numRuns: Number(process.env.VTDECK_RUNS ?? 100) },
    );
  });
});

describe('/dev/ioasid of the series', () => {
  it('is open once a process, charges a cgroup, and frees everything when closed', () => {
    const { kernel } = new SmallHost();
    const sets = new IoasidSets(new KernelLog());
    const device = new IoasidDevice(sets);
    const owner = kernel.processes.create('qemu');
    const cgroup = new IoasidCgroup('machine.slice', 2);
    const file = device.openFor(owner, cgroup);
    expect(codeOf(() => device.openFor(owner, cgroup))).toBe('EBUSY');
    expect(file.info(12, 0).bits).toBe(31);
    const request = { argsz: 16, flags: 0, first: 1, last: 100 };
    expect(file.allocate(owner, request)).toBe(1);
    expect(codeOf(() => file.allocate(kernel.processes.fork(owner, 'child'), request))).toBe('EPERM');
    expect(codeOf(() => file.allocate(owner, { ...request, first: 9, last: 1 }))).toBe('EINVAL');
    expect(file.allocate(owner, request)).toBe(2);
    expect(codeOf(() => file.allocate(owner, request))).toBe('EAGAIN');
    expect(cgroup).toMatchObject({ current: 2, refused: 1 });
    file.release();
    expect(cgroup.current).toBe(0);
    expect(sets.allSets).toEqual([]);
    // The second process finds nothing left: the whole capacity went with the first one's set.
    expect(codeOf(() => device.openFor(kernel.processes.create('dpdk'), cgroup))).toBe('ENOSPC');
  });
});
