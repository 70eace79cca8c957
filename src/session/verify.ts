/** Proves that a session is what it was: replayed twice, and held against every digest recorded on the way. In steps. */
import { Cancelled, type Work } from '../../hw/index.ts';
import { formatError, formatPlace, toApplicationError } from '../errors.ts';
import { openInSteps } from './open-workspace.ts';

export interface Verified {
  readonly name: string;
  readonly ok: boolean;
  readonly acts: number;
  /** Recorded digests that were met. */
  readonly checked: number;
  readonly digest: string;
  readonly problem: string | null;
  /** The files of the session are damaged. */
  readonly unreadable: boolean;
}

export function* verifySession(name: string): Work<Verified> {
  let acts = 0;
  try {
    const first = yield* openInSteps({ session: name, readOnly: true, what: 'session verify' });
    acts = first.journal.length;
    const digest = yield* first.host.digestInSteps();
    const again = yield* openInSteps({ session: name, readOnly: true, what: 'session verify' });
    const second = yield* again.host.digestInSteps();
    if (second !== digest) {
      return failed(name, acts, `two replays end in ${digest} and ${second}`);
    }
    const { checked, problem } = yield* first.checkDigests();
    if (problem !== undefined) return { ...failed(name, acts, problem), checked };
    return { name, ok: true, acts, checked, digest, problem: null, unreadable: false };
  } catch (thrown) {
    if (thrown instanceof Cancelled) throw thrown;
    const error = toApplicationError(thrown);
    const said =
      error.place === undefined
        ? formatError(error).split('\n')[0]
        : `${formatPlace(error.place)}${error.message}`;
    return { ...failed(name, acts, said.replace(/^vtdeck: /, '')), unreadable: error.code !== 'REPLAY' };
  }
}

function failed(name: string, acts: number, problem: string): Verified {
  return { name, ok: false, acts, checked: 0, digest: '', problem, unreadable: false };
}
