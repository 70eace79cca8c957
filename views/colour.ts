/** Colours and attributes as a person writes them, and as a terminal of so many colours takes them. */

/** Bits of colour: 1 none, 4 sixteen, 8 the table of 256, 24 all. As Node's `getColorDepth` tells it. */
export type ColourDepth = 1 | 4 | 8 | 24;

const NAMES = ['black', 'red', 'green', 'yellow', 'blue', 'magenta', 'cyan', 'white'] as const;

const ATTRIBUTES: Readonly<Record<string, string>> = {
  bold: '1',
  dim: '2',
  italic: '3',
  underline: '4',
  reverse: '7',
};

type Rgb = readonly [number, number, number];

/** What xterm shows for the sixteen. */
const SIXTEEN: readonly Rgb[] = [
  [0, 0, 0],
  [205, 0, 0],
  [0, 205, 0],
  [205, 205, 0],
  [0, 0, 238],
  [205, 0, 205],
  [0, 205, 205],
  [229, 229, 229],
  [127, 127, 127],
  [255, 0, 0],
  [0, 255, 0],
  [255, 255, 0],
  [92, 92, 255],
  [255, 0, 255],
  [0, 255, 255],
  [255, 255, 255],
];

/**
 * `bold #ff8700 on blue` as parameters of SGR. Words: bold, dim, italic, underline, reverse; a colour; `on` and the
 * colour behind. Colours: the eight names, with `bright` before them; 0 to 255; #rrggbb; `default`.
 * @throws Error that says what is wrong with it.
 */
export function styleCodes(text: string, depth: ColourDepth): string {
  const codes: string[] = [];
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.at(-1) === 'on') throw new Error('"on" wants a colour after it');
  let ground = false;
  let coloured = false;
  for (let at = 0; at < words.length; at += 1) {
    const word = words[at];
    if (ATTRIBUTES[word] !== undefined && !ground) codes.push(ATTRIBUTES[word]);
    else if (word === 'on' && !ground && at + 1 < words.length) ground = true;
    else {
      if (coloured && !ground) throw new Error(`"${word}" is one colour too many`);
      const bright = word === 'bright';
      if (bright) at += 1;
      const code = colourCode(words[at] ?? '', bright, ground, depth);
      if (code !== '') codes.push(code);
      if (ground && at + 1 < words.length) throw new Error(`"${words[at + 1]}" comes after the ground`);
      coloured = true;
    }
  }
  return codes.join(';');
}

function colourCode(word: string, bright: boolean, ground: boolean, depth: ColourDepth): string {
  const named = (NAMES as readonly string[]).indexOf(word);
  if (bright && named < 0) throw new Error(`"bright ${word}" is no colour`);
  if (word === 'default') return ground ? '49' : '39';
  if (named >= 0) return depth === 1 ? '' : sixteenth(named + (bright ? 8 : 0), ground);
  const table = /^\d{1,3}$/.test(word) ? Number(word) : undefined;
  const hex = /^#([0-9a-f]{2})([0-9a-f]{2})([0-9a-f]{2})$/.exec(word);
  if ((table === undefined || table > 255) && hex === null) {
    throw new Error(
      `"${word}" is no colour: ${NAMES.join(', ')}, bright and one of these, 0 to 255, #rrggbb`,
    );
  }
  if (depth === 1) return '';
  const rgb: Rgb =
    hex === null
      ? tableColour(table as number)
      : ([hex[1], hex[2], hex[3]].map((part) => Number.parseInt(part, 16)) as never);
  if (depth === 4)
    return sixteenth(table !== undefined && table < 16 ? table : nearest(rgb, SIXTEEN), ground);
  const lead = ground ? '48' : '38';
  if (table !== undefined) return `${lead};5;${table}`;
  if (depth === 24) return `${lead};2;${rgb.join(';')}`;
  return `${lead};5;${16 + nearest(rgb, TABLE)}`;
}

function sixteenth(index: number, ground: boolean): string {
  return String((index < 8 ? 30 + index : 82 + index) + (ground ? 10 : 0));
}

/** Colour `index` of the table of 256: the sixteen, a cube of 6x6x6, 24 greys. */
function tableColour(index: number): Rgb {
  if (index < 16) return SIXTEEN[index];
  if (index >= 232) {
    const grey = 8 + (index - 232) * 10;
    return [grey, grey, grey];
  }
  const level = (step: number): number => (step === 0 ? 0 : 55 + step * 40);
  const cube = index - 16;
  return [level(Math.floor(cube / 36)), level(Math.floor(cube / 6) % 6), level(cube % 6)];
}

/** The table without the sixteen, which every terminal shows as it likes. */
const TABLE: readonly Rgb[] = Array.from({ length: 240 }, (_, at) => tableColour(16 + at));

function nearest(rgb: Rgb, among: readonly Rgb[]): number {
  const distance = (other: Rgb): number =>
    other.reduce((sum, part, channel) => sum + (part - rgb[channel]) ** 2, 0);
  return among.reduce((best, other, at) => (distance(other) < distance(among[best]) ? at : best), 0);
}
