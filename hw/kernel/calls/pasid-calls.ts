/** Auxiliary mode, PASIDs on the parent, domains on PASIDs, and the driver's groups for mdevs. */

import type { Frame, Page } from '../../memory/types.ts';
import { KernelError } from '../errno.ts';
import { comparePasidForms } from '../iommu/pasid-forms.ts';
import { IommuProt } from '../iommu/types.ts';
import type { CallContext, CallValue, KernelCall } from './call.ts';

const V4 = 'v4 cover letter, November 2018; Linux 5.2 to 5.15';
const JULY_2018 = 'mail of 24 July 2018 (proposed)';
const NOW = 'drivers/iommu/iommu.c, Linux 6.x on';
const RIGHTS = IommuProt.read | IommuProt.write;
const domain = { name: 'domain', kind: 'domain', about: 'the domain' } as const;
const device = { name: 'device', kind: 'device', about: 'the device' } as const;
const pasid = { name: 'pasid', kind: 'pasid', about: 'the PASID' } as const;
const mdev = { name: 'mdev', kind: 'device', about: 'UUID of the mediated device' } as const;

function auxiliary(context: CallContext) {
  const found = context.kernel.auxiliary;
  if (found !== undefined) return found;
  const { profile } = context.kernel;
  throw new KernelError(
    'ENODEV',
    'no auxiliary domains in this kernel',
    `Kernel ${profile.version} has no auxiliary domains.`,
    profile.pasidAttach ? 'iommu_attach_device_pasid took their place.' : 'They live in kernels 5.2 to 5.15.',
  );
}

function pages(args: Readonly<Record<string, string>>): { page: Page; count: number } {
  return { page: Number(BigInt(args.iova) >> 12n) as Page, count: Number(BigInt(args.size) >> 12n) };
}

export const PASID_CALLS: readonly KernelCall[] = [
  {
    name: 'iommu_dev_has_feature',
    about: 'Can device and IOMMU do auxiliary domains (IOMMU_DEV_ATTR_AUXD_CAPABILITY)?',
    source: V4,
    arguments: [device],
    run: (context, args) => auxiliary(context).hasFeature(context.device(args.device)),
  },
  {
    name: 'iommu_dev_enable_feature',
    about: 'Switches a device to auxiliary mode (IOMMU_DEV_ATTR_AUXD_ENABLE).',
    source: V4,
    arguments: [device],
    run(context, args) {
      auxiliary(context).enableFeature(context.device(args.device));
      return null;
    },
  },
  {
    name: 'iommu_dev_disable_feature',
    about: 'Switches back (IOMMU_DEV_ATTR_AUXD_DISABLE). What is attached stays: a known leak.',
    source: V4,
    arguments: [device],
    run(context, args) {
      auxiliary(context).disableFeature(context.device(args.device));
      return null;
    },
  },
  {
    name: 'iommu_aux_attach_device',
    about: 'Attaches a domain in fine grain (iommu_attach_device_aux of v4).',
    source: V4,
    arguments: [domain, device],
    run(context, args) {
      const [found, parent] = [context.domain(args.domain), context.device(args.device)];
      const domains = auxiliary(context);
      domains.attach(found, parent);
      return { pasid: domains.pasidOf(found, parent), users: domains.usersOf(found, parent) };
    },
  },
  {
    name: 'iommu_aux_detach_device',
    about: 'The reverse. Silent when the device is not in auxiliary mode.',
    source: V4,
    arguments: [domain, device],
    run(context, args) {
      auxiliary(context).detach(context.domain(args.domain), context.device(args.device));
      return null;
    },
  },
  {
    name: 'iommu_aux_get_pasid',
    about: 'The PASID to program into the device (DOMAIN_ATTR_AUXD_ID of v4).',
    source: V4,
    arguments: [domain, device],
    run: (context, args) =>
      auxiliary(context).pasidOf(context.domain(args.domain), context.device(args.device)),
  },
  {
    name: 'iommu_attach_device_pasid',
    about: 'Attaches a domain to a PASID of the caller’s choice.',
    source: NOW,
    arguments: [domain, device, pasid],
    run(context, args) {
      const { iommu } = context.kernel;
      iommu.attachDevicePasid(context.domain(args.domain), context.device(args.device), Number(args.pasid));
      return null;
    },
  },
  {
    name: 'iommu_detach_device_pasid',
    about: 'The reverse: the PASID is blocked.',
    source: NOW,
    arguments: [domain, device, pasid],
    run(context, args) {
      const { iommu } = context.kernel;
      iommu.detachDevicePasid(context.domain(args.domain), context.device(args.device), Number(args.pasid));
      return null;
    },
  },
  {
    name: 'pasid_alloc',
    about: 'A PASID with empty tables on a parent.',
    source: JULY_2018,
    arguments: [device],
    run: (context, args) => context.kernel.parentPasids.allocate(context.device(args.device)),
  },
  {
    name: 'pasid_free',
    about: 'Gives it back.',
    source: JULY_2018,
    arguments: [pasid],
    run(context, args) {
      context.kernel.parentPasids.free(Number(args.pasid));
      return null;
    },
  },
  {
    name: 'iommu_map_pasid',
    about: 'Maps by PASID.',
    source: JULY_2018,
    arguments: [
      pasid,
      { name: 'iova', kind: 'address', about: 'multiple of 4 KiB' },
      { name: 'size', kind: 'size', about: 'multiple of 4 KiB' },
      { name: 'phys', kind: 'address', about: 'physical address' },
    ],
    run(context, args) {
      const { page, count } = pages(args);
      const frame = Number(BigInt(args.phys) >> 12n) as Frame;
      context.kernel.parentPasids.map(Number(args.pasid), page, frame, count, RIGHTS);
      return null;
    },
  },
  {
    name: 'iommu_unmap_pasid',
    about: 'Unmaps by PASID.',
    source: JULY_2018,
    arguments: [
      pasid,
      { name: 'iova', kind: 'address', about: 'multiple of 4 KiB' },
      { name: 'size', kind: 'size', about: 'multiple of 4 KiB' },
    ],
    run(context, args) {
      const { page, count } = pages(args);
      return context.kernel.parentPasids.unmap(Number(args.pasid), page, count);
    },
  },
  {
    name: 'compare_pasid_forms',
    about:
      'Sets auxiliary domains, PASIDs on the parent and a domain on a PASID up in turn, and shows what each keeps.',
    source: 'mails of July and November 2018',
    arguments: [device],
    run(context, args) {
      const { kernel } = context;
      const frame = kernel.allocator.allocate();
      try {
        const forms = comparePasidForms(
          {
            core: kernel.iommu,
            auxiliary: kernel.auxiliary,
            parentPasids: kernel.parentPasids,
            freePasid: (parent) => freePasid(context, parent.name),
          },
          context.device(args.device),
          frame,
        );
        return forms.map((form) => ({
          ...form,
          refused: form.refused ?? null,
          pasid: form.pasid ?? null,
          leadsTo: form.leadsTo === undefined ? null : form.leadsTo === frame ? 'the test page' : 'elsewhere',
        }));
      } finally {
        kernel.allocator.release(frame);
      }
    },
  },
  {
    name: 'intel_device_group_of_mdev',
    about:
      'The IOMMU driver allocates a group for an mdev, which has one already: shows both, and keeps neither.',
    source: 'RFC 03/10 of July 2018 (abandoned)',
    arguments: [mdev],
    run(context, args) {
      const { mdevGroups } = context.kernel;
      const device = context.device(args.mdev);
      const { ofFramework, ofDriver, objections } = mdevGroups.allocate(device);
      const shown: CallValue = {
        ofFramework:
          ofFramework === undefined
            ? null
            : { id: ofFramework.id, members: ofFramework.devices.map((each) => each.name) },
        ofDriver: { id: ofDriver.id, members: ofDriver.devices.map((each) => each.name) },
        objections: [...objections],
      };
      mdevGroups.release(device);
      return shown;
    },
  },
];

/** The lowest PASID that nothing uses on the device's group. */
function freePasid(context: CallContext, name: string): number {
  const group = context.group(name);
  let number = 1;
  while (context.kernel.pasids.isTaken(number) || group.pasidAttachments.has(number)) number += 1;
  return number;
}
