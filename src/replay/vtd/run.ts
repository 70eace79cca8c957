/**
 * Replays a register- and DMA-level transcript of a VT-d unit: builds the unit that the header describes, carries out
 * each operation, judges each result.
 */

import {
  type Interrupt,
  PhysicalMemory,
  type QemuUnitOptions,
  qemuUnit,
  unitWithRegisters,
  VtdUnit,
} from '../../../hw/index.ts';
import { fileError } from '../../errors.ts';
import type { JsonObject, ReplayOutcome, ReplayRunner, Transcript, TranscriptOperation } from '../runner.ts';
import { judge } from './acceptance.ts';
import { type OperationContext, runOperation } from './operations.ts';

const GIB4 = 2 ** 32;
const MOST_MEMORY = 2n ** 52n - 2n ** 32n;

/** A field of the header that must be there. */
function headerField(transcript: Transcript, name: string): unknown {
  const value = transcript.header[name];
  if (value === undefined) throw fileError(`the header has no "${name}"`, { file: transcript.file, line: 1 });
  return value;
}

function headerNumber(transcript: Transcript, name: string): bigint {
  const value = headerField(transcript, name);
  if (typeof value === 'string' && /^0x[0-9a-f]+$/i.test(value)) return BigInt(value);
  throw fileError(`"${name}" in the header is no hex number`, { file: transcript.file, line: 1 });
}

/** Bytes of memory: no more than a host address can name. */
function headerBytes(transcript: Transcript, name: string): number {
  const bytes = headerNumber(transcript, name);
  if (bytes <= MOST_MEMORY) return Number(bytes);
  throw fileError(`"${name}" in the header is more than 52 address bits can name`, {
    file: transcript.file,
    line: 1,
  });
}

/** Requester ids by name. */
function headerDevices(transcript: Transcript): Map<string, number> {
  const devices = transcript.header.devices ?? [];
  const place = { file: transcript.file, line: 1 };
  if (!Array.isArray(devices)) throw fileError('"devices" in the header is no list', place);
  return new Map(
    devices.map((device: JsonObject | null) => {
      const id = Number(device?.requesterId);
      if (typeof device?.name === 'string' && Number.isInteger(id) && id >= 0 && id <= 0xffff)
        return [device.name, id];
      throw fileError('a device in the header lacks a name or a requester id of 16 bits', place);
    }),
  );
}

/** The machine that a header describes. */
function buildMachine(transcript: Transcript): OperationContext {
  const options = (transcript.header.iommu ?? {}) as QemuUnitOptions;
  const profile = qemuUnit(options);
  const configuration = unitWithRegisters(
    headerNumber(transcript, 'cap'),
    headerNumber(transcript, 'ecap'),
    profile.hostAddressWidth,
    { version: profile.version, ignoresTransientMapping: profile.ignoresTransientMapping },
  );
  const ram = headerBytes(transcript, 'ram');
  const high = headerBytes(transcript, 'ramHigh');
  const ranges = [{ start: 0, end: ram }];
  if (high > 0) ranges.push({ start: GIB4, end: GIB4 + high });
  const memory = new PhysicalMemory(ranges);
  const interrupts: Interrupt[] = [];
  const unit = new VtdUnit({ memory, configuration, onInterrupt: (interrupt) => interrupts.push(interrupt) });
  return { unit, memory, devices: headerDevices(transcript), interrupts };
}

function differenceAt(operation: TranscriptOperation, actual: unknown): ReplayOutcome['difference'] {
  const { content } = operation;
  const wanted = content.spec ?? content.expect;
  const named = [content.op, content.dev, content.off, content.addr, content.iova].filter(
    (part) => part !== undefined,
  );
  return {
    op: operation.op,
    line: operation.line,
    expected: content.allow === undefined ? wanted : { expected: wanted, allowed: content.allow },
    actual,
    note: [named.join(' '), content.note].filter((part) => part !== undefined).join('; '),
  };
}

function run(transcript: Transcript): ReplayOutcome {
  const context = buildMachine(transcript);
  const judged = { spec: 0, allow: 0 };
  let ops = 0;
  for (const operation of transcript.operations) {
    const actual = runOperation(context, operation.content, { file: transcript.file, line: operation.line });
    ops += 1;
    if (!('expect' in operation.content)) continue;
    const verdict = judge(operation.content, actual);
    if (verdict === 'wrong') return { ops, difference: differenceAt(operation, actual), judged };
    if (verdict === 'spec') judged.spec += 1;
    if (verdict === 'allow') judged.allow += 1;
  }
  return { ops, difference: null, judged };
}

export const vtdRunner: ReplayRunner = { run };
