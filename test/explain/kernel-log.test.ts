import { describe, expect, it } from 'vitest';
import { explainKernelLog } from '../../src/explain/kernel-log.ts';

const one = (line: string) => explainKernelLog(line)[0];

describe('fault lines as dmar.c prints them', () => {
  it('5.13 and newer: hexadecimal with 0x, NO_PASID', () => {
    const found = one(
      '[  12.345678] DMAR: [DMA Write NO_PASID] Request device [00:1f.2] fault addr 0x12000 [fault reason 0x05] PTE Write access is not set',
    );
    expect(found).toMatchObject({
      kind: 'dma-fault',
      device: '00:1f.2',
      pasid: undefined,
      address: '0x12000',
      access: 'write',
      reason: { code: '0x05', class: 'LGN.2' },
    });
  });
  it('with a PASID', () => {
    const found = one(
      'DMAR: [DMA Read PASID 0x2a] Request device [6a:01.0] fault addr 0x1000 [fault reason 0x59] SM: Present bit in PASID Table Entry is clear',
    );
    expect(found).toMatchObject({ pasid: 42, entry: 'PASID table entry', reason: { code: '0x59' } });
  });
  it('before 5.13 the address is bare hex and the reason decimal', () => {
    const found = one(
      'Nov  3 10:00:00 host kernel: DMAR: [DMA Read] Request device [02:00.0] fault addr ffe00000 [fault reason 06] PTE Read access is not set',
    );
    expect(found).toMatchObject({
      device: '02:00.0',
      address: '0xffe00000',
      access: 'read',
      reason: { code: '0x06' },
    });
  });
  it('reason 38 of an old kernel is 26h', () => {
    const found = one(
      'DMAR: [INTR-REMAP] Request device [f0:1f.7] fault index 8000 [fault reason 38] Blocked an interrupt request due to source-id verification failure',
    );
    expect(found).toMatchObject({
      kind: 'interrupt-fault',
      address: '0x8000',
      reason: { code: '0x26', class: 'INTR.7' },
    });
  });
  it('a reason that no specification lists keeps the text of the line', () => {
    expect(
      one('DMAR: [DMA Write] Request device [02:00.0] fault addr 0 [fault reason 0xee] something new'),
    ).toMatchObject({ meaning: 'something new', reason: { class: 'unknown' } });
  });
});

describe('refusals', () => {
  it.each([
    [
      'vfio-pci 0000:03:00.0: Device is ineligible for IOMMU domain attach due to platform RMRR requirement.  Contact your platform vendor.',
      'rmrr-refusal',
      '0000:03:00.0',
    ],
    [
      'qemu-system-x86_64: -device vfio-pci,host=0000:01:00.0: vfio 0000:01:00.0: group 1 is not viable',
      'group-not-viable',
      '0000:01:00.0',
    ],
    ['vfio_pin_pages_remote: RLIMIT_MEMLOCK (65536) exceeded', 'memory-lock-limit', undefined],
    [
      'vfio_iommu_type1_attach_group: No interrupt remapping support.  Use the module param "allow_unsafe_interrupts" to enable VFIO IOMMU support on this platform',
      'interrupts-not-isolated',
      undefined,
    ],
  ])('%s', (line, kind, device) => {
    expect(one(line)).toMatchObject({ kind, device });
  });
  it('other lines are passed over, and each line is told once', () => {
    expect(explainKernelLog('usb 1-1: new device\n\nDMAR: DRHD: handling fault status reg 2\n')).toHaveLength(
      1,
    );
  });
});
