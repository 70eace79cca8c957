import type { DecodedField } from '../layout.ts';
import { faultMeaning } from './fault-reasons.ts';
import { FaultRecord } from './layouts.ts';

/** A fault record, taken apart. */
export interface FaultRecordState {
  /** Number of the fault recording register. */
  readonly index: number;
  readonly reason: number;
  readonly meaning: string;
  readonly requesterId: number;
  /** Undefined: the request had none. */
  readonly pasid: number | undefined;
  /** Page of the request; for interrupts the index of the table entry in bits 63:48. */
  readonly address: bigint;
  readonly type: 'read' | 'write' | 'page request' | 'atomic';
  readonly words: Uint32Array;
  readonly fields: readonly DecodedField[];
}

const TYPES = ['write', 'page request', 'read', 'atomic'] as const;

/** Takes the record at this index of `words` apart. */
export function decodeRecord(words: ArrayLike<number>, index: number, record: number): FaultRecordState {
  const fields = FaultRecord.fields;
  const reason = fields.reason.get(words, index);
  return {
    index: record,
    reason,
    meaning: faultMeaning(reason),
    requesterId: fields.sourceId.get(words, index),
    pasid: fields.pasidPresent.get(words, index) ? fields.pasid.get(words, index) : undefined,
    address: fields.address.getBig(words, index),
    type: TYPES[fields.typeLow.get(words, index) * 2 + fields.typeHigh.get(words, index)],
    words: Uint32Array.from({ length: 4 }, (_, word) => words[index + word]),
    fields: FaultRecord.decode(words, index),
  };
}
