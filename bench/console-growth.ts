/** What the console's memory does over an hour of keys and more, garbage collected at fixed points. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bundled } from './console/bundled.ts';

const KEYS = 100_000;
/**
 * V8 goes on compiling what gets warm for hours, and keeps what it learnt: some hundred KiB a tenth, nothing of ours.
 * Without that the heap holds what the program holds.
 */
const PLAIN = ['--no-opt', '--no-sparkplug', '--no-flush-bytecode'];

export async function run(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'vtdeck-bench-'));
  try {
    const program = await bundled('growth.ts', folder);
    spawnSync(process.execPath, ['--expose-gc', ...PLAIN, program, String(KEYS)], {
      stdio: 'inherit',
      env: { ...process.env, VTDECK_HOME: join(folder, 'home') },
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
