import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, extname, isAbsolute, join, normalize } from 'node:path';
import type { CommandModule } from 'yargs';
import { toCast2, toCast3 } from '../../demo/cast.ts';
import { readTape } from '../../demo/parse.ts';
import { frameText, toAnimation, toStill, toText } from '../../demo/pictures.ts';
import { type Played, Player, summaryOf } from '../../demo/player.ts';
import { ApplicationError, ExitCode, errorToJson, usageError } from '../../errors.ts';
import { printJson, printText } from '../../output.ts';
import { writeWholeFile } from '../../output-file.ts';
import { bundledDemoNames, bundledDemoPath } from '../../session/bundled.ts';
import { decodeWholeSession, encodeWholeSession } from '../../session/document.ts';
import { makeFolder } from '../../session/paths.ts';
import { createSession, readSession } from '../../session/store.ts';
import { mountWith } from '../open.ts';

interface PlayArguments {
  file: string;
  session?: string;
  txt?: string;
  svg?: string;
  animation?: string;
  cast?: string;
  cast3?: string;
  out?: string;
  speed: string;
  watch?: boolean;
  quiet?: boolean;
  hold?: boolean;
  json?: boolean;
}

export const play: CommandModule<object, PlayArguments> = {
  command: 'play <file>',
  describe: 'play a demo: at human speed in a terminal, at once where nobody watches',
  builder: (yargs) =>
    yargs
      .positional('file', {
        type: 'string',
        demandOption: true,
        describe: 'a tape, or the name of a bundled demo',
      })
      .option('session', { type: 'string', describe: 'play on a copy of this session', requiresArg: true })
      .option('txt', {
        type: 'string',
        describe: 'write screenshots, chapters and the last screen as text',
        requiresArg: true,
      })
      .option('svg', { type: 'string', describe: 'write the last screen as a picture', requiresArg: true })
      .option('animation', {
        type: 'string',
        describe: 'write the whole demo as a moving picture (SVG)',
        requiresArg: true,
      })
      .option('cast', { type: 'string', describe: 'write an asciicast, version 2', requiresArg: true })
      .option('cast3', { type: 'string', describe: 'write an asciicast, version 3', requiresArg: true })
      .option('out', {
        type: 'string',
        describe: 'folder for what the tape itself asks for (Output, Screenshot)',
        requiresArg: true,
      })
      .option('speed', { type: 'string', default: '1', describe: 'how fast, when somebody watches' })
      .option('watch', {
        type: 'boolean',
        describe: 'play before your eyes (in a terminal: unless --no-watch)',
      })
      .option('hold', {
        type: 'boolean',
        describe: 'keep the last screen until a key is pressed, and print nothing then',
      })
      .option('quiet', { type: 'boolean', describe: 'do not print the last screen' }) as never,
  handler: async (argv) => {
    const path = pathOf(argv.file);
    const speed = Number(argv.speed);
    if (!(speed > 0 && speed <= 100))
      throw usageError(`--speed: "${argv.speed}" is no speed`, 'a number above 0, up to 100');
    const terminal = process.stdin.isTTY === true && process.stdout.isTTY === true;
    const writing = [argv.txt, argv.svg, argv.animation, argv.cast, argv.cast3, argv.out].some(
      (name) => name !== undefined,
    );
    const watched = argv.watch ?? (terminal && !writing && !argv.json);
    if (watched && !terminal) throw usageError('there is no terminal to watch in', 'leave --watch out');
    const hold = watched && argv.hold === true;
    const played = await playToEnd(path, {
      session: argv.session,
      watchAt: watched ? speed : undefined,
      hold,
    });
    writeOutputs(played, argv);
    if (hold && played.failure === undefined) return;
    reportPlayed(played, { name: basename(path), json: argv.json === true, screen: !argv.quiet && !watched });
  },
};

function pathOf(file: string): string {
  if (existsSync(file)) return file;
  const bundled = bundledDemoPath(file.replace(/\.tape$/, ''));
  if (bundled !== undefined) return bundled;
  throw new ApplicationError('ENOENT', 'there is no such tape', {
    rule: 'demo by name',
    place: { file },
    remedy: `bundled demos: ${bundledDemoNames().join(', ')}`,
    exitCode: ExitCode.usage,
  });
}

/** The day on which all demos happen: the same tape gives the same bytes. */
const DEMO_EPOCH = Date.UTC(2026, 0, 1, 9, 0, 0);

/** Plays a tape in a home of its own, so that no session of the operator is touched. */
export async function playToEnd(
  path: string,
  options: { session?: string; watchAt?: number; hold?: boolean },
): Promise<Played> {
  const tape = readTape(path);
  const copied = options.session === undefined ? undefined : exportOf(options.session);
  const home = mkdtempSync(join(tmpdir(), 'vtdeck-demo-'));
  const before = process.env.VTDECK_HOME;
  process.env.VTDECK_HOME = home;
  const viewer =
    options.watchAt === undefined
      ? undefined
      : new (await import('../../demo/viewer.ts')).Viewer({
          speed: options.watchAt,
          name: basename(path, '.tape'),
          hold: options.hold,
        });
  try {
    let words: string[] | undefined;
    if (copied !== undefined && options.session !== undefined) {
      const { document, records } = decodeWholeSession(copied, options.session);
      const { origin, title, tags, notes } = document;
      createSession('copy', { origin, title, tags, notes, records }, new Date(DEMO_EPOCH));
      words = ['open', 'copy'];
    }
    const mount = mountWith(() => DEMO_EPOCH, madeUuids());
    viewer?.start();
    const { columns = 80, rows = 24 } = process.stdout;
    const largest = viewer === undefined ? undefined : { columns, rows };
    return await new Player(tape, { mount, words, pacer: viewer, largest }).play();
  } finally {
    viewer?.stop();
    if (before === undefined) delete process.env.VTDECK_HOME;
    else process.env.VTDECK_HOME = before;
    rmSync(home, { recursive: true, force: true });
  }
}

function exportOf(session: string): string {
  const { document, records } = readSession(session);
  return encodeWholeSession({ document, records: [...records] });
}

/** UUIDs that look made by chance and are the same in each play. */
function madeUuids(): () => string {
  let state = 0x2545f491;
  const digits = (count: number): string => {
    let text = '';
    while (text.length < count) {
      state ^= state << 13;
      state ^= state >>> 17;
      state ^= state << 5;
      text += (state >>> 28).toString(16);
    }
    return text;
  };
  return () => `${digits(8)}-${digits(4)}-4${digits(3)}-a${digits(3)}-${digits(12)}`;
}

function writeOutputs(played: Played, argv: PlayArguments): void {
  const { recording } = played;
  const last = recording.frames[recording.frames.length - 1];
  const files: [string | undefined, () => string][] = [
    [argv.txt, () => toText(recording)],
    [argv.svg, () => toStill(last, recording.title)],
    [argv.animation, () => toAnimation(recording)],
    [argv.cast, () => toCast2(recording)],
    [argv.cast3, () => toCast3(recording)],
  ];
  for (const [path, make] of files) if (path !== undefined) writeWholeFile(path, make());
  if (argv.out === undefined) return;
  makeFolder(argv.out);
  for (const { path, frame } of played.screenshots) {
    const at = recording.frames[frame] ?? last;
    const svg = extname(path) !== '.txt';
    const own = extname(path) === '.txt' || extname(path) === '.svg' ? path : `${path}.svg`;
    writeInside(argv.out, own, svg ? toStill(at, recording.title) : frameText(at));
  }
  for (const path of played.outputs) {
    const make = { '.txt': toText, '.ascii': toText, '.svg': toAnimation, '.cast': toCast2 }[extname(path)];
    if (make !== undefined) writeInside(argv.out, path, make(recording));
    else writeInside(argv.out, `${path}.svg`, toAnimation(recording));
  }
}

/** Writes a file that a tape named: below the folder, to a name that is not there as a link, and nowhere else. */
function writeInside(folder: string, name: string, content: string): void {
  const plain = normalize(name);
  if (isAbsolute(plain) || plain.startsWith('..') || plain.includes('\0') || plain.length > 200) {
    throw usageError(
      `the tape wants to write to "${name.slice(0, 200)}", which is outside the folder of its output`,
    );
  }
  const flat = plain.replaceAll('/', '-').replace(/[^A-Za-z0-9._-]/g, '_');
  const path = join(folder, flat);
  rmSync(path, { force: true });
  writeWholeFile(path, content);
}

/** Prints the last screen and the summary; a failed expectation becomes the error of the program. */
export function reportPlayed(
  played: Played,
  options: { name: string; json: boolean; screen: boolean },
): void {
  const { failure, screen, notices } = played;
  if (options.json) {
    const { keys, expectations, milliseconds } = played;
    const ok = failure === undefined;
    printJson({
      ok,
      demo: options.name,
      keys,
      expectations,
      milliseconds,
      notices,
      screen,
      ...(failure === undefined ? {} : errorToJson(failure)),
    });
    process.exitCode = failure?.exitCode ?? ExitCode.done;
    return;
  }
  if (failure !== undefined) throw failure;
  if (options.screen) printText(screen.join('\n').trimEnd());
  for (const notice of notices) printText(`note: ${notice}`);
  printText(`demo ${options.name}: ${summaryOf(played)}`);
}
