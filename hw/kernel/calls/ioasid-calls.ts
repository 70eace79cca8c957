/** IOASID sets as they were proposed, and vDPA devices, by name. */
import { KernelError } from '../errno.ts';
import { INVALID_IOASID } from '../ioasid/allocator.ts';
import { critiqueOf } from '../ioasid/critique.ts';
import { type IoasidSet, IoasidSets } from '../ioasid/ioasid-sets.ts';
import { NotifierPriority } from '../ioasid/notifiers.ts';
import { IommuProt } from '../iommu/types.ts';
import type { Process } from '../process/process.ts';
import { VdpaDevice } from '../vdpa/vdpa-device.ts';
import type { CallArgument, CallArguments, CallContext, CallValue, KernelCall } from './call.ts';
import { userNamed } from './users.ts';

const V4 = 'PATCH V4 05/18 of 27 February 2021 (proposed, never merged)';
const CRITIQUE = 'mails of March to May 2021';
const VHOST = 'drivers/vhost/vdpa.c, Linux 5.8 on';

const set: CallArgument = { name: 'set', kind: 'text', about: 'name of the set' };
const id: CallArgument = { name: 'id', kind: 'size', about: 'the IOASID' };
const vdpa: CallArgument = { name: 'vdpa', kind: 'text', about: 'name of the vDPA device' };
const user: CallArgument = { name: 'user', kind: 'owner', about: 'the process' };

/** What the operator named: sets, what notifiers heard, vDPA devices. */
class Named {
  readonly sets: IoasidSets;
  readonly setNames = new Map<string, IoasidSet>();
  readonly heard: string[] = [];
  readonly vdpa = new Map<string, VdpaDevice>();
  /** Who has which open, by which descriptor. */
  readonly open = new Map<string, { readonly process: Process; readonly descriptor: number }>();

  constructor(call: CallContext) {
    this.sets = new IoasidSets(call.kernel.log);
  }

  set(args: CallArguments): IoasidSet {
    const found = this.setNames.get(args.set);
    if (found !== undefined) return found;
    throw new KernelError('EINVAL', 'no such set', `No set is called ${args.set}.`, 'Allocate it first.');
  }

  device(args: CallArguments): VdpaDevice {
    const found = this.vdpa.get(args.vdpa);
    if (found !== undefined) return found;
    throw new KernelError('ENODEV', 'no such vDPA device', `There is no vDPA device ${args.vdpa}.`);
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

const vdpaCalls: readonly KernelCall[] = [
  {
    name: 'vdpa_dev_add',
    about: 'A vDPA device on a parent: no PCI function, its DMA carries the parent’s requester id.',
    source: VHOST,
    arguments: [
      { ...vdpa, kind: 'new name' },
      { name: 'device', kind: 'device', about: 'the parent' },
    ],
    run(call, args) {
      const world = named(call);
      if (world.vdpa.has(args.vdpa))
        throw new KernelError('EEXIST', 'vDPA name in use', `There is a vDPA device ${args.vdpa}.`);
      const made = new VdpaDevice(args.vdpa, call.device(args.device));
      world.vdpa.set(args.vdpa, made);
      return { group: made.groupIn(call.kernel.iommu)?.id ?? null };
    },
  },
  {
    name: 'vdpa_dev_del',
    about: 'Takes it away.',
    source: VHOST,
    arguments: [vdpa],
    run(call, args) {
      const world = named(call);
      if (world.device(args).user !== undefined)
        throw new KernelError('EBUSY', 'vDPA device open', `${args.vdpa} is open.`, 'Close it first.');
      world.vdpa.delete(args.vdpa);
      return null;
    },
  },
  {
    name: 'open_vhost_vdpa',
    about: 'A process opens it: the parent gets a domain of its own, nobody’s ownership of DMA is claimed.',
    source: VHOST,
    arguments: [vdpa, user],
    run(call, args) {
      const { process } = userNamed(call, args.user);
      const world = named(call);
      const descriptor = process.open(world.device(args).open(call.kernel.iommu, process));
      world.open.set(args.vdpa, { process, descriptor });
      return null;
    },
  },
  {
    name: 'VHOST_IOTLB_UPDATE',
    about: 'New memory of the process at an I/O address.',
    source: VHOST,
    arguments: [
      vdpa,
      { name: 'iova', kind: 'address', about: 'I/O address' },
      { name: 'length', kind: 'size', about: 'bytes, whole pages' },
      user,
    ],
    run(call, args): CallValue {
      const open = opened(named(call).device(args));
      const { process } = userNamed(call, args.user);
      const address = process.memory.mapAnonymous(Number(args.length));
      open.map(0, BigInt(args.iova), BigInt(args.length), BigInt(address), IommuProt.read | IommuProt.write);
      return { memory: `0x${address.toString(16)}` };
    },
  },
  {
    name: 'VHOST_IOTLB_INVALIDATE',
    about: 'Takes it away again.',
    source: VHOST,
    arguments: [
      vdpa,
      { name: 'iova', kind: 'address', about: 'I/O address' },
      { name: 'length', kind: 'size', about: 'bytes' },
    ],
    run(call, args) {
      opened(named(call).device(args)).unmap(0, BigInt(args.iova), BigInt(args.length));
      return null;
    },
  },
  {
    name: 'close_vhost_vdpa',
    about: 'The process closes it: everything unmapped, the parent back on its default domain.',
    source: VHOST,
    arguments: [vdpa],
    run(call, args) {
      const world = named(call);
      opened(world.device(args));
      const held = world.open.get(args.vdpa);
      held?.process.descriptors.close(held.descriptor);
      world.open.delete(args.vdpa);
      return null;
    },
  },
];

function opened(device: VdpaDevice) {
  if (device.user !== undefined) return device.user;
  throw new KernelError('EBADF', 'vDPA device not open', `${device.device.name} is not open.`);
}

export const IOASID_CALLS: readonly KernelCall[] = [...sets, ...vdpaCalls];
