/**
 * Text cut into what a terminal shows as one character each. Where nothing can join with its neighbour (ASCII, and the
 * private-use characters that stand for painted lines) every code point is one; for everything else there is the
 * language's own segmenter, which loads the rules of all scripts, some 8 ms, when it is first made.
 */
const ALONE = /^[\u0020-\u007e\u{f0000}-\u{fffff}]*$/u;

let segmenter: Intl.Segmenter | undefined;

function codePoints(text: string): { segment: string; index: number }[] {
  let index = 0;
  return Array.from(text, (segment) => {
    const at = index;
    index += segment.length;
    return { segment, index: at };
  });
}

export function graphemesOf(text: string): Iterable<{ readonly segment: string; readonly index: number }> {
  if (ALONE.test(text)) return codePoints(text);
  segmenter ??= new Intl.Segmenter(undefined, { granularity: 'grapheme' });
  return segmenter.segment(text);
}
