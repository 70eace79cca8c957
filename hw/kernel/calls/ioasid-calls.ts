/** IOASID sets as they were proposed, by name. */
import { KernelError } from '../errno.ts';
import { INVALID_IOASID } from '../ioasid/allocator.ts';
import { critiqueOf } from '../ioasid/critique.ts';
import { IoasidCgroup, IoasidDevice, type IoasidFile } from '../ioasid/ioasid-device.ts';
import { type IoasidSet, IoasidSets } from '../ioasid/ioasid-sets.ts';
import { NotifierPriority } from '../ioasid/notifiers.ts';
import type { CallArgument, CallArguments, CallContext, KernelCall } from './call.ts';
import { userNamed } from './users.ts';

const V4 = 'PATCH V4 05/18 of 27 February 2021 (proposed, never merged)';
const CRITIQUE = 'mails of March to May 2021';

const set: CallArgument = { name: 'set', kind: 'text', about: 'name of the set' };
const id: CallArgument = { name: 'id', kind: 'size', about: 'the IOASID' };
const user: CallArgument = { name: 'user', kind: 'owner', about: 'the process' };

/** What the operator named: sets, and what their listeners heard. */
class Named {
  readonly sets: IoasidSets;
  readonly ioasidDevice: IoasidDevice;
  readonly cgroups = new Map<string, IoasidCgroup>();
  /** /dev/ioasid of each user: the open file and its descriptor. */
  readonly files = new Map<string, { readonly file: IoasidFile; readonly descriptor: number }>();
  readonly setNames = new Map<string, IoasidSet>();
  readonly heard: string[] = [];

  constructor(call: CallContext) {
    this.sets = new IoasidSets(call.kernel.log);
    this.ioasidDevice = new IoasidDevice(this.sets);
  }

  set(args: CallArguments): IoasidSet {
    const found = this.setNames.get(args.set);
    if (found !== undefined) return found;
    throw new KernelError('EINVAL', 'no such set', `No set is called ${args.set}.`, 'Allocate it first.');
  }
}

const known = new WeakMap<CallContext, Named>();

function named(call: CallContext): Named {
  let found = known.get(call);
  if (found === undefined) {
    found = new Named(call);
    known.set(call, found);
  }
  return found;
}

function devIoasid(call: CallContext, args: CallArguments) {
  const open = named(call).files.get(args.user);
  if (open !== undefined) return open;
  throw new KernelError('EBADF', '/dev/ioasid not open', `${args.user} has not opened /dev/ioasid.`);
}

const sets: readonly KernelCall[] = [
  {
    name: 'ioasid_set_alloc',
    about: 'A set with a quota; with a user, the set of that process’s address space.',
    source: V4,
    arguments: [
      { ...set, kind: 'new name' },
      { name: 'quota', kind: 'size', about: 'numbers it may have; 0: all that is left' },
      { ...user, optional: true },
    ],
    run(call, args) {
      const world = named(call);
      if (world.setNames.has(args.set))
        throw new KernelError('EEXIST', 'set name in use', `There is a set ${args.set} already.`);
      const token = args.user === undefined ? undefined : userNamed(call, args.user).process.memory;
      const made = world.sets.allocateSet(token === undefined ? 'null' : 'mm', token, Number(args.quota));
      world.setNames.set(args.set, made);
      return { quota: made.quota, available: world.sets.available };
    },
  },
  {
    name: 'ioasid_set_free',
    about: 'Frees an empty set. Its quota is not given back.',
    source: V4,
    arguments: [set],
    run(call, args) {
      const world = named(call);
      world.sets.freeSet(world.set(args));
      world.setNames.delete(args.set);
      return { available: world.sets.available, lost: world.sets.lostCapacity };
    },
  },
  {
    name: 'ioasid_alloc',
    about: 'The smallest free number of a range. No errno: the answer is INVALID when there is none.',
    source: V4,
    arguments: [
      set,
      { name: 'first', kind: 'size', about: 'lowest; 1 unless told', optional: true },
      { name: 'last', kind: 'size', about: 'highest', optional: true },
    ],
    run(call, args) {
      const world = named(call);
      const got = world.sets.allocate(world.set(args), Number(args.first ?? 1), Number(args.last ?? 0xfffff));
      return got === INVALID_IOASID ? 'INVALID_IOASID' : got;
    },
  },
  {
    name: 'ioasid_free',
    about: 'No new users from now on; free once the present ones let go.',
    source: V4,
    arguments: [set, id],
    run(call, args) {
      const world = named(call);
      world.sets.free(world.set(args), Number(args.id));
      return { state: world.sets.stateOf(Number(args.id)) ?? 'free' };
    },
  },
  {
    name: 'ioasid_get',
    about: 'One more user of a number.',
    source: V4,
    arguments: [set, id],
    run(call, args) {
      const world = named(call);
      world.sets.get(world.set(args), Number(args.id));
      return { state: world.sets.stateOf(Number(args.id)) ?? 'free' };
    },
  },
  {
    name: 'ioasid_put',
    about: 'One user fewer; the last number of a set takes the set along.',
    source: V4,
    arguments: [set, id],
    run(call, args) {
      const world = named(call);
      world.sets.put(world.set(args), Number(args.id));
      return { state: world.sets.stateOf(Number(args.id)) ?? 'free' };
    },
  },
  {
    name: 'ioasid_attach_spid',
    about: 'The number that the set (a guest) knows it by.',
    source: V4,
    arguments: [id, { name: 'spid', kind: 'size', about: 'set-private number' }],
    run(call, args) {
      named(call).sets.attachSpid(Number(args.id), Number(args.spid));
      return null;
    },
  },
  {
    name: 'ioasid_detach_spid',
    about: 'The reverse.',
    source: V4,
    arguments: [id],
    run(call, args) {
      named(call).sets.detachSpid(Number(args.id));
      return null;
    },
  },
  {
    name: 'ioasid_find_by_spid',
    about: 'The number behind a set-private one.',
    source: V4,
    arguments: [set, { name: 'spid', kind: 'size', about: 'set-private number' }],
    run(call, args) {
      const world = named(call);
      const found = world.sets.findBySpid(world.set(args), Number(args.spid), false);
      return found === INVALID_IOASID ? 'INVALID_IOASID' : found;
    },
  },
  {
    name: 'ioasid_register_notifier',
    about: 'Somebody hears of a set, or of all: the CPU’s tables before the IOMMU before drivers.',
    source: V4,
    arguments: [
      { name: 'listener', kind: 'text', about: 'name of who listens' },
      { name: 'priority', kind: 'text', about: 'order', choices: ['cpu', 'iommu', 'device'] },
      { ...set, optional: true },
    ],
    run(call, args) {
      const world = named(call);
      world.sets.registerNotifier(args.set === undefined ? undefined : world.set(args), {
        name: args.listener,
        priority: NotifierPriority[args.priority as keyof typeof NotifierPriority],
        notify: ({ event, id: number, spid }) =>
          void world.heard.push(
            `${args.listener}: ${event} ${number}${spid === undefined ? '' : ` (private ${spid})`}`,
          ),
      });
      return null;
    },
  },
  {
    name: 'ioasid_install_capacity',
    about: 'The IOMMU driver tells how many numbers there are, once.',
    source: V4,
    arguments: [{ name: 'total', kind: 'size', about: 'numbers' }],
    run(call, args) {
      const { sets: all } = named(call);
      all.installCapacity(Number(args.total));
      return { capacity: all.totalCapacity, available: all.available };
    },
  },
  {
    name: 'ioasid_free_all_in_set',
    about: 'All numbers of a set, as when its process ends.',
    source: V4,
    arguments: [set],
    run(call, args) {
      const world = named(call);
      world.sets.freeAll(world.set(args));
      return { lost: world.sets.lostCapacity };
    },
  },
  {
    name: 'open_dev_ioasid',
    about: 'A process opens /dev/ioasid, once: a set with all that is left comes with it.',
    source: V4,
    arguments: [
      user,
      { name: 'cgroup', kind: 'text', about: 'control group that is charged', optional: true },
      {
        name: 'max',
        kind: 'size',
        about: 'ioasids.max of a new control group; 0 unless told',
        optional: true,
      },
    ],
    run(call, args) {
      const world = named(call);
      const { process } = userNamed(call, args.user);
      const name = args.cgroup ?? 'user.slice';
      const cgroup = world.cgroups.get(name) ?? new IoasidCgroup(name, Number(args.max ?? 0));
      world.cgroups.set(name, cgroup);
      const file = world.ioasidDevice.openFor(process, cgroup);
      world.files.set(args.user, { file, descriptor: process.open(file) });
      return { quota: file.set.quota };
    },
  },
  {
    name: 'IOASID_REQUEST_ALLOC',
    about: 'A number by way of /dev/ioasid, charged to the control group.',
    source: V4,
    arguments: [
      user,
      { name: 'first', kind: 'size', about: 'lowest; 1 unless told', optional: true },
      { name: 'last', kind: 'size', about: 'highest', optional: true },
    ],
    run: (call, args) =>
      devIoasid(call, args).file.allocate(userNamed(call, args.user).process, {
        argsz: 16,
        flags: 0,
        first: Number(args.first ?? 1),
        last: Number(args.last ?? 0xfffff),
      }),
  },
  {
    name: 'IOASID_REQUEST_FREE',
    about: 'Gives it back.',
    source: V4,
    arguments: [user, id],
    run(call, args) {
      devIoasid(call, args).file.free(userNamed(call, args.user).process, Number(args.id));
      return null;
    },
  },
  {
    name: 'close_dev_ioasid',
    about: 'Closes it: all its numbers go, its quota stays lost.',
    source: V4,
    arguments: [user],
    run(call, args) {
      const { descriptor } = devIoasid(call, args);
      userNamed(call, args.user).process.descriptors.close(descriptor);
      named(call).files.delete(args.user);
      return { lost: named(call).sets.lostCapacity };
    },
  },
  {
    name: 'ioasid_events',
    about: 'What the listeners heard, in order.',
    source: V4,
    arguments: [],
    run: (call) => [...named(call).heard],
  },
  {
    name: 'ioasid_critique',
    about: 'What the review said, with what this machine shows of it, and what came of it.',
    source: CRITIQUE,
    arguments: [],
    run: (call) =>
      critiqueOf(named(call).sets).map(({ point, evidence, outcome }) => ({ point, evidence, outcome })),
  },
];

export const IOASID_CALLS: readonly KernelCall[] = sets;
