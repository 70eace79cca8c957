/** DMA on demand: who issues it, what it came to, and how a unit would translate an address without any DMA. */
import { refusedTransfer, type TransferJob, type TransferResult } from '../devices/model.ts';
import { AcceleratorQueues } from '../kernel/drivers/accelerator-queues.ts';
import { KernelError } from '../kernel/errno.ts';
import type { LinuxKernel } from '../kernel/kernel.ts';
import type { Mdev } from '../kernel/mdev/mdev-driver.ts';
import { parsePciAddress } from '../pci/address.ts';
import type { PciFunction } from '../pci/function.ts';
import { Access } from '../vtd/access.ts';
import { explain } from '../vtd/explain.ts';
import { faultMeaning } from '../vtd/fault-reasons.ts';
import type { EventLog } from './event-log.ts';
import type { Hardware } from './hardware.ts';
import type { BitFlip, DmaRequest, WalkRequest } from './operations.ts';
import type { DmaResult, HeldTranslationState, WalkState } from './state.ts';

/** A transfer at most, bytes. */
const LARGEST_TRANSFER = 0x100000;
const LAST_PASID = 0xfffff;

export class Transfers {
  private readonly hardware: Hardware;
  private readonly kernel: LinuxKernel;
  private readonly events: EventLog;

  constructor(hardware: Hardware, kernel: LinuxKernel, events: EventLog) {
    this.hardware = hardware;
    this.kernel = kernel;
    this.events = events;
  }

  /** @throws KernelError ENODEV: no such device; EINVAL: nothing to move, too much, or no PASID that can be. */
  run(request: DmaRequest): DmaResult {
    const job = jobOf(request);
    const mdev = this.kernel.mdev.find(request.device);
    if (mdev !== undefined) return this.ofMdev(mdev, job);
    const of = this.functionOf(request.device);
    const before = this.events.nextSequence;
    return this.result(of, job, job.forcedPasid, before, this.ofFunction(of, request.device, job));
  }

  /** The walk of a request of this device. @throws KernelError ENODEV */
  explain(request: WalkRequest): WalkState {
    const mdev = this.kernel.mdev.find(request.device);
    const name = mdev === undefined ? request.device : mdev.parent.device.name;
    const own = mdev?.parent.driver.hardwarePath?.(mdev)?.pasid;
    const pasid = request.pasid ?? own;
    if (mdev !== undefined && pasid === undefined && mdev.parent.driver.hardwarePath?.(mdev) === undefined)
      return unwalked(mdev);
    if (pasid !== undefined) checkPasid(pasid);
    const route = this.hardware.fabric.route(this.functionOf(name));
    if (route.unit === undefined) return untranslated(request.iova);
    const access = request.access === 'write' ? Access.write : Access.read;
    const { unit } = route.unit;
    const walk = this.withBitsTurned(request.flips ?? [], () =>
      explain(unit, route.requesterId, request.iova, access, pasid ?? -1),
    );
    return {
      ...walk,
      unit: route.unit.name,
      fault: walk.fault === undefined ? undefined : { ...walk.fault, reason: walk.fault.reason ?? 0 },
    };
  }

  /** Turns bits of memory over while `look` looks, and back. */
  private withBitsTurned<Result>(flips: readonly BitFlip[], look: () => Result): Result {
    const { memory } = this.hardware;
    const turn = ({ address, bit }: BitFlip): void => {
      const at = Number(address) + 4 * (bit >>> 5);
      memory.write32(at, (memory.read32(at) ^ (1 << (bit & 31))) >>> 0);
    };
    flips.forEach(turn);
    try {
      return look();
    } finally {
      flips.forEach(turn);
    }
  }

  /** What a function holds of translations, each held against the tables. */
  deviceTlb(name: string): HeldTranslationState[] {
    const of = this.functionOf(name);
    const route = this.hardware.fabric.route(of);
    return this.hardware.fabric.deviceTlbOf(of).translations.map((one) => {
      const iova = BigInt(one.firstPage) << 12n;
      const physical = BigInt(one.frame) << 12n;
      const access = one.write ? Access.write : Access.read;
      const walk =
        route.unit === undefined
          ? undefined
          : explain(route.unit.unit, route.requesterId, iova, access, one.pasid);
      return {
        pasid: one.pasid < 0 ? undefined : one.pasid,
        iova,
        lengthBytes: BigInt(one.pages) << 12n,
        physical,
        read: one.read,
        write: one.write,
        current: walk?.ok === true && walk.physical === physical,
      };
    });
  }

  functionOf(name: string): PciFunction {
    const at = parsePciAddress(name);
    const found = at === undefined ? undefined : this.hardware.pci.find(at);
    if (found === undefined)
      throw new KernelError('ENODEV', 'no such device', `there is no PCI device or mdev ${name}`);
    return found;
  }

  /** A function's own DMA. An accelerator moves data by a work queue only: its driver sets a plain one up for it. */
  private ofFunction(of: PciFunction, name: string, job: TransferJob): TransferResult {
    const model = this.hardware.model(of);
    if (model === undefined) return refusedTransfer(`${name} is a bridge: it does no DMA of its own`);
    if (model.kind !== 'accelerator') return model.transfer(job);
    const pci = this.kernel.topology.find(name);
    if (pci === undefined) return refusedTransfer(`${name} is not known to the kernel`);
    const queues = new AcceleratorQueues(this.kernel.port, pci);
    try {
      if (!queues.deviceEnabled) queues.enableDevice();
      const free = Array.from({ length: queues.count }, (_, index) => queues.count - 1 - index).find(
        (index) => !queues.state(index).enabled,
      );
      if (free === undefined) return refusedTransfer(`every work queue of ${name} belongs to an mdev`);
      queues.enable(free, { mode: 'dedicated', size: 1 });
      const result = model.transfer({ ...job, channel: free });
      queues.disable(free);
      return result;
    } catch (error) {
      if (error instanceof KernelError) return refusedTransfer(error.message);
      throw error;
    }
  }

  private ofMdev(mdev: Mdev, job: TransferJob): DmaResult {
    const before = this.events.nextSequence;
    const parent = this.parentFunction(mdev);
    const path = mdev.parent.driver.hardwarePath?.(mdev);
    if (path !== undefined && parent !== undefined) {
      const model = this.hardware.model(parent);
      const result =
        model === undefined
          ? refusedTransfer(`${mdev.parent.device.name} has no DMA engine`)
          : model.transfer({ ...job, channel: path.channel, submitterPasid: path.pasid });
      return this.result(parent, job, job.forcedPasid ?? path.pasid, before, result);
    }
    return this.result(parent, job, undefined, before, this.bySoftware(mdev, job));
  }

  /** An mdev without hardware of its own: its driver moves the data through VFIO. */
  private bySoftware(mdev: Mdev, job: TransferJob): TransferResult {
    const offered = this.kernel.vfio.deviceOf(mdev.device);
    if (offered === undefined || offered.openCount === 0)
      return refusedTransfer(`${mdev.uuid} is not open: nobody has it`);
    if (mdev.parent.driver.hardwarePath !== undefined)
      return refusedTransfer(`${mdev.uuid} has no work queue that runs`);
    const write = job.access === 'write';
    const bytes = write ? (job.bytes ?? new Uint8Array(0)) : new Uint8Array(job.lengthBytes);
    try {
      const { driver } = mdev.parent;
      const moved =
        driver.moveData?.(mdev, job.address, bytes, write) ?? offered.accessMemory(job.address, bytes, write);
      return {
        bytesDone: bytes.length,
        bytes: write ? undefined : moved,
        faultReason: undefined,
        refusal: undefined,
      };
    } catch (error) {
      if (error instanceof KernelError) return refusedTransfer(`${error.code}: ${error.message}`);
      throw error;
    }
  }

  private parentFunction(mdev: Mdev): PciFunction | undefined {
    const { pci } = mdev.parent.device;
    return pci === undefined ? undefined : this.hardware.pci.find(pci.address);
  }

  private result(
    of: PciFunction | undefined,
    job: TransferJob,
    pasid: number | undefined,
    before: number,
    transfer: TransferResult,
  ): DmaResult {
    const reason = transfer.faultReason;
    const fault = reason === undefined ? undefined : this.events.faultSince(before);
    const unrecorded =
      reason !== undefined && fault === undefined
        ? `refused: ${faultMeaning(reason)} (0x${reason.toString(16)}); no fault was recorded`
        : undefined;
    return {
      ok: reason === undefined && transfer.refusal === undefined,
      bytesDone: transfer.bytesDone,
      bytes: job.access === 'read' ? transfer.bytes : undefined,
      requesterId: of === undefined ? 0 : this.hardware.fabric.route(of).requesterId,
      pasid,
      fault,
      fromDeviceTlb: transfer.fromDeviceTlb === true,
      peer: transfer.peer?.device,
      note: transfer.refusal ?? unrecorded ?? peerText(transfer),
    };
  }
}

function jobOf(request: DmaRequest): TransferJob {
  const lengthBytes = request.access === 'write' ? (request.bytes?.length ?? 0) : (request.lengthBytes ?? 0);
  if (!Number.isInteger(lengthBytes) || lengthBytes < 1 || lengthBytes > LARGEST_TRANSFER)
    throw new KernelError(
      'EINVAL',
      'transfer length',
      `${lengthBytes} bytes: 1 to ${LARGEST_TRANSFER} can be moved`,
    );
  if (request.iova < 0n || request.iova + BigInt(lengthBytes) > 1n << 64n)
    throw new KernelError('EINVAL', 'transfer address', 'the transfer leaves the 64-bit address space');
  if (request.pasid !== undefined) checkPasid(request.pasid);
  return {
    address: request.iova,
    access: request.access,
    bytes: request.bytes,
    lengthBytes,
    channel: 0,
    submitterPasid: undefined,
    forcedPasid: request.pasid,
  };
}

function peerText({ peer }: TransferResult): string | undefined {
  if (peer === undefined) return undefined;
  return `reached the registers of ${peer.device} and passed no remapping unit: ${peer.how}`;
}

function checkPasid(pasid: number): void {
  if (!Number.isInteger(pasid) || pasid < 0 || pasid > LAST_PASID)
    throw new KernelError('EINVAL', 'PASID', `${pasid} is no PASID: they have 20 bits`);
}

/** A mediated device that issues no requests of its own now. */
function unwalked(mdev: Mdev): WalkState {
  const software = mdev.parent.driver.hardwarePath === undefined;
  return {
    ...untranslated(0n),
    ok: false,
    physical: undefined,
    fault: {
      reason: 0,
      meaning: software
        ? `${mdev.uuid} issues no requests: its driver moves data through pinned pages`
        : `${mdev.uuid} issues no requests: nobody has it open, so it has no PASID`,
      recorded: false,
    },
  };
}

function untranslated(iova: bigint): WalkState {
  return {
    unit: undefined,
    ok: true,
    physical: iova,
    page: undefined,
    cached: 'none',
    cachedPhysical: undefined,
    steps: [],
    fault: undefined,
  };
}
