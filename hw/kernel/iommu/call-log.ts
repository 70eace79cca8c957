/**
 * Calls as the command log shows them: begin and end of each, with arguments and result, so that what happens between
 * (table writes, descriptors, calls further down) hangs below it.
 */
import type { Trace } from '../../trace.ts';
import { KernelError } from '../errno.ts';

export type CallArgument = string | number | bigint | boolean | null;

/**
 * Runs a call and tells it: an event of kind 'call' before, 'return' after, with the same name. Costs one test when
 * nobody listens.
 * @param name As in the kernel: "iommu_attach_group".
 */
export function traced<Result>(
  trace: Trace,
  part: string,
  name: string,
  args: () => Readonly<Record<string, CallArgument>>,
  body: () => Result,
): Result {
  if (!trace.active) return body();
  const data = args();
  const text = Object.entries(data)
    .map(([key, value]) => `${key}=${String(value)}`)
    .join(' ');
  trace.emit({ part, kind: 'call', text: `${name}(${text})`, data: { name, ...data } });
  try {
    const result = body();
    trace.emit({
      part,
      kind: 'return',
      text: `${name} = ${resultText(result)}`,
      data: { name, result: resultText(result) },
    });
    return result;
  } catch (error) {
    const code = error instanceof KernelError ? error.code : 'error';
    const why = error instanceof Error ? error.message : String(error);
    trace.emit({
      part,
      kind: 'return',
      text: `${name} = -${code} (${why})`,
      data: { name, result: `-${code}`, why },
    });
    throw error;
  }
}

function resultText(result: unknown): string {
  if (result === undefined) return '0';
  if (typeof result === 'object' && result !== null && 'name' in result) return String(result.name);
  return String(result);
}
