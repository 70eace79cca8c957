/**
 * How the driver puts entries into memory: word by word through the CPU, and each write is told, so that a call can
 * be shown with the bytes it changed.
 */
import type { Frame } from '../../memory/types.ts';
import type { HardwarePort } from '../../port.ts';
import type { Trace } from '../../trace.ts';
import type { PageAllocator } from '../page-allocator.ts';

export class TableWriter {
  private readonly port: HardwarePort;
  private readonly trace: Trace;
  readonly allocator: PageAllocator;

  constructor(port: HardwarePort, allocator: PageAllocator, trace: Trace) {
    this.port = port;
    this.allocator = allocator;
    this.trace = trace;
  }

  /** A zeroed run of frames whose first is aligned to the size of the run. @throws KernelError ENOMEM. */
  allocate(pages = 1): Frame {
    const frame = this.allocator.allocateRun(pages, pages);
    this.port.memory.zero(frame * 4096, pages * 4096);
    return frame;
  }

  free(frame: Frame, pages = 1): void {
    this.allocator.release(frame, pages);
  }

  /** `count` words from a byte address. */
  read(address: number, count: number): Uint32Array {
    const words = new Uint32Array(count);
    for (let index = 0; index < count; index += 1)
      words[index] = this.port.memory.read32(address + index * 4);
    return words;
  }

  /**
   * Writes an entry. The first word goes last: an entry must not become present before the rest of it is there.
   * @param what "context entry 6a:01.0", for the log.
   */
  write(address: number, words: Uint32Array, what: string): void {
    for (let index = words.length - 1; index >= 0; index -= 1) {
      this.port.memory.write32(address + index * 4, words[index]);
    }
    if (this.trace.active) {
      const hex = Array.from(
        { length: words.length / 2 },
        (_, quad) =>
          `0x${words[quad * 2 + 1].toString(16).padStart(8, '0')}${words[quad * 2].toString(16).padStart(8, '0')}`,
      );
      this.trace.emit({
        part: 'kernel/intel',
        kind: 'table-write',
        text: `${what} at 0x${address.toString(16)} = ${hex.join(' ')}`,
        data: { what, address, words: hex.join(' ') },
      });
    }
  }
}
