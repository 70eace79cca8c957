/**
 * Replays an ioctl- and sysfs-level transcript of VFIO, mediated devices and IOMMUFD: boots the machine of the header,
 * carries out each operation by the process that performed it, compares what came back.
 */
import { isDeepStrictEqual } from 'node:util';
import { iommufd, KernelError, kernel, type Process } from '../../../hw/index.ts';
import { fileError } from '../../errors.ts';
import type { JsonObject, ReplayOutcome, ReplayRunner, Transcript, TranscriptOperation } from '../runner.ts';
import { containerOperations, rawRequest } from './container-operations.ts';
import { deviceOperations } from './device-operations.ts';
import { driverOperations } from './driver-operations.ts';
import { iommufdContainerOperations, openIommufdContainer } from './iommufd-container-operations.ts';
import { deviceNodeOperations } from './iommufd-device-operations.ts';
import { iommufdOperations } from './iommufd-operations.ts';
import { selftestOperations } from './iommufd-selftest-operations.ts';
import { mdevOperations } from './mdev-operations.ts';
import { Arguments, type OperationCall } from './operation.ts';
import { processOperations } from './process-operations.ts';
import { MAIN, type OperationResult, Pending, type ReplayProcess, ReplayWorld } from './world.ts';

type Call = OperationCall<Process>;
type Handler = (world: ReplayWorld, call: Call) => number | Pending | undefined;

const operations: Readonly<Record<string, Handler>> = {
  ...iommufdOperations,
  ...selftestOperations,
  ...deviceNodeOperations,
  ...containerOperations,
  ...deviceOperations,
  ...driverOperations,
  ...mdevOperations,
  ...processOperations,
};

/** Operations of a container that an IOMMUFD descriptor carries out in its own way. */
const onIommufd: Readonly<Record<string, Handler>> = {
  ...iommufdContainerOperations,
  ioctl: iommufdOperations.ioctl,
};

/** The handler of an operation: requests go to whatever their descriptor is. */
function handlerOf(world: ReplayWorld, name: string, call: Call): Handler | undefined {
  if (name === 'open_container' && world.containerNode(call.args.text('path')) === '/dev/iommu')
    return openIommufdContainer;
  const descriptor = call.args.symbol(name === 'ioctl' ? 'fd' : 'container');
  const special = onIommufd[name];
  if (special !== undefined && call.process.descriptors.open.includes(descriptor)) {
    if (call.process.descriptors.file(descriptor).object instanceof iommufd.IommufdContext) return special;
  }
  return name === 'ioctl' ? (of, request) => rawRequest(request, of.iommufd.available) : operations[name];
}

const BLOCKED: OperationResult = { ret: null, errno: null, out: { state: 'blocked' } };

function failure(error: unknown, out: Record<string, unknown>): OperationResult {
  if (!(error instanceof KernelError)) throw error;
  return { ret: -kernel.Errno[error.code], errno: error.code, out };
}

function resultOf(act: () => number, out: Record<string, unknown>): OperationResult {
  try {
    return { ret: act(), errno: null, out };
  } catch (error) {
    return failure(error, out);
  }
}

class Replay {
  private readonly world: ReplayWorld;
  private readonly transcript: Transcript;

  constructor(transcript: Transcript) {
    this.transcript = transcript;
    try {
      this.world = new ReplayWorld(transcript.header);
    } catch (error) {
      if (!(error instanceof KernelError || error instanceof RangeError)) throw error;
      throw fileError(`the header describes no machine that boots: ${error.message}`, {
        file: transcript.file,
        line: 1,
      });
    }
  }

  perform(operation: TranscriptOperation): OperationResult {
    const name = String(operation.content.op);
    const args = (operation.content.args ?? {}) as JsonObject;
    if (name === 'release_concurrent') return this.release();
    if (name === 'reset_concurrent') return { ret: 0, errno: null, out: {} };
    const caller = this.process(args, name);
    if (name === 'await_result') return this.await(caller);
    const handler = handlerOf(this.world, name, this.callBy(caller, args));
    if (handler === undefined) {
      throw fileError(`there is no operation "${name}"`, {
        file: this.transcript.file,
        line: operation.line,
      });
    }
    if (args.concurrent === true) {
      caller.waiting = {
        completion: new kernel.Completion(),
        result: () => this.runNow(handler, args, caller, operation.line),
      };
      return BLOCKED;
    }
    return this.runNow(handler, args, caller, operation.line);
  }

  /** Waiting processes go on, one after the other: the engine has one thread. */
  private release(): OperationResult {
    for (const each of this.world.processes.values()) {
      const { waiting } = each;
      if (waiting === undefined || waiting.completion.finished) continue;
      const result = waiting.result();
      // The file was opened before the wait: by then it is gone, not missing.
      const gone = result.errno === 'ENOENT';
      const final: OperationResult = gone ? { ret: -kernel.Errno.ENODEV, errno: 'ENODEV', out: {} } : result;
      each.waiting = { completion: kernel.Completion.done(), result: () => final };
    }
    return { ret: 0, errno: null, out: {} };
  }

  private await(caller: ReplayProcess): OperationResult {
    const { waiting } = caller;
    if (waiting === undefined || !waiting.completion.finished) return BLOCKED;
    caller.waiting = undefined;
    return waiting.result();
  }

  private runNow(handler: Handler, args: JsonObject, caller: ReplayProcess, line: number): OperationResult {
    const call = this.callBy(caller, args);
    const { out } = call;
    let result: number | Pending | undefined;
    try {
      result = handler(this.world, call);
    } catch (error) {
      if (error instanceof RangeError || error instanceof TypeError)
        throw this.senseless(line, error.message);
      // A symbol whose creation failed stands for -1.
      if (typeof args.as === 'string' && !caller.symbols.has(args.as)) caller.symbols.set(args.as, -1);
      return failure(error, out);
    }
    if (!(result instanceof Pending)) return { ret: result ?? 0, errno: null, out };
    const { completion, result: after } = result;
    let final: OperationResult | undefined;
    completion.whenDone(() => {
      final = typeof after === 'number' ? { ret: after, errno: null, out } : resultOf(after, out);
    });
    if (final !== undefined) return final;
    caller.waiting = { completion, result: () => final ?? BLOCKED };
    return BLOCKED;
  }

  private callBy(caller: ReplayProcess, args: JsonObject): Call {
    const { process, symbols } = caller;
    return { process, symbols, args: new Arguments(args, symbols), out: {} };
  }

  private senseless(line: number, why: string): Error {
    return fileError(`the operation makes no sense: ${why}`, { file: this.transcript.file, line });
  }

  private process(args: JsonObject, operation: string): ReplayProcess {
    const name =
      typeof args.process === 'string' && !/^(exit|kill)_and_wait$/.test(operation) ? args.process : MAIN;
    const found = this.world.processes.get(name);
    if (found === undefined)
      throw fileError(`there is no process "${name}"`, { file: this.transcript.file, line: 1 });
    return found;
  }
}

/** What the recorder noted of an operation. */
function recorded(content: JsonObject): OperationResult {
  return {
    ret: (content.ret ?? null) as number | null,
    errno: (content.errno ?? null) as string | null,
    out: (content.out ?? {}) as Record<string, unknown>,
  };
}

/** A race: the results of the processes count as a set, and any set that was seen is right. */
interface Race {
  readonly allowed: readonly (readonly string[])[];
  readonly results: string[];
}

const textOf = ({ ret, errno }: OperationResult): string => errno ?? String(ret);

function racesOf(header: JsonObject): Map<number, string[][]> {
  const races = new Map<number, string[][]>();
  for (const each of (header.observed ?? []) as JsonObject[]) {
    const number = Number(each.release);
    const list = races.get(number) ?? [];
    list.push([...(each.results_of_the_processes as string[])].sort());
    races.set(number, list);
  }
  return races;
}

function run(transcript: Transcript): ReplayOutcome {
  const replay = new Replay(transcript);
  const races = racesOf(transcript.header);
  let releases = 0;
  let race: Race | undefined;
  let ops = 0;
  for (const operation of transcript.operations) {
    const actual = replay.perform(operation);
    const expected = recorded(operation.content);
    ops += 1;
    if (operation.content.op === 'release_concurrent') {
      releases += 1;
      const allowed = races.get(releases);
      race = allowed === undefined ? undefined : { allowed, results: [] };
    }
    if (race !== undefined && operation.content.op === 'await_result') {
      race.results.push(textOf(actual));
      const sorted = [...race.results].sort();
      const { allowed } = race;
      if (sorted.length < (allowed[0]?.length ?? 0) || allowed.some((set) => isDeepStrictEqual(set, sorted)))
        continue;
      return {
        ops,
        difference: {
          op: operation.op,
          line: operation.line,
          expected: allowed,
          actual: sorted,
          note: 'results of a race',
        },
      };
    }
    if (isDeepStrictEqual(actual, expected)) continue;
    const { op, args, note } = operation.content;
    return {
      ops,
      difference: {
        op: operation.op,
        line: operation.line,
        expected,
        actual,
        note: [`${op} ${JSON.stringify(args)}`, note].filter((part) => part !== undefined).join('; '),
      },
    };
  }
  return { ops, difference: null };
}

export const vfioRunner: ReplayRunner = { run };
