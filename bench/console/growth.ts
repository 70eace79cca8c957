/**
 * An hour of keys and more, compressed, in one process that can collect its garbage when asked: what the heap holds after
 * each tenth. First keys that only look, on the built-in host with a machine at work: nothing may grow. Then acts: what
 * grows is the journal, and is told for each act.
 *
 * node --expose-gc growth.mjs KEYS
 */
import { EventEmitter } from 'node:events';
import { defaultOrigin, scratchWorkspace } from '../../src/session/open-workspace.ts';
import { VirtualClock } from '../../src/terminal/clock.ts';
import type { Workspace } from '../../src/workspace.ts';
import { openConsole } from '../../views/App.tsx';

const collect = (globalThis as { gc?: () => void }).gc;
if (collect === undefined) throw new Error('run with --expose-gc');

class Output extends EventEmitter {
  readonly isTTY = true;
  readonly columns = 120;
  readonly rows = 40;
  bytes = 0;
  write(text: string): boolean {
    this.bytes += text.length;
    return true;
  }
}

class Input extends EventEmitter {
  readonly isTTY = true;
  setRawMode(): void {}
  resume(): void {}
  pause(): void {}
}

const LOOKING: readonly string[] = [
  ...'123456789m@0jjjjjjkkkkhlgG  sSyv*',
  '\r',
  '\t',
  '\u001b[B',
  '\u001b[A',
  '\u001b[C',
  '\u001b[6~',
  '\u001b[5~',
  '[',
  ']',
  '-',
  'T',
  '?',
  '?\u001b[6~',
  ':aux\u0015',
  '/a\r',
  '/!b ~c\r',
  '/\u0015\r',
  'Y',
  '\u001b[<0;20;9M',
  '\u001b[<65;20;9M',
];

/** A CSI form of the escape key, which needs no waiting to be told from the start of a sequence. */
const ESCAPE = '\u001b[27u';

let state = 7;
function random(below: number): number {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return Math.floor((state / 2 ** 32) * below);
}

const workspace: Workspace = scratchWorkspace('main', defaultOrigin(), [], { now: () => 0 });
const uuid = '11111111-2222-4333-8444-555555555555';
for (const [name, args] of [
  ['device.aux-enable', { device: '0000:6a:01.0' }],
  ['mdev.create', { parent: '0000:6a:01.0', type: 'idxd-1dwq-v1', uuid }],
  ['vm.create', { vm: 'web', memory: '64M' }],
  ['vm.assign', { vm: 'web', device: uuid }],
  ['device.dma', { device: uuid, iova: '0x80000000' }],
] as const) {
  const outcome = workspace.dispatch(name, args);
  if (!outcome.ok) throw outcome.error;
}

const input = new Input();
const clock = new VirtualClock();
void openConsole(workspace, { input, output: new Output(), clock, mouse: true });

async function settle(): Promise<void> {
  for (let turn = 0; turn < 3; turn += 1) await new Promise((done) => setImmediate(done));
}

async function measured(): Promise<{ heap: number; resident: number }> {
  clock.advance(60_000);
  await settle();
  collect?.();
  await settle();
  collect?.();
  const { heapUsed, rss } = process.memoryUsage();
  return { heap: heapUsed / 2 ** 20, resident: rss / 2 ** 20 };
}

const keys = Number(process.argv[2] ?? 100_000);
const acts = Math.max(100, Math.round(keys / 100));
const told = ({ heap, resident }: { heap: number; resident: number }): string =>
  `heap ${heap.toFixed(2)} MiB, resident ${resident.toFixed(0)} MiB`;

const tenths: { heap: number; resident: number }[] = [];
for (let tenth = 0; tenth <= 10; tenth += 1) {
  for (let key = 0; key < keys / 10; key += 1) {
    input.emit('data', LOOKING[random(LOOKING.length)]);
    if (random(4) === 0) input.emit('data', ESCAPE);
    if (key % 3 === 0) clock.advance(20);
    if (key % 60 === 0) await settle();
  }
  for (let step = 0; step < 6; step += 1) input.emit('data', ESCAPE);
  tenths.push(await measured());
  const said = tenth === 0 ? 'after the warm-up' : `after ${tenth} of 10`;
  console.log(`keys that look, ${said}: ${told(tenths[tenth])}`);
}
// The slope of a line through all tenths: one collection more or less does not decide.
const n = tenths.length;
const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / n;
const middle = (n - 1) / 2;
const heaps = tenths.map(({ heap }) => heap);
const slope =
  heaps.reduce((sum, heap, at) => sum + (at - middle) * (heap - mean(heaps)), 0) /
  heaps.reduce((sum, _, at) => sum + (at - middle) ** 2, 0);
console.log(
  `  ${keys.toLocaleString('en-US')} keys after the warm-up: ${(slope * 1024).toFixed(1)} KiB of heap a tenth; ${((slope * 10 * 2 ** 20) / keys).toFixed(1)} bytes a key`,
);

const before = await measured();
for (let act = 0; act < acts; act += 1) {
  input.emit('data', `:device.dma device=${uuid} iova=0x${(1 + random(4000)).toString(16)}000\r`);
  clock.advance(20);
  if (act % 20 === 0) await settle();
}
const after = await measured();
console.log(
  `${acts.toLocaleString('en-US')} acts: ${(((after.heap - before.heap) * 2 ** 20) / acts).toFixed(0)} bytes of heap each (journal and command log grow with them); ${told(after)}`,
);
if (process.argv.includes('--snapshot'))
  (await import('node:v8')).writeHeapSnapshot('/tmp/growth.heapsnapshot');
process.exit(0);
