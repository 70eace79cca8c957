/** What a workspace writes to: the journal, the snapshot and the lock of one session on disk. */
import type { SessionDocument } from './document.ts';
import { writeDocument } from './document-file.ts';
import type { JournalWriter } from './journal.ts';
import type { Lock } from './lock.ts';
import type { Sink } from './workspace-options.ts';

export function sinkFor(
  folder: string,
  document: SessionDocument,
  writer: JournalWriter,
  lock: Lock,
  now: () => number,
): Sink {
  return {
    append: (record, durable) => writer.append(record, durable),
    sync: () => writer.sync(),
    checkpoint({ head, acts, digest }) {
      writeDocument(folder, {
        ...document,
        savedAt: new Date(now()).toISOString(),
        checkpoint: { records: writer.length, bytes: writer.bytes, head, acts, digest },
      });
    },
    close() {
      try {
        writer.close();
      } finally {
        lock.release();
      }
    },
  };
}
