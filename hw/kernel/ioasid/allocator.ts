/**
 * The IOASID allocator that was merged (Linux 5.5 to 6.1, drivers/iommu/ioasid.c, read in 5.15.85): numbers by range,
 * reference counts, and custom allocators for guests that must ask their host. It knows neither quota nor owner: a set
 * is an empty token.
 */
import { KernelError } from '../errno.ts';
import type { KernelLog } from '../kernel-log.ts';
import { LowestFree } from '../lowest-free.ts';

/** What a failed allocation answers: there is no errno. */
export const INVALID_IOASID = 0xffffffff;
/** Numbers that exist: PASIDs have 20 bits. */
export const IOASID_COUNT = 2 ** 20;

/** Two numbers are of one set when they were allocated with the same token. */
export type IoasidToken = object;

/** struct ioasid_allocator_ops: who hands numbers out in place of the default allocator. */
export interface CustomAllocator {
  allocate(this: void, first: number, last: number, data: unknown): number;
  free(this: void, id: number, data: unknown): void;
  readonly data?: unknown;
}

interface IoasidData {
  readonly set: IoasidToken | undefined;
  data: unknown;
  references: number;
}

/** Allocators that share the function pair share the numbers. */
interface NumberSpace {
  readonly functions: CustomAllocator | undefined;
  readonly members: CustomAllocator[];
  readonly ids: Map<number, IoasidData>;
}

export class IoasidAllocator {
  private readonly log: KernelLog;
  private readonly numbers = new LowestFree(0, IOASID_COUNT);
  private readonly fallback: NumberSpace = { functions: undefined, members: [], ids: new Map() };
  private readonly registered: NumberSpace[] = [];
  private active: NumberSpace = this.fallback;

  constructor(log: KernelLog) {
    this.log = log;
  }

  /** Numbers out now. */
  get inUse(): number {
    return this.active.ids.size;
  }

  /** The smallest free number of the range, ends included, or INVALID_IOASID. */
  allocate(set: IoasidToken | undefined, first: number, last: number, data?: unknown): number {
    const { functions, ids } = this.active;
    let id: number;
    if (functions === undefined) {
      id = this.numbers.takeLowestFrom(first, last) ?? INVALID_IOASID;
      if (id === INVALID_IOASID) this.log.write(`Failed to alloc ioasid from ${first} to ${last}`);
    } else {
      id = functions.allocate(first, last, functions.data);
    }
    if (id === INVALID_IOASID) {
      // With the flags of the allocator in use: 1 for a custom one.
      this.log.write(`Failed ASID allocation ${functions === undefined ? 0 : 1}`);
      return INVALID_IOASID;
    }
    // What a custom allocator gives is only noted; a number that is out already goes back at once.
    if (functions !== undefined && ids.has(id)) {
      this.log.write(`Failed to alloc ioasid from ${id}`);
      functions.free(id, functions.data);
      return INVALID_IOASID;
    }
    ids.set(id, { set, data, references: 1 });
    return id;
  }

  /** One more holds the number; an unknown one is only told in the log. */
  get(id: number): void {
    const found = this.active.ids.get(id);
    if (found === undefined) this.log.write(`Trying to get unknown IOASID ${id}`);
    else found.references += 1;
  }

  /** One fewer; true when that freed it. An unknown number is only told in the log. */
  put(id: number): boolean {
    const { functions, ids } = this.active;
    const found = ids.get(id);
    if (found === undefined) {
      this.log.write(`Trying to free unknown IOASID ${id}`);
      return false;
    }
    found.references -= 1;
    if (found.references > 0) return false;
    ids.delete(id);
    if (functions === undefined) this.numbers.give(id);
    else functions.free(id, functions.data);
    return true;
  }

  /** @throws KernelError ENOENT */
  setData(id: number, data: unknown): void {
    const found = this.active.ids.get(id);
    if (found === undefined) throw unknown(id);
    found.data = data;
  }

  /**
   * The private data of a number. `getter` may refuse it: the answer is then undefined.
   * @throws KernelError ENOENT unknown; EACCES: of another set than the one asked for.
   */
  find(set: IoasidToken | undefined, id: number, getter?: (data: unknown) => boolean): unknown {
    const found = this.active.ids.get(id);
    if (found === undefined) throw unknown(id);
    if (set !== undefined && found.set !== set)
      throw new KernelError('EACCES', 'IOASID of another set', `IOASID ${id} belongs to another set`);
    if (getter !== undefined && !getter(found.data)) return undefined;
    return found.data;
  }

  /**
   * Custom allocators go before the default one; the first registered is the active one.
   * @throws KernelError EAGAIN: the default allocator has numbers out; EEXIST: registered already.
   */
  register(allocator: CustomAllocator): void {
    if (this.registered.length === 0 && this.fallback.ids.size > 0)
      throw new KernelError(
        'EAGAIN',
        'default allocator in use',
        `${this.fallback.ids.size} IOASIDs of the default allocator are out`,
      );
    for (const space of this.registered) {
      if (space.members.includes(allocator))
        throw new KernelError('EEXIST', 'allocator registered', 'the allocator is registered already');
      if (space.functions?.allocate === allocator.allocate && space.functions?.free === allocator.free) {
        space.members.push(allocator);
        return;
      }
    }
    this.registered.push({ functions: allocator, members: [allocator], ids: new Map() });
    this.active = this.registered[0];
  }

  /** Numbers still out with the last of a function pair are a defect of the caller: the log says so. */
  unregister(allocator: CustomAllocator): void {
    const index = this.registered.findIndex((space) => space.members.includes(allocator));
    if (index < 0) {
      this.log.write('No custom IOASID allocators active!');
      return;
    }
    const space = this.registered[index];
    space.members.splice(space.members.indexOf(allocator), 1);
    if (space.members.length > 0) return;
    if (space.ids.size > 0) this.log.warn('ioasid_unregister_allocator');
    this.registered.splice(index, 1);
    this.active = this.registered[0] ?? this.fallback;
  }
}

function unknown(id: number): KernelError {
  return new KernelError('ENOENT', 'unknown IOASID', `IOASID ${id} is not allocated`);
}
