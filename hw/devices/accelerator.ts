/**
 * A streaming accelerator in the manner of Intel DSA: work queues that are assignable device interfaces. A dedicated
 * queue tags its requests with the PASID in its configuration; a shared queue with the PASID that came with the
 * submission. The host driver programs both through BAR 0; nobody tells the model anything else.
 */
import { bytesOf } from '../layout.ts';
import type { MmioPort } from '../port.ts';
import {
  AcceleratorCommand,
  AcceleratorError,
  AcceleratorRegister,
  CommandRegister,
  CommandStatus,
  QueueCapabilities,
  QueueConfiguration,
} from './accelerator-registers.ts';
import {
  type DeviceBus,
  type DeviceModel,
  issueTransfer,
  refusedTransfer,
  type TransferJob,
  type TransferResult,
} from './model.ts';

export interface AcceleratorParameters {
  /** Work queues, 1 to 128. */
  readonly queues: number;
  /** Entries that all queues share, 1 to 65535. */
  readonly totalQueueSize: number;
  readonly engines: number;
}

/** Configuration space bits that the model obeys; read at each use. */
export interface AcceleratorFunction {
  readonly busMaster: boolean;
  /** PASID capability, control bit 0. */
  readonly pasidEnabled: boolean;
}

const QUEUE_WORDS = AcceleratorRegister.queueConfigurationBytes / 4;
const fields = QueueConfiguration.fields;

export class Accelerator implements DeviceModel {
  readonly kind = 'accelerator';
  readonly parameters: AcceleratorParameters;
  private readonly bus: DeviceBus;
  private readonly pci: AcceleratorFunction;
  /** The WQCFG table. */
  private readonly queues: Uint32Array;
  private enabled = false;
  private commandStatus = 0;

  constructor(bus: DeviceBus, pci: AcceleratorFunction, parameters: AcceleratorParameters) {
    this.bus = bus;
    this.pci = pci;
    this.parameters = parameters;
    this.queues = new Uint32Array(parameters.queues * QUEUE_WORDS);
  }

  region(bar: number): MmioPort | undefined {
    if (bar !== 0) return undefined;
    return {
      read: (offset, size) => this.readRegister(offset, size),
      write: (offset, size, value) => this.writeRegister(offset, size, value),
    };
  }

  /** Issues a transfer from work queue `job.channel`. */
  transfer(job: TransferJob): TransferResult {
    const queue = job.channel;
    if (!this.enabled) return refusedTransfer('the accelerator is disabled');
    if (queue < 0 || queue >= this.parameters.queues)
      return refusedTransfer(`there is no work queue ${queue}`);
    const base = queue * QUEUE_WORDS;
    if (fields.state.get(this.queues, base) !== 1) return refusedTransfer(`work queue ${queue} is disabled`);
    if (job.forcedPasid !== undefined) return issueTransfer(this.bus, job, job.forcedPasid);
    if (fields.pasidEnable.get(this.queues, base) === 0) return issueTransfer(this.bus, job, undefined);
    if (fields.mode.get(this.queues, base) === 1)
      return issueTransfer(this.bus, job, fields.pasid.get(this.queues, base));
    if (job.submitterPasid === undefined)
      return refusedTransfer(`work queue ${queue} is shared: a submission must carry its PASID`);
    return issueTransfer(this.bus, job, job.submitterPasid);
  }

  reset(): void {
    this.enabled = false;
    this.commandStatus = 0;
    this.queues.fill(0);
  }

  state(): Uint32Array {
    return Uint32Array.of(Number(this.enabled), this.commandStatus, ...this.queues);
  }

  private readRegister(offset: number, size: 4 | 8): bigint {
    const aligned = offset - (offset % 8);
    const value = this.register64(aligned);
    return size === 8 ? value : (value >> BigInt((offset - aligned) * 8)) & 0xffffffffn;
  }

  private register64(offset: number): bigint {
    const table = offset - AcceleratorRegister.queueConfiguration;
    if (table >= 0 && table < this.queues.length * 4) {
      const word = table / 4;
      return BigInt(this.queues[word]) | (BigInt(this.queues[word + 1]) << 32n);
    }
    switch (offset) {
      case AcceleratorRegister.version:
        return 0x100n;
      case AcceleratorRegister.queueCapabilities:
        return wordsAsBig(
          QueueCapabilities.encode({
            totalSize: this.parameters.totalQueueSize,
            queues: this.parameters.queues,
            sharedMode: 1,
            dedicatedMode: 1,
            ats: 1,
            priority: 1,
          }),
        );
      case AcceleratorRegister.groupCapabilities:
        return BigInt(this.parameters.engines);
      case AcceleratorRegister.engineCapabilities:
        return BigInt(this.parameters.engines);
      case AcceleratorRegister.tableOffsets:
        return BigInt(AcceleratorRegister.queueConfiguration / 0x100) << 16n;
      case AcceleratorRegister.generalStatus:
        return this.enabled ? 1n : 0n;
      case AcceleratorRegister.commandStatus:
        return BigInt(this.commandStatus);
      default:
        return 0n;
    }
  }

  private writeRegister(offset: number, size: 4 | 8, value: bigint): void {
    this.writeWord(offset, Number(value & 0xffffffffn));
    if (size === 8) this.writeWord(offset + 4, Number((value >> 32n) & 0xffffffffn));
  }

  private writeWord(offset: number, value: number): void {
    const table = offset - AcceleratorRegister.queueConfiguration;
    if (table >= 0 && table < this.queues.length * 4) {
      this.writeQueueWord(table / 4, value);
    } else if (offset === AcceleratorRegister.command) {
      this.runCommand(value);
    }
  }

  /** The configuration of an enabled queue is read-only, its state always is. */
  private writeQueueWord(word: number, value: number): void {
    const base = word - (word % QUEUE_WORDS);
    if (fields.state.get(this.queues, base) === 1) return;
    const stateWord = base + fields.state.word;
    const keep = word === stateWord ? fields.state.mask : 0;
    this.queues[word] = ((this.queues[word] & keep) | (value & ~keep)) >>> 0;
  }

  private runCommand(value: number): void {
    const words = Uint32Array.of(value);
    const command = CommandRegister.fields.command.get(words);
    const operand = CommandRegister.fields.operand.get(words);
    const error = this.execute(command, operand);
    this.commandStatus = CommandStatus.encode({ error })[0];
  }

  private execute(command: number, operand: number): number {
    switch (command) {
      case AcceleratorCommand.enableDevice:
        if (this.enabled) return AcceleratorError.deviceEnabled;
        if (!this.pci.busMaster) return AcceleratorError.busMasterDisabled;
        this.enabled = true;
        return AcceleratorError.success;
      case AcceleratorCommand.disableDevice:
        if (!this.enabled) return AcceleratorError.deviceNotEnabled;
        this.enabled = false;
        for (let queue = 0; queue < this.parameters.queues; queue += 1) this.setState(queue, 0);
        return AcceleratorError.success;
      case AcceleratorCommand.resetDevice:
        this.reset();
        return AcceleratorError.success;
      case AcceleratorCommand.enableQueue:
        return this.enableQueue(operand);
      case AcceleratorCommand.disableQueue:
      case AcceleratorCommand.resetQueue:
        return this.stopQueues(operand, command === AcceleratorCommand.resetQueue);
      case AcceleratorCommand.drainAll:
      case AcceleratorCommand.abortAll:
      case AcceleratorCommand.drainQueue:
      case AcceleratorCommand.abortQueue:
      case AcceleratorCommand.drainPasid:
      case AcceleratorCommand.abortPasid:
        // Transfers complete when they are issued, so nothing is ever left to wait for or to drop.
        return this.enabled ? AcceleratorError.success : AcceleratorError.deviceNotEnabled;
      default:
        return AcceleratorError.invalidCommand;
    }
  }

  private enableQueue(queue: number): number {
    if (queue >= this.parameters.queues) return AcceleratorError.invalidQueue;
    if (!this.enabled) return AcceleratorError.deviceNotEnabled;
    const base = queue * QUEUE_WORDS;
    if (fields.state.get(this.queues, base) === 1) return AcceleratorError.queueEnabled;
    if (fields.size.get(this.queues, base) === 0) return AcceleratorError.queueSizeZero;
    if (this.sizeInUse() > this.parameters.totalQueueSize) return AcceleratorError.queueSizeOutOfRange;
    const pasid = fields.pasidEnable.get(this.queues, base) === 1;
    if (pasid && !this.pci.pasidEnabled) return AcceleratorError.pasidEnable;
    // A shared queue takes submissions of many owners: without PASID they could not be told apart.
    if (!pasid && fields.mode.get(this.queues, base) === 0) return AcceleratorError.queueMode;
    this.setState(queue, 1);
    return AcceleratorError.success;
  }

  private stopQueues(operand: number, clear: boolean): number {
    const first = (operand >>> 16) * 16;
    for (let index = 0; index < 16; index += 1) {
      if (((operand >>> index) & 1) === 0) continue;
      const queue = first + index;
      if (queue >= this.parameters.queues) return AcceleratorError.invalidQueue;
      if (!clear && fields.state.get(this.queues, queue * QUEUE_WORDS) === 0)
        return AcceleratorError.queueNotEnabled;
      this.setState(queue, 0);
      if (clear) this.queues.fill(0, queue * QUEUE_WORDS, (queue + 1) * QUEUE_WORDS);
    }
    return AcceleratorError.success;
  }

  private setState(queue: number, state: 0 | 1): void {
    fields.state.set(this.queues, state, queue * QUEUE_WORDS);
  }

  private sizeInUse(): number {
    let sum = 0;
    for (let queue = 0; queue < this.parameters.queues; queue += 1)
      sum += fields.size.get(this.queues, queue * QUEUE_WORDS);
    return sum;
  }
}

function wordsAsBig(words: Uint32Array): bigint {
  return new DataView(bytesOf(words).buffer).getBigUint64(0, true);
}
