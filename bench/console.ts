/**
 * The console from outside: start to first frame, key to frame, bytes for a cursor move, memory. In a pseudo-terminal,
 * whole process, with bare node and with less, vim and htop measured in the same run as the bar.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { bundled } from './console/bundled.ts';
import type { TimedProgram } from './console/pseudo-terminal.ts';

type ProgramClass = typeof TimedProgram;

const root = join(import.meta.dirname, '..');
const bundle = join(root, 'dist', 'vtdeck.js');
const SIZE = { columns: 200, rows: 60 };

const sorted = (values: readonly number[]): number[] => [...values].sort((a, b) => a - b);
const quantile = (values: readonly number[], part: number): number => {
  const all = sorted(values);
  return all[Math.min(all.length - 1, Math.floor(all.length * part))];
};
const shown = (values: readonly number[]): string =>
  `median ${quantile(values, 0.5).toFixed(1)} ms, 99th percentile ${quantile(values, 0.99).toFixed(1)} ms`;

export async function run(): Promise<void> {
  const { TimedProgram } = await import('./console/pseudo-terminal.ts');
  const folder = mkdtempSync(join(tmpdir(), 'vtdeck-bench-'));
  const home = join(folder, 'home');
  try {
    const subject = await bundled('subject.tsx', folder);
    const start = async (
      file: string,
      words: readonly string[],
      ready: RegExp,
      end: string,
    ): Promise<number> => {
      const program = new TimedProgram(file, words, SIZE, { VTDECK_HOME: home });
      const took = await program.writes(ready);
      program.type(end);
      await program.ended;
      return took;
    };
    await starts(start, TimedProgram);
    await keys(TimedProgram, subject, folder);
    await memory(TimedProgram, subject);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

type Start = (file: string, words: readonly string[], ready: RegExp, end: string) => Promise<number>;

async function starts(start: Start, Program: ProgramClass): Promise<void> {
  const rounds = 15;
  const bare: number[] = [];
  const ours: number[] = [];
  const bars: Record<string, number[]> = {};
  const others: readonly (readonly [string, readonly string[], RegExp, string])[] = [
    ['/usr/bin/less', [join(root, 'package-lock.json')], /lockfileVersion/, 'q'],
    ['/usr/bin/vim', ['-u', 'NONE', join(root, 'package-lock.json')], /lockfileVersion/, ':q!\r'],
    ['/usr/bin/htop', [], /F10|Quit/, 'q'],
  ];
  await start(process.execPath, [bundle], /Topology/, 'sq');
  for (let round = 0; round < rounds; round += 1) {
    const node = new Program(process.execPath, ['-e', '0'], SIZE);
    const at = performance.now();
    await node.ended;
    bare.push(performance.now() - at);
    ours.push(await start(process.execPath, [bundle], /q[^\n]* quit/, 'q'));
    for (const [file, words, ready, end] of others) {
      if (!existsSync(file)) continue;
      bars[file] ??= [];
      bars[file].push(await start(file, words, ready, end));
    }
  }
  console.log(`start to end, bare node -e 0:       ${shown(bare)}`);
  console.log(`start to first full frame, vtdeck:  ${shown(ours)}`);
  console.log(
    `  ratio to bare node: ${(quantile(ours, 0.5) / quantile(bare, 0.5)).toFixed(2)} (at most 3 wanted)`,
  );
  for (const [file, values] of Object.entries(bars))
    console.log(`start to first frame, ${file}: ${shown(values)}`);
}

async function press(program: TimedProgram, count: number): Promise<{ times: number[]; bytes: number[] }> {
  const times: number[] = [];
  const bytes: number[] = [];
  for (let key = 0; key < count; key += 1) {
    const answer = await program.key(key % 40 < 20 ? 'j' : 'k', 20);
    times.push(answer.milliseconds);
    bytes.push(answer.bytes);
  }
  return { times, bytes };
}

async function keys(Program: ProgramClass, subject: string, folder: string): Promise<void> {
  const results: Record<number, number> = {};
  for (const rows of [100, 100_000]) {
    const program = new Program(process.execPath, [subject, String(rows)], SIZE);
    await program.writes(/q[^\n]* quit/);
    await press(program, 60);
    const { times, bytes } = await press(program, 300);
    results[rows] = quantile(times, 0.99);
    console.log(
      `key to frame, ${rows.toLocaleString('en-US')} rows: ${shown(times)}; bytes a move: median ${quantile(bytes, 0.5)}, most ${Math.max(...bytes)} (at most 600 wanted)`,
    );
    program.type('q');
    await program.ended;
  }
  console.log(
    `  99th percentile, 100,000 rows to 100: ${(results[100_000] / results[100]).toFixed(2)} times (at most 1.5 wanted); under 16 ms wanted`,
  );
  const text = join(folder, 'lines.txt');
  writeFileSync(
    text,
    Array.from({ length: 100_000 }, (_, at) => `line ${at} ${'x'.repeat(at % 120)}`).join('\n'),
  );
  for (const [file, words] of [
    ['/usr/bin/less', [text]],
    ['/usr/bin/vim', ['-u', 'NONE', text]],
  ] as const) {
    if (!existsSync(file)) continue;
    const program = new Program(file, words, SIZE);
    await program.writes(/line 20 /);
    const { times, bytes } = await press(program, 200).catch(() => ({ times: [0], bytes: [0] }));
    console.log(
      `key to frame, ${file}, 100,000 lines: ${shown(times)}; bytes a move: median ${quantile(bytes, 0.5)}`,
    );
    program.kill();
    await program.ended;
  }
}

function resident(pid: number): number {
  const match = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  return Number(match?.[1] ?? 0) / 1024;
}

async function memory(Program: ProgramClass, subject: string): Promise<void> {
  const program = new Program(process.execPath, [subject, '100000'], SIZE);
  await program.writes(/q[^\n]* quit/);
  console.log(`resident with 100,000 rows: ${resident(program.pid).toFixed(0)} MiB`);
  program.kill();
  await program.ended;
}
