/** Socket 0 of the built-in server: chipset, network, storage, a switch without ACS, and the first accelerators. */
import type { FunctionDescription } from '../../../hw/index.ts';
import { accelerator, integratedSystem, nvme, rootPort } from './parts.ts';
import {
  acs,
  ari,
  ats,
  bridge,
  endpoint,
  endpointAcs,
  express,
  msi,
  msix,
  powerManagement,
  sriov,
} from './plans.ts';

const VIRTUAL_FUNCTIONS = 4;

/** Root bus 00: the integrated system devices and the chipset. */
function chipset(): FunctionDescription[] {
  return [
    ...integratedSystem(0x00, 0, true),
    endpoint({
      at: '0000:00:14.0',
      ids: [0x8086, 0x1bcd],
      subsystem: [0x8086, 0x7270],
      classCode: 0x0c0330,
      revision: 0x11,
      name: 'Intel Corporation Emmitsburg (C740 Family) USB 3.2 Gen 1 xHCI Controller',
      className: 'USB controller',
      driver: 'xhci_hcd',
      socket: 0,
      multifunction: true,
      interruptPin: 1,
      conventional: true,
      baseAddresses: [{ index: 0, base: 0x3fffffe0000n, wide: true }],
      capabilities: [powerManagement(), msi()],
    }),
    endpoint({
      at: '0000:00:14.2',
      ids: [0x8086, 0x1bce],
      subsystem: [0x8086, 0x7270],
      classCode: 0x050000,
      revision: 0x11,
      name: 'Intel Corporation Emmitsburg (C740 Family) Shared SRAM',
      className: 'RAM memory',
      driver: null,
      socket: 0,
      conventional: true,
      baseAddresses: [{ index: 0, base: 0x3fffffd0000n, wide: true }],
      capabilities: [powerManagement()],
    }),
    endpoint({
      at: '0000:00:17.0',
      ids: [0x8086, 0x1ba2],
      subsystem: [0x8086, 0x7270],
      classCode: 0x010601,
      revision: 0x11,
      name: 'Intel Corporation Emmitsburg (C740 Family) SATA Controller (AHCI mode)',
      className: 'SATA controller',
      driver: 'ahci',
      socket: 0,
      interruptPin: 1,
      conventional: true,
      baseAddresses: [{ index: 5, base: 0x92400000n }],
      capabilities: [msi(), powerManagement()],
      model: { kind: 'dma-engine', role: 'SATA controller' },
    }),
    chipsetPort('0000:00:1c.0', 0x1bb8, 1, 2, true, [0x90000000n, 0x91ffffffn]),
    bridge({
      at: '0000:01:00.0',
      ids: [0x1a03, 0x1150],
      classCode: 0x060400,
      revision: 0x06,
      name: 'ASPEED Technology, Inc. AST1150 PCI-to-PCI Bridge',
      className: 'PCI bridge',
      driver: null,
      socket: 0,
      buses: [1, 2, 2],
      memoryWindow: [0x90000000n, 0x91ffffffn],
      capabilities: [powerManagement(), express('pciBridge', { prefix: false })],
    }),
    endpoint({
      at: '0000:02:00.0',
      ids: [0x1a03, 0x2000],
      classCode: 0x030000,
      revision: 0x52,
      name: 'ASPEED Technology, Inc. ASPEED Graphics Family',
      className: 'VGA compatible controller',
      driver: 'ast',
      socket: 0,
      interruptPin: 1,
      conventional: true,
      baseAddresses: [
        { index: 0, base: 0x90000000n },
        { index: 1, base: 0x91000000n },
      ],
      capabilities: [powerManagement(), msi()],
    }),
    chipsetPort('0000:00:1c.4', 0x1bbc, 3, 4, false, [0x92000000n, 0x921fffffn]),
    ...conventionalCards(),
    ...lowPinCount(),
  ];
}

function chipsetPort(
  at: string,
  device: number,
  secondary: number,
  subordinate: number,
  multifunction: boolean,
  memoryWindow: readonly [bigint, bigint],
): FunctionDescription {
  return bridge({
    at,
    ids: [0x8086, device],
    subsystem: [0x8086, 0x7270],
    classCode: 0x060400,
    revision: 0x11,
    name: `Intel Corporation Emmitsburg (C740 Family) PCI Express Root Port #${device - 0x1bb7}`,
    className: 'PCI bridge',
    driver: 'pcieport',
    socket: 0,
    multifunction,
    interruptPin: 1,
    buses: [0, secondary, subordinate],
    memoryWindow,
    capabilities: [express('root', { slot: secondary, prefix: false }), msi(), powerManagement(), acs()],
  });
}

/** Behind a PCIe-to-PCI bridge: two conventional cards whose requests all carry the bridge's secondary bus. */
function conventionalCards(): FunctionDescription[] {
  return [
    bridge({
      at: '0000:03:00.0',
      ids: [0x104c, 0x8240],
      classCode: 0x060400,
      name: 'Texas Instruments XIO2001 PCI Express-to-PCI Bridge',
      className: 'PCI bridge',
      driver: null,
      socket: 0,
      buses: [3, 4, 4],
      memoryWindow: [0x92000000n, 0x921fffffn],
      capabilities: [powerManagement(), msi(), express('pciBridge', { prefix: false })],
    }),
    endpoint({
      at: '0000:04:00.0',
      ids: [0x1415, 0x9501],
      subsystem: [0x1415, 0x0000],
      classCode: 0x070006,
      name: 'Oxford Semiconductor Ltd OX16PCI954 (Quad 16950 UART) function 0 (Uart)',
      className: 'Serial controller',
      driver: 'serial',
      socket: 0,
      interruptPin: 1,
      conventional: true,
      baseAddresses: [{ index: 1, base: 0x92000000n }],
      capabilities: [powerManagement()],
    }),
    endpoint({
      at: '0000:04:01.0',
      ids: [0x1274, 0x1371],
      subsystem: [0x1274, 0x1371],
      classCode: 0x040100,
      revision: 0x08,
      name: 'Ensoniq ES1371/ES1373 / Creative Labs CT2518',
      className: 'Multimedia audio controller',
      driver: 'snd_ens1371',
      socket: 0,
      interruptPin: 1,
      conventional: true,
      capabilities: [powerManagement()],
      model: { kind: 'dma-engine', role: 'audio controller' },
    }),
  ];
}

function lowPinCount(): FunctionDescription[] {
  const common = { socket: 0, revision: 0x11, subsystem: [0x8086, 0x7270], conventional: true } as const;
  return [
    endpoint({
      ...common,
      at: '0000:00:1f.0',
      ids: [0x8086, 0x1b81],
      classCode: 0x060100,
      name: 'Intel Corporation Emmitsburg (C740 Family) eSPI Controller',
      className: 'ISA bridge',
      driver: null,
      multifunction: true,
    }),
    endpoint({
      ...common,
      at: '0000:00:1f.4',
      ids: [0x8086, 0x1bc9],
      classCode: 0x0c0500,
      name: 'Intel Corporation Emmitsburg (C740 Family) SMBus Controller',
      className: 'SMBus',
      driver: 'i801_smbus',
      interruptPin: 1,
      baseAddresses: [{ index: 0, base: 0x3fffffcf000n, wide: true }],
    }),
    endpoint({
      ...common,
      at: '0000:00:1f.5',
      ids: [0x8086, 0x1bca],
      classCode: 0x0c8000,
      name: 'Intel Corporation Emmitsburg (C740 Family) SPI Controller',
      className: 'Serial bus controller',
      driver: 'intel-spi',
      baseAddresses: [{ index: 0, base: 0xfe010000n }],
    }),
  ];
}

/** Root bus 15: a network adapter of two ports, four virtual functions of the first one on. */
function network(): FunctionDescription[] {
  const port = (index: 0 | 1): FunctionDescription =>
    endpoint({
      at: `0000:16:00.${index}`,
      ids: [0x8086, 0x1592],
      subsystem: [0x8086, 0x0002],
      classCode: 0x020000,
      revision: 0x02,
      name: 'Intel Corporation Ethernet Controller E810-C for QSFP',
      className: 'Ethernet controller',
      driver: 'ice',
      socket: 0,
      multifunction: true,
      interruptPin: 1 + index,
      baseAddresses: [
        { index: 0, base: 0x203ffc000000n + BigInt(index) * 0x2000000n, wide: true, prefetchable: true },
        { index: 3, base: 0x203fff110000n + BigInt(index) * 0x10000n, wide: true, prefetchable: true },
      ],
      capabilities: [
        powerManagement(),
        msi(),
        msix(1024, 3),
        express('endpoint', { functionLevelReset: true, prefix: false }),
        ari(index === 0 ? 1 : 0),
        sriov({
          deviceId: 0x1889,
          total: 16,
          enabled: index === 0 ? VIRTUAL_FUNCTIONS : 0,
          offset: index === 0 ? 8 : 23,
          stride: 1,
          link: index,
          baseAddress: 0x203ffe000000n + BigInt(index) * 0x800000n,
        }),
        endpointAcs(),
      ],
      model: { kind: 'dma-engine', role: 'network adapter' },
    });
  const virtualFunction = (index: number): FunctionDescription => ({
    ...endpoint({
      at: `0000:16:01.${index}`,
      ids: [0xffff, 0xffff],
      subsystem: [0x8086, 0x0002],
      classCode: 0x020000,
      revision: 0x02,
      name: 'Intel Corporation Ethernet Adaptive Virtual Function',
      className: 'Ethernet controller',
      driver: 'iavf',
      socket: 0,
      capabilities: [
        msix(17, 3),
        express('endpoint', { functionLevelReset: true, prefix: false }),
        ari(0),
        ats(),
        endpointAcs(),
      ],
      model: { kind: 'dma-engine', role: 'network adapter' },
    }),
    physicalFunction: '0000:16:00.0',
    vendorId: 0x8086,
    deviceId: 0x1889,
  });
  return [
    ...integratedSystem(0x15, 0, false),
    rootPort({
      at: '0000:15:01.0',
      socket: 0,
      device: 0x352a,
      buses: [0x15, 0x16, 0x16],
      ari: true,
      prefetchableWindow: [0x203ffc000000n, 0x203fffffffffn],
    }),
    port(0),
    port(1),
    ...Array.from({ length: VIRTUAL_FUNCTIONS }, (_, index) => virtualFunction(index)),
  ];
}

/** Root bus 26: two drives, each below its own port. */
function storage(): FunctionDescription[] {
  return [
    ...integratedSystem(0x26, 0, false),
    rootPort({
      at: '0000:26:01.0',
      socket: 0,
      device: 0x352a,
      buses: [0x26, 0x27, 0x27],
      memoryWindow: [0xa1000000n, 0xa10fffffn],
      slot: 21,
    }),
    nvme(
      '0000:27:00.0',
      0,
      [0x144d, 0xa80a],
      'Samsung Electronics Co Ltd NVMe SSD Controller PM9A1/PM9A3/980PRO',
      0xa1000000n,
    ),
    rootPort({
      at: '0000:26:03.0',
      socket: 0,
      device: 0x352b,
      buses: [0x26, 0x28, 0x28],
      memoryWindow: [0xa1100000n, 0xa11fffffn],
      slot: 22,
    }),
    nvme(
      '0000:28:00.0',
      0,
      [0x8086, 0x0b60],
      'Intel Corporation NVMe DC SSD [3DNAND, Sentinel Rock Controller]',
      0xa1100000n,
    ),
  ];
}

/** Root bus 37: a switch whose downstream ports are functions of one slot and know no ACS. */
function switchWithoutAcs(): FunctionDescription[] {
  const name = 'PLX Technology, Inc. PEX 8718 16-Lane, 5-Port PCI Express Gen 3 (8.0 GT/s) Switch';
  const port = (index: 0 | 1, window: readonly [bigint, bigint]): FunctionDescription =>
    bridge({
      at: `0000:39:00.${index}`,
      ids: [0x10b5, 0x8718],
      classCode: 0x060400,
      revision: 0xab,
      name,
      className: 'PCI bridge',
      driver: 'pcieport',
      socket: 0,
      multifunction: true,
      interruptPin: 1 + index,
      buses: [0x39, 0x3a + index, 0x3a + index],
      memoryWindow: window,
      capabilities: [powerManagement(), msi(), express('downstream', { slot: 40 + index, prefix: false })],
    });
  return [
    ...integratedSystem(0x37, 0, false),
    rootPort({
      at: '0000:37:01.0',
      socket: 0,
      device: 0x352a,
      buses: [0x37, 0x38, 0x3b],
      memoryWindow: [0xab000000n, 0xab3fffffn],
    }),
    bridge({
      at: '0000:38:00.0',
      ids: [0x10b5, 0x8718],
      classCode: 0x060400,
      revision: 0xab,
      name,
      className: 'PCI bridge',
      driver: 'pcieport',
      socket: 0,
      interruptPin: 1,
      buses: [0x38, 0x39, 0x3b],
      memoryWindow: [0xab000000n, 0xab2fffffn],
      capabilities: [powerManagement(), msi(), express('upstream', { prefix: false })],
    }),
    port(0, [0xab000000n, 0xab0fffffn]),
    port(1, [0xab100000n, 0xab1fffffn]),
    endpoint({
      at: '0000:3a:00.0',
      ids: [0x1000, 0x0097],
      subsystem: [0x1000, 0x30e0],
      classCode: 0x010700,
      revision: 0x02,
      name: 'Broadcom / LSI SAS3008 PCI-Express Fusion-MPT SAS-3',
      className: 'Serial Attached SCSI controller',
      driver: 'mpt3sas',
      socket: 0,
      interruptPin: 1,
      baseAddresses: [{ index: 1, base: 0xab040000n, wide: true }],
      capabilities: [
        powerManagement(),
        express('endpoint', { functionLevelReset: true, prefix: false }),
        msix(96, 1),
      ],
      model: { kind: 'dma-engine', role: 'SAS controller' },
    }),
    endpoint({
      at: '0000:3b:00.0',
      ids: [0x10ee, 0x903f],
      subsystem: [0x10ee, 0x0007],
      classCode: 0x120000,
      name: 'Xilinx Corporation 7-Series FPGA Hard PCIe block (AXI/debug)',
      className: 'Processing accelerators',
      driver: 'xclmgmt',
      socket: 0,
      interruptPin: 1,
      baseAddresses: [{ index: 0, base: 0xab100000n }],
      capabilities: [powerManagement(), msi(), express('endpoint', { prefix: false })],
      model: { kind: 'dma-engine', role: 'FPGA' },
    }),
  ];
}

/** All functions of socket 0, in the order of their buses. */
export function socket0(): FunctionDescription[] {
  return [
    ...chipset(),
    ...network(),
    ...storage(),
    ...switchWithoutAcs(),
    ...integratedSystem(0x6a, 0, false),
    accelerator('0000:6a:01.0', 0, 'streaming', 0x206ffff40000n),
    accelerator('0000:6a:02.0', 0, 'analytics', 0x206ffff20000n),
  ];
}
