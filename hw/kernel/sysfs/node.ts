/**
 * A tree of files as sysfs shows it: nothing is stored, every look computes what is there now from the kernel's
 * objects, and every write is the call that the file stands for.
 */
import type { Completion } from '../completion.ts';
import { KernelError } from '../errno.ts';

/** A file. Text as read from it, with its newline; a write returns a completion when it may wait for somebody. */
export interface SysfsFile {
  readonly kind: 'file';
  /** Absent: write-only. @throws KernelError */
  read?(): string;
  /** Absent: read-only. @throws KernelError */
  write?(text: string): Completion | undefined;
  /** Who would have to let go before a write of this text returns; undefined: nobody. */
  blockedBy?(text: string): string | undefined;
}

/** A symbolic link; the target is absolute. */
export interface SysfsLink {
  readonly kind: 'link';
  readonly target: string;
}

export interface SysfsDirectory {
  readonly kind: 'directory';
  entries(): Record<string, SysfsNode>;
}

export type SysfsNode = SysfsFile | SysfsLink | SysfsDirectory;

export const directory = (entries: () => Record<string, SysfsNode>): SysfsDirectory => ({
  kind: 'directory',
  entries,
});
export const link = (target: string): SysfsLink => ({ kind: 'link', target });

/** A file that can only be read; the newline is added. */
export const readOnly = (text: () => string): SysfsFile => ({ kind: 'file', read: () => `${text()}\n` });

/** Nodes by name, without those that are undefined. */
export function present(nodes: Record<string, SysfsNode | undefined>): Record<string, SysfsNode> {
  const there: Record<string, SysfsNode> = {};
  for (const [name, node] of Object.entries(nodes)) if (node !== undefined) there[name] = node;
  return there;
}

/** Links a path may pass before it is taken for a loop. */
const MOST_LINKS = 40;

export function noEntry(path: string): KernelError {
  return new KernelError(
    'ENOENT',
    'no such file',
    `${path} does not exist`,
    'vtdeck sysfs list shows what is there',
  );
}

/** A node with the path that leads to it without links. */
export interface ResolvedNode {
  readonly node: SysfsNode;
  readonly path: string;
}

/**
 * The node at a path, links on the way followed (the last one too unless told).
 * @throws KernelError ENOENT, ENOTDIR, ELOOP.
 */
export function resolve(root: SysfsDirectory, path: string, followLast = true): ResolvedNode {
  let names = path.split('/').filter((name) => name !== '' && name !== '.');
  let followed = 0;
  for (;;) {
    let node: SysfsNode = root;
    const walked: string[] = [];
    let redirected = false;
    for (const [index, name] of names.entries()) {
      if (node.kind !== 'directory')
        throw new KernelError('ENOTDIR', 'not a directory', `/${walked.join('/')} is no directory`);
      if (name === '..') {
        names = [...walked.slice(0, -1), ...names.slice(index + 1)];
        redirected = true;
        break;
      }
      const entries: Record<string, SysfsNode> = node.entries();
      const next: SysfsNode | undefined = Object.hasOwn(entries, name) ? entries[name] : undefined;
      if (next === undefined) throw noEntry(`/${[...walked, name].join('/')}`);
      if (next.kind === 'link' && (followLast || index < names.length - 1)) {
        followed += 1;
        if (followed > MOST_LINKS)
          throw new KernelError('ELOOP', 'too many links', `${path} leads in circles`);
        names = [...next.target.split('/').filter((part) => part !== ''), ...names.slice(index + 1)];
        redirected = true;
        break;
      }
      walked.push(name);
      node = next;
    }
    if (!redirected) return { node, path: `/${walked.join('/')}` };
  }
}

/** A link's target as `readlink` prints it: relative to the directory the link is in. */
export function relativeTarget(linkPath: string, target: string): string {
  const from = linkPath
    .split('/')
    .filter((name) => name !== '')
    .slice(0, -1);
  const to = target.split('/').filter((name) => name !== '');
  let common = 0;
  while (common < from.length && common < to.length && from[common] === to[common]) common += 1;
  return [...from.slice(common).map(() => '..'), ...to.slice(common)].join('/');
}
