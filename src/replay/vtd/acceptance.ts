/**
 * The acceptance rule of the VT-d transcripts: a result is right if it equals `spec` where the operation has one, else
 * `expect`, or one of the entries of `allow`. `"spec":"*"` fixes nothing. `mask` limits the comparison to some bits.
 */
import type { JsonObject } from '../runner.ts';

export type Verdict = 'expect' | 'spec' | 'allow' | 'wrong';

/** Equality of JSON values, by content. */
function same(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (Array.isArray(a) || Array.isArray(b)) {
    if (!Array.isArray(a) || !Array.isArray(b) || a.length !== b.length) return false;
    return a.every((value, index) => same(value, b[index]));
  }
  const keys = Object.keys(a);
  if (keys.length !== Object.keys(b).length) return false;
  return keys.every((key) => key in b && same((a as JsonObject)[key], (b as JsonObject)[key]));
}

/** True when `actual` matches `wanted` in the bits of the mask (registers), or as a whole. */
function matches(wanted: unknown, actual: unknown, mask: unknown): boolean {
  if (typeof mask === 'string' && typeof wanted === 'string' && typeof actual === 'string') {
    return (BigInt(wanted) & BigInt(mask)) === (BigInt(actual) & BigInt(mask));
  }
  return same(wanted, actual);
}

/** Judges one result. */
export function judge(operation: JsonObject, actual: unknown): Verdict {
  const { expect, spec, allow, mask } = operation;
  if (spec === undefined) {
    if (matches(expect, actual, mask)) return 'expect';
  } else if (spec === '*' || matches(spec, actual, mask)) return 'spec';
  if (Array.isArray(allow) && allow.some((entry) => matches(entry, actual, mask))) return 'allow';
  return 'wrong';
}
