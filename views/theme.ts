/**
 * Colours by meaning. A screen says what a thing is; the theme says how that looks, as parameters of SGR. No state is
 * told by colour alone: the words and glyphs stand without it.
 */

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

export type ThemeName = 'dark' | 'light' | '16' | 'none';

export type Theme = Readonly<Record<StyleName, string>>;

export const themes: Readonly<Record<ThemeName, Theme>> = {
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

export function isThemeName(text: unknown): text is ThemeName {
  return typeof text === 'string' && Object.hasOwn(themes, text);
}
