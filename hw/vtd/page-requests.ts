/** Page requests: what a device asks for that isn't mapped yet, put into a queue in memory. VT-d 7.4, 11.4.11. */

import type { PhysicalMemory } from '../memory/physical-memory.ts';
import { EventInterrupt, type MessageSender } from './event-interrupt.ts';
import { PageRequestDescriptor } from './layouts.ts';
import type { RegisterFile } from './register-file.ts';

export interface PageRequest {
  readonly requesterId: number;
  /** -1: none. */
  readonly pasid: number;
  /** Address bits 63:12; the rest is not looked at. */
  readonly address: bigint;
  readonly read: boolean;
  readonly write: boolean;
  readonly last: boolean;
  /** Page-request group index, 9 bits. */
  readonly group: number;
  readonly privileged: boolean;
  readonly execute: boolean;
}

const PENDING = 1;
const OVERFLOW = 2;
const DESCRIPTOR_BYTES = 32;
const TYPE_PAGE_REQUEST = 1;

export class PageRequestQueue {
  private readonly file: RegisterFile;
  private readonly memory: PhysicalMemory;
  private readonly event: EventInterrupt;

  constructor(file: RegisterFile, memory: PhysicalMemory, send: MessageSender) {
    this.file = file;
    this.memory = memory;
    this.event = new EventInterrupt(
      file,
      { control: 'PECTL', data: 'PEDATA', address: 'PEADDR', upperAddress: 'PEUADDR' },
      send,
    );
  }

  controlWritten(): void {
    this.event.controlWritten();
  }

  /** Software cleared status bits. */
  statusWritten(): void {
    if ((this.file.get('PRS') & (PENDING | OVERFLOW)) === 0) this.event.clearPending();
  }

  /** Queues a request that the tables admit. False: the queue is full, was full and not cleared, or isn't memory. */
  add(request: PageRequest): boolean {
    const file = this.file;
    if ((file.get('PRS') & OVERFLOW) !== 0) return false;
    const low = file.get('PQA');
    const base = file.getHigh('PQA') * 2 ** 32 + ((low & 0xfffff000) >>> 0);
    const sizeBytes = 4096 << (low & 7);
    const tail = file.get('PQT');
    const next = (tail + DESCRIPTOR_BYTES) % sizeBytes;
    if (tail >= sizeBytes || next === file.get('PQH') % sizeBytes) {
      this.setStatus(OVERFLOW);
      return false;
    }
    const words = PageRequestDescriptor.encode({
      type: TYPE_PAGE_REQUEST,
      pasidPresent: request.pasid >= 0,
      requesterId: request.requesterId,
      pasid: Math.max(0, request.pasid),
      execute: request.execute,
      privileged: request.privileged,
      read: request.read,
      write: request.write,
      last: request.last,
      group: request.group & 0x1ff,
      address: request.address & 0xfffffffffffff000n,
    });
    if (!this.memory.writable(base + tail, DESCRIPTOR_BYTES)) return false;
    words.forEach((word, index) => {
      this.memory.write32(base + tail + index * 4, word);
    });
    file.set('PQT', next);
    this.setStatus(PENDING);
    return true;
  }

  private setStatus(bit: number): void {
    const before = this.file.get('PRS');
    this.file.set('PRS', before | bit);
    if ((before & (PENDING | OVERFLOW)) === 0) this.event.raise();
  }
}
