/** Reading and writing the memory behind an area from software (iopt_pages_rw_access). */
import type { Frame } from '../../memory/types.ts';
import { KernelError } from '../errno.ts';
import type { Process } from '../process/process.ts';
import type { SharedPages } from './pages.ts';

const PAGE = 4096;
/** First address that is no user space. */
const USER_END = 2 ** 47;

/**
 * The process's addresses serve when the caller is the process that mapped the memory; and, for bytes of one page, as long
 * as that process lives. Else the pages are looked up.
 */
function throughAddresses(
  pages: SharedPages,
  startByte: bigint,
  length: number,
  process: Process | undefined,
): boolean {
  if (pages.source.kind !== 'user') return false;
  if (process !== undefined && process.memory === pages.memory) return true;
  const onePage = startByte >> 12n === (startByte + BigInt(length) - 1n) >> 12n;
  return onePage && pages.memory.alive;
}

function userAddress(pages: SharedPages, startByte: bigint, length: number): number {
  const address = pages.source.firstPage * PAGE + Number(startByte);
  if (address + length > USER_END)
    throw new KernelError('EFAULT', 'user memory', `0x${address.toString(16)} is no user address`);
  return address;
}

/** Calls `act` with each page touched, pinned for the time, and the part of it that is meant. */
function eachPage(
  pages: SharedPages,
  startByte: bigint,
  length: number,
  act: (frame: Frame, offset: number, done: number, bytes: number) => void,
): void {
  const first = Number(startByte >> 12n);
  const last = Number((startByte + BigInt(length) - 1n) >> 12n);
  pages.hold(first, last - first + 1);
  try {
    let offset = Number(startByte & 0xfffn);
    let done = 0;
    for (let index = first; index <= last; index += 1) {
      const bytes = Math.min(PAGE - offset, length - done);
      act(pages.frame(index), offset, done, bytes);
      done += bytes;
      offset = 0;
    }
  } finally {
    pages.drop(first, last - first + 1);
  }
}

/** @throws KernelError EFAULT, EINVAL for a file without such pages. */
export function readPages(
  pages: SharedPages,
  startByte: bigint,
  length: number,
  process: Process | undefined,
): Uint8Array {
  if (throughAddresses(pages, startByte, length, process))
    return pages.memory.read(userAddress(pages, startByte, length), length);
  const result = new Uint8Array(length);
  eachPage(pages, startByte, length, (frame, offset, done, bytes) => {
    const part = pages.memory.pages.memory.read(frame * PAGE + offset, bytes);
    if (part !== undefined) result.set(part, done);
  });
  return result;
}

/** @throws KernelError EFAULT, EINVAL for a file without such pages. */
export function writePages(
  pages: SharedPages,
  startByte: bigint,
  data: Uint8Array,
  process: Process | undefined,
): void {
  if (throughAddresses(pages, startByte, data.length, process)) {
    pages.memory.write(userAddress(pages, startByte, data.length), data);
    return;
  }
  eachPage(pages, startByte, data.length, (frame, offset, done, bytes) => {
    pages.memory.pages.memory.write(frame * PAGE + offset, data.subarray(done, done + bytes));
  });
}
