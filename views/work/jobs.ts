/**
 * Long work of the console, in slices so short that keys and frames go on in between. What is done within the first slice
 * is done at once; what lasts is shown after a while, and can be stopped.
 */
import { Cancelled, type Progress, type Work } from '../../hw/index.ts';
import type { Clock } from '../../src/terminal/clock.ts';

/** What it is for; one job of each kind at a time. `act` changes the session, the others make what is shown. */
export type JobKind = 'act' | 'list' | 'detail';

export interface JobOptions<Result> {
  /** What is done: "undoing". */
  readonly what: string;
  /** What is counted: "acts". */
  readonly noun?: string;
  readonly work: Work<Result>;
  done(result: Result): void;
  failed(thrown: unknown): void;
  /** The operator stopped it, and everything is as it was. */
  cancelled(): void;
  /** It has become visible. */
  shown?(): void;
}

export interface Job {
  readonly what: string;
  readonly noun: string;
  readonly startedAt: number;
  readonly progress: Progress;
  /** It lasts so long that its progress is shown. */
  readonly visible: boolean;
  /** It was stopped and is taking back what it had begun. */
  readonly cancelling: boolean;
}

interface Running extends Job {
  readonly options: JobOptions<unknown>;
  progress: Progress;
  visible: boolean;
  cancelling: boolean;
  shownAt: number;
  /** No step before: a frame is to come first. */
  notBefore: number;
}

/** How long work goes on before keys and frames get their turn. Milliseconds. */
const SLICE = 8;
/** From then on progress is shown. Milliseconds. */
const PATIENCE = 200;
/** So often the progress that is shown is brought up to date. Milliseconds. */
const REFRESH = 100;
/** Long enough for a frame to be drawn. Milliseconds. */
const ONE_FRAME = 32;

export class Jobs {
  private readonly clock: Clock;
  private readonly changed: () => void;
  private readonly settled: () => void;
  private readonly running = new Map<JobKind, Running>();
  private waiting = false;

  /**
   * @param changed A frame is due.
   * @param settled A job ended or became visible, between two keys.
   */
  constructor(clock: Clock, changed: () => void, settled: () => void) {
    this.clock = clock;
    this.changed = changed;
    this.settled = settled;
  }

  of(kind: JobKind): Job | undefined {
    return this.running.get(kind);
  }

  /** The one whose progress is shown. */
  get shown(): Job | undefined {
    return [...this.running.values()].find((job) => job.visible);
  }

  /** Milliseconds since a job began. */
  age(job: Job): number {
    return this.clock.now() - job.startedAt;
  }

  /** Begins work; another of its kind is dropped. Its first slice runs before this returns. */
  start<Result>(kind: JobKind, options: JobOptions<Result>): void {
    this.drop(kind);
    const job: Running = {
      what: options.what,
      noun: options.noun ?? '',
      startedAt: this.clock.now(),
      progress: { done: 0, total: undefined },
      visible: false,
      cancelling: false,
      options: options as JobOptions<unknown>,
      shownAt: 0,
      notBefore: Number.NEGATIVE_INFINITY,
    };
    this.running.set(kind, job);
    this.slice(kind, job);
    this.wait();
  }

  /** Stops a job and has it take back what it had begun. False: there is none, or it is being stopped. */
  cancel(kind: JobKind): boolean {
    const job = this.running.get(kind);
    if (job === undefined || job.cancelling) return false;
    job.cancelling = true;
    job.notBefore = Number.NEGATIVE_INFINITY;
    this.step(kind, job, () => job.options.work.throw(new Cancelled()));
    this.wait();
    return true;
  }

  /** Forgets a job of which nobody needs the result; one that changes the session is never dropped. */
  drop(kind: JobKind): void {
    const job = this.running.get(kind);
    if (job === undefined) return;
    if (kind === 'act') throw new Error(`${job.what} is under way`);
    this.running.delete(kind);
    job.options.work.return(undefined as never);
  }

  /** At the end of the program: what is under way is stopped and not even taken back. */
  stop(): void {
    for (const [kind, job] of this.running) {
      this.running.delete(kind);
      try {
        job.options.work.throw(new Cancelled());
      } catch {
        // It let go of what it held.
      }
    }
  }

  private slice(kind: JobKind, job: Running): void {
    const end = this.clock.now() + SLICE;
    do this.step(kind, job, () => job.options.work.next());
    while (this.running.get(kind) === job && this.clock.now() < end && job.notBefore < end);
    if (this.running.get(kind) === job) this.show(job);
  }

  private step(kind: JobKind, job: Running, go: () => IteratorResult<Progress, unknown>): void {
    const { options } = job;
    const ended = (tell: () => void): void => {
      if (this.running.get(kind) === job) this.running.delete(kind);
      tell();
      this.changed();
    };
    let step: IteratorResult<Progress, unknown>;
    try {
      step = go();
    } catch (thrown) {
      return ended(() => (thrown instanceof Cancelled ? options.cancelled() : options.failed(thrown)));
    }
    if (step.done === true) {
      const { value } = step;
      return ended(() => options.done(value));
    }
    job.progress = step.value;
    if (step.value.indivisible !== true) return;
    // Nothing can be shown while it lasts: so before.
    this.reveal(job);
    job.notBefore = this.clock.now() + ONE_FRAME;
  }

  private show(job: Running): void {
    if (!job.visible) {
      if (this.age(job) >= PATIENCE) this.reveal(job);
    } else if (this.clock.now() - job.shownAt >= REFRESH) {
      job.shownAt = this.clock.now();
      this.changed();
    }
  }

  private reveal(job: Running): void {
    job.shownAt = this.clock.now();
    if (!job.visible) {
      job.visible = true;
      job.options.shown?.();
    }
    this.changed();
  }

  /** The next slice, once keys and frames had their turn. */
  private wait(): void {
    if (this.waiting || this.running.size === 0) return;
    const earliest = Math.min(...[...this.running.values()].map((job) => job.notBefore));
    this.waiting = true;
    this.clock.after(Math.max(0, earliest - this.clock.now()), () => {
      this.waiting = false;
      for (const [kind, job] of [...this.running])
        if (this.running.get(kind) === job && job.notBefore <= this.clock.now()) this.slice(kind, job);
      this.settled();
      this.wait();
    });
  }
}
