/**
 * The three ways to give a part of a device an address space of its own, side by side on one parent: auxiliary domains
 * (v4 of November 2018, in kernels 5.2 to 5.15), PASIDs on the parent (July 2018, never merged), a domain on a PASID of
 * the caller's choice (6.x). The same DMA result, different bookkeeping.
 */
import type { Frame, Page } from '../../memory/types.ts';
import type { Device } from '../device.ts';
import { KernelError } from '../errno.ts';
import type { LinuxIommuCore } from './core.ts';
import type { DriverDomain } from './driver.ts';
import type { ParentPasids } from './parent-pasids.ts';
import { type AuxiliaryDomains, IommuProt } from './types.ts';

export type PasidFormName = 'auxiliary domains' | 'PASIDs on the parent' | 'domain on a PASID';

/** What one form came to. */
export interface PasidFormReport {
  readonly form: PasidFormName;
  readonly source: string;
  /** True: callers of this kernel can have it. False: shown all the same, or refused. */
  readonly inThisKernel: boolean;
  /** errno and reason when it could not be shown. */
  readonly refused: { readonly code: string; readonly why: string } | undefined;
  readonly pasid: number | undefined;
  readonly pasidChosenBy: string;
  /** What a caller holds. */
  readonly handle: string;
  readonly modeSwitch: string;
  /** Where counts and references are kept. */
  readonly bookkeeping: readonly string[];
  readonly calls: readonly string[];
  /** The frame that the PASID's tables lead the test page to. */
  readonly leadsTo: number | undefined;
}

export interface PasidFormsContext {
  readonly core: LinuxIommuCore;
  readonly auxiliary:
    | (AuxiliaryDomains & { usersOf(domain: DriverDomain, device: Device): number })
    | undefined;
  readonly parentPasids: ParentPasids;
  /** Tells the PASID that the caller's form takes: the lowest free one. */
  freePasid(device: Device): number;
  /** Called while a form is set up: what the hardware makes of a request with this PASID. */
  probe?(form: PasidFormName, pasid: number, page: Page): void;
}

const TEST_PAGE = 0x100 as Page;
const RIGHTS = IommuProt.read | IommuProt.write;

/** Sets each form up on the parent in turn, maps one page to `frame`, looks, and takes it down again. */
export function comparePasidForms(
  context: PasidFormsContext,
  parent: Device,
  frame: Frame,
): PasidFormReport[] {
  return [auxiliaryForm, parentForm, callerForm].map((form) => form(context, parent, frame));
}

function auxiliaryForm(context: PasidFormsContext, parent: Device, frame: Frame): PasidFormReport {
  const { core, auxiliary } = context;
  const about = {
    form: 'auxiliary domains',
    source: 'v4 cover letter of November 2018; Linux 5.2 to 5.15',
    inThisKernel: auxiliary !== undefined,
    pasidChosenBy: 'the IOMMU driver, one for each domain, the same on every device',
    handle: 'a domain, attached in auxiliary mode',
    modeSwitch: 'iommu_dev_enable_feature(AUX) first; the whole device can then not be handed out',
  } as const;
  return report(about, () => {
    if (auxiliary === undefined) {
      throw new KernelError(
        'ENODEV',
        'no auxiliary domains',
        'This kernel has no auxiliary domains any more.',
      );
    }
    const wasOn = auxiliary.featureEnabled(parent);
    if (!wasOn) auxiliary.enableFeature(parent);
    const domain = core.allocateDomain(parent);
    try {
      auxiliary.attach(domain, parent);
      try {
        const pasid = auxiliary.pasidOf(domain, parent);
        domain.map(TEST_PAGE, frame, 1, RIGHTS);
        context.probe?.(about.form, pasid, TEST_PAGE);
        return {
          pasid,
          leadsTo: domain.iovaToFrame(TEST_PAGE),
          bookkeeping: [
            `domain: default PASID ${pasid}`,
            `record (${domain.name}, ${parent.name}): users ${auxiliary.usersOf(domain, parent)}`,
            'device: mode flag on',
          ],
          calls: [
            'iommu_dev_enable_feature',
            'iommu_domain_alloc',
            'iommu_aux_attach_device',
            'iommu_aux_get_pasid',
            'iommu_map',
          ],
        };
      } finally {
        domain.unmap(TEST_PAGE, 1);
        auxiliary.detach(domain, parent);
      }
    } finally {
      domain.free();
      if (!wasOn) auxiliary.disableFeature(parent);
    }
  });
}

function parentForm(context: PasidFormsContext, parent: Device, frame: Frame): PasidFormReport {
  const { parentPasids } = context;
  const about = {
    form: 'PASIDs on the parent',
    source: 'Jean-Philippe Brucker, 24 July 2018; never merged',
    inThisKernel: false,
    pasidChosenBy: 'the IOMMU API, one for each mdev, when the mdev module asks on the parent',
    handle: 'a PASID; map and unmap take it, there is no domain',
    modeSwitch: 'none',
  } as const;
  return report(about, () => {
    const pasid = parentPasids.allocate(parent);
    try {
      parentPasids.map(pasid, TEST_PAGE, frame, 1, RIGHTS);
      context.probe?.(about.form, pasid, TEST_PAGE);
      return {
        pasid,
        leadsTo: parentPasids.tablesOf(pasid)?.iovaToFrame(TEST_PAGE),
        bookkeeping: [
          `parent ${parent.name}: PASIDs ${parentPasids.of(parent).join(', ')}`,
          'mdev module: one default PASID for each mdev, installed by set_pasid of the parent',
        ],
        calls: ['pasid_alloc', 'set_pasid', 'iommu_map_pasid'],
      };
    } finally {
      parentPasids.unmap(pasid, TEST_PAGE, 1);
      parentPasids.free(pasid);
    }
  });
}

function callerForm(context: PasidFormsContext, parent: Device, frame: Frame): PasidFormReport {
  const { core } = context;
  const about = {
    form: 'domain on a PASID',
    source: 'iommu_attach_device_pasid, Linux 6.x on',
    inThisKernel: core.profile.pasidAttach,
    pasidChosenBy: 'the caller; the same domain may have different PASIDs on different devices',
    handle: 'a domain and a number',
    modeSwitch: 'none: PASIDs are on since the device was probed',
  } as const;
  return report(about, () => {
    const pasid = context.freePasid(parent);
    const domain = core.allocateDomain(parent);
    const group = core.groupOf(parent);
    if (group === undefined)
      throw new KernelError('ENODEV', 'device without group', `${parent.name} has no group.`);
    const tags = domain.driver.maximumPasids(parent) > 0;
    try {
      // In kernels without the call the driver's tables can do it all the same.
      if (core.profile.pasidAttach) core.attachDevicePasid(domain, parent, pasid);
      else domain.driver.attachPasid(domain, parent, pasid, undefined);
      try {
        domain.map(TEST_PAGE, frame, 1, RIGHTS);
        context.probe?.(about.form, pasid, TEST_PAGE);
        return {
          pasid,
          leadsTo: tags ? domain.iovaToFrame(TEST_PAGE) : undefined,
          bookkeeping: [
            ...(tags ? [] : [`${parent.name} can tag no request: the call succeeds, no table changes`]),
            `group ${group.id}: pasid_array[${pasid}] = ${domain.name}`,
            `domain: (${parent.name}, PASID ${pasid}) among its attachments`,
          ],
          calls: ['iommu_paging_domain_alloc', 'iommu_attach_device_pasid', 'iommu_map'],
        };
      } finally {
        domain.unmap(TEST_PAGE, 1);
        if (core.profile.pasidAttach) core.detachDevicePasid(domain, parent, pasid);
        else domain.driver.detachPasid(domain, parent, pasid);
      }
    } finally {
      domain.free();
    }
  });
}

type Shown = Pick<PasidFormReport, 'pasid' | 'bookkeeping' | 'calls' | 'leadsTo'>;

function report(about: Omit<PasidFormReport, 'refused' | keyof Shown>, show: () => Shown): PasidFormReport {
  try {
    return { ...about, refused: undefined, ...show() };
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    return {
      ...about,
      refused: { code: error.code, why: error.message },
      pasid: undefined,
      bookkeeping: [],
      calls: [],
      leadsTo: undefined,
    };
  }
}
