/**
 * A DMA engine with nothing but an engine: stands for every endpoint whose own registers the console has no use for
 * (storage, network, graphics). Its requests carry the function's requester id and no PASID.
 */
import type { MmioPort } from '../port.ts';
import {
  type DeviceBus,
  type DeviceModel,
  issueTransfer,
  refusedTransfer,
  type TransferJob,
  type TransferResult,
} from './model.ts';

export class DmaEngine implements DeviceModel {
  readonly kind: string;
  private readonly bus: DeviceBus;
  private readonly completed = new Uint32Array(2);

  /** @param kind What it stands for: "nvme", "network adapter", "dma engine". */
  constructor(bus: DeviceBus, kind: string) {
    this.bus = bus;
    this.kind = kind;
  }

  region(): MmioPort | undefined {
    return undefined;
  }

  transfer(job: TransferJob): TransferResult {
    if (job.channel !== 0) return refusedTransfer(`${this.kind} has no channel ${job.channel}`);
    const result = issueTransfer(this.bus, job, job.forcedPasid);
    if (result.refusal === undefined) this.completed[result.faultReason === undefined ? 0 : 1] += 1;
    return result;
  }

  reset(): void {
    this.completed.fill(0);
  }

  state(): Uint32Array {
    return this.completed;
  }
}
