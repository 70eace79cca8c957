/** Operations on device descriptors, and DMA of the edu devices through their registers. */
import { EDU_BUFFER, EduCommand, EduRegister, KernelError, kernel, type Process } from '../../../hw/index.ts';
import { remember } from './container-operations.ts';
import { hex, type OperationCall } from './operation.ts';
import type { ReplayWorld } from './world.ts';

type Call = OperationCall<Process>;
type Operations = Readonly<Record<string, (world: ReplayWorld, call: Call) => number | undefined>>;

const { DeviceFile, DeviceMemory, VfioPciOperations } = kernel;

/** Sizes that the recorder passes when an operation names none. */
const ARGSZ = { deviceInfo: 24, regionInfo: 32, irqInfo: 16 };
const COMMAND = 4;
/** Longest scan of a transcript that is taken seriously. */
const MOST_STEPS = 0x10000;
/** What the recorder puts where a DMA answer is expected, to see whether anything came. */
const SENTINEL = 0xdeadbeefcafef00dn;
/** Words that the device's buffer of 4 KiB holds. */
const SCAN_WORDS = 512;

function deviceOf({ process, args }: Call): kernel.DeviceFile {
  return process.object(args.symbol('device_fd'), DeviceFile, 'ENOTTY');
}

function pciOf(call: Call): kernel.VfioPciOperations {
  const { operations } = deviceOf(call);
  if (operations instanceof VfioPciOperations) return operations;
  throw new KernelError('EINVAL', 'not a PCI function', 'the device has no such region');
}

/** One command of the edu device: `count` bytes between its buffer and memory. */
function runDma(
  world: ReplayWorld,
  device: string,
  iova: bigint,
  count: bigint,
  offset: bigint,
  toMemory: boolean,
): void {
  const name = world.deviceName(device);
  const inside = EDU_BUFFER + offset;
  const write = (register: number, value: bigint): void =>
    world.machine.writeRegister(name, 0, register, 8, value);
  write(EduRegister.dmaSource, toMemory ? inside : iova);
  write(EduRegister.dmaDestination, toMemory ? iova : inside);
  write(EduRegister.dmaCount, count);
  write(EduRegister.dmaCommand, BigInt(EduCommand.run | (toMemory ? EduCommand.toMemory : 0)));
}

function wordBytes(value: bigint): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, value, true);
  return bytes;
}

const wordOf = (bytes: Uint8Array): bigint =>
  new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0, true);

function dma(toMemory: boolean): (world: ReplayWorld, call: Call) => undefined {
  return (world, { args }) =>
    void runDma(
      world,
      args.text('device') ?? '',
      args.wide('iova'),
      args.wide('len'),
      args.wide('device_offset'),
      toMemory,
    );
}

export const deviceOperations: Operations = {
  device_get_info(_world, call) {
    const info = deviceOf(call).info(call.args.number('argsz', ARGSZ.deviceInfo));
    call.out.flags = hex(info.flags);
    call.out.num_regions = info.regions;
    call.out.num_irqs = info.irqs;
    return undefined;
  },

  device_get_region_info(_world, call) {
    const { args, out } = call;
    const info = deviceOf(call).regionInfo(args.number('index'), args.number('argsz', ARGSZ.regionInfo));
    out.flags = hex(info.flags);
    out.size = hex(info.sizeBytes);
    return undefined;
  },

  device_get_irq_info(_world, call) {
    const { args, out } = call;
    const info = deviceOf(call).irqInfo(args.number('index'), args.number('argsz', ARGSZ.irqInfo));
    out.flags = hex(info.flags);
    out.count = info.count;
    return undefined;
  },

  device_set_irq_eventfd(_world, call) {
    const { args } = call;
    deviceOf(call).setIrq(args.number('index'), args.number('start'), args.raw.eventfd !== -1);
    return undefined;
  },

  mmap_bar0(_world, call) {
    const { process, args } = call;
    const operations = pciOf(call);
    const region = operations.mappableRegion(0);
    const file = process.descriptors.file(args.symbol('device_fd')).get();
    const memory = new DeviceMemory(
      Math.floor(region.address / 4096) as never,
      () => operations.memoryEnabled,
      () => file.put(),
    );
    remember(call, process.memory.map(memory, region.sizeBytes));
    return undefined;
  },

  munmap_bar0(_world, { process, args }) {
    const address = args.symbol('mapping');
    const area = process.memory.memoryAreas.find((each) => each.first * 4096 === address);
    if (area === undefined) throw new KernelError('EINVAL', 'not mapped', 'no region is mapped there');
    process.memory.unmap(address, (area.end - area.first) * 4096);
    return undefined;
  },

  write_pci_command(_world, call) {
    const { pci } = pciOf(call);
    pci.write(COMMAND, 2, call.args.number('value'));
    call.out.command = hex(pci.read(COMMAND, 2));
    return undefined;
  },

  device_dma_read: dma(false),
  device_dma_write: dma(true),

  device_dma_scan(world, { process, args, out }) {
    const device = args.text('device') ?? '';
    const steps = args.number('n');
    if (steps > MOST_STEPS) throw new RangeError(`a scan of ${steps} steps`);
    const scratch = Number(args.wide('scratch'));
    const scratchIova = args.wide('scratch_iova');
    const arrived: [string, string][] = [];
    const faulted: string[] = [];
    const untouched: string[] = [];
    const total = args.number('n');
    // One pass: the device's buffer is filled from the scratch page, takes one word from each address, and goes back.
    for (let first = 0; first < total; first += SCAN_WORDS) {
      const count = Math.min(SCAN_WORDS, total - first);
      const bytes = BigInt(count * 8);
      for (let slot = 0; slot < count; slot += 1)
        process.memory.write(scratch + slot * 8, wordBytes(SENTINEL));
      runDma(world, device, scratchIova, bytes, 0n, false);
      const iovaOf = (slot: number): bigint => args.wide('iova') + BigInt(first + slot) * args.wide('step');
      for (let slot = 0; slot < count; slot += 1)
        runDma(world, device, iovaOf(slot), 8n, BigInt(slot * 8), false);
      runDma(world, device, scratchIova, bytes, 0n, true);
      for (let slot = 0; slot < count; slot += 1) {
        const answer = wordOf(process.memory.read(scratch + slot * 8, 8));
        const iova = hex(iovaOf(slot));
        if (answer === SENTINEL) untouched.push(iova);
        else if (answer === 0n) faulted.push(iova);
        else arrived.push([iova, hex(answer)]);
      }
    }
    out.arrived = arrived;
    out.faulted = faulted;
    out.untouched = untouched;
    return undefined;
  },
};
