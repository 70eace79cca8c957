/**
 * One writer a session. The lock is a file that appears whole or not at all (linked into place), and says which process
 * has it; a lock whose owner is dead is taken over, by one taker only.
 */
import { linkSync, readFileSync, renameSync, rmSync, statSync, unlinkSync, writeFileSync } from 'node:fs';
import { hostname, uptime } from 'node:os';
import { z } from 'zod';
import { ApplicationError } from '../errors.ts';

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
    try {
      writeFileSync(mine, content, { mode: 0o600 });
      linkSync(mine, path);
      return { tookOverFrom, release: () => releaseLock(path, content) };
    } catch (thrown) {
      if ((thrown as NodeJS.ErrnoException).code !== 'EEXIST') throw lockError(path, thrown);
    } finally {
      removeQuickly(mine);
    }
    const found = readLock(path);
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

/**
 * Moves a dead owner's lock away. Of several takers one rename succeeds; should it have moved a lock that another taker
 * had placed meanwhile, that one is put back.
 */
function discard(path: string, expected: string): boolean {
  const aside = `${path}.dead.${process.pid}`;
  try {
    renameSync(path, aside);
  } catch {
    return false;
  }
  const moved = readFileSync(aside, 'utf8');
  if (moved !== expected) {
    try {
      linkSync(aside, path);
    } catch {
      // Its owner notices at release that the lock is no longer its own.
    }
  }
  unlinkSync(aside);
  return moved === expected;
}

function releaseLock(path: string, content: string): void {
  if (readLock(path)?.text === content) rmSync(path, { force: true });
}

function isAlive(owner: LockOwner): boolean {
  if (owner.host !== hostname()) return true; // can't be seen from here
  const boot = bootId();
  if (owner.boot !== '' && boot !== '' && owner.boot !== boot) return false;
  try {
    process.kill(owner.pid, 0);
  } catch (thrown) {
    return (thrown as NodeJS.ErrnoException).code === 'EPERM';
  }
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
