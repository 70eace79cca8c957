/** A session that acts without end, saying each act that counts: the parent kills it at any moment. */
import { writeSync } from 'node:fs';
import { finish, type HostDescription } from '../../hw/index.ts';
import { History } from '../../src/session/history.ts';
import { LiveWorkspace } from '../../src/session/live-workspace.ts';
import { sinkFor } from '../../src/session/sink.ts';
import { openSession } from '../../src/session/store.ts';
import { fakeHost } from './fake-host.ts';

const [name] = process.argv.slice(2);
const opened = openSession(name, 'test child', new Date(0));
const { writer, lock } = opened;
if (writer === undefined || lock === undefined) {
  writeSync(2, `could not open to write: ${opened.readOnlyReason}\n`);
  process.exit(9);
}
const workspace = finish(
  LiveWorkspace.open(
    {
      sessionName: name,
      description: {} as HostDescription,
      profile: '5.15',
      build: fakeHost,
      history: History.from(opened.records),
      sink: sinkFor(opened.folder, opened.document, writer, lock, () => 0),
      document: opened.document,
      now: () => 0,
    },
    opened.records.length,
  ),
);
if (workspace.host.machineState('alpha') === undefined) workspace.dispatch('vm.create', { vm: 'alpha' });
for (let turn = 0; ; turn++) {
  if (turn % 11 === 7) workspace.undo();
  else if (turn % 17 === 13) workspace.save();
  else
    workspace.dispatch('vm.write', {
      vm: 'alpha',
      address: '0x1000',
      data: (turn & 0xff).toString(16).padStart(2, '0'),
    });
  // What the operator has been told is what must be there afterwards.
  writeSync(1, `${workspace.journal.length} ${workspace.journal.at(-1)?.id ?? 0}\n`);
}
