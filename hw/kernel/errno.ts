/** Error numbers of Linux on x86-64, by name (asm-generic/errno-base.h, errno.h). */
export const Errno = {
  EPERM: 1,
  ENOENT: 2,
  EINTR: 4,
  EIO: 5,
  ENXIO: 6,
  E2BIG: 7,
  EBADF: 9,
  EAGAIN: 11,
  ENOMEM: 12,
  EACCES: 13,
  EFAULT: 14,
  EBUSY: 16,
  EEXIST: 17,
  EXDEV: 18,
  ENODEV: 19,
  ENOTDIR: 20,
  EISDIR: 21,
  EINVAL: 22,
  EMFILE: 24,
  ENOTTY: 25,
  ENOSPC: 28,
  ESPIPE: 29,
  ERANGE: 34,
  EDEADLK: 35,
  ENOSYS: 38,
  ELOOP: 40,
  EOVERFLOW: 75,
  EBADFD: 77,
  EUSERS: 87,
  EMSGSIZE: 90,
  EOPNOTSUPP: 95,
  EADDRINUSE: 98,
  ETIMEDOUT: 110,
  EPROBE_DEFER: 517,
} as const;

export type ErrnoName = keyof typeof Errno;

/**
 * What a kernel call that failed throws. `rule` is a short stable name of the rule that refused ("group not viable"),
 * `detail` one sentence that says what stood in the way, with names and numbers; `remedy` what the operator can do.
 */
export class KernelError extends Error {
  readonly code: ErrnoName;
  readonly rule: string;
  readonly remedy: string | undefined;

  constructor(code: ErrnoName, rule: string, detail: string, remedy?: string) {
    super(detail);
    this.name = 'KernelError';
    this.code = code;
    this.rule = rule;
    this.remedy = remedy;
  }

  /** The number, positive as in errno.h. */
  get errno(): number {
    return Errno[this.code];
  }
}
