/**
 * A workload: a seeded sequence of transfers that a device is made to do. The same seed gives the same sequence on
 * every machine, so a session can hold "run workload 7" as one act.
 */
export interface WorkloadRange {
  readonly iova: bigint;
  readonly lengthBytes: bigint;
}

export interface WorkloadOptions {
  /** 32 bits. */
  readonly seed: number;
  readonly transfers: number;
  /** Largest transfer, bytes. */
  readonly largestBytes: number;
  /** Of a thousand transfers, how many are reads. */
  readonly readsPerThousand: number;
  /** Of a thousand transfers, how many go just past the end of the range they were aimed at. */
  readonly strayPerThousand: number;
}

export interface WorkloadTransfer {
  readonly iova: bigint;
  readonly access: 'read' | 'write';
  readonly lengthBytes: number;
  /** What a write carries: one byte repeated. */
  readonly fill: number;
}

/** xorshift32: small, and the same everywhere. Never yields 0 from a seed that is not 0. */
function generator(seed: number): (below: number) => number {
  let state = seed >>> 0 === 0 ? 0x9e3779b9 : seed >>> 0;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

/** The transfers of a workload over these ranges, in order. */
export function* workloadTransfers(
  ranges: readonly WorkloadRange[],
  options: WorkloadOptions,
): Generator<WorkloadTransfer> {
  if (ranges.length === 0) return;
  const next = generator(options.seed);
  for (let count = 0; count < options.transfers; count += 1) {
    const range = ranges[next(ranges.length)];
    const access = next(1000) < options.readsPerThousand ? 'read' : 'write';
    const stray = next(1000) < options.strayPerThousand;
    const longest = Math.min(options.largestBytes, Number(range.lengthBytes));
    const lengthBytes = 1 + next(longest);
    const room = Number(range.lengthBytes) - lengthBytes + 1;
    // Two draws reach beyond 2^32 bytes of room.
    const offset = (next(0x10000) * 0x10000 + next(0x10000)) % room;
    const iova = stray ? range.iova + range.lengthBytes : range.iova + BigInt(offset);
    yield { iova, access, lengthBytes, fill: next(256) };
  }
}
