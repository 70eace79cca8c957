/**
 * A kernel call that may have to wait for somebody else (device_del waits for the user of a VFIO device). The engine
 * has no threads: the call returns this object, which is finished at once or when the other side lets go.
 */
export class Completion {
  private waiting: (() => void)[] | undefined = [];

  get finished(): boolean {
    return this.waiting === undefined;
  }

  /** Runs now when finished, else when it is. */
  whenDone(action: () => void): this {
    if (this.waiting === undefined) action();
    else this.waiting.push(action);
    return this;
  }

  complete(): void {
    const waiting = this.waiting ?? [];
    this.waiting = undefined;
    for (const action of waiting) action();
  }

  /** One that is finished. */
  static done(): Completion {
    const completion = new Completion();
    completion.complete();
    return completion;
  }
}
