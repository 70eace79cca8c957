/** Frames of a recording as plain text, as a still picture, and as one that moves. */
import { frameToSvg, SVG_FONT, svgLine, svgSize } from '../terminal/frame-svg.ts';
import type { Frame, Recording } from './recording.ts';

/** One frame as text, without blanks at line ends. */
export function frameText(frame: Pick<Frame, 'text'>): string {
  return `${frame.text
    .map((line) => line.trimEnd())
    .join('\n')
    .trimEnd()}\n`;
}

/** The frames that the tape named (screenshots, chapters) and the last one, one below the other. */
export function toText(recording: Recording): string {
  const last = recording.frames[recording.frames.length - 1];
  const named = recording.frames.filter((frame) => frame.label !== undefined && frame !== last);
  return [...named, ...(last === undefined ? [] : [last])]
    .map(
      (frame) =>
        `=== ${(frame.at / 1000).toFixed(3)} s${frame.label === undefined ? '' : ` ${frame.label}`}\n${frameText(frame)}`,
    )
    .join('\n');
}

export function toStill(frame: Frame, title: string): string {
  return frameToSvg(frame.painted, { columns: frame.columns, rows: frame.rows, title });
}

/** How long the last frame of a moving picture stays before it begins anew, in milliseconds. */
const LAST_FRAME = 3000;

/**
 * A moving picture: the frames side by side behind a window that jumps from one to the next (CSS, no script). Each
 * line that occurs more than once is drawn once.
 */
export function toAnimation(recording: Recording): string {
  const { columns, rows, title, frames } = recording;
  const options = { columns, rows, title };
  const { width, height, lineHeight } = svgSize(options);
  const total = (frames[frames.length - 1]?.at ?? 0) + LAST_FRAME;
  const known = new Map<string, string>();
  const definitions: string[] = [];
  const pictures = frames.map((frame, index) => {
    const uses = frame.painted.slice(0, rows).map((line, row) => {
      if (line === '') return '';
      let id = known.get(line);
      if (id === undefined) {
        id = `l${known.size}`;
        known.set(line, id);
        definitions.push(`<g id="${id}">${svgLine(line, 0, options)}</g>`);
      }
      return `<use href="#${id}" y="${row * lineHeight}"/>`;
    });
    return `<g transform="translate(${(index * width).toFixed(1)} 0)">${uses.join('')}</g>`;
  });
  const steps = frames.map((frame, index) => {
    const share = index === 0 ? 0 : (100 * frame.at) / total;
    return `${share.toFixed(4)}%{transform:translateX(${(-index * width).toFixed(1)}px)}`;
  });
  const animation = `@keyframes play{${steps.join('')}}.film{animation:play ${total}ms step-end infinite}`;
  return frameToSvg([], options).replace(
    '</svg>',
    `<style>${animation}</style><defs>${definitions.join('')}</defs><svg width="${width}" height="${height}"><g class="film" ${SVG_FONT}>${pictures.join('')}</g></svg></svg>`,
  );
}
