import { KernelError } from '../../../hw/kernel/errno.ts';

/** The errno name a call throws, or 'ok'. Anything but a KernelError is passed on. */
export function codeOf(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    if (error instanceof KernelError) return error.code;
    throw error;
  }
  return 'ok';
}
