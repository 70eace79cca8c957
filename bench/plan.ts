/** Plans per second on one host, and a folder of 1,000 captures through two workers: hosts per second, peak memory. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { builtInHost } from '../src/hosts/builtin.ts';
import { makePlan } from '../src/plan/plan.ts';
import { viewOfDescription } from '../src/plan/view.ts';

const HOSTS = 1000;

const median = (values: number[]): number => values.sort((a, b) => a - b)[values.length >> 1];

export function run(): void {
  const server = builtInHost('server');
  if (server === undefined) throw new Error('the built-in server is gone');
  const addresses = server.functions.map(({ address }) => address);
  const request = {
    machine: 'g',
    memoryBytes: 2 ** 32,
    virtualIommu: false,
    acceptSiblings: [],
    roles: new Map(),
  };

  const whole: number[] = [];
  const alone: number[] = [];
  for (let round = 0; round < 7; round += 1) {
    const started = performance.now();
    const view = viewOfDescription(server);
    const seen = performance.now();
    for (const address of addresses) makePlan(view, { ...request, assign: [address] });
    whole.push(performance.now() - started);
    alone.push((performance.now() - seen) / addresses.length);
  }
  console.log(
    `one host, ${addresses.length} functions: reading it and planning each ${median(whole).toFixed(1)} ms`,
  );
  console.log(
    `a plan on a host once read: ${median(alone).toFixed(3)} ms, ${(1000 / median(alone)).toFixed(0)} plans a second`,
  );

  const folder = mkdtempSync(join(tmpdir(), 'vtdeck-fleet-'));
  try {
    const text = JSON.stringify(server);
    for (let host = 0; host < HOSTS; host += 1) {
      mkdirSync(join(folder, `host${host}`));
      writeFileSync(join(folder, `host${host}`, 'host.json'), text);
    }
    for (const count of [HOSTS / 10, HOSTS]) fleet(folder, count);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The built program on the first `count` hosts of the folder. */
function fleet(folder: string, count: number): void {
  const part = mkdtempSync(join(tmpdir(), 'vtdeck-part-'));
  for (let host = 0; host < count; host += 1) spawnSync('cp', ['-r', join(folder, `host${host}`), part]);
  const program = join(import.meta.dirname, '../dist/vtdeck.js');
  const started = performance.now();
  const done = spawnSync('/usr/bin/time', ['-f', '%M', process.execPath, program, 'plan', '--fleet', part], {
    encoding: 'utf8',
    maxBuffer: 1 << 30,
  });
  const seconds = (performance.now() - started) / 1000;
  const peak = /(\d+)\s*$/.exec(done.stderr ?? '')?.[1];
  const lines = (done.stdout ?? '').split('\n').filter((line) => line !== '').length;
  console.log(
    `${count} captures: ${(lines / seconds).toFixed(0)} hosts a second, peak memory ${peak === undefined ? 'not measured (/usr/bin/time is missing)' : `${(Number(peak) / 1024).toFixed(0)} MiB`}`,
  );
  rmSync(part, { recursive: true, force: true });
}
