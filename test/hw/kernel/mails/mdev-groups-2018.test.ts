/**
 * The mail of 24 July 2018 (Jean-Philippe Brucker, "Re: [RFC PATCH 03/10] iommu/vt-d: Allocate groups for mediated
 * devices"), walked through in its own terms.
 */
import { describe, expect, it } from 'vitest';
import { Device } from '../../../../hw/kernel/device.ts';
import { comparePasidForms, type PasidFormReport } from '../../../../hw/kernel/iommu/pasid-forms.ts';
import { IommuProt } from '../../../../hw/kernel/iommu/types.ts';
import { codeOf } from '../code-of.ts';
import { frame, page, SmallHost } from '../small-host.ts';

const RW = IommuProt.read | IommuProt.write;

describe('"allocating two groups for an mdev seems strange"', () => {
  it("the driver's group stands beside the framework's, and has no member", () => {
    const host = new SmallHost({ profile: '5.15' });
    const mdev = new Device('83b8f4f2-509f-382f-3c1e-e6bfe0fa1001', 'mdev', { parent: host.device('A') });
    host.core.addDevice(host.core.allocateGroup(), mdev);
    const groups = host.core.groups.length;
    const double = host.kernel.mdevGroups.allocate(mdev);
    expect(double.ofFramework?.devices).toEqual([mdev]);
    expect(double.ofDriver.devices).toEqual([]);
    expect(double.ofDriver).not.toBe(double.ofFramework);
    expect(host.core.groups).toHaveLength(groups + 1);
    host.kernel.mdevGroups.release(mdev);
    expect(host.core.groups).toHaveLength(groups);
  });

  it('"we shouldn\'t export the notion of mdev to IOMMU drivers": the callback has to ask for the bus', () => {
    const host = new SmallHost({ profile: '5.15' });
    expect(codeOf(() => host.kernel.mdevGroups.allocate(host.device('A')))).toBe('EINVAL');
  });
});

describe('"the mdev module itself could allocate a default PASID for each mdev by calling pasid_alloc() on the mdev\'s parent"', () => {
  it.each(['5.15', '7.2'] as const)(
    '"and then do map()/unmap() with that PASID" (tables of %s)',
    (profile) => {
      const host = new SmallHost({ profile });
      const pasids = host.kernel.parentPasids;
      const first = pasids.allocate(host.device('A'));
      const second = pasids.allocate(host.device('A'));
      expect([first, second]).toEqual([1, 2]);
      pasids.map(first, page(9), frame(0x91), 1, RW);
      pasids.map(second, page(9), frame(0x92), 1, RW);
      expect([host.walk('A', 9, 2, first), host.walk('A', 9, 2, second)]).toEqual([0x91, 0x92]);
      expect(pasids.unmap(first, page(9), 1)).toBe(1);
      expect(host.walk('A', 9, 2, first)).toBeLessThan(0);
      expect(host.walk('A', 9, 2, second)).toBe(0x92);
      pasids.free(first);
      pasids.free(second);
      expect(pasids.of(host.device('A'))).toEqual([]);
    },
  );

  it('"The allocated PASID also needs to be installed into the parent device": set_pasid, clear_pasid', () => {
    const host = new SmallHost({ profile: '5.15' });
    const pasids = host.kernel.parentPasids;
    const mdev = new Device('83b8f4f2-509f-382f-3c1e-e6bfe0fa1002', 'mdev', { parent: host.device('A') });
    const installed: [string, number][] = [];
    const operations = {
      setPasid: (device: Device, pasid: number) => void installed.push([device.name, pasid]),
      clearPasid: () => void installed.pop(),
    };
    const pasid = pasids.allocate(host.device('A'));
    pasids.install(operations, mdev, pasid);
    expect(installed).toEqual([[mdev.name, pasid]]);
    expect(codeOf(() => pasids.install(operations, mdev, pasid))).toBe('EBUSY');
    expect(codeOf(() => pasids.free(pasid))).toBe('EBUSY');
    pasids.clear(operations, mdev, pasid);
    expect(installed).toEqual([]);
    expect(codeOf(() => pasids.free(pasid))).toBe('ok');
    expect(codeOf(() => pasids.map(pasid, page(1), frame(1), 1, RW))).toBe('EINVAL');
  });

  it('needs a parent that can tag its requests', () => {
    const host = new SmallHost({ profile: '5.15' });
    expect(codeOf(() => host.kernel.parentPasids.allocate(host.device('C')))).toBe('EOPNOTSUPP');
  });
});

describe('three forms on one host', () => {
  function compare(profile: '5.15' | '7.2'): { reports: PasidFormReport[]; walked: Map<string, number> } {
    const host = new SmallHost({ profile, unit: { firstLevelTranslation: 0 } });
    const walked = new Map<string, number>();
    const reports = comparePasidForms(
      {
        core: host.core,
        auxiliary: host.kernel.auxiliary,
        parentPasids: host.kernel.parentPasids,
        freePasid: () => 40,
        probe: (form, pasid, at) => walked.set(form, host.walk('A', at, 2, pasid)),
      },
      host.device('A'),
      frame(0x777),
    );
    return { reports, walked };
  }

  it('the hardware comes to the same frame in each, on 5.15', () => {
    const { reports, walked } = compare('5.15');
    expect([...walked.values()]).toEqual([0x777, 0x777, 0x777]);
    expect(reports.map(({ refused }) => refused)).toEqual([undefined, undefined, undefined]);
    expect(reports.map(({ inThisKernel }) => inThisKernel)).toEqual([true, false, false]);
    // Auxiliary domains and the parent's PASIDs come from the global space, the caller's from the caller.
    expect(reports.map(({ pasid }) => pasid)).toEqual([1, 1, 40]);
  });

  it('7.2 lacks the first and says so', () => {
    const { reports, walked } = compare('7.2');
    expect(reports[0].refused?.code).toBe('ENODEV');
    expect(walked.get('domain on a PASID')).toBe(0x777);
  });
});
