/** Containers of mediated devices that their parent isolates (mdev_set_iommu_device, 5.15). */
import { describe, expect, it } from 'vitest';
import { type kernel as Kernel, KernelError } from '../../../../hw/index.ts';
import { bootMachine } from '../../../../src/replay/aux/machine.ts';
import { DomainNames } from '../../../../src/replay/aux/names.ts';
import { type Arguments, AuxiliaryOperations } from '../../../../src/replay/aux/operations.ts';
import { VfioOperations } from '../../../../src/replay/aux/vfio-operations.ts';
import { VfioLab } from '../../../support/vfio-lab.ts';

const UNIT = 'scalable-mode=on,pasid-bits=20,device-iotlb=on,aw-bits=48';

function lab() {
  const machine = bootMachine({ unit: UNIT, commandLine: 'intel_iommu=on,sm_on', ecapBitsAdded: 0n });
  const calls = new AuxiliaryOperations(machine, new DomainNames(machine.kernel, ['A']));
  const vfio = new VfioOperations(machine);
  const run = (op: string, args: Arguments): string => {
    try {
      if ((calls.run(op, args) ?? vfio.run(op, args)) === undefined) throw new Error(`no operation ${op}`);
      return 'ok';
    } catch (error) {
      if (error instanceof KernelError) return error.code;
      throw error;
    }
  };
  run('enable_feature', { dev: 'A' });
  run('mdev_register', { dev: 'A' });
  run('mdev_create', { mdev: 'm1', parent: 'A' });
  run('container_open', { container: 'c1' });
  run('group_open', { mdev: 'm1' });
  run('group_set_container', { mdev: 'm1', container: 'c1' });
  return { machine, run };
}

describe('a container of an mdev with an iommu device', () => {
  it("may map the interrupt window: the mdev's own group has no reserved regions", () => {
    const { run } = lab();
    expect(run('set_iommu', { container: 'c1', type: 3 })).toBe('ok');
    expect(run('dma_map', { container: 'c1', iova: '0xfee00000', size: '0x1000' })).toBe('ok');
  });

  it('of the nesting type needs a unit that nests: EINVAL, and the driver says so', () => {
    const { machine, run } = lab();
    expect(run('set_iommu', { container: 'c1', type: 6 })).toBe('EINVAL');
    expect(machine.kernel.log.lines.at(-1)).toBe(
      'pci 0000:00:02.0: DMAR: dmar0: iommu not support nested translation',
    );
    expect(run('set_iommu', { container: 'c1', type: 3 })).toBe('ok');
  });
});

describe('DMA_CC in 5.15 (IOMMU_CAP_CACHE_COHERENCY of the bus)', () => {
  const coherent = (unit: string): number => {
    const vfio = new VfioLab({ profile: '5.15', unit, commandLine: 'intel_iommu=on,sm_on' });
    const opened = vfio.container();
    const container: Kernel.Container = opened.container;
    vfio.group('A0').group.setContainer(vfio.owner, opened.descriptor);
    container.setIommu(3);
    return container.checkExtension(4);
  };

  it('needs snoop control in legacy mode, and is there in scalable mode without it', () => {
    expect(coherent('intel-iommu,intremap=on,aw-bits=48')).toBe(0);
    expect(coherent('intel-iommu,intremap=on,aw-bits=48,snoop-control=on')).toBe(1);
    expect(coherent('intel-iommu,intremap=on,aw-bits=48,scalable-mode=on')).toBe(1);
  });
});
