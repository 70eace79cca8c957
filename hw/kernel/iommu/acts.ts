/**
 * Which of the operator's acts is under way, so that whatever changes can say since when it is so. No clock: acts are
 * counted.
 */
export interface Act {
  /** 0 stands for the boot. */
  readonly number: number;
  /** For people: "assign 0000:6a:01.0 to vm1". */
  readonly text: string;
}

export class ActMarker {
  private now: Act = { number: 0, text: 'boot' };

  get current(): Act {
    return this.now;
  }

  /** An act begins. @param number Its place in the journal; absent: one more than the last. */
  begin(text: string, number = this.now.number + 1): void {
    this.now = { number, text };
  }
}
