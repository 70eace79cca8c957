/**
 * Trace points: one typed event at each architectural decision. The hardware and kernel halves emit, the screens and
 * the command log listen. An emitter that nobody listens to costs one test.
 */

/** An event of one part of the machine. `part` is the folder it comes from ("vtd", "kernel/iommu"). */
export interface TraceEvent {
  readonly part: string;
  /** What happened, as a stable name: "fault", "descriptor", "map", "attach". */
  readonly kind: string;
  /** One line for people. */
  readonly text: string;
  /** The facts, in the field's own names. Numbers, strings and bigints only. */
  readonly data?: Readonly<Record<string, string | number | bigint | boolean | null>>;
}

export type TraceListener = (event: TraceEvent) => void;

export class Trace {
  private readonly listeners = new Set<TraceListener>();

  /** False when nobody listens: a caller on a hot path then need not build the event. */
  get active(): boolean {
    return this.listeners.size > 0;
  }

  /** Listens until the returned function is called. */
  listen(listener: TraceListener): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  emit(event: TraceEvent): void {
    for (const listener of this.listeners) listener(event);
  }
}
