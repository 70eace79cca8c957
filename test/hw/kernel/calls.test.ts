/** Kernel calls by name, as console and command line make them. */
import { beforeEach, describe, expect, it } from 'vitest';
import { KERNEL_CALLS } from '../../../hw/kernel/calls/kernel-calls.ts';
import { codeOf } from './code-of.ts';
import { AT, SmallHost } from './small-host.ts';

let host: SmallHost;
beforeEach(() => {
  host = new SmallHost({ profile: '7.2' });
});

const run = (name: string, args: Record<string, string> = {}) => host.kernel.calls.run(name, args);

it('every call says what it is and where it comes from', () => {
  for (const call of KERNEL_CALLS) {
    expect(call.about.length, call.name).toBeGreaterThan(10);
    expect(call.source.length, call.name).toBeGreaterThan(5);
  }
  expect(new Set(KERNEL_CALLS.map(({ name }) => name)).size).toBe(KERNEL_CALLS.length);
});

it('a domain is allocated, attached to a PASID, mapped and freed by its name', () => {
  run('iommu_domain_alloc', { device: AT.A, domain: 'D1' });
  run('iommu_attach_device_pasid', { domain: 'D1', device: AT.A, pasid: '5' });
  const { phys } = run('iommu_map', { domain: 'D1', iova: '0x3000', size: '0x1000' }) as { phys: string };
  expect(host.walk('A', 3, 2, 5)).toBe(Number(BigInt(phys) >> 12n));
  expect(codeOf(() => run('iommu_domain_free', { domain: 'D1' }))).toBe('EBUSY');
  run('iommu_detach_device_pasid', { domain: 'D1', device: AT.A, pasid: '5' });
  run('iommu_domain_free', { domain: 'D1' });
  expect(codeOf(() => run('iommu_unmap', { domain: 'D1', iova: '0x3000', size: '0x1000' }))).toBe('ENOENT');
});

describe('bad input is refused with a reason, and nothing has happened', () => {
  it.each([
    ['nonsense', {}, 'ENOSYS'],
    ['iommu_domain_alloc', { device: AT.A }, 'EINVAL'],
    ['iommu_domain_alloc', { device: '0000:ff:00.0', domain: 'D' }, 'ENODEV'],
    ['iommu_domain_alloc', { device: AT.A, domain: 'D', type: 'odd' }, 'EINVAL'],
    ['iommu_domain_alloc', { device: AT.A, domain: 'D', more: '1' }, 'EINVAL'],
    ['iommu_attach_group', { domain: 'D9', group: '1' }, 'ENOENT'],
    ['iommu_group_claim_dma_owner', { group: '999', owner: 'me' }, 'ENODEV'],
    ['pasid_free', { pasid: 'x' }, 'EINVAL'],
    ['iommu_dev_enable_feature', { device: AT.A }, 'ENODEV'],
  ] as const)('%s %o is %s', (name, args, code) => {
    expect(codeOf(() => run(name, args))).toBe(code);
    expect(host.kernel.calls.domainNames).toEqual([]);
  });
});

it('an owner by the same name is the same owner', () => {
  run('iommu_device_claim_dma_owner', { device: AT.M0, owner: 'vm1' });
  run('iommu_device_claim_dma_owner', { device: AT.M1, owner: 'vm1' });
  expect(codeOf(() => run('iommu_device_claim_dma_owner', { device: AT.M1, owner: 'vm2' }))).toBe('EPERM');
  expect(run('ownership', { group: AT.M0 })).toMatchObject({
    owner: 'vm1',
    use: 'claimed, blocked',
    users: 2,
  });
});

it('the profile says what it lacks and what took its place', () => {
  const { systems } = run('profile') as { systems: { system: string; has: boolean; detail: string }[] };
  const auxiliary = systems.find(({ system }) => system === 'auxiliary domains');
  expect(auxiliary).toMatchObject({
    has: false,
    detail: expect.stringContaining('iommu_attach_device_pasid'),
  });
});

it('the three PASID forms come back side by side', () => {
  const forms = run('compare_pasid_forms', { device: AT.A }) as { form: string; leadsTo: string | null }[];
  expect(forms.map(({ leadsTo }) => leadsTo)).toEqual([null, 'the test page', 'the test page']);
});
