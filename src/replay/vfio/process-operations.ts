/** Operations of processes and of the CPU on memory. */
import { KernelError, kernel, type Process } from '../../../hw/index.ts';
import { remember } from './container-operations.ts';
import type { OperationCall } from './operation.ts';
import { MAIN, type ReplayWorld } from './world.ts';

type Call = OperationCall<Process>;
type Operations = Readonly<Record<string, (world: ReplayWorld, call: Call) => number | undefined>>;

const { OpenFile, PagedMemory } = kernel;

/** Kinds of buffers, as `alloc_buffer` names them. */
const KINDS: Readonly<
  Record<string, { shared?: boolean; huge?: boolean; protection?: kernel.Protection; writable?: boolean }>
> = {
  anon: {},
  shared: { shared: true },
  ro: { protection: 'r' },
  none: { protection: 'none' },
  huge: { huge: true },
  rofile: { shared: true, protection: 'r', writable: false },
  memfd_ro: { shared: true, protection: 'r', writable: false },
  rwfile: { shared: true },
};

const toHex = (bytes: Uint8Array): string =>
  Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');

/** A file that no driver of interest stands behind. */
class PlainFile implements kernel.OpenFileObject {
  readonly fileKind: string;

  constructor(path: string) {
    this.fileKind = path;
  }

  release(): void {}
}

function childOf(world: ReplayWorld, { args }: Call): Process {
  const child = world.processes.get(args.text('process') ?? MAIN);
  if (child === undefined) throw new KernelError('EINVAL', 'no such process', `${args.text('process')}`);
  return child.process;
}

export const processOperations: Operations = {
  fork(world, call) {
    const parent = [...world.processes.values()].find(({ process }) => process === call.process);
    const name = call.args.text('as') ?? 'child';
    world.processes.set(name, {
      process: world.kernel.processes.fork(call.process, name),
      symbols: new Map(parent?.symbols),
      waiting: undefined,
    });
    return undefined;
  },

  exit_and_wait(world, call) {
    world.kernel.processes.end(childOf(world, call));
    call.out.exit = 0;
    return undefined;
  },

  kill_and_wait(world, call) {
    world.kernel.processes.end(childOf(world, call));
    call.out.signal = call.args.number('signal');
    return undefined;
  },

  setuid(_world, { process, args }) {
    process.userId = args.number('uid');
    return undefined;
  },

  setrlimit_memlock(_world, { process, args }) {
    process.memoryLockLimitBytes = args.number('bytes');
    return undefined;
  },

  read_locked_memory(_world, { process, out }) {
    out.VmLck_kB = process.memory.lockedPages * 4;
    out.VmPin_kB = process.memory.pinnedPages * 4;
    return undefined;
  },

  open_file(_world, call) {
    const file = new OpenFile(new PlainFile(call.args.text('path') ?? ''));
    remember(call, call.process.descriptors.install(file));
    call.out.fd = call.args.text('as');
    return undefined;
  },

  close(_world, { process, args }) {
    process.descriptors.close(args.symbol('fd'));
    return undefined;
  },

  alloc_buffer(_world, call) {
    const { process, args } = call;
    const kind = KINDS[args.text('kind') ?? 'anon'] ?? {};
    const { pages } = process.memory;
    const object = new PagedMemory(pages, {
      isPrivate: kind.shared !== true,
      huge: kind.huge,
      writable: kind.writable,
    });
    remember(call, process.memory.map(object, args.number('size'), kind.protection ?? 'rw'));
    return undefined;
  },

  munmap(_world, { process, args }) {
    process.memory.unmap(Number(args.wide('addr')), args.number('len'));
    return undefined;
  },

  mprotect(_world, { process, args }) {
    const protection = args.text('prot');
    process.memory.protect(
      Number(args.wide('addr')),
      args.number('len'),
      protection === 'none' || protection === 'r' ? protection : 'rw',
    );
    return undefined;
  },

  fill(_world, { process, args }) {
    process.memory.write(
      Number(args.wide('addr')),
      new Uint8Array(args.number('len')).fill(args.number('byte')),
    );
    return undefined;
  },

  tag_pages(_world, { process, args }) {
    const start = Number(args.wide('addr'));
    const word = new Uint8Array(8);
    const view = new DataView(word.buffer);
    for (let page = 0; page < args.number('len') / 4096; page += 1) {
      view.setBigUint64(0, (args.wide('tag') << 32n) | BigInt(page), true);
      process.memory.write(start + page * 4096, word);
    }
    return undefined;
  },

  peek(_world, { process, args, out }) {
    out.hex = toHex(process.memory.read(Number(args.wide('addr')), args.number('len')));
    return undefined;
  },

  set_module_parameter(world, { args }) {
    const text = args.text('value') ?? '';
    world.sysfs.write(`/sys/module/${args.text('module')}/parameters/${args.text('name')}`, text);
    return text.length;
  },
};
