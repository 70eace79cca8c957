import { describe, expect, it } from 'vitest';
import { toCast2, toCast3 } from '../../src/demo/cast.ts';
import { parseTape } from '../../src/demo/parse.ts';
import { matches, nearestLine } from '../../src/demo/pattern.ts';
import { toAnimation, toStill, toText } from '../../src/demo/pictures.ts';
import { type Mount, type Played, Player } from '../../src/demo/player.ts';

/** A console that shows what was typed, one line an Enter, and a clock; `q` ends it. */
const echo: Mount = async (words, { input, output, clock }) => {
  let line = '';
  let entered = 0;
  let ended: () => void = () => undefined;
  const finished = new Promise<void>((resolve) => {
    ended = resolve;
  });
  output.write(`\u001b[2J\u001b[Hopened ${words.join(' ')}\r\n`);
  const tick = (): void => {
    clock.after(1000, () => {
      output.write(`\u001b[s\u001b[5;1Hsecond ${Math.round(clock.now() / 1000)}\u001b[u`);
      tick();
    });
  };
  tick();
  const heard = (bytes: string): void => {
    if (bytes === 'q' || bytes === '\u0003') {
      input.off('data', heard);
      output.write('\u001b[H\u001b[2J');
      ended();
    } else if (bytes === '\r') {
      entered += 1;
      output.write(`\r\n\u001b[1mgot ${line}\u001b[m\r\n`);
      line = '';
    } else {
      line += bytes;
      output.write(bytes);
    }
  };
  input.on('data', heard);
  output.on('resize', () => output.write(`\r\nnow ${output.columns}x${output.rows}\r\n`));
  return { finished, state: () => `acts=${entered}` };
};

function play(tape: string): Promise<Played> {
  return new Player(parseTape(tape, 'x.tape'), { mount: echo }).play();
}

describe('a demo that nobody watches', () => {
  it('lets a minute of sleeps pass at once, and timers go off in it', async () => {
    const played = await play('Sleep 60s\n#: Expect /second 60/');
    expect(played.failure).toBeUndefined();
    expect(played.milliseconds).toBeGreaterThanOrEqual(60_000);
  });

  it('types, waits for state and screen, and resizes', async () => {
    const played = await play(
      'Type "hello"\nEnter\n#: Wait+State /acts=1/\n#: Expect /got hello/\n#: Resize 100 30\nWait+Screen /now 100x30/\n#: Expect+Not /nonsense/',
    );
    expect(played.failure).toBeUndefined();
    expect(played.keys).toBe(6);
    expect(played.expectations).toBe(2);
  });

  it('opens the console from the shell that a tape of VHS types into, and again after it ended', async () => {
    const played = await play(
      'Hide\nType "vtdeck open lab --ascii"\nEnter\nWait+Screen /opened/\nShow\n#: Expect /opened open lab --ascii/\nType "q"\nWait /> $/\nType "npm start"\nEnter\n#: Expect /opened\\s*$/',
    );
    expect(played.failure).toBeUndefined();
  });

  it('gives the same bytes each time, in every format', async () => {
    const tape =
      'Set TypingSpeed 20ms\n#: Chapter "Begin"\nType "héllo <&>"\nEnter\nSleep 2s\nScreenshot a.txt\n';
    const formats = (played: Played): string[] => [
      toCast2(played.recording),
      toCast3(played.recording),
      toText(played.recording),
      toAnimation(played.recording),
      toStill(played.recording.frames[0], 't'),
    ];
    expect(formats(await play(tape))).toEqual(formats(await play(tape)));
  });

  it('says what was expected, the nearest line and the screen when it is not so', async () => {
    const played = await play('Type "hello"\nEnter\n#: Expect /got hallo/');
    expect(played.failure?.exitCode).toBe(4);
    expect(played.failure?.place).toEqual({ file: 'x.tape', line: 3 });
    expect(played.failure?.message).toContain('- expected screen with /got hallo/');
    expect(played.failure?.message).toContain('+ nearest line: got hello');
    expect(played.failure?.message).toContain('opened');
  });

  it('gives up a wait after its time', async () => {
    const played = await play('Wait+Screen@3s /never/');
    expect(played.failure?.exitCode).toBe(4);
    expect(played.milliseconds).toBeLessThan(5000);
  });

  it('is stopped at too much time of its own and at too many keys', async () => {
    const bounded = (tape: string): Promise<Played> =>
      new Player(parseTape(tape, 'x.tape'), {
        mount: echo,
        limits: { keys: 50, totalMilliseconds: 20_000 },
      }).play();
    expect((await bounded('Sleep 10s\nSleep 15s\nSleep 15s')).failure?.message).toContain('lasts too long');
    expect((await bounded('Space@1ms 100')).failure?.message).toContain('at most 50 keys');
  });

  it('notes what of VHS has no effect here', async () => {
    const played = await play('Set FontSize 20\nRequire bash\nSet Nonsense 1');
    expect(played.notices).toEqual(['Require bash: has no effect here', 'Set Nonsense: not known']);
  });
});

describe('recordings', () => {
  it('are asciicasts: header, then events in order of time', async () => {
    const { recording } = await play(
      '#: Chapter "One"\nType "a"\nEnter\nSleep 1s\n#: Resize 90 25\nType "b"',
    );
    const [header, ...events] = toCast2(recording)
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(header).toMatchObject({ version: 2, width: 80, height: 24 });
    const times = events.map((event: [number, string, string]) => event[0]);
    expect(times).toEqual([...times].sort((a, b) => a - b));
    expect(new Set(events.map((event: [number, string, string]) => event[1]))).toEqual(
      new Set(['o', 'i', 'm', 'r']),
    );
    const [header3, ...events3] = toCast3(recording)
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(header3).toMatchObject({ version: 3, term: { cols: 80, rows: 24 } });
    const total = events3.reduce((sum: number, event: [number, string, string]) => sum + event[0], 0);
    expect(total).toBeCloseTo(times[times.length - 1], 5);
  });

  it('hold nothing of what is hidden', async () => {
    const { recording } = await play('Hide\nType "secret"\nEnter\nSleep 5s\nType "clear"\nShow\nType "x"');
    expect(recording.events.filter((event) => event.kind === 'input').map((event) => event.data)).toEqual([
      'x',
    ]);
    expect(recording.events[recording.events.length - 1].at).toBeLessThan(1000);
  });

  it('are well-formed pictures', async () => {
    const { recording } = await play('Type "<a> & b"\nEnter');
    for (const svg of [
      toAnimation(recording),
      toStill(recording.frames[recording.frames.length - 1], 'a<b'),
    ]) {
      expect(svg.match(/<g\b/g)?.length).toBe(svg.match(/<\/g>/g)?.length);
      expect(svg.match(/<svg\b/g)?.length).toBe(svg.match(/<\/svg>/g)?.length);
      expect(svg).not.toContain('<a> & b');
    }
  });
});

describe('patterns', () => {
  it('that would backtrack without end are stopped', () => {
    expect(() => matches('^(a+)+$', '', `${'a'.repeat(40)}b`)).toThrow(/takes longer/);
  });

  it('find the line most like them', () => {
    expect(nearestLine('group 12 viable', ['', 'group 12: not viable', 'something else'])).toBe(
      'group 12: not viable',
    );
    expect(nearestLine('zzz', ['abc'])).toBeUndefined();
  });
});
