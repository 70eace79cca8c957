/** Socket 1 of the built-in server: a RAID controller with reserved memory, a drive, a graphics card, accelerators. */
import type { FunctionDescription } from '../../../hw/index.ts';
import { accelerator, integratedSystem, nvme, rootPort } from './parts.ts';
import { endpoint, express, msi, msix, powerManagement } from './plans.ts';

/** All functions of socket 1, in the order of their buses. */
export function socket1(): FunctionDescription[] {
  return [
    ...integratedSystem(0x80, 1, true),
    rootPort({
      at: '0000:80:01.0',
      socket: 1,
      device: 0x352a,
      buses: [0x80, 0x81, 0x81],
      memoryWindow: [0xc0000000n, 0xc00fffffn],
    }),
    endpoint({
      at: '0000:81:00.0',
      ids: [0x1000, 0x0014],
      subsystem: [0x1590, 0x0288],
      classCode: 0x010400,
      revision: 0x01,
      name: 'Broadcom / LSI MegaRAID Tri-Mode SAS3516',
      className: 'RAID bus controller',
      driver: 'megaraid_sas',
      socket: 1,
      interruptPin: 1,
      baseAddresses: [{ index: 0, base: 0xc0000000n, wide: true }],
      capabilities: [
        powerManagement(),
        express('endpoint', { functionLevelReset: true, prefix: false }),
        msix(128, 0),
      ],
      model: { kind: 'dma-engine', role: 'RAID controller' },
    }),
    rootPort({
      at: '0000:80:03.0',
      socket: 1,
      device: 0x352b,
      buses: [0x80, 0x82, 0x82],
      memoryWindow: [0xc0100000n, 0xc01fffffn],
      slot: 31,
    }),
    nvme(
      '0000:82:00.0',
      1,
      [0x144d, 0xa80a],
      'Samsung Electronics Co Ltd NVMe SSD Controller PM9A1/PM9A3/980PRO',
      0xc0100000n,
    ),
    rootPort({
      at: '0000:80:05.0',
      socket: 1,
      device: 0x352c,
      buses: [0x80, 0x83, 0x83],
      memoryWindow: [0xc1000000n, 0xc1ffffffn],
      prefetchableWindow: [0x205fe0000000n, 0x205fffffffffn],
    }),
    endpoint({
      at: '0000:83:00.0',
      ids: [0x10de, 0x1eb8],
      subsystem: [0x10de, 0x12a2],
      classCode: 0x030200,
      revision: 0xa1,
      name: 'NVIDIA Corporation TU104GL [Tesla T4]',
      className: '3D controller',
      driver: 'nvidia',
      socket: 1,
      interruptPin: 1,
      baseAddresses: [
        { index: 0, base: 0xc1000000n },
        { index: 1, base: 0x205fe0000000n, wide: true, prefetchable: true },
      ],
      capabilities: [
        powerManagement(),
        msi(),
        express('endpoint', { functionLevelReset: true, prefix: false }),
        msix(6, 0),
      ],
      model: { kind: 'dma-engine', role: 'graphics processor' },
    }),
    ...integratedSystem(0xe7, 1, false),
    accelerator('0000:e7:01.0', 1, 'streaming', 0x20effff40000n),
    accelerator('0000:e7:02.0', 1, 'analytics', 0x20effff20000n),
  ];
}
