/** What a workspace is opened with. */
import type { Host, HostDescription, ProfileName } from '../../hw/index.ts';
import type { Chance } from '../actions/action.ts';
import type { SessionDocument } from './document.ts';
import type { History } from './history.ts';
import type { RecordWithoutNumber } from './record.ts';

/** Where records go. Without one, a workspace lives in memory only. */
export interface Sink {
  /** @param durable It outlives a loss of power when this returns. */
  append(record: RecordWithoutNumber, durable: boolean): number;
  /** Makes all that was appended outlive a loss of power. */
  sync(): void;
  checkpoint(state: { head: number; acts: number; digest: string }): void;
  close(): void;
}

export interface WorkspaceOptions {
  readonly sessionName: string;
  readonly description: HostDescription;
  readonly profile: ProfileName;
  readonly build: (description: HostDescription, profile: ProfileName) => Host;
  readonly history: History;
  readonly sink: Sink | undefined;
  readonly readOnlyReason?: string;
  readonly notices?: readonly string[];
  readonly document?: SessionDocument;
  readonly now: () => number;
  readonly chance?: Chance;
  /** Sync each act on its own (a console), or only when asked and at the end (a script of many). */
  readonly syncEachAct?: boolean;
}
