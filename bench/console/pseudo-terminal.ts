/** A program in a pseudo-terminal with a stopwatch on what it writes. */
import { spawn } from '@lydell/node-pty';

export class TimedProgram {
  /** All that was written. */
  bytes = '';
  readonly ended: Promise<void>;
  private readonly process: ReturnType<typeof spawn>;
  private listener: (() => void) | undefined;
  private readonly started = performance.now();

  constructor(
    file: string,
    words: readonly string[],
    size: { readonly columns: number; readonly rows: number },
    environment: Record<string, string> = {},
  ) {
    const env: Record<string, string> = {
      ...(process.env as Record<string, string>),
      TERM: 'xterm-256color',
      ...environment,
    };
    for (const name of ['CI', 'NO_COLOR', 'LINES', 'COLUMNS']) delete env[name];
    this.process = spawn(file, [...words], {
      cols: size.columns,
      rows: size.rows,
      env,
      name: 'xterm-256color',
    });
    this.process.onData((data) => {
      this.bytes += data;
      this.listener?.();
    });
    this.ended = new Promise((done) => {
      this.process.onExit(() => {
        done();
        this.listener?.();
      });
    });
  }

  get pid(): number {
    return this.process.pid;
  }

  /** Milliseconds since the start at which what was written came to fit. */
  async writes(what: RegExp, from = 0, within = 60_000): Promise<number> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`never wrote ${what}`)), within);
      const look = (): void => {
        if (!what.test(this.bytes.slice(from))) return;
        this.listener = undefined;
        clearTimeout(timer);
        resolve(performance.now() - this.started);
      };
      this.listener = look;
      look();
    });
  }

  /** Types a key; milliseconds until the answer began to come, and how many bytes it was once it is quiet. */
  async key(
    text: string,
    quietMilliseconds = 25,
  ): Promise<{ readonly milliseconds: number; readonly bytes: number }> {
    const before = this.bytes.length;
    const at = performance.now();
    return new Promise((resolve, reject) => {
      let first: number | undefined;
      let quiet: NodeJS.Timeout | undefined;
      const lost = setTimeout(() => reject(new Error(`no answer to ${JSON.stringify(text)}`)), 20_000);
      this.listener = () => {
        first ??= performance.now() - at;
        clearTimeout(quiet);
        quiet = setTimeout(() => {
          this.listener = undefined;
          clearTimeout(lost);
          resolve({ milliseconds: first ?? 0, bytes: Buffer.byteLength(this.bytes.slice(before)) });
        }, quietMilliseconds);
      };
      this.process.write(text);
    });
  }

  type(text: string): void {
    this.process.write(text);
  }

  kill(): void {
    this.process.kill('SIGKILL');
  }
}
