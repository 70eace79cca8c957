/** A frame as a picture: SVG with the terminal's characters, for documents and for saving a screen. */
import { type Cell, parseCells } from './cells.ts';

export interface SvgOptions {
  readonly columns: number;
  readonly rows: number;
  readonly title?: string;
  /** Colours behind and of plain text. */
  readonly background?: string;
  readonly foreground?: string;
}

const BACKGROUND = '#16181a';
const FOREGROUND = '#d0d0d0';
/** For frames that are painted for a light ground. */
export const LIGHT_GROUND = { background: '#fcfcfc', foreground: '#1c1c1c' };
/** What most fonts of one width take at this size; text is fitted where the font is another. */
const CELL_WIDTH = 8.43;
const LINE_HEIGHT = 18;
/** Attributes of a group of lines. */
export const SVG_FONT =
  'font-family="ui-monospace,SFMono-Regular,Menlo,DejaVu Sans Mono,Liberation Mono,Consolas,monospace" font-size="14" xml:space="preserve"';
const MARGIN = 10;

/** The 16 colours, as most terminals have them on a dark ground. */
const PALETTE = [
  '#1d1f21', '#cc6666', '#b5bd68', '#f0c674', '#81a2be', '#b294bb', '#8abeb7', '#c5c8c6',
  '#666666', '#d54e53', '#b9ca4a', '#e7c547', '#7aa6da', '#c397d8', '#70c0b1', '#eaeaea',
]; // biome-ignore format: two rows of eight

/** @param lines Painted lines, as the screen keeps them. */
export function frameToSvg(lines: readonly string[], options: SvgOptions): string {
  const background = options.background ?? BACKGROUND;
  const { width, height } = svgSize(options);
  const parts = [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}">`,
    options.title === undefined ? '' : `<title>${escapeXml(options.title)}</title>`,
    `<rect width="100%" height="100%" rx="6" fill="${background}"/>`,
    `<g ${SVG_FONT}>`,
  ];
  lines.slice(0, options.rows).forEach((line, row) => {
    parts.push(svgLine(line, row, options));
  });
  parts.push('</g>', '</svg>', '');
  return parts.filter((part) => part !== '').join('\n');
}

/** One line of a frame, for pictures that put lines together themselves. */
export function svgLine(line: string, row: number, options: SvgOptions): string {
  const background = options.background ?? BACKGROUND;
  const foreground = options.foreground ?? FOREGROUND;
  return runsOf(parseCells(line))
    .map((run) => drawRun(run, row, background, foreground))
    .join('');
}

/** Size of the picture of a frame, and of one of its lines, in SVG units. */
export function svgSize(options: SvgOptions): { width: number; height: number; lineHeight: number } {
  const width = Math.round((options.columns * CELL_WIDTH + 2 * MARGIN) * 10) / 10;
  return { width, height: options.rows * LINE_HEIGHT + 2 * MARGIN, lineHeight: LINE_HEIGHT };
}

interface Run {
  readonly column: number;
  readonly cells: readonly Cell[];
  readonly style: string;
}

function runsOf(cells: readonly Cell[]): Run[] {
  const runs: Run[] = [];
  let start = 0;
  for (let at = 1; at <= cells.length; at += 1) {
    if (at < cells.length && cells[at].style === cells[start].style) continue;
    const part = cells.slice(start, at);
    const blank = part.every((cell) => cell.text.trim() === '');
    if (part.length > 0 && (!blank || cells[start].style !== '')) {
      runs.push({ column: start, cells: part, style: cells[start].style });
    }
    start = at;
  }
  return runs;
}

/** Lines of boxes, from the middle of the cell to its edges: up, right, down, left; round ones as they are. */
const BOX: Readonly<Record<string, string>> = {
  '─': 'rl',
  '│': 'ud',
  '┌': 'rd',
  '┐': 'dl',
  '└': 'ur',
  '┘': 'ul',
  '╭': 'rd',
  '╮': 'dl',
  '╰': 'ur',
  '╯': 'ul',
  '├': 'urd',
  '┤': 'udl',
  '┬': 'rdl',
  '┴': 'url',
  '┼': 'urdl',
};

const place = (column: number): string => (MARGIN + column * CELL_WIDTH).toFixed(1);

/**
 * The text of a run. Each word begins at its own cell, so that a font of another width does not shift what follows;
 * wide characters stand alone, since no font makes them just two cells; lines of boxes are drawn, so that they join.
 */
function drawText(run: Run, row: number, attributes: string): string {
  const pieces: string[] = [];
  const y = MARGIN + row * LINE_HEIGHT;
  let word = '';
  let from = 0;
  let columns = 0;
  const close = (): void => {
    const text = word.trimEnd();
    if (text !== '') {
      const width = (columns - (word.length - text.length)) * CELL_WIDTH;
      const fitted = columns > 1 ? ` textLength="${width.toFixed(1)}" lengthAdjust="spacingAndGlyphs"` : '';
      pieces.push(`<text x="${place(run.column + from)}" y="${y + 13}"${fitted}>${escapeXml(text)}</text>`);
    }
    word = '';
    columns = 0;
  };
  let path = '';
  run.cells.forEach((cell, at) => {
    const sides = BOX[cell.text];
    const wide = run.cells[at + 1]?.text === '';
    const gap = cell.text === ' ' && (word === '' || word.endsWith(' '));
    if (sides !== undefined || wide || gap) close();
    if (sides !== undefined) path += boxPath(sides, run.column + at, y);
    else if (cell.text !== '' && !gap) {
      if (word === '') from = at;
      word += cell.text;
      columns += wide ? 2 : 1;
      if (wide) close();
    }
  });
  close();
  const lines = path === '' ? '' : `<path d="${path}" stroke="currentColor" fill="none"/>`;
  return pieces.length === 0 && path === '' ? '' : `<g ${attributes}>${lines}${pieces.join('')}</g>`;
}

function boxPath(sides: string, column: number, top: number): string {
  const x = MARGIN + (column + 0.5) * CELL_WIDTH;
  const y = top + LINE_HEIGHT / 2;
  const ends: Readonly<Record<string, string>> = {
    u: `V${top}`,
    d: `V${top + LINE_HEIGHT}`,
    l: `H${(x - CELL_WIDTH / 2).toFixed(1)}`,
    r: `H${(x + CELL_WIDTH / 2).toFixed(1)}`,
  };
  return [...sides].map((side) => `M${x.toFixed(1)} ${y}${ends[side]}`).join('');
}

function drawRun(run: Run, row: number, background: string, foreground: string): string {
  const codes = run.style.split(';').filter(Boolean).map(Number);
  let ink = foreground;
  let ground = '';
  const on = new Set<number>();
  for (let at = 0; at < codes.length; at += 1) {
    const code = codes[at];
    if (code === 38 || code === 48) {
      const length = codes[at + 1] === 5 ? 3 : 5;
      const colour = length === 3 ? indexed(codes[at + 2]) : rgb(codes[at + 2], codes[at + 3], codes[at + 4]);
      if (code === 38) ink = colour;
      else ground = colour;
      at += length - 1;
    } else if (code >= 90) {
      if (code >= 100) ground = PALETTE[code - 92];
      else ink = PALETTE[code - 82];
    } else if (code >= 40) ground = PALETTE[code - 40];
    else if (code >= 30) ink = PALETTE[code - 30];
    else on.add(code);
  }
  if (on.has(7)) [ink, ground] = [ground === '' ? background : ground, ink];
  const parts: string[] = [];
  if (ground !== '') {
    const width = (run.cells.length * CELL_WIDTH).toFixed(1);
    const y = MARGIN + row * LINE_HEIGHT;
    parts.push(
      `<rect x="${place(run.column)}" y="${y}" width="${width}" height="${LINE_HEIGHT}" fill="${ground}"/>`,
    );
  }
  if (on.has(4)) {
    const y = MARGIN + row * LINE_HEIGHT + 16;
    parts.push(
      `<path d="M${place(run.column)} ${y}H${place(run.column + run.cells.length)}" stroke="${ink}"/>`,
    );
  }
  const attributes = [
    `fill="${ink}" color="${ink}"`,
    on.has(1) ? ' font-weight="bold"' : '',
    on.has(2) ? ' opacity="0.65"' : '',
    on.has(3) ? ' font-style="italic"' : '',
  ].join('');
  parts.push(drawText(run, row, attributes));
  return parts.join('');
}

/** The 256-colour table: 16 named, a 6x6x6 cube, 24 greys. */
function indexed(index: number): string {
  if (index < 16) return PALETTE[index];
  if (index >= 232) {
    const grey = 8 + (index - 232) * 10;
    return rgb(grey, grey, grey);
  }
  const level = (step: number): number => (step === 0 ? 0 : 55 + step * 40);
  const cube = index - 16;
  return rgb(level(Math.floor(cube / 36)), level(Math.floor(cube / 6) % 6), level(cube % 6));
}

function rgb(red: number, green: number, blue: number): string {
  return `#${[red, green, blue].map((part) => (part & 0xff).toString(16).padStart(2, '0')).join('')}`;
}

function escapeXml(text: string): string {
  return text.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;').replace(/"/g, '&quot;');
}
