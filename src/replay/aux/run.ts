/**
 * Runs the transcripts of auxiliary domains (Linux 5.15.85): every call's return value, errno and output, its kernel
 * messages, the invalidation descriptors that it queued, and the state of tables and registers after it.
 */
import { isDeepStrictEqual } from 'node:util';
import { KernelError, Trace } from '../../../hw/index.ts';
import { fileError } from '../../errors.ts';
import type { JsonObject, ReplayOutcome, ReplayRunner, Transcript } from '../runner.ts';
import { dumpState } from './dump.ts';
import { bootMachine, TEST_DEVICES } from './machine.ts';
import { DomainNames } from './names.ts';
import { type Arguments, AuxiliaryOperations } from './operations.ts';
import { VfioOperations } from './vfio-operations.ts';

/** Interrupt-entry-cache descriptors are left out of the transcripts. */
const INTERRUPT_ENTRY_CACHE = 4;

/** Messages of level info, which the transcripts leave out. */
const INFORMATION = / MDEV: | (?:Adding to|Removing from) iommu group /;

const hex64 = (value: bigint): string => `0x${value.toString(16).padStart(16, '0')}`;

export const auxRunner: ReplayRunner = {
  run(transcript: Transcript): ReplayOutcome {
    const setup = setupOf(transcript);
    const trace = new Trace();
    let queued: [string, string][] = [];
    trace.listen(({ part, kind, data }) => {
      if (part !== 'kernel/intel' || kind !== 'descriptor' || data?.type === INTERRUPT_ENTRY_CACHE) return;
      queued.push([hex64(data?.low as bigint), hex64(data?.high as bigint)]);
    });
    const machine = bootMachine(setup, trace);
    const names = new DomainNames(machine.kernel, setup.devices);
    const operations = new AuxiliaryOperations(machine, names);
    const vfio = new VfioOperations(machine);
    let ran = 0;
    for (const { op, line, content } of transcript.operations) {
      const messages = machine.kernel.log.count;
      const actual: Record<string, unknown> = { ret: 0, errno: null, out: {} };
      try {
        const args = (content.args ?? {}) as Arguments;
        const result = operations.run(String(content.op), args) ?? vfio.run(String(content.op), args);
        if (result === undefined) {
          throw fileError(`no operation "${String(content.op)}"`, { file: transcript.file, line });
        }
        actual.ret = result.value ?? 0;
        actual.out = result.out ?? {};
      } catch (error) {
        // A name that stands for nothing: the file is at fault.
        if (error instanceof RangeError) throw fileError(error.message, { file: transcript.file, line });
        if (!(error instanceof KernelError)) throw error;
        actual.ret = -error.errno;
        actual.errno = error.code;
      }
      ran += 1;
      const said = machine.kernel.log.since(messages).filter((message) => !INFORMATION.test(message));
      if (said.length > 0) actual.kmsg = said;
      // Between two dumps descriptors add up.
      if ('invalidations' in content) {
        actual.invalidations = queued;
        queued = [];
      }
      if ('after' in content) actual.after = dumpState(machine.kernel, setup.devices, names);
      const difference = firstDifference(content, actual);
      if (difference !== undefined) return { ops: ran, difference: { op, line, ...difference } };
    }
    return { ops: ran, difference: null };
  },
};

function setupOf(transcript: Transcript) {
  const setup = transcript.header.setup as JsonObject | undefined;
  const devices = Object.keys((setup?.devices ?? {}) as JsonObject);
  const unknown = devices.find((name) => !(name in TEST_DEVICES));
  if (typeof setup?.unit !== 'string' || typeof setup.cmdline !== 'string' || unknown !== undefined) {
    throw fileError(
      unknown === undefined
        ? 'the header has no setup of unit and command line'
        : `unknown device ${unknown}`,
      { file: transcript.file, line: 1 },
    );
  }
  return {
    unit: setup.unit,
    commandLine: setup.cmdline,
    ecapBitsAdded: BigInt(String(setup.ecap_bits_added ?? 0)),
    devices,
  };
}

/** The first recorded part that differs, taken apart as far as it is an object. */
function firstDifference(
  expected: JsonObject,
  actual: Readonly<Record<string, unknown>>,
): { expected: unknown; actual: unknown; note: string } | undefined {
  for (const key of ['ret', 'errno', 'out', 'kmsg', 'invalidations', 'after']) {
    if (!(key in expected) && !(key in actual)) continue;
    const found = compare(expected[key], actual[key], key);
    if (found !== undefined) return { ...found, note: `${String(expected.op)}: ${found.note}` };
  }
  return undefined;
}

function compare(
  expected: unknown,
  actual: unknown,
  path: string,
): { expected: unknown; actual: unknown; note: string } | undefined {
  if (isDeepStrictEqual(expected, actual)) return undefined;
  if (isRecord(expected) && isRecord(actual)) {
    for (const key of new Set([...Object.keys(expected), ...Object.keys(actual)])) {
      const found = compare(expected[key], actual[key], `${path}.${key}`);
      if (found !== undefined) return found;
    }
    // Same members in another order: nothing that was recorded differs.
    return undefined;
  }
  return { expected: expected ?? null, actual: actual ?? null, note: `${path} differs` };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
