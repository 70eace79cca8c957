/** Patterns from tapes, matched in bounded time: a pattern that backtracks without end is stopped. */
import { createContext, Script } from 'node:vm';

/** Longest that one match may compute, in milliseconds. Sane patterns take microseconds on a screen. */
const MATCH_MILLISECONDS = 500;
/** So often a match begins again that the computer was too busy to run: waiting for it says nothing of the pattern. */
const ATTEMPTS = 20;

const context = createContext(Object.create(null) as Record<string, unknown>);
const script = new Script('new RegExp(pattern, flags).test(text)');

/** @throws Error when the match takes too long. */
export function matches(pattern: string, flags: string, text: string): boolean {
  context.pattern = pattern;
  context.flags = flags.includes('m') ? flags : `${flags}m`;
  context.text = text;
  for (let attempt = 1; ; attempt += 1) {
    const before = process.cpuUsage();
    try {
      return script.runInContext(context, { timeout: MATCH_MILLISECONDS }) as boolean;
    } catch (thrown) {
      if ((thrown as NodeJS.ErrnoException).code !== 'ERR_SCRIPT_EXECUTION_TIMEOUT') throw thrown;
      const computed = process.cpuUsage(before).user / 1000;
      if (computed < MATCH_MILLISECONDS / 2 && attempt < ATTEMPTS) continue;
      throw new Error(`the pattern /${pattern}/ takes longer than ${MATCH_MILLISECONDS} ms on this screen`);
    }
  }
}

/** The line of a screen most like what a pattern says, for people: by pairs of letters in common. */
export function nearestLine(pattern: string, lines: readonly string[]): string | undefined {
  const wanted = pairs(pattern.replace(/\\[dwsbDWSB]|[\\^$.*+?()[\]{}|]/g, ' '));
  let best: string | undefined;
  let most = 0;
  for (const line of lines) {
    const own = pairs(line);
    let common = 0;
    for (const pair of wanted) if (own.has(pair)) common += 1;
    const score = common / Math.max(1, wanted.size);
    if (score > most) {
      most = score;
      best = line;
    }
  }
  return most > 0.2 ? best : undefined;
}

function pairs(text: string): Set<string> {
  const found = new Set<string>();
  const plain = text.toLowerCase().replace(/\s+/g, ' ').trim();
  for (let at = 0; at + 1 < plain.length; at++) found.add(plain.slice(at, at + 2));
  return found;
}
