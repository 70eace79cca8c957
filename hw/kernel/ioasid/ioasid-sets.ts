/**
 * IOASID sets as proposed on 27 February 2021 ("[PATCH V4 05/18] iommu/ioasid: Redefine IOASID set and allocation
 * APIs") and not merged: numbers belong to a set, a set has a quota and is found by the address space of a process,
 * guests know a number under one of their own. With the defect of the patch: a freed set's quota stays lost.
 */
import { KernelError } from '../errno.ts';
import type { KernelLog } from '../kernel-log.ts';
import { LowestFree } from '../lowest-free.ts';
import { INVALID_IOASID, IOASID_COUNT } from './allocator.ts';
import { type IoasidEvent, type IoasidNotifier, NotifierChain } from './notifiers.ts';

/** NULL: no token. MM: the address space of a process, one set each. */
export type IoasidSetType = 'null' | 'mm';

/** What becomes of a number. */
export type IoasidState = 'idle' | 'active' | 'free pending';

interface IoasidEntry {
  readonly id: number;
  readonly set: IoasidSet;
  /** 1: nobody but the set. */
  references: number;
  freePending: boolean;
  spid: number | undefined;
  data: unknown;
}

export class IoasidSet {
  /** Index in the list of sets. */
  readonly id: number;
  readonly type: IoasidSetType;
  readonly token: object | undefined;
  /** Numbers it may have at most. */
  readonly quota: number;
  readonly chain = new NotifierChain();
  readonly entries = new Map<number, IoasidEntry>();
  readonly bySpid = new Map<number, IoasidEntry>();
  freed = false;

  constructor(id: number, type: IoasidSetType, token: object | undefined, quota: number) {
    this.id = id;
    this.type = type;
    this.token = token;
    this.quota = quota;
  }

  /** Numbers allocated now. */
  get count(): number {
    return this.entries.size;
  }
}

export class IoasidSets {
  private readonly log: KernelLog;
  private capacity = IOASID_COUNT;
  private availableCount = IOASID_COUNT;
  private capacityInstalled = false;
  private readonly numbers = new LowestFree(0, IOASID_COUNT);
  private readonly sets = new Map<number, IoasidSet>();
  private readonly byId = new Map<number, IoasidEntry>();
  /** Heard of all sets. */
  private readonly global = new NotifierChain();
  /** Registered for an address space that has no set yet; they miss what happens before. */
  private readonly waiting: { token: object; block: IoasidNotifier }[] = [];

  constructor(log: KernelLog) {
    this.log = log;
  }

  /** Numbers that no quota has taken. */
  get available(): number {
    return this.availableCount;
  }

  get totalCapacity(): number {
    return this.capacity;
  }

  get allSets(): readonly IoasidSet[] {
    return [...this.sets.values()];
  }

  /** Quota of sets that were freed, which nobody gets back. */
  get lostCapacity(): number {
    let held = 0;
    for (const set of this.sets.values()) held += set.quota;
    return this.capacity - held - this.availableCount;
  }

  /** ioasid_install_capacity: the IOMMU driver tells how many numbers there are, once. */
  installCapacity(total: number): void {
    if (this.capacityInstalled) {
      this.log.write(`IOASID capacity already set at ${this.capacity}`);
      return;
    }
    this.capacityInstalled = true;
    this.availableCount += total - this.capacity;
    this.capacity = total;
  }

  /**
   * ioasid_set_alloc. @param quota 0: everything that is left.
   * @throws KernelError ENOSPC: more than is left; EINVAL: a token where none belongs, or none where one does; EEXIST:
   * the address space has a set.
   */
  allocateSet(type: IoasidSetType, token: object | undefined, quota: number): IoasidSet {
    if (quota > this.availableCount)
      throw new KernelError(
        'ENOSPC',
        'IOASID quota',
        `${quota} IOASIDs are wanted, ${this.availableCount} of ${this.capacity} have no owner${this.lostCapacity > 0 ? `, ${this.lostCapacity} are lost with sets that were freed` : ''}`,
        this.lostCapacity > 0
          ? 'Only a restart brings lost quota back.'
          : 'Ask for less, or end another user.',
      );
    if ((type === 'mm') !== (token !== undefined))
      throw new KernelError('EINVAL', 'set token', `a set of type ${type} has ${token ? 'no' : 'a'} token`);
    if (token !== undefined && this.findByToken(token) !== undefined)
      throw new KernelError('EEXIST', 'set exists', 'the address space has a set already');
    let id = 0;
    while (this.sets.has(id)) id += 1;
    const set = new IoasidSet(id, type, token, quota === 0 ? this.availableCount : quota);
    this.sets.set(id, set);
    this.availableCount -= set.quota;
    for (let at = this.waiting.length - 1; at >= 0; at -= 1) {
      if (token !== undefined && this.waiting[at].token === token)
        set.chain.register(this.waiting.splice(at, 1)[0].block);
    }
    return set;
  }

  /** The set of an address space. */
  findByToken(token: object): IoasidSet | undefined {
    for (const set of this.sets.values()) if (set.token === token) return set;
    return undefined;
  }

  /** ioasid_set_free: the quota is not given back. @throws KernelError EINVAL unknown, EBUSY: numbers are out. */
  freeSet(set: IoasidSet): void {
    this.requireSet(set);
    if (set.count > 0)
      throw new KernelError('EBUSY', 'set in use', `${set.count} IOASIDs of set ${set.id} are out`);
    this.drop(set);
  }

  /** ioasid_alloc: the smallest free number of the range, or INVALID_IOASID: quota used up, no such set, none free. */
  allocate(set: IoasidSet, first: number, last: number, data?: unknown): number {
    if (set.freed || this.sets.get(set.id) !== set || set.count >= set.quota) return INVALID_IOASID;
    const id = this.numbers.takeLowestFrom(first, Math.min(last, IOASID_COUNT - 1));
    if (id === undefined) return INVALID_IOASID;
    const entry = { id, set, references: 1, freePending: false, spid: undefined, data };
    set.entries.set(id, entry);
    this.byId.set(id, entry);
    this.tell('alloc', entry, false);
    return id;
  }

  /**
   * ioasid_free: nobody can start to use the number any more; it is free once its users let go. Unknown numbers, those
   * of another set, and a second free are only told in the log.
   */
  free(set: IoasidSet, id: number): void {
    const entry = this.byId.get(id);
    if (entry === undefined || entry.set !== set) {
      this.log.write(`Cannot free IOASID ${id} due to set ownership`);
      return;
    }
    if (entry.freePending) {
      this.log.write(`IOASID ${id} is being freed already`);
      return;
    }
    entry.freePending = true;
    if (entry.references > 1) this.tell('free', entry, true);
    this.release(entry);
  }

  /** All numbers of a set, as when its process ends. */
  freeAll(set: IoasidSet): void {
    for (const id of [...set.entries.keys()]) this.free(set, id);
  }

  /** ioasid_get: a user of the number. @throws KernelError EINVAL unknown, EBUSY: being freed, EACCES: another set. */
  get(set: IoasidSet | undefined, id: number): void {
    const entry = this.byId.get(id);
    if (entry === undefined)
      throw new KernelError('EINVAL', 'unknown IOASID', `IOASID ${id} is not allocated`);
    if (entry.freePending)
      throw new KernelError('EBUSY', 'IOASID being freed', `IOASID ${id} takes no new users`);
    if (set !== undefined && entry.set !== set)
      throw new KernelError('EACCES', 'IOASID of another set', `IOASID ${id} belongs to set ${entry.set.id}`);
    entry.references += 1;
  }

  /** ioasid_put: the last user of a number that is being freed frees it; the last number of a set frees the set. */
  put(set: IoasidSet | undefined, id: number): void {
    const entry = this.byId.get(id);
    if (entry === undefined || (set !== undefined && entry.set !== set)) {
      this.log.write(`Cannot put IOASID ${id}: ${entry === undefined ? 'unknown' : 'of another set'}`);
      return;
    }
    this.release(entry);
  }

  /** idle, active or free pending; undefined: in the pool. */
  stateOf(id: number): IoasidState | undefined {
    const entry = this.byId.get(id);
    if (entry === undefined) return undefined;
    if (entry.freePending) return 'free pending';
    return entry.references > 1 ? 'active' : 'idle';
  }

  /** ioasid_attach_spid: a number of the set's own for it. @throws KernelError EINVAL: none or taken; ENOENT */
  attachSpid(id: number, spid: number): void {
    const entry = this.entry(id);
    if (spid === INVALID_IOASID || entry.set.bySpid.has(spid))
      throw new KernelError('EINVAL', 'set-private number', `${spid} can not stand for IOASID ${id}`);
    if (entry.spid !== undefined) entry.set.bySpid.delete(entry.spid);
    entry.spid = spid;
    entry.set.bySpid.set(spid, entry);
    this.tell('bind', entry, false);
  }

  /** @throws KernelError ENOENT: unknown, or it has none. */
  detachSpid(id: number): void {
    const entry = this.entry(id);
    if (entry.spid === undefined)
      throw new KernelError('ENOENT', 'no set-private number', `IOASID ${id} has none`);
    this.tell('unbind', entry, false);
    entry.set.bySpid.delete(entry.spid);
    entry.spid = undefined;
  }

  /** ioasid_find_by_spid: INVALID_IOASID when there is none, or when it can take no user though one is wanted. */
  findBySpid(set: IoasidSet, spid: number, reference: boolean): number {
    const entry = set.bySpid.get(spid);
    if (entry === undefined || (reference && entry.freePending)) return INVALID_IOASID;
    if (reference) entry.references += 1;
    return entry.id;
  }

  /** @throws KernelError ENOENT, EBUSY: has some. */
  attachData(id: number, data: unknown): void {
    const entry = this.entry(id);
    if (entry.data !== undefined)
      throw new KernelError('EBUSY', 'private data set', `IOASID ${id} has private data`);
    entry.data = data;
  }

  detachData(id: number): void {
    this.entry(id).data = undefined;
  }

  /** Hears of a set, or of all. @throws KernelError EEXIST */
  registerNotifier(set: IoasidSet | undefined, block: IoasidNotifier): void {
    (set?.chain ?? this.global).register(block);
  }

  /** Hears of the set of an address space, also one that is still to come; nothing is told after the fact. */
  registerNotifierByToken(token: object, block: IoasidNotifier): void {
    const set = this.findByToken(token);
    if (set !== undefined) set.chain.register(block);
    else this.waiting.push({ token, block });
  }

  /** @throws KernelError ENOENT */
  unregisterNotifier(set: IoasidSet | undefined, block: IoasidNotifier): void {
    (set?.chain ?? this.global).unregister(block);
  }

  private entry(id: number): IoasidEntry {
    const entry = this.byId.get(id);
    if (entry === undefined)
      throw new KernelError('ENOENT', 'unknown IOASID', `IOASID ${id} is not allocated`);
    return entry;
  }

  private requireSet(set: IoasidSet): void {
    if (this.sets.get(set.id) !== set)
      throw new KernelError('EINVAL', 'unknown set', `set ${set.id} is gone`);
  }

  private release(entry: IoasidEntry): void {
    entry.references -= 1;
    if (entry.references > 0) return;
    const { set } = entry;
    if (entry.spid !== undefined) set.bySpid.delete(entry.spid);
    set.entries.delete(entry.id);
    this.byId.delete(entry.id);
    this.numbers.give(entry.id);
    if (set.count === 0) this.drop(set);
  }

  private drop(set: IoasidSet): void {
    set.freed = true;
    this.sets.delete(set.id);
  }

  private tell(event: IoasidEvent, entry: IoasidEntry, everybody: boolean): void {
    const notification = { event, id: entry.id, spid: entry.spid };
    entry.set.chain.call(notification);
    if (everybody) this.global.call(notification);
  }
}
