/**
 * What recording an act costs, at 10, 1 thousand and 100 thousand acts; what reopening costs; and, for comparison in
 * the same run, what it would cost to have conf write the whole session anew at each act.
 */
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Conf from 'conf';
import { defaultOrigin, openWorkspace } from '../src/session/open-workspace.ts';
import { createSession, sessionFolder } from '../src/session/store.ts';

/** Acts measured at each size. */
const SAMPLE = 200;

export function run(): void {
  const home = mkdtempSync(join(tmpdir(), 'vtdeck-bench-'));
  process.env.VTDECK_HOME = home;
  try {
    console.log(
      'acts before   act (journalled)   of it on disk   with fdatasync   bytes an act   conf, whole document',
    );
    warmUp();
    for (const acts of [10, 1_000, 100_000]) measure(acts);
    reload(10_000);
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
}

const WRITE = { vm: 'alpha', address: '0x1000', data: 'cafe' };

function grown(name: string, acts: number): void {
  createSession(name, { origin: defaultOrigin() }, new Date());
  const workspace = openWorkspace({ session: name, readOnly: false, what: 'bench', syncEachAct: false });
  workspace.dispatch('vm.create', { vm: 'alpha', memory: '64M' });
  for (let n = 1; n < acts; n++) check(workspace.dispatch('vm.write', WRITE));
  workspace.close();
}

/** Until the optimising compiler has seen the code. */
function warmUp(): void {
  grown('warm', 2_000);
}

function check(outcome: { ok: boolean; error?: unknown }): void {
  if (!outcome.ok) throw outcome.error;
}

function measure(acts: number): void {
  const name = `s${acts}`;
  grown(name, acts);
  const journal = join(sessionFolder(name), 'journal');
  const timed = (syncEachAct: boolean): { each: number; bytes: number } => {
    const workspace = openWorkspace({ session: name, readOnly: false, what: 'bench', syncEachAct });
    const before = statSync(journal).size;
    const start = performance.now();
    for (let n = 0; n < SAMPLE; n++) check(workspace.dispatch('vm.write', WRITE));
    const each = ((performance.now() - start) * 1000) / SAMPLE;
    const bytes = (statSync(journal).size - before) / SAMPLE;
    workspace.close();
    return { each, bytes };
  };
  const memory = inMemory();
  const plain = timed(false);
  const synced = timed(true);
  const whole = wholeDocument(acts);
  console.log(
    [
      String(acts).padStart(11),
      `${plain.each.toFixed(0)} µs`.padStart(18),
      `${Math.max(0, plain.each - memory).toFixed(0)} µs`.padStart(15),
      `${synced.each.toFixed(0)} µs`.padStart(16),
      plain.bytes.toFixed(0).padStart(14),
      `${whole.toFixed(0)} µs`.padStart(22),
    ].join(''),
  );
}

/** The act itself, without any journal. */
function inMemory(): number {
  const name = `memory-${Math.floor(performance.now())}`;
  createSession(name, { origin: defaultOrigin() }, new Date());
  const { host } = openWorkspace({ session: name, readOnly: true, what: 'bench' });
  host.createMachine('alpha', 64n << 20n);
  const bytes = Uint8Array.of(0xca, 0xfe);
  const start = performance.now();
  for (let n = 0; n < SAMPLE; n++) host.writeMachineMemory('alpha', 0x1000n, bytes);
  return ((performance.now() - start) * 1000) / SAMPLE;
}

/** conf set on each act, with all acts in one document. */
function wholeDocument(acts: number): number {
  const conf = new Conf<Record<string, unknown>>({
    cwd: join(process.env.VTDECK_HOME ?? '', 'whole'),
    configName: `w${acts}`,
  });
  const document = {
    acts: Array.from({ length: acts }, (_, at) => ({ seq: at, action: 'vm.write', args: WRITE })),
  };
  conf.store = document;
  const rounds = acts > 10_000 ? 3 : 20;
  const start = performance.now();
  for (let n = 0; n < rounds; n++) {
    document.acts.push({ seq: acts + n, action: 'vm.write', args: WRITE });
    conf.set('acts', document.acts);
  }
  return ((performance.now() - start) * 1000) / rounds;
}

function reload(acts: number): void {
  grown('reload', acts);
  const start = performance.now();
  const workspace = openWorkspace({ session: 'reload', readOnly: true, what: 'bench' });
  const opened = performance.now() - start;
  const digestStart = performance.now();
  workspace.host.digest();
  const digest = performance.now() - digestStart;
  console.log(
    `\nreopening ${acts} acts: ${opened.toFixed(0)} ms (aim: below 1000 ms); digest ${digest.toFixed(0)} ms`,
  );
}
