import { describe, expect, it } from 'vitest';
import { buildHost } from '../../hw/host.ts';
import { finish } from '../../hw/work.ts';
import { callKernel } from '../../src/actions/kernel-call.ts';
import { runAction } from '../../src/actions/run-action.ts';
import { builtInHost, DEFAULT_HOST } from '../../src/hosts/builtin.ts';

const ACCELERATOR = '0000:6a:01.0';

function server(profile: '5.15' | '7.2') {
  const description = builtInHost(DEFAULT_HOST);
  if (description === undefined) throw new Error('the built-in host is missing');
  return buildHost(description, { profile });
}

describe('the action kernel.call', () => {
  it('makes the call and shows what a driver would write', () => {
    const host = server('7.2');
    const call = (name: string, words: string) =>
      finish(runAction(callKernel, host, { call: name, with: words }));
    call('iommu_domain_alloc', `device=${ACCELERATOR} domain=D1`);
    call('iommu_attach_device_pasid', `domain=D1 device=${ACCELERATOR} pasid=9`);
    call('iommu_map', 'domain=D1 iova=0x5000 size=0x1000');
    const dma = host.deviceDma({
      device: ACCELERATOR,
      iova: 0x5000n,
      access: 'write',
      bytes: Uint8Array.of(7),
      pasid: 9,
    });
    expect(dma.ok).toBe(true);
    const { value } = call('ownership', `group=${ACCELERATOR} pasid=9`);
    expect(value).toMatchObject({ since: { text: expect.stringContaining('iommu_attach_device_pasid') } });
    expect(callKernel.linuxCommand(host, { call: 'pasid_alloc', with: 'device=x' })[0]).toContain(
      'pasid_alloc(x)',
    );
  });

  it('says before it is made what is missing', () => {
    const host = server('5.15');
    expect(callKernel.disabledReason(host, { call: 'nonsense' })).toContain('no kernel call');
    expect(callKernel.disabledReason(host, { call: 'pasid_alloc', with: '' })).toContain('needs device');
    expect(callKernel.candidates?.(host, 'call', {})).toContain('iommu_aux_attach_device');
  });
});
