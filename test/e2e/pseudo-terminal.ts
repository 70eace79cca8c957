/**
 * The built program in a pseudo-terminal, its screen read from a terminal emulator. Tests wait for what the screen
 * shows, never for time. The binding is prebuilt and optional: where it is missing the tests say that they are skipped.
 */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import xterm from '@xterm/headless';

export const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
export const bundle = process.env.VTDECK_BUNDLE ?? join(root, 'dist', 'vtdeck.js');

type Pty = typeof import('@lydell/node-pty');

async function load(): Promise<Pty | undefined> {
  try {
    return await import('@lydell/node-pty');
  } catch {
    return undefined;
  }
}

const pty = await load();

/** Why these tests can't run here; undefined: they can. */
export const missing: string | undefined =
  pty === undefined
    ? 'no prebuilt pseudo-terminal binding for this system (@lydell/node-pty)'
    : existsSync(bundle)
      ? undefined
      : 'the program is not built (npm run build)';

export class Home {
  readonly path = mkdtempSync(join(tmpdir(), 'vtdeck-e2e-'));

  remove(): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

export interface RunOptions {
  readonly home: Home;
  readonly columns?: number;
  readonly rows?: number;
  readonly environment?: Readonly<Record<string, string>>;
  /** Another program than node with the bundle. */
  readonly file?: string;
}

export class Running {
  bytes = '';
  readonly ended: Promise<{ readonly code: number; readonly signal: number | undefined }>;
  private readonly emulator: InstanceType<typeof xterm.Terminal>;
  private readonly process: ReturnType<Pty['spawn']>;
  private readonly waiting = new Set<() => void>();

  constructor(words: readonly string[], options: RunOptions) {
    const { columns = 80, rows = 24, home } = options;
    const environment: Record<string, string> = {};
    for (const [name, value] of Object.entries(process.env))
      if (value !== undefined) environment[name] = value;
    // With CI set Ink prints nothing until it ends; the rest is the machine's, not the test's.
    for (const name of ['CI', 'CONTINUOUS_INTEGRATION', 'NO_COLOR', 'FORCE_COLOR', 'PAGER', 'VTDECK_SESSION'])
      delete environment[name];
    Object.assign(environment, { TERM: 'xterm-256color', VTDECK_HOME: home.path, ...options.environment });
    this.emulator = new xterm.Terminal({ cols: columns, rows, allowProposedApi: true });
    const [file, args] =
      options.file === undefined ? [process.execPath, [bundle, ...words]] : [options.file, [...words]];
    this.process = (pty as Pty).spawn(file, args, {
      cols: columns,
      rows,
      cwd: home.path,
      env: environment,
      name: 'xterm-256color',
    });
    this.process.onData((data) => {
      this.bytes += data;
      this.emulator.write(data, () => {
        for (const look of this.waiting) look();
      });
    });
    this.ended = new Promise((done) => {
      this.process.onExit(({ exitCode, signal }) =>
        done({ code: exitCode, signal: signal === 0 ? undefined : signal }),
      );
    });
  }

  get pid(): number {
    return this.process.pid;
  }

  type(text: string): void {
    this.process.write(text);
  }

  kill(signal: string): void {
    this.process.kill(signal);
  }

  resize(columns: number, rows: number): void {
    this.emulator.resize(columns, rows);
    this.process.resize(columns, rows);
  }

  get lines(): string[] {
    const buffer = this.emulator.buffer.active;
    return Array.from(
      { length: this.emulator.rows },
      (_, row) => buffer.getLine(buffer.baseY + row)?.translateToString(true) ?? '',
    );
  }

  get screen(): string {
    return this.lines.join('\n');
  }

  get onAlternateScreen(): boolean {
    return this.emulator.buffer.active.type === 'alternate';
  }

  /** What of the terminal is not as a shell wants it: modes that a program may leave behind. */
  get leftBehind(): string[] {
    const { modes } = this.emulator;
    // The public interface has no word for whether the cursor is shown.
    const { isCursorHidden } = (
      this.emulator as unknown as { _core: { coreService: { isCursorHidden: boolean } } }
    )._core.coreService;
    return Object.entries({
      'alternate screen': this.onAlternateScreen,
      'cursor hidden': isCursorHidden,
      'mouse reports': modes.mouseTrackingMode !== 'none',
      'bracketed paste': modes.bracketedPasteMode,
      'synchronised output': modes.synchronizedOutputMode,
      'focus reports': modes.sendFocusMode,
      'application cursor keys': modes.applicationCursorKeysMode,
    })
      .filter(([, on]) => on)
      .map(([name]) => name);
  }

  /** Closes the terminal's window: the program's side hangs up. */
  closeWindow(): void {
    (this.process as unknown as { destroy(): void }).destroy();
  }

  /** Waits until the screen shows it. */
  async shows(what: string | RegExp | ((screen: string) => boolean), within = 30_000): Promise<string> {
    const fits = (): boolean => {
      const { screen } = this;
      if (typeof what === 'function') return what(screen);
      return typeof what === 'string' ? screen.includes(what) : what.test(screen);
    };
    if (fits()) return this.screen;
    return new Promise((resolve, reject) => {
      const look = (): void => {
        if (!fits()) return;
        this.waiting.delete(look);
        clearTimeout(timer);
        resolve(this.screen);
      };
      const timer = setTimeout(() => {
        this.waiting.delete(look);
        reject(new Error(`the screen never showed ${String(what)}; it shows:\n${this.screen}`));
      }, within);
      this.waiting.add(look);
    });
  }
}

/** Runs a command of the program to its end, without a terminal. */
export async function command(
  home: Home,
  ...words: readonly string[]
): Promise<{ readonly code: number; readonly output: string }> {
  const { spawnSync } = await import('node:child_process');
  const done = spawnSync(process.execPath, [bundle, ...words], {
    env: { ...process.env, VTDECK_HOME: home.path },
    encoding: 'utf8',
    input: '',
  });
  return { code: done.status ?? -1, output: `${done.stdout}${done.stderr}` };
}
