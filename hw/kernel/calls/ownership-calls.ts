/** DMA ownership: as merged, as proposed in December 2021, and the operator's view of it. */
import { ownershipOf, pasidOwnership } from '../iommu/operator-view.ts';
import { profileNotes } from '../profile-notes.ts';
import type { CallContext, CallValue, KernelCall } from './call.ts';

const MERGED = 'drivers/iommu/iommu.c, Linux 5.18 on';
const PROPOSED = 'mail of 24 December 2021 (proposed)';
const device = { name: 'device', kind: 'device', about: 'the device' } as const;
const group = { name: 'group', kind: 'group', about: 'number of the group, or a device in it' } as const;
const domain = { name: 'domain', kind: 'domain', about: 'the domain' } as const;
const owner = { name: 'owner', kind: 'owner', about: 'who claims; the same name is the same owner' } as const;
const file = {
  name: 'file',
  kind: 'owner',
  about: 'the file that claims; the same name is the same file',
} as const;

/** A call on one device that gives nothing back. */
function onDevice(
  name: string,
  about: string,
  source: string,
  act: (context: CallContext, name: string) => CallValue | undefined,
): KernelCall {
  return {
    name,
    about,
    source,
    arguments: [device],
    run: (context, args) => act(context, args.device) ?? null,
  };
}

/** A call on a domain and a device that gives nothing back. */
function onBoth(
  name: string,
  about: string,
  act: (context: CallContext, domain: string, device: string) => undefined,
): KernelCall {
  return {
    name,
    about,
    source: PROPOSED,
    arguments: [domain, device],
    run: (context, args) => act(context, args.domain, args.device) ?? null,
  };
}

export const OWNERSHIP_CALLS: readonly KernelCall[] = [
  onDevice(
    'iommu_device_use_default_domain',
    'A kernel driver that uses the DMA API is about to be bound.',
    MERGED,
    (context, name) => void context.kernel.iommu.useDefaultDomain(context.device(name)),
  ),
  onDevice(
    'iommu_device_unuse_default_domain',
    'The driver is gone.',
    MERGED,
    (context, name) => void context.kernel.iommu.unuseDefaultDomain(context.device(name)),
  ),
  {
    name: 'iommu_group_claim_dma_owner',
    about: 'One owner for the whole group, once.',
    source: MERGED,
    arguments: [group, owner],
    run(context, args) {
      context.kernel.iommu.claimGroup(context.group(args.group), context.owner(args.owner));
      return null;
    },
  },
  {
    name: 'iommu_group_release_dma_owner',
    about: 'Gives the group back to the kernel.',
    source: MERGED,
    arguments: [group],
    run(context, args) {
      context.kernel.iommu.releaseGroup(context.group(args.group));
      return null;
    },
  },
  {
    name: 'iommu_device_claim_dma_owner',
    about: 'As the claim of a group, but the same owner may come again.',
    source: MERGED,
    arguments: [device, owner],
    run(context, args) {
      context.kernel.iommu.claimDevice(context.device(args.device), context.owner(args.owner));
      return null;
    },
  },
  onDevice(
    'iommu_device_release_dma_owner',
    'One claim less.',
    MERGED,
    (context, name) => void context.kernel.iommu.releaseDevice(context.device(name)),
  ),
  onDevice(
    'iommu_device_set_kernel_dma',
    'Driver DMA goes through the kernel’s DMA API.',
    PROPOSED,
    (context, name) => void context.kernel.proposedOwnership.setKernelDma(context.device(name)),
  ),
  onDevice(
    'iommu_device_release_kernel_dma',
    'It no longer does.',
    PROPOSED,
    (context, name) => void context.kernel.proposedOwnership.releaseKernelDma(context.device(name)),
  ),
  onDevice(
    'iommu_device_query_kernel_dma',
    'Can the driver do DMA through the kernel’s API?',
    PROPOSED,
    (context, name) => context.kernel.proposedOwnership.queryKernelDma(context.device(name)),
  ),
  onDevice(
    'iommu_device_set_private_dma',
    'The driver wants a domain of its own.',
    PROPOSED,
    (context, name) => void context.kernel.proposedOwnership.setPrivateDma(context.device(name)),
  ),
  onDevice(
    'iommu_device_release_private_dma',
    'It no longer does.',
    PROPOSED,
    (context, name) => void context.kernel.proposedOwnership.releasePrivateDma(context.device(name)),
  ),
  onBoth(
    'iommu_attach_device_owned',
    'Interface 1: the bound driver takes over from the default domain.',
    (context, of, name) =>
      void context.kernel.proposedOwnership.attachDevice(context.domain(of), context.device(name)),
  ),
  onBoth(
    'iommu_attach_device_shared',
    'Interface 2: the same domain joins, another is refused.',
    (context, of, name) =>
      void context.kernel.proposedOwnership.attachDeviceShared(context.domain(of), context.device(name)),
  ),
  onBoth(
    'iommu_detach_device_shared',
    'The last one detaches the group.',
    (context, of, name) =>
      void context.kernel.proposedOwnership.detachDeviceShared(context.domain(of), context.device(name)),
  ),
  {
    name: 'iommu_group_set_dma_owner',
    about: 'Interface 3: a file claims the group; the same file may come again.',
    source: PROPOSED,
    arguments: [group, file],
    run(context, args) {
      context.kernel.proposedOwnership.setGroupOwner(context.group(args.group), context.owner(args.file));
      return null;
    },
  },
  {
    name: 'iommu_replace_group_domain',
    about: 'Interface 3: from one domain to another, never over the default one.',
    source: PROPOSED,
    arguments: [
      group,
      { name: 'from', kind: 'domain', about: 'the present domain', optional: true },
      { name: 'to', kind: 'domain', about: 'the new one; absent: none', optional: true },
    ],
    run(context, args) {
      const named = (name: string | undefined) => (name === undefined ? undefined : context.domain(name));
      context.kernel.proposedOwnership.replaceGroupDomain(
        context.group(args.group),
        named(args.from),
        named(args.to),
      );
      return null;
    },
  },
  {
    name: 'ownership',
    about: 'Who has the group or the PASID, since which act, what that locks out, what would free it.',
    source: 'computed',
    arguments: [group, { name: 'pasid', kind: 'pasid', about: 'one PASID of it', optional: true }],
    run(context, args) {
      const found = context.group(args.group);
      const report =
        args.pasid === undefined
          ? ownershipOf(found, context.kernel.profile)
          : (pasidOwnership(found, Number(args.pasid)) ?? null);
      return JSON.parse(JSON.stringify(report)) as CallValue;
    },
  },
  {
    name: 'profile',
    about:
      'What this kernel has of the systems shown here, what took the place of the rest, and its known defects.',
    source: 'computed',
    arguments: [],
    run({ kernel }) {
      const shown = kernel.intel?.quirks.sightings ?? [];
      return {
        kernel: kernel.profile.version,
        systems: profileNotes(kernel.profile).map((note) => ({ ...note })),
        quirks: kernel.profile.quirks.map((quirk) => ({
          ...quirk,
          seen: shown.filter((each) => each.quirk.name === quirk.name).map(({ detail }) => detail),
        })),
      };
    },
  },
];
