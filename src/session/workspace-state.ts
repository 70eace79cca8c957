/**
 * What a session at work consists of: the host as it is now and as it was, the history that led there, what of it is on
 * disk. Acts and moves through the history (live-workspace.ts) change it.
 */
import { Cancelled, finish, type Host, type ProfileName, type Work } from '../../hw/index.ts';
import { ApplicationError, ExitCode, toApplicationError } from '../errors.ts';
import type { Branch, CommandLogEntry, JournalEntry } from '../workspace.ts';
import type { SessionDocument } from './document.ts';
import type { History } from './history.ts';
import type { RecordWithoutNumber } from './record.ts';
import type { CommandLog, Rebuilt } from './replay.ts';
import type { WorkspaceOptions } from './workspace-options.ts';

/** The snapshot is written anew after so many acts; until then the journal has them. */
const ACTS_BETWEEN_CHECKPOINTS = 1000;

export abstract class WorkspaceState {
  protected readonly options: WorkspaceOptions;
  protected readonly history: History;
  protected current: Host;
  protected log: CommandLog;
  protected past: { at: number; host: Host } | undefined;
  /** An act is under way: the host is between two acts of the journal. */
  protected underWay = false;
  private readonly listeners = new Set<() => void>();
  private changes = 0;
  private sequence: number;
  private savedAtAct: number;
  private actsSinceCheckpoint = 0;
  private readonly said: string[];
  private closed = false;

  protected constructor(options: WorkspaceOptions, recordsOnDisk: number, { host, log }: Rebuilt) {
    this.options = options;
    this.history = options.history;
    this.sequence = recordsOnDisk;
    this.said = [...(options.notices ?? [])];
    this.current = host;
    this.log = log;
    this.savedAtAct = options.document?.checkpoint.head ?? this.history.head;
  }

  get host(): Host {
    return this.past?.host ?? this.current;
  }

  get profile(): ProfileName {
    return this.host.profile;
  }

  get sessionName(): string {
    return this.options.sessionName;
  }

  get readOnly(): boolean {
    return this.options.readOnlyReason !== undefined;
  }

  get readOnlyReason(): string | undefined {
    return this.options.readOnlyReason;
  }

  get notices(): readonly string[] {
    return this.said;
  }

  get version(): number {
    return this.changes;
  }

  get journal(): readonly JournalEntry[] {
    return this.history.applied;
  }

  /** Acts of all branches. */
  get actsInAll(): number {
    return this.history.size;
  }

  get redoable(): readonly JournalEntry[] {
    return this.history.redoable;
  }

  get commandLog(): readonly CommandLogEntry[] {
    return this.log.entries;
  }

  get branches(): readonly Branch[] {
    return this.history.branches;
  }

  get unsavedActs(): number {
    if (this.savedAtAct === this.history.head) return 0;
    const place = this.history.placeOf(this.savedAtAct) + 1;
    return Math.max(1, Math.abs(this.history.position - place));
  }

  get travellingAt(): number | undefined {
    return this.past?.at;
  }

  subscribe(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** What the snapshot says of it: title, tags, notes. */
  get document(): SessionDocument | undefined {
    return this.options.document;
  }

  /** Makes all acts outlive a loss of power. @throws ApplicationError */
  sync(): void {
    this.options.sink?.sync();
  }

  close(): void {
    finish(this.closing());
  }

  /** The same in steps; stopped, it is closed without a snapshot: the journal has all acts. */
  protected *closing(): Work<void> {
    if (this.closed) return;
    this.closed = true;
    try {
      if (!this.readOnly && !this.underWay && this.unsavedActs > 0) yield* this.checkpoint();
    } catch (thrown) {
      // A snapshot that can't be written now is written at a later closing.
      if (!(thrown instanceof Cancelled)) this.said.push(toApplicationError(thrown).message);
    }
    try {
      this.options.sink?.close();
    } catch (thrown) {
      this.said.push(toApplicationError(thrown).message);
    }
  }

  protected whyNothingCanChange(): ApplicationError | undefined {
    if (this.readOnly) return this.readOnlyError();
    if (this.underWay) {
      return new ApplicationError('EBUSY', 'another act is under way', {
        rule: 'one act after the other',
        remedy: 'wait for it, or stop it',
        exitCode: ExitCode.refused,
      });
    }
    if (this.past === undefined) return undefined;
    return new ApplicationError(
      'EROFS',
      `the host is shown as of act ${this.past.at}: nothing can change in the past`,
      {
        rule: 'time travel shows and does not act',
        remedy: 'come back to now first; or undo to there and act: the old way stays as a branch',
        exitCode: ExitCode.refused,
      },
    );
  }

  protected readOnlyError(): ApplicationError {
    return new ApplicationError('EROFS', `the session is open to read only: ${this.readOnlyReason}`, {
      rule: 'one writer a session',
      remedy: `to go on from here: vtdeck session copy ${this.sessionName} NEW-NAME`,
      exitCode: ExitCode.refused,
    });
  }

  protected take({ host, log }: Rebuilt): void {
    this.current = host;
    this.log = log;
  }

  /** Writes a record to the journal first, then takes it in. @throws ApplicationError; then nothing has changed. */
  protected record(record: RecordWithoutNumber, durable: boolean): void {
    const { sink } = this.options;
    const sequence = sink === undefined ? this.sequence : sink.append(record, durable);
    this.sequence = sequence + 1;
    const { kind, ...rest } = record;
    this.history.take({ seq: sequence, kind, ...rest } as Parameters<History['take']>[0]);
    this.actsSinceCheckpoint += 1;
  }

  protected *checkpointWhenDue(): Work<void> {
    if (this.options.sink === undefined || this.actsSinceCheckpoint < ACTS_BETWEEN_CHECKPOINTS) return;
    try {
      yield* this.checkpoint();
    } catch (thrown) {
      // Stopped, it is due again after the next act.
      if (thrown instanceof Cancelled) return;
      this.said.push(`${toApplicationError(thrown).message}; the acts are in the journal`);
      this.actsSinceCheckpoint = 0;
    }
  }

  protected *checkpoint(): Work<void> {
    const { sink } = this.options;
    const { head } = this.history;
    const digest = yield* this.current.digestInSteps();
    if (sink !== undefined) {
      if (this.history.digests.get(head) !== digest) {
        const sequence = sink.append({ kind: 'digest', head, digest }, false);
        this.sequence = sequence + 1;
        this.history.take({ kind: 'digest', seq: sequence, head, digest });
      }
      sink.sync();
      sink.checkpoint({ head, acts: this.history.position, digest });
    }
    this.savedAtAct = head;
    this.actsSinceCheckpoint = 0;
  }

  protected changed(): void {
    this.changes += 1;
    for (const listener of this.listeners) listener();
  }
}
