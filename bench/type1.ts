/**
 * What VFIO type1 costs: the table of mappings alone, MAP_DMA and UNMAP_DMA through a container with a VT-d domain
 * behind it, one guest of a terabyte, its dirty bitmap, and ten thousand mediated devices. Time and bytes per mapping
 * must stay flat from one thousand to one million.
 */
import { BareMachine } from '../hw/host/bare-machine.ts';
import type { HostDescription } from '../hw/host-description.ts';
import { Completion } from '../hw/kernel/completion.ts';
import { Device } from '../hw/kernel/device.ts';
import { MttyDriver } from '../hw/kernel/mdev/drivers/samples.ts';
import { typeId } from '../hw/kernel/mdev/mdev-driver.ts';
import type { Process } from '../hw/kernel/process/process.ts';
import { Container } from '../hw/kernel/vfio/container.ts';
import { GroupFile } from '../hw/kernel/vfio/group.ts';
import { MappingTable, NONE } from '../hw/kernel/vfio/type1/mapping-table.ts';
import { recordedMachine } from '../src/replay/vfio/topology.ts';

/** The first one warms the compiler up and is not shown. */
const SIZES = [50_000, 1_000, 100_000, 1_000_000];
const PAGE = 4096n;
const TIB = 2n ** 40n;
const READ_WRITE = 3;

/** A permutation of 0 … count-1, the same in every run (xorshift). */
function shuffled(count: number): Uint32Array {
  const order = new Uint32Array(count);
  for (let index = 0; index < count; index += 1) order[index] = index;
  let state = 0x9e3779b9;
  for (let index = count - 1; index > 0; index -= 1) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    const other = (state >>> 0) % (index + 1);
    [order[index], order[other]] = [order[other], order[index]];
  }
  return order;
}

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

function settledHeap(): number {
  (globalThis as { gc?: () => void }).gc?.();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

function table(): void {
  console.log('table of mappings alone, 4 KiB each, every second page, inserted in random order');
  console.log(
    `${column('mappings', 10)}${column('insert', 10)}${column('find', 10)}${column('remove', 10)}${column('bytes each', 12)}`,
  );
  for (const count of SIZES) {
    const mappings = new MappingTable();
    const order = shuffled(count);
    const rounds = Math.max(1, Math.round(200_000 / count));
    let [insert, find, remove, bytes] = [0, 0, 0, 0];
    for (let round = 0; round < rounds; round += 1) {
      insert += timed(count, () => {
        for (const index of order) mappings.insert(index * 2, 1, index, READ_WRITE, 0);
      });
      bytes = mappings.bytes / count;
      find += timed(count, () => {
        for (const index of order)
          if (mappings.find(index * 2, index * 2 + 1) === NONE) throw new Error('lost');
      });
      remove += timed(count, () => {
        for (const index of order) mappings.remove(mappings.find(index * 2, index * 2 + 1));
      });
    }
    if (count === SIZES[0]) continue;
    console.log(
      `${column(count, 10)}${column(nanoseconds(insert / rounds), 10)}${column(nanoseconds(find / rounds), 10)}${column(nanoseconds(remove / rounds), 10)}${column(bytes.toFixed(1), 12)}`,
    );
  }
}

/** A machine with one endpoint behind a unit of 48 bits, and so much memory. */
function machine(memoryBytes: number): BareMachine {
  const { description } = recordedMachine({
    qemu_iommu: 'intel-iommu,intremap=on,aw-bits=48',
    cmdline: 'intel_iommu=on',
    devices: [{ name: 'dev:A0', what: 'edu', bdf: '0000:00:02.0', group: 'group:A', driver: null }],
  });
  const large: HostDescription = {
    ...description,
    memory: [
      { start: '0x0', end: '0x3fffffff' },
      { start: '0x100000000', end: `0x${(0x100000000 + memoryBytes - 1).toString(16)}` },
    ],
  };
  return new BareMachine(large, { profile: '7.2', autoprobe: false });
}

interface Opened {
  readonly owner: Process;
  readonly container: Container;
}

/** A process that has the endpoint in a container of version 2. */
function open(on: BareMachine, entries: number): Opened {
  const { kernel } = on;
  kernel.type1Parameters.dmaEntryLimit = entries;
  const device = kernel.pciDevice('0000:00:02.0');
  if (device === undefined) throw new Error('no device');
  device.driverOverride = 'vfio-pci';
  kernel.drivers.bind('pci', 'vfio-pci', device.name);
  const owner = kernel.processes.create('owner');
  const descriptor = owner.descriptors.install(kernel.vfio.openContainer());
  const group = owner.descriptors.install(
    kernel.vfio.openGroup(owner, kernel.iommu.groupOf(device)?.id ?? -1),
  );
  owner.object(group, GroupFile).group.setContainer(owner, descriptor);
  const container = owner.object(descriptor, Container);
  container.setIommu(3);
  return { owner, container };
}

function calls(): void {
  console.log(
    '\nMAP_DMA and UNMAP_DMA of 4 KiB, each with its pin, its table entry and its flush, in random order',
  );
  console.log(
    `${column('mappings', 10)}${column('map', 10)}${column('unmap', 10)}${column('heap each', 12)}${column('tables each', 13)}`,
  );
  for (const count of SIZES) {
    const on = machine(0x40000000);
    const { owner, container } = open(on, count);
    const vaddr = BigInt(owner.memory.mapAnonymous(0x200000));
    for (let page = 0; page < 512; page += 1) owner.memory.frameAt(Number(vaddr >> 12n) + page, true);
    const order = shuffled(count);
    const address = (index: number): bigint => BigInt(index) * PAGE + 0x100000000n;
    const mapAll = (): void => {
      for (const index of order) {
        const from = vaddr + BigInt(index & 511) * PAGE;
        container.mapDma(owner, {
          argsz: 32,
          flags: READ_WRITE,
          vaddr: from,
          iova: address(index),
          size: PAGE,
        });
      }
    };
    const unmapAll = (): void => {
      for (const index of order)
        container.unmapDma(owner, { argsz: 24, flags: 0, iova: address(index), size: PAGE });
    };
    const tablesBefore = on.kernel.allocator.usedFrames;
    const heapBefore = settledHeap();
    mapAll();
    const heap = (settledHeap() - heapBefore) / count;
    const tables = ((on.kernel.allocator.usedFrames - tablesBefore) * 4096) / count;
    unmapAll();
    // Small sizes are repeated, so that every size makes about as many calls.
    const rounds = Math.max(1, Math.round(200_000 / count));
    let map = 0;
    let unmap = 0;
    for (let round = 0; round < rounds; round += 1) {
      map += timed(count, mapAll) / rounds;
      unmap += timed(count, unmapAll) / rounds;
    }
    if (count === SIZES[0]) continue;
    console.log(
      `${column(count, 10)}${column(nanoseconds(map), 10)}${column(nanoseconds(unmap), 10)}${column(heap.toFixed(1), 12)}${column(tables.toFixed(1), 13)}`,
    );
  }
}

function terabyte(): void {
  const on = machine(Number(TIB) + 2 ** 30);
  const { owner, container } = open(on, 16);
  const vaddr = BigInt(owner.memory.mapAnonymous(Number(TIB), { huge: true }));
  const map = { argsz: 32, flags: READ_WRITE, vaddr, iova: 0x10000000000n, size: TIB };
  const seconds = (work: () => void): string => `${(timed(1, work) / 1e9).toFixed(2)} s`;
  console.log('\none guest of 1 TiB in 2 MiB pages');
  console.log(`  mapped                 ${seconds(() => container.mapDma(owner, map))}`);
  container.dirtyPages({ argsz: 8, flags: 1 });
  const bitmap = new Uint8Array(Number(TIB / PAGE / 8n));
  const user = {
    read: (offset: number, length: number): Uint8Array => bitmap.slice(offset, offset + length),
    write: (offset: number, bytes: Uint8Array): void => bitmap.set(bytes, offset),
  };
  const request = {
    argsz: 48,
    flags: 4,
    iova: map.iova,
    size: TIB,
    bitmap: { pgsize: PAGE, sizeBytes: BigInt(bitmap.length), user },
  };
  console.log(`  dirty bitmap of 32 MiB ${seconds(() => container.dirtyPages(request))}`);
  const unmap = { argsz: 24, flags: 0, iova: map.iova, size: TIB };
  console.log(`  unmapped               ${seconds(() => container.unmapDma(owner, unmap))}`);
}

function mdevs(): void {
  const parents = 64;
  const each = 157;
  const on = machine(0x40000000);
  const { mdev } = on.kernel;
  for (let parent = 0; parent < parents; parent += 1) {
    const device = new Device(`mtty${parent}`, 'platform');
    device.driver = {
      name: 'mtty',
      bus: 'platform',
      managesDma: true,
      probe: () => {},
      remove: () => Completion.done(),
    };
    mdev.registerParent(device, new MttyDriver(each));
  }
  const count = parents * each;
  let number = 0;
  const create = timed(count, () => {
    for (const parent of mdev.parents) {
      const type = mdev.type(parent, typeId(parent, parent.driver.types[0]));
      for (let index = 0; index < each; index += 1) {
        number += 1;
        mdev.create(parent, type, `00000000-0000-4000-8000-${number.toString(16).padStart(12, '0')}`);
      }
    }
  });
  const list = mdev.mdevs;
  const remove = timed(count, () => {
    for (const one of list) mdev.remove(one, '1');
  });
  console.log(`\n${count} mediated devices over ${parents} parents`);
  console.log(`  created ${nanoseconds(create)} each, removed ${nanoseconds(remove)} each`);
}

export function run(): void {
  table();
  calls();
  terabyte();
  mdevs();
}
