/**
 * What a request asks for, and what a cached translation grants: the same bits, so that a cached translation answers
 * a request when `(grants & access) === access`.
 */
export const Access = {
  read: 1,
  write: 2,
  execute: 4,
  privilegedRead: 8,
  privilegedWrite: 16,
  privilegedExecute: 32,
} as const;

/** Any kind of write. */
export const ANY_WRITE = Access.write | Access.privilegedWrite;
/** Any kind of execute. */
export const ANY_EXECUTE = Access.execute | Access.privilegedExecute;
/** Any kind of privileged request. */
export const ANY_PRIVILEGED = Access.privilegedRead | Access.privilegedWrite | Access.privilegedExecute;

/** The same request with privilege. */
export function privileged(access: number): number {
  return (access & 7) << 3;
}

/** Rights of a second-level entry, as in its two low bits: what an access needs of them. */
export const RIGHT_READ = 1;
export const RIGHT_WRITE = 2;

/** The second-level rights that an access needs. Execute needs read: bit X of older revisions is ignored. */
export function rightsFor(access: number): number {
  return (
    ((access & (ANY_WRITE ^ 63)) !== 0 ? RIGHT_READ : 0) | ((access & ANY_WRITE) !== 0 ? RIGHT_WRITE : 0)
  );
}

/** What second-level rights grant: user and privileged requests alike. */
export const GRANTS_OF_RIGHTS = Uint8Array.of(
  0,
  Access.read | Access.execute | Access.privilegedRead | Access.privilegedExecute,
  Access.write | Access.privilegedWrite,
  63,
);
