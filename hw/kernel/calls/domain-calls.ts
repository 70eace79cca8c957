/** Domains, attachment by group and device, mappings: the mail of 2012 and what came of it. */

import { KernelError } from '../errno.ts';
import { mapRange, unmapRange } from '../iommu/map-range.ts';
import { IommuProt } from '../iommu/types.ts';
import type { KernelCall } from './call.ts';

const SOURCE = 'drivers/iommu/iommu.c';
const PAGE = 4096;
const domain = { name: 'domain', kind: 'domain', about: 'the domain' } as const;
const group = { name: 'group', kind: 'group', about: 'number of the group, or a device in it' } as const;
const device = { name: 'device', kind: 'device', about: 'the device' } as const;

function rights(text: string): number {
  return (text.includes('r') ? IommuProt.read : 0) | (text.includes('w') ? IommuProt.write : 0);
}

export const DOMAIN_CALLS: readonly KernelCall[] = [
  {
    name: 'iommu_domain_alloc',
    about: 'Makes an empty address space for the unit behind a device.',
    source: SOURCE,
    arguments: [
      device,
      { name: 'domain', kind: 'new name', about: 'how to call it from now on' },
      {
        name: 'type',
        kind: 'text',
        about: 'kind of domain',
        optional: true,
        choices: ['unmanaged', 'DMA', 'identity'],
      },
    ],
    run(context, args) {
      const type = args.type as 'unmanaged' | 'DMA' | 'identity' | undefined;
      const made = context.kernel.iommu.allocateDomain(context.device(args.device), { type });
      context.nameDomain(args.domain, made);
      return { domain: args.domain, kernelName: made.name, type: made.type };
    },
  },
  {
    name: 'iommu_domain_free',
    about: 'Gives the page table back.',
    source: SOURCE,
    arguments: [domain],
    run(context, args) {
      context.domain(args.domain).free();
      context.forgetDomain(args.domain);
      return null;
    },
  },
  {
    name: 'iommu_attach_group',
    about: 'Puts every device of a group onto the domain, or none.',
    source: SOURCE,
    arguments: [domain, group],
    run(context, args) {
      context.kernel.iommu.attachGroup(context.domain(args.domain), context.group(args.group));
      return null;
    },
  },
  {
    name: 'iommu_detach_group',
    about: 'Back to the default domain, or to the blocking one while the group has an owner.',
    source: SOURCE,
    arguments: [domain, group],
    run(context, args) {
      context.kernel.iommu.detachGroup(context.domain(args.domain), context.group(args.group));
      return null;
    },
  },
  {
    name: 'iommu_attach_device',
    about: 'Attaches a domain to a device that is alone in its group.',
    source: SOURCE,
    arguments: [domain, device],
    run(context, args) {
      context.kernel.iommu.attachDevice(context.domain(args.domain), context.device(args.device));
      return null;
    },
  },
  {
    name: 'iommu_detach_device',
    about: 'Detaches a domain from a device that is alone in its group.',
    source: SOURCE,
    arguments: [domain, device],
    run(context, args) {
      context.kernel.iommu.detachDevice(context.domain(args.domain), context.device(args.device));
      return null;
    },
  },
  {
    name: 'iommu_map',
    about: 'Maps a range. Without a physical address a fresh buffer is allocated for it.',
    source: SOURCE,
    arguments: [
      domain,
      { name: 'iova', kind: 'address', about: 'multiple of 4 KiB' },
      { name: 'size', kind: 'size', about: 'multiple of 4 KiB' },
      { name: 'phys', kind: 'address', about: 'physical address', optional: true },
      { name: 'prot', kind: 'text', about: 'r, w or rw', optional: true, choices: ['r', 'w', 'rw'] },
    ],
    run(context, args) {
      const size = BigInt(args.size);
      const physical =
        args.phys === undefined
          ? BigInt(context.buffer(args.domain, Math.ceil(Number(size) / PAGE))) * 4096n
          : BigInt(args.phys);
      const { kernel } = context;
      mapRange(
        context.domain(args.domain),
        BigInt(args.iova),
        physical,
        size,
        rights(args.prot ?? 'rw'),
        kernel.log,
      );
      return { phys: `0x${physical.toString(16)}` };
    },
  },
  {
    name: 'iommu_unmap',
    about: 'Unmaps a range; large pages that are hit go as a whole.',
    source: SOURCE,
    arguments: [
      domain,
      { name: 'iova', kind: 'address', about: 'multiple of 4 KiB' },
      { name: 'size', kind: 'size', about: 'multiple of 4 KiB' },
    ],
    run(context, args) {
      const { kernel } = context;
      const unmapped = unmapRange(
        context.domain(args.domain),
        BigInt(args.iova),
        BigInt(args.size),
        kernel.log,
      );
      return { unmapped: `0x${unmapped.toString(16)}` };
    },
  },
  {
    name: 'iommu_group_store_type',
    about: 'Changes the type of the default domain, as the file `type` of the group does.',
    source: SOURCE,
    arguments: [
      group,
      { name: 'type', kind: 'text', about: 'the word', choices: ['DMA', 'DMA-FQ', 'identity', 'auto'] },
    ],
    run(context, args) {
      context.kernel.iommu.setDefaultType(context.group(args.group), args.type);
      return null;
    },
  },
  {
    name: 'iommu_suspend',
    about: 'Flushes everything and switches translation off; tables stay.',
    source: 'drivers/iommu/intel/iommu.c',
    arguments: [],
    run(context) {
      context.kernel.intel?.suspend();
      return null;
    },
  },
  {
    name: 'iommu_resume',
    about: 'Sets queues and root tables again and switches translation on.',
    source: 'drivers/iommu/intel/iommu.c',
    arguments: [],
    run(context) {
      context.kernel.intel?.resume();
      return null;
    },
  },
  {
    name: 'irq_remapping_alloc',
    about:
      'An interrupt table entry for a device: the message it may send from now on. Any other is blocked.',
    source: 'drivers/iommu/intel/irq_remapping.c',
    arguments: [device, { name: 'vector', kind: 'size', about: '16 to 254' }],
    run(context, args) {
      const { intel } = context.kernel;
      const owner = context.device(args.device);
      const vector = Number(args.vector);
      if (intel === undefined || vector < 16 || vector > 254) {
        throw new KernelError('EINVAL', 'no such vector', `Vector ${args.vector} can't be delivered here.`);
      }
      const message = intel.interrupts.allocate(owner, intel.unitOf(owner), vector, 0);
      return { index: message.index, address: `0x${message.address.toString(16)}`, data: message.data };
    },
  },
];
