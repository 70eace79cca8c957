/** The kernel's message buffer, without time stamps: what dmesg would show of the parts that are emulated. */

/** Lines kept; older ones fall out, as in the kernel's ring. */
const KEPT = 1000;

export class KernelLog {
  private readonly kept: string[] = [];
  private dropped = 0;
  private readonly warnedOnce = new Set<string>();

  /** Lines ever written: a mark for `since`. */
  get count(): number {
    return this.dropped + this.kept.length;
  }

  get lines(): readonly string[] {
    return this.kept;
  }

  /** @param text As printed: "DMAR: No supervisor request support on dmar0". */
  write(text: string): void {
    this.kept.push(text);
    if (this.kept.length > KEPT) {
      this.kept.shift();
      this.dropped += 1;
    }
  }

  /** A WARN_ON that fired: the call goes on, the log shows where. */
  warn(inFunction: string): void {
    this.write(`WARNING in ${inFunction}`);
  }

  /** A WARN_ON_ONCE: says nothing the next time. */
  warnOnce(inFunction: string): void {
    if (this.warnedOnce.has(inFunction)) return;
    this.warnedOnce.add(inFunction);
    this.warn(inFunction);
  }

  /** Lines written since a count was taken. */
  since(count: number): string[] {
    return this.kept.slice(Math.max(0, count - this.dropped));
  }
}
