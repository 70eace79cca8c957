/** Where the operator has been: back and forth between screens, with the row that was stood on. */
import type { ScreenId } from './screens/screen.ts';

export interface Place {
  readonly screen: ScreenId;
  readonly row: string | undefined;
}

const KEPT = 100;

export class Places {
  private readonly behind: Place[] = [];
  private readonly ahead: Place[] = [];

  /** Leaves a place for a new one. */
  leave(place: Place): void {
    this.behind.push(place);
    if (this.behind.length > KEPT) this.behind.shift();
    this.ahead.length = 0;
  }

  /** The place before; undefined: there is none. */
  back(now: Place): Place | undefined {
    const place = this.behind.pop();
    if (place !== undefined) this.ahead.push(now);
    return place;
  }

  forward(now: Place): Place | undefined {
    const place = this.ahead.pop();
    if (place !== undefined) this.behind.push(now);
    return place;
  }

  /** The last two screens. */
  get trail(): readonly ScreenId[] {
    return this.behind.slice(-2).map((place) => place.screen);
  }

  clear(): void {
    this.behind.length = 0;
    this.ahead.length = 0;
  }
}
