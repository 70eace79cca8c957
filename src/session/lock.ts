/**
 * One writer a session. The lock is a file that appears whole or not at all (linked into place), and says which process
 * has it; a lock whose owner is dead is taken over, by one taker only.
 */
import {
  linkSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { hostname, uptime } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { z } from 'zod';
import { ApplicationError } from '../errors.ts';

/** Behind the lock's name: a lock that a process, whose number follows, has moved away. */
const ASIDE = '.dead.';

const ownerSchema = z.object({
  pid: z.int().positive(),
  /** Clock ticks since boot at which the process began, as /proc has it: tells a reused pid apart. Empty: not known. */
  started: z.string().max(32),
  /** Changes with each boot. Empty: not known. */
  boot: z.string().max(64),
  host: z.string().max(255),
  /** "console", "do mdev.create". */
  what: z.string().max(64),
  since: z.string().max(40),
});

export type LockOwner = z.infer<typeof ownerSchema>;

/** What holds a lock: its owner, or (unreadable file) nobody that can be named. */
export interface Held {
  readonly owner: LockOwner | undefined;
}

export interface Lock {
  /** Gives the lock back if it is still ours. */
  release(): void;
  /** A dead owner's lock was found and taken over. */
  readonly tookOverFrom: LockOwner | undefined;
}

/** `rmSync` loads all that removes folders, and every start takes a lock. */
function removeQuickly(path: string): void {
  try {
    unlinkSync(path);
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== 'ENOENT') throw thrown;
  }
}

/** Takes the lock, or says who has it. */
export function takeLock(path: string, what: string, now: Date): Lock | Held {
  const mine = `${path}.${process.pid}`;
  const content = JSON.stringify(describeSelf(what, now));
  let tookOverFrom: LockOwner | undefined;
  for (let attempt = 0; attempt < 8; attempt++) {
    let linked = false;
    try {
      writeFileSync(mine, content, { mode: 0o600 });
      linkSync(mine, path);
      linked = true;
    } catch (thrown) {
      if ((thrown as NodeJS.ErrnoException).code !== 'EEXIST') throw lockError(path, thrown);
    } finally {
      removeQuickly(mine);
    }
    const found = linked ? movedAside(path, content) : readLock(path);
    if (linked && found === undefined) return { tookOverFrom, release: () => releaseLock(path, content) };
    if (linked) releaseLock(path, content); // the lock of a living owner was moved away meanwhile: it has it still
    if (found === undefined) continue; // given back between link and read
    if (isHeld(found)) return { owner: found.owner };
    if (discard(path, found.text)) tookOverFrom = found.owner;
  }
  return { owner: readLock(path)?.owner };
}

/** Who has the lock now, if a living process has. */
export function lockHolder(path: string): Held | undefined {
  const found = readLock(path);
  if (found === undefined) return undefined;
  return isHeld(found) ? { owner: found.owner } : undefined;
}

/** Reads as a sentence: `process 4711 (console) on alpha, since 09:12:30`. */
export function describeOwner(owner: LockOwner | undefined): string {
  if (owner === undefined) {
    return 'a process that did not say who it is (its lock file can not be read; remove it if no vtdeck runs)';
  }
  return `process ${owner.pid} (${owner.what}) on ${owner.host}, since ${owner.since.replace('T', ' ').slice(0, 19)}`;
}

function describeSelf(what: string, now: Date): LockOwner {
  return {
    pid: process.pid,
    started: startOf(process.pid),
    boot: bootId(),
    host: hostname(),
    what: what.slice(0, 64),
    since: now.toISOString(),
  };
}

interface FoundLock {
  readonly owner: LockOwner | undefined;
  readonly text: string;
  /** When it was written, milliseconds since 1970. */
  readonly written: number;
}

/** A lock that can't be read is held, unless it is from before this boot: what a loss of power leaves can be empty. */
function isHeld({ owner, written }: FoundLock): boolean {
  return owner === undefined ? written >= Date.now() - uptime() * 1000 : isAlive(owner);
}

function readLock(path: string): FoundLock | undefined {
  let text: string;
  let written: number;
  try {
    text = readFileSync(path, 'utf8');
    written = statSync(path).mtimeMs;
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw thrown;
  }
  try {
    return { owner: ownerSchema.parse(JSON.parse(text)), text, written };
  } catch {
    return { owner: undefined, text, written };
  }
}

let moves = 0;

/**
 * Moves a dead owner's lock away. Of several takers one rename succeeds. Should it have moved the lock that another
 * taker had placed meanwhile, that one is put back; where a third has placed its own by then, the file stays aside, and
 * the third, which looks for such files once it has linked its own, gives way.
 */
function discard(path: string, expected: string): boolean {
  // A name of its own each time: what is still there from before may be somebody's lock.
  moves += 1;
  const aside = `${path}${ASIDE}${process.pid}.${moves}`;
  try {
    renameSync(path, aside);
  } catch {
    return false;
  }
  const moved = readLock(aside);
  if (moved !== undefined && moved.text !== expected) {
    try {
      linkSync(aside, path);
    } catch {
      return false; // it counts where it is, until its owner gives it back
    }
  }
  removeQuickly(aside);
  return moved?.text === expected;
}

/** A lock of a living owner, other than the one with this content, that was moved aside. Dead ones are removed. */
function movedAside(path: string, content: string): FoundLock | undefined {
  for (const aside of asides(path)) {
    const found = readLock(aside);
    if (found === undefined || found.text === content) continue;
    if (isHeld(found)) return found;
    removeQuickly(aside);
  }
  return undefined;
}

/** The files that the lock was moved to. None where its folder is gone: a session can be renamed or removed while open. */
function asides(path: string): string[] {
  const start = `${basename(path)}${ASIDE}`;
  try {
    return readdirSync(dirname(path))
      .filter((name) => name.startsWith(start))
      .map((name) => join(dirname(path), name));
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== 'ENOENT') throw thrown;
    return [];
  }
}

/** Wherever it is by now: somebody may just be moving it aside, or back. Gone is what two looks did not find. */
function releaseLock(path: string, content: string): void {
  for (let clean = 0; clean < 2; ) {
    const places = [path, ...asides(path)].filter((place) => readLock(place)?.text === content);
    for (const place of places) removeQuickly(place);
    clean = places.length === 0 ? clean + 1 : 0;
  }
}

/** No process has this number now; one of somebody else's counts as there. */
export function isGone(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return false;
  } catch (thrown) {
    return (thrown as NodeJS.ErrnoException).code === 'ESRCH';
  }
}

function isAlive(owner: LockOwner): boolean {
  if (owner.host !== hostname()) return true; // can't be seen from here
  const boot = bootId();
  if (owner.boot !== '' && boot !== '' && owner.boot !== boot) return false;
  if (isGone(owner.pid)) return false;
  const started = startOf(owner.pid);
  return owner.started === '' || started === '' || started === owner.started;
}

/** Field 22 of /proc/PID/stat; the command before it may hold spaces and parentheses. A zombie counts as dead. */
function startOf(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' || fields[0] === 'X' ? 'dead' : (fields[19] ?? '');
  } catch {
    return '';
  }
}

function bootId(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  } catch {
    return '';
  }
}

function lockError(path: string, thrown: unknown): ApplicationError {
  const code = (thrown as NodeJS.ErrnoException).code ?? 'EIO';
  return new ApplicationError(code, `the session can't be locked: ${(thrown as Error).message}`, {
    rule: 'one writer a session',
    place: { file: path },
    remedy: 'open it with --read-only, or set VTDECK_HOME to a folder that can be written',
    cause: thrown,
  });
}
