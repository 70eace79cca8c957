/**
 * FAULT_QUEUE_ALLOC: page requests of devices whose page table names this queue are read from its descriptor and
 * answered by writing to it (drivers/iommu/iommufd/eventq.c).
 */
import { KernelError } from '../errno.ts';
import { OpenFile, type OpenFileObject } from '../process/file.ts';
import { IommufdObject } from './objects.ts';

/** struct iommu_hwpt_pgfault: bytes of one record. */
export const PAGE_FAULT_BYTES = 40;
/** struct iommu_hwpt_page_response. */
const RESPONSE_BYTES = 8;

const FLAG_PASID_VALID = 1;
const FLAG_LAST_PAGE = 2;

export type PageResponse = 'success' | 'invalid';

/** A page request as the hardware's driver reports it. */
export interface PageRequest {
  readonly pasid: number | undefined;
  /** Page request group index. */
  readonly groupIndex: number;
  /** IOMMU_PGFAULT_PERM_*: 1 read, 2 write, 4 execute, 8 privileged. */
  readonly permission: number;
  readonly address: bigint;
}

/** Requests that are answered together; the last of them closes the group. */
export interface PageRequestGroup {
  readonly deviceId: number;
  readonly requests: readonly PageRequest[];
  /** Called once with the answer. */
  respond(code: PageResponse): void;
}

/** What the descriptor of a queue stands for. */
export class FaultQueueFile implements OpenFileObject {
  readonly fileKind = 'iommufd fault queue';
  readonly file: OpenFile;
  private readonly released: () => void;

  constructor(released: () => void) {
    this.released = released;
    this.file = new OpenFile(this);
  }

  release(): void {
    this.released();
  }
}

export class FaultQueue extends IommufdObject {
  readonly type = 'fault queue';
  readonly file: FaultQueueFile;
  private readonly waiting: PageRequestGroup[] = [];
  /** Groups that were read and wait for an answer, by cookie. */
  private readonly delivered = new Map<number, PageRequestGroup>();
  private lowestCookie = 1;

  /** `released` runs when the descriptor is closed. */
  constructor(released: () => void) {
    super();
    this.file = new FaultQueueFile(released);
  }

  /** Groups not read yet, and groups read but not answered. */
  get depth(): { waiting: number; unanswered: number } {
    return { waiting: this.waiting.length, unanswered: this.delivered.size };
  }

  deliver(group: PageRequestGroup): void {
    this.waiting.push(group);
  }

  /**
   * read(2): as many whole groups as fit.
   * @throws KernelError ESPIPE for a position other than 0, EINVAL for a count that is no multiple of a record or too
   * small for the first group.
   */
  read(count: number, position = 0): Uint8Array {
    if (position !== 0)
      throw new KernelError('ESPIPE', 'fault queue position', 'a fault queue has no positions');
    if (count % PAGE_FAULT_BYTES !== 0)
      throw new KernelError('EINVAL', 'fault record size', `${count} is no multiple of ${PAGE_FAULT_BYTES}`);
    const records: Uint8Array[] = [];
    let room = count;
    while (this.waiting.length > 0) {
      const group = this.waiting[0];
      const bytes = group.requests.length * PAGE_FAULT_BYTES;
      if (bytes > room) {
        if (records.length === 0)
          throw new KernelError('EINVAL', 'fault group size', `the first group takes ${bytes} bytes`);
        break;
      }
      this.waiting.shift();
      while (this.delivered.has(this.lowestCookie)) this.lowestCookie += 1;
      const cookie = this.lowestCookie;
      this.delivered.set(cookie, group);
      group.requests.forEach((request, index) => {
        records.push(encode(request, group.deviceId, cookie, index === group.requests.length - 1));
      });
      room -= bytes;
    }
    const result = new Uint8Array(count - room);
    records.forEach((record, index) => {
      result.set(record, index * PAGE_FAULT_BYTES);
    });
    return result;
  }

  /**
   * write(2): answers {cookie, code}. @returns bytes taken.
   * @throws KernelError EINVAL for a size that is no multiple of an answer, an unknown code or cookie when it is the
   * first; answers before it stand.
   */
  write(bytes: Uint8Array, position = 0): number {
    if (position !== 0 || bytes.length % RESPONSE_BYTES !== 0)
      throw new KernelError(
        position === 0 ? 'EINVAL' : 'ESPIPE',
        'fault response size',
        `${bytes.length} bytes are no whole answers`,
      );
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    let done = 0;
    while (done < bytes.length) {
      const cookie = view.getUint32(done, true);
      const code = view.getUint32(done + 4, true);
      const group = this.delivered.get(cookie);
      if (code > 1 || group === undefined) {
        if (done > 0) return done;
        throw new KernelError(
          'EINVAL',
          'fault response',
          code > 1 ? `code ${code} is no answer` : `no group waits under cookie ${cookie}`,
        );
      }
      this.delivered.delete(cookie);
      if (cookie < this.lowestCookie) this.lowestCookie = cookie;
      group.respond(code === 0 ? 'success' : 'invalid');
      done += RESPONSE_BYTES;
    }
    return done;
  }

  /** Answers INVALID to everything a device still waits for: it is detached, or moves to another page table. */
  cancel(deviceId: number): void {
    for (let at = this.waiting.length - 1; at >= 0; at -= 1) {
      if (this.waiting[at].deviceId === deviceId) this.waiting.splice(at, 1)[0].respond('invalid');
    }
    for (const [cookie, group] of this.delivered) {
      if (group.deviceId !== deviceId) continue;
      this.delivered.delete(cookie);
      if (cookie < this.lowestCookie) this.lowestCookie = cookie;
      group.respond('invalid');
    }
  }

  destroy(): void {
    for (const group of this.waiting.splice(0)) group.respond('invalid');
    for (const group of this.delivered.values()) group.respond('invalid');
    this.delivered.clear();
  }
}

function encode(request: PageRequest, deviceId: number, cookie: number, last: boolean): Uint8Array {
  const bytes = new Uint8Array(PAGE_FAULT_BYTES);
  const view = new DataView(bytes.buffer);
  const flags = (request.pasid === undefined ? 0 : FLAG_PASID_VALID) | (last ? FLAG_LAST_PAGE : 0);
  view.setUint32(0, flags, true);
  view.setUint32(4, deviceId, true);
  view.setUint32(8, request.pasid ?? 0, true);
  view.setUint32(12, request.groupIndex, true);
  view.setUint32(16, request.permission, true);
  view.setBigUint64(24, request.address, true);
  view.setUint32(32, 0, true);
  view.setUint32(36, cookie, true);
  return bytes;
}
