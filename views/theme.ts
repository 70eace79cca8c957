/**
 * Colours by meaning. A screen says what a thing is; the theme says how that looks, as parameters of SGR. No state is
 * told by colour alone: the words and glyphs stand without it.
 */

import { type ColourDepth, styleCodes } from './colour.ts';

export type StyleName =
  | 'plain'
  | 'dim'
  | 'strong'
  | 'title'
  | 'accent'
  | 'good'
  | 'warning'
  | 'bad'
  | 'selected'
  | 'unfocused'
  | 'header'
  | 'tab'
  | 'tabActive'
  | 'key'
  | 'border'
  | 'match';

type ThemeName = 'dark' | 'light' | '16' | 'none';

export type Theme = Readonly<Record<StyleName, string>>;

const themes: Readonly<Record<ThemeName, Theme>> = {
  dark: {
    plain: '',
    dim: '38;5;246',
    strong: '1',
    title: '1;38;5;117',
    accent: '38;5;117',
    good: '38;5;114',
    warning: '38;5;221',
    bad: '1;38;5;210',
    selected: '48;5;24',
    unfocused: '48;5;237',
    header: '38;5;246;4',
    tab: '38;5;250',
    tabActive: '1;38;5;16;48;5;117',
    key: '38;5;221',
    border: '38;5;240',
    match: '4',
  },
  light: {
    plain: '',
    dim: '38;5;242',
    strong: '1',
    title: '1;38;5;25',
    accent: '38;5;25',
    good: '38;5;28',
    warning: '38;5;130',
    bad: '1;38;5;160',
    selected: '48;5;153',
    unfocused: '48;5;254',
    header: '38;5;242;4',
    tab: '38;5;240',
    tabActive: '1;38;5;231;48;5;25',
    key: '38;5;130',
    border: '38;5;248',
    match: '4',
  },
  '16': {
    plain: '',
    dim: '',
    strong: '1',
    title: '1;36',
    accent: '36',
    good: '32',
    warning: '33',
    bad: '1;31',
    selected: '7',
    unfocused: '4',
    header: '4',
    tab: '',
    tabActive: '7',
    key: '33',
    border: '',
    match: '4',
  },
  none: {
    plain: '',
    dim: '',
    strong: '1',
    title: '1',
    accent: '',
    good: '',
    warning: '',
    bad: '1',
    selected: '7',
    unfocused: '4',
    header: '4',
    tab: '',
    tabActive: '7',
    key: '1',
    border: '',
    match: '4',
  },
};

/** In the order in which the key goes through them. */
const THEME_NAMES: readonly ThemeName[] = ['dark', 'light', '16', 'none'];

function isThemeName(text: unknown): text is ThemeName {
  return (THEME_NAMES as readonly unknown[]).includes(text);
}

/** What the preferences say of a theme of the operator's own. */
export interface OwnTheme {
  /** The theme that everything not named here is taken from; absent: dark. */
  readonly based?: string;
  /** `bold #ff8700 on blue` by role. */
  readonly colours?: Readonly<Record<string, string>>;
}

/** The themes there are on a terminal, and the one to begin with. */
export class ThemeChoice {
  /** What the preferences said that makes no sense, one line each. */
  readonly problems: readonly string[];
  private readonly byName: ReadonlyMap<string, Theme>;
  private readonly lights = new Set(['light']);
  private current: string;

  /**
   * @param own Themes of the preferences, by name. What is wrong with one is said, and the rest of it is taken.
   * @param wanted Name of the theme to begin with.
   */
  constructor(own: unknown, wanted: unknown, depth: ColourDepth) {
    const problems: string[] = [];
    // A terminal of sixteen colours shows the other tables as it likes: there the theme made for it stands in.
    const basis = (name: ThemeName): Theme =>
      name === 'none' || depth === 1 ? themes.none : depth === 4 ? themes['16'] : themes[name];
    const byName = new Map<string, Theme>(THEME_NAMES.map((name) => [name, basis(name)]));
    for (const [name, description] of Object.entries(asRecord(own, 'themes', problems))) {
      if (isThemeName(name)) problems.push(`themes: "${name}" is the name of one that is there already`);
      else {
        byName.set(name, ownTheme(name, description, basis, depth, problems));
        if ((description as OwnTheme | null)?.based === 'light') this.lights.add(name);
      }
    }
    const named = typeof wanted === 'string' && byName.has(wanted);
    if (wanted !== undefined && !named)
      problems.push(`theme: there is no "${String(wanted)}"; there are ${[...byName.keys()].join(', ')}`);
    this.current = named ? wanted : 'dark';
    this.byName = byName;
    this.problems = problems;
  }

  get name(): string {
    return this.current;
  }

  get theme(): Theme {
    return this.byName.get(this.current) ?? themes.none;
  }

  /** True when it is made for a light ground. */
  get light(): boolean {
    return this.lights.has(this.current);
  }

  /** Goes to the next one. */
  next(): void {
    const names = [...this.byName.keys()];
    this.current = names[(names.indexOf(this.current) + 1) % names.length];
  }
}

function ownTheme(
  name: string,
  description: unknown,
  basis: (name: ThemeName) => Theme,
  depth: ColourDepth,
  problems: string[],
): Theme {
  const { based, colours, ...more } = asRecord(description, `themes.${name}`, problems);
  for (const other of Object.keys(more))
    problems.push(`themes.${name}: "${other}" is not known; there are based and colours`);
  if (based !== undefined && !isThemeName(based))
    problems.push(`themes.${name}: based on "${String(based)}"; it can be ${THEME_NAMES.join(', ')}`);
  const theme: Record<StyleName, string> = { ...basis(isThemeName(based) ? based : 'dark') };
  for (const [role, text] of Object.entries(asRecord(colours, `themes.${name}.colours`, problems))) {
    if (!Object.hasOwn(theme, role)) {
      problems.push(`themes.${name}: there is no role "${role}"; there are ${Object.keys(theme).join(', ')}`);
      continue;
    }
    try {
      theme[role as StyleName] = styleCodes(String(text), depth);
    } catch (thrown) {
      problems.push(`themes.${name}.${role}: ${(thrown as Error).message}`);
    }
  }
  return theme;
}

function asRecord(value: unknown, what: string, problems: string[]): Record<string, unknown> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value))
    return value as Record<string, unknown>;
  if (value !== undefined) problems.push(`${what}: a group of names and values is wanted`);
  return {};
}
