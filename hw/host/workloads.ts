/** Seeded series of transfers over the memory of the machine that has a device. */
import { type WorkloadRange, workloadTransfers } from '../guest/workload.ts';
import { KernelError } from '../kernel/errno.ts';
import type { Work } from '../work.ts';
import type { Machines } from './machines.ts';
import type { WorkloadRequest } from './operations.ts';
import type { WorkloadResult } from './state.ts';
import type { Transfers } from './transfers.ts';

const MOST_TRANSFERS = 1_000_000;
const MOST_BYTES = 0x100000;

/** Transfers between two pauses. */
const STRIDE = 64;

/**
 * In steps of some transfers.
 * @throws KernelError ENODEV: no running machine has the device; EINVAL: numbers out of range.
 */
export function* runWorkload(
  transfers: Transfers,
  machines: Machines,
  request: WorkloadRequest,
): Work<WorkloadResult> {
  const largestBytes = request.largestBytes ?? 4096;
  const readsPerThousand = request.readsPerThousand ?? 500;
  const strayPerThousand = request.strayPerThousand ?? 0;
  within('transfers', request.transfers, 1, MOST_TRANSFERS);
  within('largest transfer', largestBytes, 1, MOST_BYTES);
  within('reads of a thousand', readsPerThousand, 0, 1000);
  within('strays of a thousand', strayPerThousand, 0, 1000);
  within('seed', request.seed, 0, 0xffffffff);
  const machine = machines.ownerOf(request.device);
  if (machine?.isRunning !== true)
    throw new KernelError('ENODEV', 'device not open', `no running machine has ${request.device}`);
  const ranges: WorkloadRange[] = machine.memorySlots.map((slot) => ({
    iova: slot.guestAddress,
    lengthBytes: slot.lengthBytes,
  }));
  const result = { transfers: 0, bytesRead: 0, bytesWritten: 0, faults: 0, refused: 0 };
  const series = workloadTransfers(ranges, {
    seed: request.seed,
    transfers: request.transfers,
    largestBytes,
    readsPerThousand,
    strayPerThousand,
  });
  for (const one of series) {
    const done = transfers.run({
      device: request.device,
      iova: one.iova,
      access: one.access,
      lengthBytes: one.lengthBytes,
      bytes: one.access === 'write' ? new Uint8Array(one.lengthBytes).fill(one.fill) : undefined,
    });
    result.transfers += 1;
    if (result.transfers % STRIDE === 0) yield { done: result.transfers, total: request.transfers };
    if (one.access === 'read') result.bytesRead += done.bytesDone;
    else result.bytesWritten += done.bytesDone;
    if (done.ok) continue;
    if (done.fault === undefined) result.refused += 1;
    else result.faults += 1;
  }
  return result;
}

function within(what: string, value: number, least: number, most: number): void {
  if (!Number.isInteger(value) || value < least || value > most)
    throw new KernelError(
      'EINVAL',
      'workload',
      `${what}: ${value} is not a whole number from ${least} to ${most}`,
    );
}
