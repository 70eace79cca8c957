/** Parts that both sockets of the built-in server hold. */
import type { FunctionDescription } from '../../../hw/index.ts';
import {
  acs,
  ats,
  type BridgePlan,
  bridge,
  endpoint,
  express,
  msi,
  msix,
  pasid,
  powerManagement,
  pri,
  siov,
} from './plans.ts';

const hex = (value: number): string => value.toString(16).padStart(2, '0');

/** The integrated devices at slot 0 of each root bus; the first bus of a socket has the event collector as well. */
export function integratedSystem(bus: number, socket: 0 | 1, withCollector: boolean): FunctionDescription[] {
  const common = { socket, classCode: 0x088000, className: 'System peripheral', revision: 0x20 } as const;
  const integrated = [express('integrated', { prefix: false })];
  const functions = [
    endpoint({
      ...common,
      at: `0000:${hex(bus)}:00.0`,
      ids: [0x8086, 0x09a2],
      name: 'Intel Corporation Ice Lake Memory Map/VT-d',
      driver: null,
      multifunction: true,
      capabilities: integrated,
    }),
    endpoint({
      ...common,
      at: `0000:${hex(bus)}:00.1`,
      ids: [0x8086, 0x09a4],
      name: 'Intel Corporation Ice Lake Mesh 2 PCIe',
      driver: null,
      multifunction: true,
      capabilities: integrated,
    }),
  ];
  if (!withCollector) return functions;
  return [
    ...functions,
    endpoint({
      ...common,
      at: `0000:${hex(bus)}:00.4`,
      ids: [0x8086, 0x0b23],
      classCode: 0x080700,
      className: 'Generic system peripheral',
      revision: 0,
      name: 'Intel Corporation Xeon Root Event Collector',
      driver: 'pcieport',
      multifunction: true,
      capabilities: [express('eventCollector', { prefix: false }), msi(), powerManagement()],
    }),
  ];
}

type RootPortPlan = Pick<BridgePlan, 'at' | 'socket' | 'buses' | 'memoryWindow' | 'prefetchableWindow'> & {
  readonly device: number;
  readonly slot?: number;
  readonly ari?: boolean;
};

/** A root port of the processor: ACS, and end-to-end prefixes for PASIDs. */
export function rootPort(plan: RootPortPlan): FunctionDescription {
  const letter = String.fromCharCode('A'.charCodeAt(0) + plan.device - 0x352a);
  return bridge({
    ...plan,
    ids: [0x8086, plan.device],
    subsystem: [0x8086, 0x0000],
    classCode: 0x060400,
    revision: 0x04,
    name: `Intel Corporation Sapphire Rapids PCI Express Root Port ${letter}`,
    className: 'PCI bridge',
    driver: 'pcieport',
    interruptPin: 1,
    capabilities: [express('root', { slot: plan.slot, ari: plan.ari }), msi(), powerManagement(), acs()],
  });
}

export function nvme(
  at: string,
  socket: 0 | 1,
  ids: readonly [number, number],
  name: string,
  base: bigint,
): FunctionDescription {
  return endpoint({
    at,
    ids,
    classCode: 0x010802,
    name,
    className: 'Non-Volatile memory controller',
    driver: 'nvme',
    socket,
    interruptPin: 1,
    baseAddresses: [{ index: 0, base, wide: true }],
    capabilities: [
      powerManagement(),
      msi(),
      express('endpoint', { functionLevelReset: true, prefix: false }),
      msix(130, 0),
    ],
    model: { kind: 'dma-engine', role: 'NVMe drive' },
  });
}

const ACCELERATORS = {
  streaming: { device: 0x0b25, name: 'Intel Corporation Data Streaming Accelerator' },
  analytics: { device: 0x0cfe, name: 'Intel Corporation In-Memory Analytics Accelerator' },
} as const;

/** An integrated accelerator whose work queues can be given away one by one. */
export function accelerator(
  at: string,
  socket: 0 | 1,
  kind: keyof typeof ACCELERATORS,
  base: bigint,
): FunctionDescription {
  const { device, name } = ACCELERATORS[kind];
  return endpoint({
    at,
    ids: [0x8086, device],
    subsystem: [0x8086, 0x0000],
    classCode: 0x088000,
    name,
    className: 'System peripheral',
    driver: 'idxd',
    socket,
    baseAddresses: [
      { index: 0, base, wide: true, prefetchable: true },
      { index: 2, base: base - 0x100000n, wide: true, prefetchable: true },
    ],
    capabilities: [
      express('integrated', { functionLevelReset: true }),
      msix(9, 0),
      powerManagement(),
      ats(16),
      pasid(20),
      pri(512),
      siov(true),
    ],
    model: { kind: 'accelerator', queues: 8, totalQueueSize: 128, engines: 4 },
  });
}
