/**
 * What IOMMUFD costs: IOAS_MAP and IOAS_UNMAP of single pages in random order, of an address space alone and of one
 * that a device translates with; the search for a free address; one guest of a terabyte and its dirty bitmap.
 * Time and bytes per mapping must stay flat with the number of mappings.
 */
import { BareMachine } from '../hw/host/bare-machine.ts';
import type { HostDescription } from '../hw/host-description.ts';
import type { IommufdContext } from '../hw/kernel/iommufd/context.ts';
import { DeviceNodeFile, openDeviceNode } from '../hw/kernel/iommufd/device-node.ts';
import {
  hwptAlloc,
  hwptGetDirtyBitmap,
  hwptSetDirtyTracking,
  ioasAlloc,
} from '../hw/kernel/iommufd/hwpt-requests.ts';
import { ioasMap, ioasUnmap, MapFlag } from '../hw/kernel/iommufd/ioas-requests.ts';
import type { Process } from '../hw/kernel/process/process.ts';
import { recordedMachine } from '../src/replay/vfio/topology.ts';

/** The first one warms the compiler up and is not shown. */
const SIZES = [20_000, 1_000, 10_000, 100_000, 1_000_000];
/** So many calls at least are behind each figure. */
const CALLS = 50_000;
const PAGE = 4096n;
const TIB = 2n ** 40n;
const BASE = 0x100000000n;
/** ECAP.SLADS: the recorded unit has none. */
const SECOND_LEVEL_DIRTY = 1n << 45n;
const READ_WRITE = MapFlag.readable | MapFlag.writeable;

/** Processor time in nanoseconds: what others run on the machine does not count. */
function now(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) * 1000;
}

function timed(count: number, work: () => void): number {
  const before = now();
  work();
  return (now() - before) / count;
}

const column = (value: string | number, width: number): string => String(value).padStart(width);
const nanoseconds = (value: number): string => `${Math.round(value)} ns`;
const seconds = (work: () => void): string => `${(timed(1, work) / 1e9).toFixed(2)} s`;

function settledHeap(): number {
  (globalThis as { gc?: () => void }).gc?.();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

/** A permutation of 0 … count-1, the same in every run: a step that has no divisor in common with the count. */
function shuffled(count: number): Uint32Array {
  const step = 7_919;
  return Uint32Array.from({ length: count }, (_none, index) => (index * step) % count);
}

interface Owner {
  readonly machine: BareMachine;
  readonly process: Process;
  readonly context: IommufdContext;
  readonly ioas: number;
  readonly node: DeviceNodeFile;
  readonly device: number;
}

/** A process that has one endpoint and one address space, not yet attached. */
function owner(memoryBytes: number): Owner {
  const { description } = recordedMachine({
    qemu_iommu: 'intel-iommu,intremap=on,aw-bits=48,scalable-mode=on',
    cmdline: 'intel_iommu=on,sm_on',
    devices: [{ name: 'dev:A0', what: 'edu', bdf: '0000:00:02.0', group: 'group:A', driver: null }],
  });
  const large: HostDescription = {
    ...description,
    units: description.units?.map((unit) => ({
      ...unit,
      ecap: `0x${(BigInt(unit.ecap ?? 0) | SECOND_LEVEL_DIRTY).toString(16)}`,
    })),
    memory: [
      { start: '0x0', end: '0x3fffffff' },
      { start: '0x100000000', end: `0x${(0x100000000 + memoryBytes - 1).toString(16)}` },
    ],
  };
  const machine = new BareMachine(large, { profile: '7.2', autoprobe: false });
  const { kernel } = machine;
  const found = kernel.pciDevice('0000:00:02.0');
  if (found === undefined) throw new Error('no device');
  found.driverOverride = 'vfio-pci';
  kernel.drivers.bind('pci', 'vfio-pci', found.name);
  const holder = kernel.processes.create('owner');
  const context = kernel.iommufd.open(holder);
  const descriptor = holder.descriptors.install(context.file);
  const opened = holder.descriptors.install(openDeviceNode(kernel.vfio.deviceOf(found), holder));
  const node = holder.object(opened, DeviceNodeFile);
  const device = node.bind(holder, { argsz: 16, flags: 0, descriptor });
  return { machine, process: holder, context, ioas: ioasAlloc(context, { flags: 0 }), node, device };
}

/** 2 MiB of the process that are present, for all mappings to share. */
function presentMemory(process: Process): bigint {
  const vaddr = process.memory.mapAnonymous(0x200000);
  for (let page = 0; page < 512; page += 1) process.memory.frameAt(vaddr / 4096 + page, true);
  return BigInt(vaddr);
}

function calls(attached: boolean): void {
  console.log(
    attached
      ? '\nthe same with a device attached: each with its page table entry and its flush'
      : 'IOAS_MAP and IOAS_UNMAP of 4 KiB at every second page, in random order, no device',
  );
  console.log(
    `${column('mappings', 10)}${column('map', 10)}${column('unmap', 10)}${column('search', 10)}${column('heap each', 12)}`,
  );
  for (const count of SIZES) {
    const { process: holder, context, ioas, node } = owner(0x40000000);
    if (attached) node.attach({ argsz: 12, flags: 0, pageTable: ioas, pasid: 0 });
    const memory = presentMemory(holder);
    const order = shuffled(count);
    const at = (index: number): bigint => BASE + BigInt(index) * 2n * PAGE;
    const mapAll = (): void => {
      for (const index of order)
        ioasMap(context, holder, {
          ioas,
          flags: READ_WRITE | MapFlag.fixedIova,
          userVa: memory + BigInt(index & 511) * PAGE,
          length: PAGE,
          iova: at(index),
        });
    };
    const unmapAll = (): void => {
      for (const index of order) ioasUnmap(context, { ioas, iova: at(index), length: PAGE });
    };
    const before = settledHeap();
    mapAll();
    const heap = (settledHeap() - before) / count;
    // Free space is above the highest mapping and below the first: the gaps between are a page too short.
    const searches = 1_000;
    const search = timed(searches, () => {
      for (let turn = 0; turn < searches; turn += 1) {
        const request = { ioas, flags: READ_WRITE, userVa: memory, length: 2n * PAGE, iova: 0n };
        const iova = ioasMap(context, holder, request);
        ioasUnmap(context, { ioas, iova, length: 2n * PAGE });
      }
    });
    unmapAll();
    const rounds = Math.max(1, Math.round(CALLS / count));
    let [map, unmap] = [0, 0];
    for (let round = 0; round < rounds; round += 1) {
      map += timed(count, mapAll) / rounds;
      unmap += timed(count, unmapAll) / rounds;
    }
    if (count === SIZES[0]) continue;
    console.log(
      `${column(count, 10)}${column(nanoseconds(map), 10)}${column(nanoseconds(unmap), 10)}${column(nanoseconds(search), 10)}${column(heap.toFixed(0), 12)}`,
    );
  }
}

function terabyte(): void {
  const { process: holder, context, ioas, node, device } = owner(Number(TIB) + 2 ** 30);
  const pageTable = hwptAlloc(context, {
    flags: 2,
    device,
    pageTable: ioas,
    dataType: 0,
    data: new Uint8Array(0),
  });
  node.attach({ argsz: 12, flags: 0, pageTable, pasid: 0 });
  const userVa = BigInt(holder.memory.mapAnonymous(Number(TIB), { huge: true }));
  const flags = READ_WRITE | MapFlag.fixedIova;
  const iova = 0x10000000000n;
  console.log('\none guest of 1 TiB in 2 MiB pages, a page table with dirty tracking');
  console.log(
    `  mapped                 ${seconds(() => ioasMap(context, holder, { ioas, flags, userVa, length: TIB, iova }))}`,
  );
  hwptSetDirtyTracking(context, { hwpt: pageTable, flags: 1 });
  console.log(
    `  dirty bitmap of 32 MiB ${seconds(() => hwptGetDirtyBitmap(context, { hwpt: pageTable, flags: 0, iova, length: TIB, pageSize: PAGE }))}`,
  );
  console.log(`  unmapped               ${seconds(() => ioasUnmap(context, { ioas, iova, length: TIB }))}`);
}

export function run(): void {
  calls(false);
  calls(true);
  terabyte();
}
