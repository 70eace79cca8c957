/**
 * The work queues of an accelerator as its host driver programs them through BAR 0 (drivers/dma/idxd/device.c):
 * configuration is written while a queue is disabled, then a command enables it.
 */
import {
  AcceleratorCommand,
  AcceleratorError,
  AcceleratorRegister,
  CommandRegister,
  QueueCapabilities,
  QueueConfiguration,
} from '../../devices/accelerator-registers.ts';
import type { HardwarePort, MmioPort } from '../../port.ts';
import { type ErrnoName, KernelError } from '../errno.ts';
import type { PciDevice } from '../pci/pci-device.ts';

/** How a queue is to work. */
export interface QueueSettings {
  readonly mode: 'dedicated' | 'shared';
  /** Entries, at least 1. */
  readonly size: number;
  /** 0 to 15. */
  readonly priority?: number;
  /** Dedicated queues: the PASID on every request; undefined: none, or (shared) the submitter's. */
  readonly pasid?: number;
}

export interface QueueState {
  readonly enabled: boolean;
  readonly mode: 'dedicated' | 'shared';
  readonly size: number;
  readonly pasid: number | undefined;
}

const ERRORS: Readonly<Record<number, readonly [ErrnoName, string]>> = {
  [AcceleratorError.invalidCommand]: ['EINVAL', 'unknown command'],
  [AcceleratorError.invalidQueue]: ['EINVAL', 'no such work queue'],
  [AcceleratorError.deviceEnabled]: ['EBUSY', 'the device is enabled already'],
  [AcceleratorError.busMasterDisabled]: ['ENXIO', 'bus mastering is off'],
  [AcceleratorError.queueSizeOutOfRange]: ['EINVAL', 'the queues are larger than the device'],
  [AcceleratorError.deviceNotEnabled]: ['ENXIO', 'the device is not enabled'],
  [AcceleratorError.queueEnabled]: ['EBUSY', 'the queue is enabled already'],
  [AcceleratorError.queueSizeZero]: ['EINVAL', 'the queue has no entries'],
  [AcceleratorError.queueMode]: ['ENXIO', 'a shared queue needs PASIDs'],
  [AcceleratorError.pasidEnable]: ['ENXIO', 'PASIDs are off in the PCI capability'],
  [AcceleratorError.queueNotEnabled]: ['ENXIO', 'the queue is not enabled'],
};

const fields = QueueConfiguration.fields;

export class AcceleratorQueues {
  readonly device: PciDevice;
  private readonly registers: MmioPort;

  /** @throws KernelError ENODEV: nothing answers behind BAR 0. */
  constructor(port: HardwarePort, device: PciDevice) {
    const base = barAddress(device);
    const registers = base === undefined ? undefined : port.mmio(base);
    if (registers === undefined)
      throw new KernelError('ENODEV', 'no registers', `BAR 0 of ${device.name} has no accelerator behind it`);
    this.device = device;
    this.registers = registers;
  }

  /** Work queues of the device (WQCAP). */
  get count(): number {
    return QueueCapabilities.fields.queues.get(this.capabilities());
  }

  /** Entries that all queues share. */
  get totalSize(): number {
    return QueueCapabilities.fields.totalSize.get(this.capabilities());
  }

  get deviceEnabled(): boolean {
    return (this.registers.read(AcceleratorRegister.generalStatus, 4) & 3n) === 1n;
  }

  /** @throws KernelError EBUSY, ENXIO */
  enableDevice(): void {
    this.command(AcceleratorCommand.enableDevice, 0, 'enable');
  }

  /** Disables the device and with it all queues. @throws KernelError ENXIO: not enabled. */
  disableDevice(): void {
    this.command(AcceleratorCommand.disableDevice, 0, 'disable');
  }

  resetDevice(): void {
    this.command(AcceleratorCommand.resetDevice, 0, 'reset');
  }

  /** What the device holds for a queue now. */
  state(queue: number): QueueState {
    const words = new Uint32Array(QueueConfiguration.widthWords);
    for (let word = 0; word < words.length; word += 1)
      words[word] = Number(this.registers.read(this.offset(queue) + word * 4, 4));
    return {
      enabled: fields.state.get(words) === 1,
      mode: fields.mode.get(words) === 1 ? 'dedicated' : 'shared',
      size: fields.size.get(words),
      pasid: fields.pasidEnable.isSet(words) ? fields.pasid.get(words) : undefined,
    };
  }

  /** Configures a disabled queue and enables it. @throws KernelError: what the device answers; the queue stays off. */
  enable(queue: number, settings: QueueSettings): void {
    const shared = settings.mode === 'shared';
    const words = QueueConfiguration.encode({
      size: settings.size,
      threshold: shared ? settings.size : 0,
      mode: shared ? 0 : 1,
      priority: settings.priority ?? 0,
      pasid: settings.pasid ?? 0,
      pasidEnable: shared || settings.pasid !== undefined ? 1 : 0,
      maximumTransferShift: 21,
      maximumBatchShift: 5,
    });
    this.configure(queue, words);
    try {
      this.command(AcceleratorCommand.enableQueue, queue, `enable work queue ${queue}`);
    } catch (error) {
      this.configure(queue, new Uint32Array(QueueConfiguration.widthWords));
      throw error;
    }
  }

  /** Drains and disables a queue, and clears its configuration. */
  disable(queue: number): void {
    const operand = ((queue >>> 4) << 16) | (1 << (queue & 15));
    if (!this.deviceEnabled) return;
    this.command(AcceleratorCommand.drainQueue, operand, `drain work queue ${queue}`);
    this.command(AcceleratorCommand.resetQueue, operand, `reset work queue ${queue}`);
  }

  private configure(queue: number, words: Uint32Array): void {
    for (let word = 0; word < words.length; word += 1)
      this.registers.write(this.offset(queue) + word * 4, 4, BigInt(words[word]));
  }

  private offset(queue: number): number {
    const table = Number((this.registers.read(AcceleratorRegister.tableOffsets, 8) >> 16n) & 0xffffn) * 0x100;
    return table + queue * AcceleratorRegister.queueConfigurationBytes;
  }

  private capabilities(): Uint32Array {
    const value = this.registers.read(AcceleratorRegister.queueCapabilities, 8);
    return Uint32Array.of(Number(value & 0xffffffffn), Number(value >> 32n));
  }

  private command(command: number, operand: number, what: string): void {
    const [word] = CommandRegister.encode({ command, operand });
    this.registers.write(AcceleratorRegister.command, 4, BigInt(word));
    const error = Number(this.registers.read(AcceleratorRegister.commandStatus, 4) & 0xffn);
    if (error === AcceleratorError.success) return;
    const [code, text] = ERRORS[error] ?? ['EIO', `error 0x${error.toString(16)}`];
    throw new KernelError(code, 'accelerator command', `${this.device.name}: can't ${what}: ${text}`);
  }
}

/** The address in BAR 0, or undefined for none. */
function barAddress(device: PciDevice): bigint | undefined {
  const low = device.read(0x10, 4);
  if ((low & 1) !== 0) return undefined;
  const high = (low & 6) === 4 ? BigInt(device.read(0x14, 4)) : 0n;
  const address = (high << 32n) | (BigInt(low) & 0xfffffff0n);
  return address === 0n ? undefined : address;
}
