/** `vtdeck doctor`: what the program needs of its surroundings, each with the remedy where it lacks. */
import { accessSync, constants, existsSync, readFileSync, statfsSync } from 'node:fs';
import { join } from 'node:path';
import type { CommandModule } from 'yargs';
import { ExitCode, formatPlace, toApplicationError } from '../errors.ts';
import { printJson, printText } from '../output.ts';
import { parseJson } from '../session/document.ts';
import { folderBelowHome, homeFolder } from '../session/paths.ts';
import { readSession, sessionNames } from '../session/store.ts';
import { programVersion } from '../version.ts';

interface Finding {
  readonly what: string;
  readonly ok: boolean;
  readonly detail: string;
  readonly remedy?: string;
}

const command: CommandModule<object, { json?: boolean }> = {
  command: 'doctor',
  describe: 'check the environment',
  handler: ({ json }) => {
    const findings = [node(), terminal(), size(), colour(), home(), space(), preferences(), ...sessions()];
    if (json) printJson({ ok: findings.every((finding) => finding.ok), version: programVersion(), findings });
    else {
      for (const { ok, what, detail, remedy } of findings) {
        printText(
          `${ok ? 'ok     ' : 'problem'} ${what}: ${detail}${ok || remedy === undefined ? '' : `\n        ${remedy}`}`,
        );
      }
    }
    if (findings.some((finding) => !finding.ok)) process.exitCode = ExitCode.failed;
  },
};

export default command;

function node(): Finding {
  const [major, minor] = process.versions.node.split('.').map(Number);
  const ok = major > 20 || (major === 20 && minor >= 19);
  return { what: 'Node', ok, detail: process.versions.node, remedy: 'vtdeck needs Node 20.19 or newer' };
}

function terminal(): Finding {
  const ok = process.stdin.isTTY === true && process.stdout.isTTY === true;
  const detail = ok
    ? `TERM=${process.env.TERM ?? ''}`
    : 'none here: the console plays its tour and ends, commands work';
  return { what: 'terminal', ok: true, detail };
}

function size(): Finding {
  const { columns, rows } = process.stdout;
  if (columns === undefined || rows === undefined)
    return { what: 'size', ok: true, detail: 'not known without a terminal' };
  const remedy = 'the console is made for 80x24 and more';
  return { what: 'size', ok: columns >= 80 && rows >= 24, detail: `${columns}x${rows}`, remedy };
}

function colour(): Finding {
  const off = process.env.NO_COLOR !== undefined && process.env.NO_COLOR !== '';
  const detail = off
    ? 'off (NO_COLOR); states are told by words and signs'
    : `COLORTERM=${process.env.COLORTERM ?? ''}`;
  return { what: 'colour', ok: true, detail };
}

function home(): Finding {
  const folder = homeFolder();
  try {
    folderBelowHome('sessions');
    accessSync(folder, constants.W_OK);
    return { what: 'home', ok: true, detail: folder };
  } catch (thrown) {
    const remedy = 'set VTDECK_HOME to a folder that can be written; until then sessions open read-only';
    return { what: 'home', ok: false, detail: `${folder}: ${toApplicationError(thrown).message}`, remedy };
  }
}

function space(): Finding {
  try {
    const { bavail, bsize } = statfsSync(homeFolder());
    const free = bavail * bsize;
    return {
      what: 'space',
      ok: free > 1 << 24,
      detail: `${Math.floor(free / 2 ** 20)} MB free`,
      remedy: 'make room: acts need it',
    };
  } catch (thrown) {
    return { what: 'space', ok: true, detail: `not known (${(thrown as Error).message})` };
  }
}

function preferences(): Finding {
  const path = join(homeFolder(), 'preferences.json');
  if (!existsSync(path)) return { what: 'preferences', ok: true, detail: 'none yet' };
  try {
    parseJson(readFileSync(path, 'utf8'), path);
    return { what: 'preferences', ok: true, detail: path };
  } catch (thrown) {
    const error = toApplicationError(thrown);
    return {
      what: 'preferences',
      ok: false,
      detail: `${formatPlace(error.place)}${error.message}`,
      remedy: 'mend it or move it away',
    };
  }
}

function sessions(): Finding[] {
  let names: string[];
  try {
    names = sessionNames();
  } catch {
    return []; // said under "home"
  }
  const damaged = names.flatMap((name): Finding[] => {
    try {
      readSession(name);
      return [];
    } catch (thrown) {
      const error = toApplicationError(thrown);
      const detail = `${formatPlace(error.place)}${error.message}`;
      return [{ what: `session ${name}`, ok: false, detail, remedy: error.remedy }];
    }
  });
  return damaged.length > 0 ? damaged : [{ what: 'sessions', ok: true, detail: `${names.length} read` }];
}
