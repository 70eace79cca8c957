/**
 * Plays a tape in the real program: the console runs on a terminal without a window, its keys come from the tape and
 * its time is the demo's own. Nobody watches: time jumps. Somebody does: a pacer lets it pass at human speed.
 */
import { ApplicationError, ExitCode, toApplicationError } from '../errors.ts';
import { VirtualClock } from '../terminal/clock.ts';
import { Emulator } from './emulator.ts';
import { keyBytes } from './keys.ts';
import { duration } from './parse.ts';
import { matches } from './pattern.ts';
import { Recording } from './recording.ts';
import { DEFAULTS, isKnownSetting, sizeOf, titleOf } from './settings.ts';
import { Shell } from './shell.ts';
import { TypedInput, WatchedOutput } from './streams.ts';
import { type Tape, type TapeCommand, TapeLimit } from './tape.ts';
import { type Expectation, unmetError } from './unmet.ts';

/** What the player is given to open a console on. */
export interface Stage {
  readonly input: TypedInput;
  readonly output: WatchedOutput;
  readonly clock: VirtualClock;
}

/** A console that runs. */
export interface Mounted {
  /** Ends when the console does. */
  readonly finished: Promise<void>;
  /** The session in words: `session=main acts=3 …`, for `Wait+State`. */
  state(): string;
}

/** Opens the console: `words` are those of a command line after `vtdeck`. */
export type Mount = (words: readonly string[], stage: Stage) => Promise<Mounted>;

/** Whoever watches. */
export interface Pacer {
  /** What the terminal shows; also while the tape hides. */
  show(text: string): void;
  /** Lets about so many milliseconds pass for the viewer; fewer may have passed when it returns. */
  pass(milliseconds: number): Promise<number>;
  /** So many of all commands of the tape have been played. */
  between(done: number, all: number): void;
  /** The tape is at its end, and its last screen still there. @param how How it went, in a few words. */
  over(how: string): Promise<void>;
  /** Where keys go once the viewer has taken the keyboard. */
  takeKeys(forward: (bytes: string) => void): void;
  /** Whether the viewer has taken the keyboard, or wants to stop. */
  readonly wish: 'play' | 'take over' | 'stop';
}

export interface PlayOptions {
  readonly mount: Mount;
  readonly pacer?: Pacer;
  /** Begin with the console open on these words; else with the shell, if the tape types its own `vtdeck`. */
  readonly words?: readonly string[];
  /** The viewer's terminal, where it is smaller than the tape wants. */
  readonly largest?: { readonly columns: number; readonly rows: number };
  /** Bounds other than those of all tapes. */
  readonly limits?: { readonly keys: number; readonly totalMilliseconds: number };
}

export interface Played {
  readonly recording: Recording;
  readonly screen: readonly string[];
  readonly keys: number;
  readonly expectations: number;
  /** Of the demo's own clock. */
  readonly milliseconds: number;
  /** Files that the tape asked for, by name: screenshots as indices of frames, outputs by extension. */
  readonly screenshots: readonly { readonly path: string; readonly frame: number }[];
  readonly outputs: readonly string[];
  /** Of what a tape says that has no effect here. */
  readonly notices: readonly string[];
  readonly failure: ApplicationError | undefined;
}

/** Virtual time passes in steps no longer than this, so that what waits for a timer sees the screen between. */
const STEP = 50;
/** How long something that may never be seen is waited for, in milliseconds. */
const CLIPPED_WAIT = 1000;

export class Player {
  private readonly tape: Tape;
  private readonly options: PlayOptions;
  private readonly clock = new VirtualClock();
  private readonly input = new TypedInput();
  private readonly output: WatchedOutput;
  private readonly emulator: Emulator;
  private readonly recording: Recording;
  private readonly notices = new Set<string>();
  private readonly screenshots: { path: string; frame: number }[] = [];
  private readonly outputs: string[] = [];
  private pending = '';
  private mounted: Mounted | undefined;
  private broken: unknown;
  private shell: Shell | undefined;
  private readonly limits: { readonly keys: number; readonly totalMilliseconds: number };
  /** The viewer's terminal is smaller than the tape was made for: what it expects of the screen may lie outside. */
  private readonly clipped: boolean;
  private keys = 0;
  /** What had been written when the last frame was taken. */
  private framed = -1;
  private chapter: string | undefined;
  private handedOver = false;
  private expectations = 0;
  private clipboard = '';
  private typingSpeed = DEFAULTS.typingSpeed;
  private waitTimeout = DEFAULTS.waitTimeout;
  private waitPattern = DEFAULTS.waitPattern;

  constructor(tape: Tape, options: PlayOptions) {
    this.tape = tape;
    this.options = options;
    this.limits = options.limits ?? TapeLimit;
    const wanted = sizeOf(tape);
    const columns = Math.min(wanted.columns, options.largest?.columns ?? wanted.columns);
    const rows = Math.min(wanted.rows, options.largest?.rows ?? wanted.rows);
    options.pacer?.takeKeys((bytes) => this.input.type(bytes));
    this.clipped = columns < wanted.columns || rows < wanted.rows;
    this.output = new WatchedOutput(columns, rows, (text) => {
      this.pending += text;
      options.pacer?.show(text);
    });
    this.emulator = new Emulator(columns, rows);
    this.recording = new Recording(columns, rows, titleOf(tape));
  }

  async play(): Promise<Played> {
    let failure: ApplicationError | undefined;
    try {
      await this.begin();
      const { commands } = this.tape;
      for (const [at, command] of commands.entries()) {
        if (this.options.pacer?.wish === 'take over') await this.handOver();
        if (this.options.pacer !== undefined && this.options.pacer.wish !== 'play') break;
        await this.run(command);
        this.options.pacer?.between(at + 1, commands.length);
        if (this.broken !== undefined) throw this.broken;
        if (this.clock.now() > this.limits.totalMilliseconds)
          throw this.wrong(command, 'E2BIG', 'the demo lasts too long (an hour of its own time is the most)');
      }
    } catch (thrown) {
      failure = toApplicationError(thrown);
    }
    await this.quiet();
    this.recording.show(this.clock.now());
    this.endChapter();
    this.frame();
    const played: Played = {
      recording: this.recording,
      screen: this.emulator.text(),
      keys: this.keys,
      expectations: this.expectations,
      milliseconds: this.clock.now(),
      screenshots: this.screenshots,
      outputs: this.outputs,
      notices: [...this.notices],
      failure,
    };
    await this.options.pacer?.over(
      failure === undefined ? summaryOf(played) : failure.message.split('\n')[0],
    );
    await this.end();
    return played;
  }

  /** Opens the console, unless the tape does so itself by typing into a shell. */
  private async begin(): Promise<void> {
    // What comes before a tape's first Hide is hidden as well: the prompt of the shell.
    const quiet = ['set', 'output', 'require', 'env', 'chapter'];
    const opening = this.tape.commands.find((command) => !quiet.includes(command.kind));
    if (opening?.kind === 'hide') this.recording.hide(this.clock.now());
    const launches = this.tape.commands.some(
      (command) => command.kind === 'type' && Shell.isLaunch(command.text),
    );
    if (this.options.words === undefined && launches) this.openShell();
    else await this.open(this.options.words ?? this.sessionWords());
    await this.elapse(STEP);
    this.frame();
  }

  /** `Set Session NAME`, for tapes that do not type their own command. */
  private sessionWords(): string[] {
    for (const command of this.tape.commands) {
      if (command.kind === 'set' && command.name === 'Session') return ['open', command.value];
    }
    return [];
  }

  private openShell(): void {
    this.shell = new Shell((text) => this.output.write(text));
  }

  private async open(words: readonly string[]): Promise<void> {
    const { input, output, clock } = this;
    this.shell = undefined;
    const mounted = await this.options.mount(words, { input, output, clock });
    this.mounted = mounted;
    mounted.finished.then(
      () => {
        this.mounted = undefined;
        this.openShell();
      },
      (thrown: unknown) => {
        this.mounted = undefined;
        this.broken = thrown ?? new Error('the console ended');
      },
    );
  }

  private async end(): Promise<void> {
    const { mounted } = this;
    if (mounted !== undefined) {
      this.input.type('\u0003');
      await this.elapse(STEP);
      for (let round = 0; this.mounted !== undefined && round < 200; round++) await this.elapse(STEP);
    }
    this.emulator.dispose();
  }

  private async run(command: TapeCommand): Promise<void> {
    switch (command.kind) {
      case 'type':
        for (const character of command.text)
          await this.press(character, command.speed ?? this.typingSpeed, command);
        return;
      case 'key': {
        const bytes = keyBytes(command.key) as string;
        for (let n = 0; n < command.count; n++)
          await this.press(bytes, command.speed ?? this.typingSpeed, command);
        return;
      }
      case 'sleep':
        return this.elapse(command.milliseconds);
      case 'wait':
        return this.wait(command);
      case 'expect':
        return this.expect(command);
      case 'hide':
        this.recording.hide(this.clock.now());
        return;
      case 'show':
        this.recording.show(this.clock.now());
        this.framed = -1;
        this.recording.add(
          this.clock.now(),
          'output',
          `\u001b[H\u001b[2J${this.emulator.painted().join('\r\n')}`,
        );
        this.frame();
        return;
      case 'copy':
        this.clipboard = command.text;
        return;
      case 'paste':
        return this.press(`\u001b[200~${this.clipboard}\u001b[201~`, this.typingSpeed, command);
      case 'screenshot':
        this.frame(command.path);
        this.screenshots.push({ path: command.path, frame: this.recording.frames.length - 1 });
        return;
      case 'chapter':
        this.endChapter();
        this.chapter = command.title;
        this.recording.add(this.clock.now(), 'marker', command.title);
        return;
      case 'output':
        this.outputs.push(command.path);
        return;
      case 'resize':
        return this.resize(command.columns, command.rows);
      case 'set':
        return this.set(command);
      case 'require':
      case 'env':
        this.notices.add(`${command.kind === 'env' ? 'Env' : 'Require'} ${command.text}: has no effect here`);
    }
  }

  private async press(bytes: string, speed: number, command: TapeCommand): Promise<void> {
    this.keys += 1;
    if (this.keys > this.limits.keys)
      throw this.wrong(command, 'E2BIG', `a demo has at most ${this.limits.keys} keys`);
    this.recording.add(this.clock.now(), 'input', bytes);
    const { shell } = this;
    if (shell !== undefined) {
      const words = shell.type(bytes);
      if (words !== undefined) await this.open(words);
    } else this.input.type(bytes);
    await this.quiet();
    await this.elapse(speed);
    this.frame();
  }

  private set(command: Extract<TapeCommand, { kind: 'set' }>): void {
    const { name, value, file, line } = command;
    const time = (): number => duration({ kind: 'word', text: value, file, line }, 's');
    if (name === 'TypingSpeed') this.typingSpeed = Math.min(10_000, time());
    else if (name === 'WaitTimeout') this.waitTimeout = Math.min(TapeLimit.sleepMilliseconds, time());
    else if (name === 'WaitPattern') this.waitPattern = value;
    else if (!isKnownSetting(name)) this.notices.add(`Set ${name}: not known`);
  }

  private async resize(columns: number, rows: number): Promise<void> {
    await this.quiet();
    this.emulator.resize(columns, rows);
    this.output.resize(columns, rows);
    this.recording.add(this.clock.now(), 'resize', `${columns}x${rows}`);
    await this.elapse(STEP);
    this.frame();
  }

  private async wait(command: Expectation): Promise<void> {
    const wanted = command.timeout ?? this.waitTimeout;
    const limit = this.clipped && command.scope !== 'state' ? Math.min(wanted, CLIPPED_WAIT) : wanted;
    const start = this.clock.now();
    while (!this.holds(command)) {
      if (this.broken !== undefined) return;
      if (this.options.pacer !== undefined && this.options.pacer.wish !== 'play') return;
      if (this.clock.now() - start >= limit) {
        if (this.passOver(command)) return;
        throw this.unmet(command, `did not come within ${(limit / 1000).toFixed(1)} s of the demo's time`);
      }
      await this.elapse(Math.min(STEP, limit));
    }
    this.frame();
  }

  private async expect(command: Expectation): Promise<void> {
    await this.quiet();
    this.expectations += 1;
    if (command.timeout !== undefined) return this.wait(command);
    if (!this.holds(command) && !this.passOver(command)) throw this.unmet(command, 'is not so');
  }

  /** True when what is not on the screen may be just outside of it. */
  private passOver(command: Expectation): boolean {
    if (!this.clipped || command.scope === 'state') return false;
    if (command.kind === 'expect') this.expectations -= 1;
    this.notices.add('the terminal is smaller than the demo was made for: not all it expects could be seen');
    return true;
  }

  private holds(command: Expectation): boolean {
    try {
      const found = matches(command.pattern ?? this.waitPattern, command.flags, this.lookAt(command.scope));
      return found !== command.negated;
    } catch (thrown) {
      throw this.wrong(command, 'USAGE', (thrown as Error).message);
    }
  }

  private lookAt(scope: 'screen' | 'line' | 'state'): string {
    if (scope === 'state') return this.mounted?.state() ?? 'closed';
    return scope === 'line' ? this.emulator.cursorLine() : this.emulator.text().join('\n');
  }

  private unmet(command: Expectation, how: string): ApplicationError {
    const pattern = command.pattern ?? this.waitPattern;
    return unmetError(command, pattern, how, this.lookAt(command.scope).split('\n'), this.emulator.text());
  }

  private wrong(command: TapeCommand, code: string, message: string): ApplicationError {
    const { file, line } = command;
    return new ApplicationError(code, message, {
      rule: 'a demo is bounded',
      place: { file, line },
      exitCode: ExitCode.usage,
    });
  }

  /** The viewer has the keyboard until the console ends. */
  private async handOver(): Promise<void> {
    this.handedOver = true;
    while (this.mounted !== undefined && this.options.pacer?.wish === 'take over') await this.elapse(STEP);
  }

  private async elapse(milliseconds: number): Promise<void> {
    let left = milliseconds;
    const { pacer } = this.options;
    do {
      const step = Math.min(STEP, left);
      const passed = pacer === undefined ? step : Math.min(step, await pacer.pass(step));
      this.clock.advance(passed);
      left -= passed;
      await this.quiet();
      if (pacer !== undefined && pacer.wish !== (this.handedOver ? 'take over' : 'play')) return;
      if (this.clock.now() > this.limits.totalMilliseconds) return;
    } while (left > 0);
  }

  /** Waits until the program has nothing left to do at this moment of its time, and the screen shows all it wrote. */
  private async quiet(): Promise<void> {
    for (let still = 0; still < 3; ) {
      const before = this.output.written;
      await new Promise((resolve) => setImmediate(resolve));
      still = this.output.written === before ? still + 1 : 0;
    }
    if (this.pending === '') return;
    const text = this.pending;
    this.pending = '';
    this.recording.add(this.clock.now(), 'output', text);
    await this.emulator.write(text);
  }

  /** A chapter is told by the screen that it ends with. */
  private endChapter(): void {
    if (this.chapter !== undefined) this.frame(this.chapter);
    this.chapter = undefined;
  }

  private frame(label?: string): void {
    if (label === undefined && this.framed === this.output.written) return;
    this.framed = this.output.written;
    const { columns, rows } = this.emulator;
    this.recording.addFrame(
      this.clock.now(),
      { text: this.emulator.text(), painted: this.emulator.painted(), columns, rows },
      label,
    );
  }
}

/** `54 keys, 16 expectations met, 31.2 s of its own time` */
export function summaryOf({ keys, expectations, milliseconds }: Played): string {
  return `${keys} keys, ${expectations} expectations met, ${(milliseconds / 1000).toFixed(1)} s of its own time`;
}
