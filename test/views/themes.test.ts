/** Colours as people write them, themes of one's own, and terminals with fewer colours. */
import { describe, expect, it } from 'vitest';
import { styleCodes } from '../../views/colour.ts';
import { ThemeChoice } from '../../views/theme.ts';
import { Stage } from './stage.ts';

describe('a colour', () => {
  it.each([
    ['bold #ff8700 on blue', '1;38;2;255;135;0;44', '1;38;5;208;44', '1;33;44', '1'],
    ['bright red', '91', '91', '91', ''],
    ['on 153', '48;5;153', '48;5;153', '47', ''],
    ['underline reverse', '4;7', '4;7', '4;7', '4;7'],
    ['default on default', '39;49', '39;49', '39;49', '39;49'],
    ['9 on 232', '38;5;9;48;5;232', '38;5;9;48;5;232', '91;40', ''],
    ['', '', '', '', ''],
  ])('"%s" is what the terminal can show of it', (text, all, table, sixteen, none) => {
    expect([24, 8, 4, 1].map((depth) => styleCodes(text, depth as 24 | 8 | 4 | 1))).toEqual([
      all,
      table,
      sixteen,
      none,
    ]);
  });

  it.each([
    ['blurple', /"blurple" is no colour: black, red/],
    ['256', /"256" is no colour/],
    ['#12345', /no colour/],
    ['red green', /one colour too many/],
    ['red on', /wants a colour after it/],
    ['bright 7', /"bright 7" is no colour/],
    ['on red bold', /comes after the ground/],
  ])('"%s" is none, and why is said', (text, why) => {
    expect(() => styleCodes(text, 24)).toThrow(why);
  });
});

describe('themes', () => {
  it('of one’s own take what they do not name from the one they are based on', () => {
    const choice = new ThemeChoice({ mine: { based: 'light', colours: { accent: 'bold 25' } } }, 'mine', 8);
    expect(choice.problems).toEqual([]);
    const light = new ThemeChoice(undefined, 'light', 8).theme;
    expect(choice.theme).toEqual({ ...light, accent: '1;38;5;25' });
    choice.next();
    expect(choice.name).toBe('dark');
  });

  it('say what is wrong with them, and the rest is taken', () => {
    const choice = new ThemeChoice(
      {
        dark: {},
        one: { based: 'x', colours: { acent: 'red', good: 'blurple', bad: 'red' }, more: 1 },
        two: 'red',
      },
      'three',
      8,
    );
    expect(choice.problems).toEqual([
      'themes: "dark" is the name of one that is there already',
      'themes.one: "more" is not known; there are based and colours',
      'themes.one: based on "x"; it can be dark, light, 16, none',
      expect.stringMatching(/^themes\.one: there is no role "acent"; there are plain, dim/),
      expect.stringMatching(/^themes\.one\.good: "blurple" is no colour/),
      'themes.two: a group of names and values is wanted',
      'theme: there is no "three"; there are dark, light, 16, none, one, two',
    ]);
    expect(choice.name).toBe('dark');
    while (choice.name !== 'one') choice.next();
    expect(choice.theme.bad).toBe('31');
  });

  it('use nothing but what the terminal has', () => {
    for (const depth of [1, 4] as const) {
      const choice = new ThemeChoice({ mine: { colours: { accent: '#ff0000' } } }, 'dark', depth);
      for (let at = 0; at < 5; at += 1) {
        for (const codes of Object.values(choice.theme)) {
          expect(codes).not.toMatch(/[34]8;/);
          if (depth === 1) expect(codes).not.toMatch(/(?:^|;)(?:[34]\d|9\d|10\d)/);
        }
        choice.next();
      }
    }
  });

  it('are gone through by a key, told in the preferences, and their faults in the help', async () => {
    const said: unknown[] = [];
    const stage = new Stage(120, 40, {
      preferences: {
        tourDone: true,
        theme: 'mine',
        themes: { mine: { colours: { accent: '#010203', bad: 'blurple' } } },
      },
      colourDepth: 24,
      prefer: (change) => said.push(change),
    });
    expect(await stage.text()).toContain('themes.mine.bad: "blurple" is no colour');
    await stage.keys('Esc', 'n', 'Enter', 'Space');
    expect(stage.output.bytes).toContain('38;2;1;2;3');
    await stage.keys('T');
    expect(said).toEqual([{ theme: 'dark' }]);
    await stage.keys('?', 'G');
    expect(await stage.text()).toContain('themes.mine.bad');
  });
});
