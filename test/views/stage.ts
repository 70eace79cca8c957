/**
 * A console on a stage: the real App under Ink, on a terminal emulator in this process, with a clock that stands still
 * until it is told. What a test sees is what the emulator shows.
 */
import { EventEmitter } from 'node:events';
import xterm from '@xterm/headless';
import { defaultOrigin, scratchWorkspace } from '../../src/session/open-workspace.ts';
import { VirtualClock } from '../../src/terminal/clock.ts';
import type { Workspace } from '../../src/workspace.ts';
import { openConsole } from '../../views/App.tsx';
import type { ConsoleHandle, ConsoleOptions } from '../../views/options.ts';

class StageOutput extends EventEmitter {
  readonly isTTY = true;
  columns: number;
  rows: number;
  bytes = '';
  readonly emulator: InstanceType<typeof xterm.Terminal>;

  constructor(columns: number, rows: number) {
    super();
    this.columns = columns;
    this.rows = rows;
    this.emulator = new xterm.Terminal({ cols: columns, rows, allowProposedApi: true, scrollback: 50 });
  }

  write(text: string): boolean {
    this.bytes += text;
    this.emulator.write(text);
    return true;
  }

  resize(columns: number, rows: number): void {
    this.columns = columns;
    this.rows = rows;
    this.emulator.resize(columns, rows);
    this.emit('resize');
  }
}

class StageInput extends EventEmitter {
  readonly isTTY = true;
  raw = false;

  setRawMode(on: boolean): void {
    this.raw = on;
  }

  setEncoding(): void {}
  resume(): void {}
  pause(): void {}
}

/** What is typed for keys that have no character. */
const SEQUENCES: Readonly<Record<string, string>> = {
  Enter: '\r',
  Esc: '\u001b',
  Tab: '\t',
  Space: ' ',
  Up: '\u001b[A',
  Down: '\u001b[B',
  Right: '\u001b[C',
  Left: '\u001b[D',
  PageUp: '\u001b[5~',
  PageDown: '\u001b[6~',
  Home: '\u001b[H',
  End: '\u001b[F',
  Delete: '\u001b[3~',
  Backspace: '\u007f',
  F1: '\u001bOP',
  F2: '\u001bOQ',
  F3: '\u001bOR',
};

export function bytesOfKey(key: string): string {
  if (SEQUENCES[key] !== undefined) return SEQUENCES[key];
  const control = /^Ctrl-([a-z])$/.exec(key);
  return control === null ? key : String.fromCharCode(control[1].charCodeAt(0) - 0x60);
}

export class Stage {
  readonly output: StageOutput;
  readonly input = new StageInput();
  readonly clock: VirtualClock;
  readonly workspace: Workspace;
  readonly finished: Promise<void>;
  handle: ConsoleHandle | undefined;
  ended = false;

  constructor(
    columns: number,
    rows: number,
    options: Partial<ConsoleOptions> & { readonly clock?: VirtualClock } = {},
    workspace?: Workspace,
  ) {
    this.clock = options.clock ?? new VirtualClock();
    this.output = new StageOutput(columns, rows);
    this.workspace = workspace ?? freshWorkspace();
    this.finished = openConsole(this.workspace, {
      input: this.input,
      output: this.output,
      clock: this.clock,
      onReady: (handle) => {
        this.handle = handle;
      },
      ...options,
    }).finally(() => {
      this.ended = true;
    });
  }

  /** Types keys by name, one after the other, each seen before the next. */
  async keys(...keys: readonly string[]): Promise<void> {
    for (const key of keys) {
      this.input.emit('data', bytesOfKey(key));
      this.clock.advance(50);
      await settled();
    }
  }

  /** Types text as it stands. */
  async type(text: string): Promise<void> {
    this.input.emit('data', text);
    this.clock.advance(50);
    await settled();
  }

  /** What the terminal shows. */
  async screen(): Promise<string[]> {
    await new Promise<void>((done) => this.output.emulator.write('', done));
    const buffer = this.output.emulator.buffer.active;
    return Array.from(
      { length: this.output.rows },
      (_, row) => buffer.getLine(buffer.baseY + row)?.translateToString(true) ?? '',
    );
  }

  async text(): Promise<string> {
    return (await this.screen()).join('\n');
  }
}

/** A session that nobody keeps, on the built-in host, with UUIDs that are the same each time. */
export function freshWorkspace(): Workspace {
  let made = 0;
  return scratchWorkspace('main', defaultOrigin(), [], {
    now: () => 0,
    chance: {
      uuid: () => {
        made += 1;
        return `00000000-0000-4000-8000-${made.toString(16).padStart(12, '0')}`;
      },
    },
  });
}

async function settled(): Promise<void> {
  await new Promise((done) => setImmediate(done));
}

/** At least three rows on every screen, so that moving shows. */
export function busyWorkspace(): ReturnType<typeof freshWorkspace> {
  const workspace = freshWorkspace();
  const dispatch = (name: string, args: Record<string, unknown>): void => {
    const outcome = workspace.dispatch(name, args);
    if (!outcome.ok) throw outcome.error;
  };
  dispatch('device.aux-enable', { device: '0000:6a:01.0' });
  for (const number of [1, 2, 3]) {
    const uuid = `11111111-2222-4333-8444-55555555555${number}`;
    dispatch('mdev.create', { parent: '0000:6a:01.0', type: 'idxd-1dwq-v1', uuid });
    dispatch('vm.create', { vm: `web${number}`, memory: '64M' });
    dispatch('vm.assign', { vm: `web${number}`, device: uuid });
    dispatch('device.dma', { device: uuid, iova: '0x80000000' });
  }
  return workspace;
}
