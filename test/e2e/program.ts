import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The built program. */
export const PROGRAM = fileURLToPath(new URL('../../dist/vtdeck.js', import.meta.url));

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the program without a terminal, in a home given or its own. */
export function vtdeck(
  args: readonly string[],
  options: { home?: string; stdin?: string } = {},
): Promise<Ended> {
  const own = options.home === undefined ? mkdtempSync(join(tmpdir(), 'vtdeck-e2e-')) : undefined;
  const environment: NodeJS.ProcessEnv = { ...process.env, VTDECK_HOME: options.home ?? own };
  delete environment.VTDECK_SESSION;
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [PROGRAM, ...args], {
      env: environment,
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (chunk) => {
      stdout += chunk;
    });
    child.stderr.on('data', (chunk) => {
      stderr += chunk;
    });
    child.stdin.end(options.stdin ?? '');
    child.on('close', (code) => {
      if (own !== undefined) rmSync(own, { recursive: true, force: true });
      resolve({ code, stdout, stderr });
    });
  });
}
