/**
 * Opens the console on a session. Everything that touches the terminal is here: taking it over, frames, signals,
 * pager, files. What the console is and does is in console.ts, what it looks like in frame.ts.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { PassThrough } from 'node:stream';
import { render } from 'ink';
import { plainText } from '../src/terminal/cells.ts';
import { systemClock } from '../src/terminal/clock.ts';
import { frameToSvg, LIGHT_GROUND } from '../src/terminal/frame-svg.ts';
import { Terminal } from '../src/terminal/terminal.ts';
import type { Workspace } from '../src/workspace.ts';
import { openTour } from './commands/guides.ts';
import { FrameView } from './components/FrameView.tsx';
import { loadInkTable } from './components/ink-table.ts';
import { SlotsContext } from './components/PaintedLines.tsx';
import { ReaderView } from './components/ReaderView.tsx';
import { Console } from './console.ts';
import { FRAME } from './console-setup.ts';
import { frameOf } from './frame.ts';
import type { ConsoleOptions } from './options.ts';
import { readingOf } from './reading.ts';
import { watchSignals } from './signals.ts';

/** Runs until the operator quits; the terminal is then as it was before. The workspace stays open: it is the caller's. */
export async function openConsole(workspace: Workspace, options: ConsoleOptions): Promise<void> {
  const clock = options.clock ?? systemClock;
  const preferences = options.preferences ?? {};
  const reader = options.screenReader === true;
  const terminal = new Terminal({
    input: options.input,
    output: options.output,
    mouse: options.mouse ?? preferences.mouse,
    clock,
    plain: reader,
  });
  const { screen } = terminal;
  if (options.onFrame !== undefined) screen.onFrame = options.onFrame;

  let ended = false;
  let finish: () => void = () => {};
  const finished = new Promise<void>((done) => {
    finish = done;
  });
  let saved = 0;
  /** The demo that has the terminal now. */
  let demo: ChildProcess | undefined;

  let started = false;
  let lastFrame = Number.NEGATIVE_INFINITY;
  let waiting = false;
  const changed = (): void => {
    if (waiting || ended || !started) return;
    const wait = lastFrame + FRAME - clock.now();
    if (wait <= 0) return draw();
    waiting = true;
    clock.after(wait, () => {
      waiting = false;
      draw();
    });
  };

  const console = new Console(workspace, {
    clock,
    shelf: options.sessions,
    preferences,
    prefer: options.prefer ?? (() => {}),
    noColor: options.noColor === true,
    colourDepth: options.colourDepth ?? 8,
    ascii: options.ascii === true,
    changed,
    terminal: {
      redraw: () => terminal.repaint(),
      suspend: (resumed) => terminal.suspend(resumed),
      copy: (text) => terminal.copy(text),
      page: (text) => {
        const { PAGER } = process.env;
        if (options.signals !== true || PAGER === undefined || PAGER === '') return false;
        terminal.lend(() =>
          spawnSync('/bin/sh', ['-c', PAGER], { input: text, stdio: ['pipe', 'inherit', 'inherit'] }),
        );
        return true;
      },
      watchDemo: (name, over) => {
        const [file, ...words] = options.program ?? [];
        if (file === undefined) return false;
        terminal.leave();
        let problem = '';
        const child = spawn(file, [...words, 'demo', 'play', name, '--watch', '--hold'], {
          stdio: ['inherit', 'inherit', 'pipe'],
        });
        demo = child;
        child.stderr.on('data', (chunk) => {
          problem += chunk;
        });
        const back = (): void => {
          if (demo !== child) return;
          demo = undefined;
          if (ended) return finish();
          terminal.enter();
          over(
            problem.trim() === ''
              ? undefined
              : problem
                  .trim()
                  .split('\n')[0]
                  .replace(/^vtdeck: /, ''),
          );
          draw();
        };
        child.on('error', (thrown) => {
          problem = thrown.message;
          back();
        });
        child.on('close', back);
        return true;
      },
      saveScreen: () => {
        saved += 1;
        const base = join(resolve(options.saveFolder ?? '.'), `vtdeck-screen-${saved}`);
        const { width: columns, rows } = screen;
        writeFileSync(`${base}.txt`, `${screen.lines.map((line) => plainText(line).trimEnd()).join('\n')}\n`);
        const ground = console.themes.light ? LIGHT_GROUND : {};
        writeFileSync(`${base}.svg`, frameToSvg(screen.lines, { columns, rows, title: 'vtdeck', ...ground }));
        return [`${base}.txt`, `${base}.svg`];
      },
      setMouse: (on) => terminal.setMouse(on),
      quit: () => end(),
    },
  });

  // Ink never reads: keys are parsed by the terminal module. It draws onto the screen that writes only differences.
  const nobody = Object.assign(new PassThrough(), {
    isTTY: false,
    setRawMode: () => {},
    ref: () => {},
    unref: () => {},
  });
  const view = () => {
    if (reader) return <ReaderView reading={readingOf(console)} />;
    const frame = frameOf(console, screen.width, screen.rows);
    screen.reach(frame.table === undefined ? 1 : frame.table.left + frame.table.width);
    return (
      <SlotsContext.Provider value={screen.slots}>
        <FrameView frame={frame} />
      </SlotsContext.Provider>
    );
  };
  terminal.onInput = (events) => console.handle(events);
  const unwatch = options.signals === true ? watchSignals(terminal, () => end()) : () => {};
  terminal.enter();
  if (preferences.tourDone !== true && options.prefer !== undefined) openTour(console);
  const instance = render(view(), {
    stdout: (reader ? options.output : screen) as unknown as NodeJS.WriteStream,
    stdin: nobody as unknown as NodeJS.ReadStream,
    debug: !reader,
    isScreenReaderEnabled: reader,
    exitOnCtrlC: false,
    patchConsole: false,
  });
  // Ink shows a component that throws its own way and goes on; here it is a crash like any other.
  instance.waitUntilExit().catch((thrown: unknown) => {
    setImmediate(() => {
      throw thrown;
    });
  });
  started = true;
  lastFrame = clock.now();

  function draw(): void {
    if (ended) return;
    lastFrame = clock.now();
    instance.rerender(view());
  }

  function end(): void {
    if (ended) return;
    ended = true;
    terminal.leave();
    // A demo gives the terminal back itself; what comes after waits for it.
    if (demo === undefined) finish();
    else demo.kill('SIGTERM');
  }

  screen.on('resize', () => draw());
  void loadInkTable().then(() => {
    if (console.overlays.length > 0) changed();
  });
  options.onReady?.({
    get lines() {
      return screen.lines;
    },
    send: (events) => console.handle(events),
    quit: () => end(),
  });
  await finished;
  unwatch();
  console.close();
  instance.unmount();
}
