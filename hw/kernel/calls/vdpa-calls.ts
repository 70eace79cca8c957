/** vDPA devices by name. */
import { KernelError } from '../errno.ts';
import { IommuProt } from '../iommu/types.ts';
import type { Process } from '../process/process.ts';
import { VdpaDevice } from '../vdpa/vdpa-device.ts';
import type { CallArgument, CallArguments, CallContext, CallValue, KernelCall } from './call.ts';
import { userNamed } from './users.ts';

const VHOST = 'drivers/vhost/vdpa.c, Linux 5.8 on';

const vdpa: CallArgument = { name: 'vdpa', kind: 'text', about: 'name of the vDPA device' };
const user: CallArgument = { name: 'user', kind: 'owner', about: 'the process' };

/** What the operator named. */
class Named {
  readonly vdpa = new Map<string, VdpaDevice>();
  /** Who has which open, by which descriptor. */
  readonly open = new Map<string, { readonly process: Process; readonly descriptor: number }>();

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
    found = new Named();
    known.set(call, found);
  }
  return found;
}

export const VDPA_CALLS: readonly KernelCall[] = [
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
