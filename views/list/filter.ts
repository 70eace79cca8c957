/**
 * Filters of lists: `text` keeps rows that hold it, `!text` those that don't, `~text` those that hold its letters in
 * order. Words apart by spaces must all fit. Case does not matter.
 */

export type Matcher = (text: string) => boolean;

/** Undefined: everything fits. */
export function matcherOf(filter: string): Matcher | undefined {
  const tests = filter
    .toLowerCase()
    .split(/\s+/)
    .map(testOf)
    .filter((test) => test !== undefined);
  if (tests.length === 0) return undefined;
  return (text) => {
    const lower = text.toLowerCase();
    return tests.every((test) => test(lower));
  };
}

function testOf(word: string): Matcher | undefined {
  if (word.startsWith('!')) {
    const inner = testOf(word.slice(1));
    return inner === undefined ? undefined : (text) => !inner(text);
  }
  if (word.startsWith('~')) {
    const letters = word.slice(1);
    return letters === '' ? undefined : (text) => fuzzyScore(letters, text) !== undefined;
  }
  return word === '' ? undefined : (text) => text.includes(word);
}

/**
 * How well letters fit in order into a text; lower is better, undefined: they don't. Adjacent letters and starts of
 * words count as better. Both in lower case.
 */
export function fuzzyScore(letters: string, text: string): number | undefined {
  const whole = text.indexOf(letters);
  if (whole >= 0) return whole === 0 || !/[a-z0-9]/.test(text[whole - 1]) ? whole : 100 + whole;
  let score = 1000;
  let at = -1;
  for (const letter of letters) {
    if (letter === ' ') continue;
    const next = text.indexOf(letter, at + 1);
    if (next < 0) return undefined;
    if (next > at + 1)
      score += 5 + Math.min(20, next - at) - (/[^a-z0-9]/.test(text[next - 1] ?? ' ') ? 6 : 0);
    at = next;
  }
  return score;
}
