/** Sessions from the console: new, open, rename, remove, back in time, exports. */
import type { Console } from '../console.ts';
import { Confirm } from '../overlays/confirm.ts';
import { Picker } from '../overlays/picker.ts';
import { Prompt } from '../overlays/prompt.ts';
import { TextView } from '../overlays/text-view.ts';

/** Opens the session of the row, or shows the host as of the act of the row. */
export function openEntry(console: Console): void {
  const subject = console.subject();
  if (subject?.kind !== 'session') return;
  if (subject.entry === 'act') {
    const act = Number(subject.name);
    const said = `as after act ${act}. Esc or . comes back to now.`;
    console.session.move(`going to act ${act}`, console.workspace.inSteps.travel(act), said);
    return;
  }
  if (subject.entry === 'demo') {
    console.warn(`a demo plays by itself: vtdeck demo play ${subject.name}`);
    return;
  }
  console.attempt(() => {
    const { shelf } = console;
    if (shelf === undefined || subject.name === console.workspace.sessionName) return;
    console.session.open(subject.name, shelf.opening(subject.name));
  });
}

export function newSession(console: Console): void {
  const { shelf } = console;
  if (shelf === undefined) return console.warn('no store of sessions here');
  const ask = (host: string | undefined): void =>
    console.push(
      new Prompt({
        title: 'New session',
        lines: [`Its name. Host: ${host ?? 'the built-in server'}.`],
        check: (value) =>
          /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(value)
            ? undefined
            : 'letters, digits, dot, underscore, dash',
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
  if (subject?.kind !== 'session' || subject.entry !== 'session') {
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
      onAnswer: (to) => {
        console.pop();
        console.attempt(() => {
          shelf.rename(name, to);
          console.lists.refresh();
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
      consequences: [`${name} is no longer listed; vtdeck session restore brings it back`],
      name,
      onYes: () => {
        console.pop();
        console.attempt(() => {
          shelf.remove(name);
          console.lists.refresh();
          console.say(`${name} is in the bin`);
        });
      },
      onCancel: () => console.pop(),
    }),
  );
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
