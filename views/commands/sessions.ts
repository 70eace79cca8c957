/** Sessions from the console: new, open, rename, remove, back in time, exports. */
import { finish } from '../../hw/index.ts';
import type { Console } from '../console.ts';
import { Confirm } from '../overlays/confirm.ts';
import { Picker } from '../overlays/picker.ts';
import { Prompt } from '../overlays/prompt.ts';
import { TextView } from '../overlays/text-view.ts';

/** What a session may be called. */
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

function nameProblem(value: string): string | undefined {
  return NAME.test(value) ? undefined : 'letters, digits, dot, underscore, dash';
}

export function openSession(console: Console): void {
  const { shelf } = console;
  const subject = console.subject();
  if (subject?.kind !== 'session' || shelf === undefined) return;
  if (subject.name === console.workspace.sessionName) return console.note(`${subject.name} is open now`);
  console.session.open(subject.name, shelf.opening(subject.name));
}

/** Shows the host as it was after an act. */
export function travelToAct(console: Console): void {
  const subject = console.subject();
  if (subject?.kind !== 'act') return;
  const act = Number(subject.name);
  const said = `as after act ${act}. Esc or . comes back to now.`;
  console.session.move(`going to act ${act}`, console.workspace.inSteps.travel(act), said);
}

export function playDemo(console: Console): void {
  const subject = console.subject();
  if (subject?.kind !== 'demo') return;
  const { name } = subject;
  const over = (problem: string | undefined): void => {
    if (problem === undefined) console.say(`demo ${name} is over; your session is as you left it`);
    else console.fail(`demo ${name}: ${problem}`);
  };
  if (!console.terminal.watchDemo(name, over)) console.warn(`play it with: vtdeck demo play ${name}`);
}

export function newSession(console: Console): void {
  const { shelf } = console;
  if (shelf === undefined) return console.warn('no store of sessions here');
  const ask = (host: string | undefined): void =>
    console.push(
      new Prompt({
        title: 'New session',
        lines: [`Its name. Host: ${host ?? 'the built-in server'}.`],
        check: nameProblem,
        onAnswer: (name) => {
          console.pop();
          console.session.open(name, shelf.creating(name, host));
        },
        onCancel: () => console.pop(),
      }),
    );
  const hosts = shelf.hosts();
  if (hosts.length < 2) return ask(hosts[0]);
  console.push(
    new Picker({
      title: 'Host of the new session',
      titles: ['Host'],
      items: hosts.map((host) => ({ value: host, cells: [host] })),
      onPick: (host) => {
        console.pop();
        ask(host);
      },
      onCancel: () => console.pop(),
      onRefused: (reason) => console.warn(reason),
    }),
  );
}

/** The stored session under the cursor, or why it can't be changed. */
function stored(console: Console): string | undefined {
  const subject = console.subject();
  if (subject?.kind !== 'session' || subject.bundled) {
    console.warn('only sessions of your own can be renamed or removed');
    return undefined;
  }
  if (subject.name === console.workspace.sessionName) {
    console.warn(`${subject.name} is open now: open another one first`);
    return undefined;
  }
  return subject.name;
}

export function renameSession(console: Console): void {
  const name = stored(console);
  const { shelf } = console;
  if (name === undefined || shelf === undefined) return;
  console.push(
    new Prompt({
      title: `Rename ${name}`,
      lines: ['Its new name.'],
      value: name,
      check: nameProblem,
      onAnswer: (to) => {
        console.pop();
        console.attempt(() => {
          shelf.rename(name, to);
          console.lists.refresh();
          console.standOn(`session ${to}`);
          console.say(`${name} is now called ${to}`);
        });
      },
      onCancel: () => console.pop(),
    }),
  );
}

export function removeSession(console: Console): void {
  const name = stored(console);
  const { shelf } = console;
  if (name === undefined || shelf === undefined) return;
  console.push(
    new Confirm({
      title: `Move ${name} to the bin?`,
      about: [],
      consequences: [`${name} is no longer listed; u takes it back from there`],
      name,
      onYes: () => {
        console.pop();
        console.attempt(() => {
          shelf.remove(name);
          console.lists.refresh();
          console.say(`${name} is in the bin; u takes it back`);
        });
      },
      onCancel: () => console.pop(),
    }),
  );
}

/** A second session with the same acts. */
export function copySession(console: Console): void {
  const { shelf } = console;
  const subject = console.subject();
  if (subject?.kind !== 'session' || shelf === undefined) return;
  const taken = new Set(finish(shelf.listing()).map((entry) => entry.name));
  let number = 2;
  while (taken.has(`${subject.name}-${number}`)) number += 1;
  console.push(
    new Prompt({
      title: `Copy ${subject.name}`,
      lines: ['Name of the copy.'],
      value: `${subject.name}-${number}`,
      check: nameProblem,
      onAnswer: (to) => {
        console.pop();
        console.attempt(() => {
          shelf.copy(subject.name, to);
          console.lists.refresh();
          console.standOn(`session ${to}`);
          console.say(`${to} is a copy of ${subject.name}; Enter opens it`);
        });
      },
      onCancel: () => console.pop(),
    }),
  );
}

/** Writes the session to a file, for another machine or for safe keeping. */
export function exportSession(console: Console): void {
  const { shelf } = console;
  const subject = console.subject();
  if (subject?.kind !== 'session' || shelf === undefined) return;
  console.push(
    new Prompt({
      title: `Write ${subject.name} to a file`,
      lines: ['Its path; i on another machine brings it in.'],
      value: `${subject.name}.json`,
      check: (value) => (value === '' ? 'a path' : undefined),
      onAnswer: (file) => {
        console.pop();
        console.attempt(() => console.say(`${subject.name} is in ${shelf.exportTo(subject.name, file)}`));
      },
      onCancel: () => console.pop(),
    }),
  );
}

export function importSession(console: Console): void {
  const { shelf } = console;
  if (shelf === undefined) return console.warn('no store of sessions here');
  console.push(
    new Prompt({
      title: 'Bring a session in',
      lines: ['Path of the file that another vtdeck wrote. It is replayed first.'],
      check: (value) => (value === '' ? 'a path' : undefined),
      onAnswer: (file) => {
        console.pop();
        console.session.begin(`bringing ${file} in`, 'acts', shelf.importing(file), (name) => {
          console.lists.refresh();
          console.standOn(`session ${name}`);
          console.say(`${file} is now session ${name}; Enter opens it`);
        });
      },
      onCancel: () => console.pop(),
    }),
  );
}

/** Takes a session back from the bin. */
export function restoreSession(console: Console): void {
  const { shelf } = console;
  const binned = shelf?.binned() ?? [];
  if (shelf === undefined || binned.length === 0) return console.note('the bin is empty');
  console.push(
    new Picker({
      title: 'Take back from the bin',
      titles: ['Session', 'Removed'],
      items: binned.map(({ name, removed }) => ({ value: name, cells: [name, removed] })),
      onPick: (name) => {
        console.pop();
        console.attempt(() => {
          shelf.restore(name);
          console.lists.refresh();
          console.standOn(`session ${name}`);
          console.say(`${name} is back`);
        });
      },
      onCancel: () => console.pop(),
      onRefused: (reason) => console.warn(reason),
    }),
  );
}

/** Replays the session and holds it against what was recorded. */
export function verifySession(console: Console): void {
  const { shelf } = console;
  const subject = console.subject();
  if (subject?.kind !== 'session' || shelf === undefined) return;
  const { name } = subject;
  console.session.begin(`verifying ${name}`, 'acts', shelf.verifying(name), ({ ok, said }) => {
    if (ok) console.say(`${name}: ${said}`);
    else console.fail(`${name} differs: ${said}`);
  });
}

export function restoreTime(console: Console): void {
  if (console.workspace.travellingAt === undefined) return console.warn('this is now already');
  const outcome = console.workspace.travel(undefined);
  if (outcome.ok) console.say(outcome.summary);
  else console.failWith(outcome.error);
}

/** Undoing and then acting otherwise leaves a branch behind; this goes back to one. */
export function switchBranch(console: Console): void {
  const { workspace } = console;
  console.push(
    new Picker({
      title: 'Branches of this session',
      titles: ['Branch', 'Acts'],
      items: workspace.branches.map((branch) => ({
        value: branch.name,
        cells: [branch.name, String(branch.acts)],
        disabled: branch.current ? 'this is where you are' : undefined,
      })),
      onPick: (name) => {
        console.pop();
        console.session.move(`going to ${name}`, workspace.inSteps.switchBranch(name));
      },
      onCancel: () => console.pop(),
      onRefused: (reason) => console.warn(reason),
    }),
  );
}

export function exportText(console: Console): void {
  const formats = console.shelf?.exports?.(console.workspace) ?? [];
  if (formats.length === 0)
    return console.warn('nothing to export yet: assign a device to a virtual machine first');
  console.push(
    new Picker({
      title: 'Export',
      titles: ['Format'],
      items: formats.map((format) => ({ value: format.name, cells: [format.name] })),
      onPick: (name) => {
        console.pop();
        console.attempt(() => {
          const text = formats.find((format) => format.name === name)?.text() ?? '';
          console.push(
            new TextView({
              title: `${name}   (Y copies)`,
              lines: () => text.split('\n'),
              onKey(key) {
                if (key !== 'Y') return false;
                console.copy(text, name);
                return true;
              },
              onClose: () => console.pop(),
            }),
          );
        });
      },
      onCancel: () => console.pop(),
      onRefused: (reason) => console.warn(reason),
    }),
  );
}
