/**
 * The system's PASID numbers: one space that every user of PASIDs takes from, lowest first (ioasid.c of 5.15,
 * iommu_alloc_global_pasid of 7.2). A number is out until its last reference is put.
 */
import type { KernelLog } from '../kernel-log.ts';
import { LowestFree } from '../lowest-free.ts';

/** 20 bits; 0 stands for requests without PASID. */
const FIRST = 1;
const COUNT = 2 ** 20 - 1;

export class PasidSpace {
  private readonly numbers = new LowestFree(FIRST, COUNT);
  private readonly log: KernelLog;

  constructor(log: KernelLog) {
    this.log = log;
  }

  /** Numbers out now. */
  get inUse(): number {
    return this.numbers.taken;
  }

  isTaken(pasid: number): boolean {
    return this.numbers.isTaken(pasid);
  }

  /** The lowest free number up to `last` (inclusive), or undefined: none, and the log says so. */
  allocate(last: number): number | undefined {
    const pasid = this.numbers.takeLowest(last);
    if (pasid === undefined) this.tellOfNone(FIRST, last);
    return pasid;
  }

  /** Takes this very number; false when it is out, and the log says so. */
  take(pasid: number): boolean {
    const taken = this.numbers.take(pasid);
    if (!taken) this.tellOfNone(pasid, pasid);
    return taken;
  }

  private tellOfNone(first: number, last: number): void {
    this.log.write(`Failed to alloc ioasid from ${first} to ${last}`);
    // The flags of the allocator that is in use: the default one has none.
    this.log.write('Failed ASID allocation 0');
  }

  /** ioasid_put. A number that is not out is told in the log. */
  put(pasid: number): void {
    if (!this.numbers.give(pasid)) this.log.write(`Trying to free unknown IOASID ${pasid}`);
  }
}
