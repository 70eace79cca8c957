/**
 * What an emulated device is made of: registers behind its BARs, and transfers that it issues on the bus. A model
 * knows no addresses of its own and no remapping unit: requests leave through its `DeviceBus`, which adds the
 * requester id and answers as the fabric above it does.
 */
import type { MmioPort } from '../port.ts';

/** What became of a request on its way to memory. */
export interface TransferResult {
  /** Bytes that reached memory (or came from it) before the first refusal. */
  readonly bytesDone: number;
  /** Reads: what came back. A refused part reads as zeros, as an unsupported request returns no data. */
  readonly bytes: Uint8Array | undefined;
  /** Reason code of the remapping fault that stopped it, or undefined. */
  readonly faultReason: number | undefined;
  /** Why the request never left the device, or never found memory. */
  readonly refusal: string | undefined;
  /** A page of it was sent by a translation that the device held from before (device-TLB). */
  readonly fromDeviceTlb?: boolean;
  /** It reached another device's registers and no memory: no remapping unit saw it. */
  readonly peer?: { readonly device: string; readonly how: string };
}

/** The bus as one function sees it. A PASID of undefined: a request without PASID prefix. */
export interface DeviceBus {
  read(address: bigint, lengthBytes: number, pasid: number | undefined): TransferResult;
  write(address: bigint, bytes: Uint8Array, pasid: number | undefined): TransferResult;
}

/** One transfer that a device is asked for by whoever drives it. */
export interface TransferJob {
  readonly address: bigint;
  readonly access: 'read' | 'write';
  /** Writes: what it sends. */
  readonly bytes: Uint8Array | undefined;
  /** Reads: how much. */
  readonly lengthBytes: number;
  /** Which independent part of the device does it (a work queue). 0 for devices with only one. */
  readonly channel: number;
  /** The PASID that comes with the submission (ENQCMD on a shared queue). */
  readonly submitterPasid: number | undefined;
  /** A PASID the device is made to put on the request against its configuration: a broken or hostile device. */
  readonly forcedPasid: number | undefined;
}

export interface DeviceModel {
  readonly kind: string;
  /** Registers behind a BAR, or undefined: that BAR has none. Offsets are relative to the BAR. */
  region(bar: number): MmioPort | undefined;
  /** Issues the transfer now. Never throws. */
  transfer(job: TransferJob): TransferResult;
  /** Function-level reset: registers back to their reset values. */
  reset(): void;
  /** Registers as words, for digests and snapshots. */
  state(): Uint32Array;
}

/** The answer of a device that refuses a job before any request leaves it. */
export function refusedTransfer(reason: string): TransferResult {
  return { bytesDone: 0, bytes: undefined, faultReason: undefined, refusal: reason };
}

/** Issues a job on the bus with this PASID. */
export function issueTransfer(bus: DeviceBus, job: TransferJob, pasid: number | undefined): TransferResult {
  if (job.access === 'write') return bus.write(job.address, job.bytes ?? new Uint8Array(0), pasid);
  return bus.read(job.address, job.lengthBytes, pasid);
}
