/**
 * The page tables that a guest's own IOMMU driver keeps for a device, in the guest's memory: four levels in the format of
 * the first level (VT-d 9.7). The guest writes them with its CPUs; the remapping unit of the host reads them there.
 */
import { KernelError } from '../kernel/errno.ts';
import { bytesOf } from '../layout.ts';
import { FirstLevelEntry } from '../vtd/layouts.ts';

/** Guest memory as the guest's CPUs see it. */
export interface GuestMemory {
  read(guestAddress: bigint, lengthBytes: number): Uint8Array;
  write(guestAddress: bigint, bytes: Uint8Array): void;
}

const PAGE_BYTES = 4096n;
const LEVELS = 4;
const ENTRY_BYTES = 8;
/** First-level tables of four levels take 48 bits, the upper half being the sign's: 47 usable. */
const USABLE_BITS = 47n;

export class GuestTables {
  /** Guest address of the top table. */
  readonly root: bigint;
  private readonly memory: GuestMemory;
  private readonly end: bigint;
  private next: bigint;
  /** Tables that there is room for, used or not. */
  private readonly capacity: bigint;

  /** Tables lie in [first, first + lengthBytes) of guest memory, which the guest keeps for them. */
  constructor(memory: GuestMemory, first: bigint, lengthBytes: bigint) {
    this.memory = memory;
    this.next = first;
    this.end = first + lengthBytes;
    this.capacity = lengthBytes / PAGE_BYTES;
    this.root = this.newTable();
  }

  /**
   * Maps pages to guest pages. @returns true when an entry was there before, so that an invalidation is due.
   * @throws KernelError EINVAL: not whole pages, or beyond 47 bits; ENOMEM: no room for tables. Nothing is mapped then.
   */
  map(iova: bigint, guestAddress: bigint, lengthBytes: bigint, writable: boolean): boolean {
    checkRange(iova, lengthBytes);
    if (guestAddress % PAGE_BYTES !== 0n)
      throw new KernelError('EINVAL', 'guest address', `0x${guestAddress.toString(16)} begins no page`);
    this.requireRoom(iova, lengthBytes);
    let replaced = false;
    for (let done = 0n; done < lengthBytes; done += PAGE_BYTES) {
      const at = this.leaf(iova + done, true);
      if (at === undefined) continue;
      replaced ||= this.present(at);
      this.writeEntry(at, guestAddress + done, writable);
    }
    return replaced;
  }

  /** Unmaps pages; how many were there. */
  unmap(iova: bigint, lengthBytes: bigint): number {
    checkRange(iova, lengthBytes);
    const end = iova + lengthBytes;
    let pages = 0;
    for (let address = iova; address < end; ) {
      const missing = this.missingTable(address);
      if (missing > 0) {
        address = ((address >> spanBits(missing)) + 1n) << spanBits(missing);
        continue;
      }
      const at = this.leaf(address, false);
      if (at !== undefined && this.present(at)) {
        this.memory.write(at, new Uint8Array(ENTRY_BYTES));
        pages += 1;
      }
      address += PAGE_BYTES;
    }
    return pages;
  }

  /** @throws KernelError ENOMEM: a mapping of this range takes more tables than there is room for. */
  private requireRoom(iova: bigint, lengthBytes: bigint): void {
    const room = Number((this.end - this.next) / PAGE_BYTES);
    const last = iova + lengthBytes - 1n;
    const leaves = (last >> spanBits(1)) - (iova >> spanBits(1)) + 1n;
    let needed = 0;
    // Far more than all tables there ever are: not worth counting.
    if (leaves > this.capacity) throw noRoom();
    for (let level = 1; level < LEVELS; level += 1)
      for (let span = iova >> spanBits(level); span <= last >> spanBits(level); span += 1n)
        if (this.missingTable(span << spanBits(level)) >= level) needed += 1;
    if (needed > room) throw noRoom();
  }

  /** The highest level whose table is missing for an address; 0: all are there. */
  private missingTable(iova: bigint): number {
    let table = this.root;
    for (let level = LEVELS; level > 1; level -= 1) {
      const at = entryAddress(table, iova, level);
      if (!this.present(at)) return level - 1;
      table = FirstLevelEntry.fields.address.getBig(this.words(at));
    }
    return 0;
  }

  /** Where the last entry for a page stands; tables on the way are made when asked for. */
  private leaf(iova: bigint, make: boolean): bigint | undefined {
    let table = this.root;
    for (let level = LEVELS; level > 1; level -= 1) {
      const at = entryAddress(table, iova, level);
      if (!this.present(at)) {
        if (!make) return undefined;
        this.writeEntry(at, this.newTable(), true);
      }
      table = FirstLevelEntry.fields.address.getBig(this.words(at));
    }
    return entryAddress(table, iova, 1);
  }

  private words(at: bigint): Uint32Array {
    const bytes = this.memory.read(at, ENTRY_BYTES);
    return new Uint32Array(bytes.buffer, bytes.byteOffset, 2);
  }

  private present(at: bigint): boolean {
    return FirstLevelEntry.fields.present.isSet(this.words(at));
  }

  private writeEntry(at: bigint, target: bigint, writable: boolean): void {
    const words = FirstLevelEntry.encode({ present: 1, user: 1, write: writable ? 1 : 0, address: target });
    this.memory.write(at, bytesOf(words));
  }

  private newTable(): bigint {
    if (this.next + PAGE_BYTES > this.end) throw noRoom();
    const table = this.next;
    this.next += PAGE_BYTES;
    this.memory.write(table, new Uint8Array(Number(PAGE_BYTES)));
    return table;
  }
}

/** Bits of an address below what one table of a level covers. */
const spanBits = (level: number): bigint => BigInt(12 + 9 * level);

function noRoom(): KernelError {
  return new KernelError(
    'ENOMEM',
    'no room for guest tables',
    'the guest keeps no more memory for the tables of its IOMMU',
  );
}

function entryAddress(table: bigint, iova: bigint, level: number): bigint {
  const index = (iova >> BigInt(12 + 9 * (level - 1))) & 0x1ffn;
  return table + index * BigInt(ENTRY_BYTES);
}

function checkRange(iova: bigint, lengthBytes: bigint): void {
  if (iova < 0n || iova % PAGE_BYTES !== 0n || lengthBytes <= 0n || lengthBytes % PAGE_BYTES !== 0n)
    throw new KernelError('EINVAL', 'guest mapping', 'addresses and lengths are whole pages of 4 KiB');
  if (iova + lengthBytes > 1n << USABLE_BITS)
    throw new KernelError('EINVAL', 'guest mapping', `I/O addresses have ${USABLE_BITS} bits`);
}
