import { describe, expect, it } from 'vitest';
import { Accelerator, type AcceleratorFunction } from '../../../hw/devices/accelerator.ts';
import {
  AcceleratorCommand,
  AcceleratorError,
  AcceleratorRegister,
  CommandRegister,
  QueueConfiguration,
} from '../../../hw/devices/accelerator-registers.ts';
import type { DeviceBus, TransferJob } from '../../../hw/devices/model.ts';

interface Request {
  readonly address: bigint;
  readonly pasid: number | undefined;
}

function machine(pci: AcceleratorFunction = { busMaster: true, pasidEnabled: true }) {
  const requests: Request[] = [];
  const answer = { bytesDone: 4, bytes: undefined, faultReason: undefined, refusal: undefined };
  const bus: DeviceBus = {
    read: (address, _length, pasid) => {
      requests.push({ address, pasid });
      return answer;
    },
    write: (address, _bytes, pasid) => {
      requests.push({ address, pasid });
      return answer;
    },
  };
  const device = new Accelerator(bus, pci, { queues: 20, totalQueueSize: 64, engines: 4 });
  const registers = device.region(0);
  if (registers === undefined) throw new Error('BAR 0 has no registers');
  const command = (code: number, operand = 0): number => {
    registers.write(
      AcceleratorRegister.command,
      4,
      BigInt(CommandRegister.encode({ command: code, operand })[0]),
    );
    return Number(registers.read(AcceleratorRegister.commandStatus, 4) & 0xffn);
  };
  const configure = (queue: number, values: Parameters<typeof QueueConfiguration.encode>[0]): void => {
    const words = QueueConfiguration.encode(values);
    for (let word = 0; word < words.length; word += 1) {
      const offset =
        AcceleratorRegister.queueConfiguration + queue * AcceleratorRegister.queueConfigurationBytes;
      registers.write(offset + word * 4, 4, BigInt(words[word]));
    }
  };
  return { device, registers, requests, command, configure };
}

const job = (channel: number, more: Partial<TransferJob> = {}): TransferJob => ({
  address: 0x1000n,
  access: 'write',
  bytes: Uint8Array.of(1, 2, 3, 4),
  lengthBytes: 0,
  channel,
  submitterPasid: undefined,
  forcedPasid: undefined,
  ...more,
});

describe('accelerator in the manner of DSA', () => {
  it('tags requests of a dedicated queue with the PASID of its configuration (DSA 3.2.1)', () => {
    const { device, requests, command, configure } = machine();
    configure(2, { size: 16, mode: 1, pasid: 0x12345, pasidEnable: 1 });
    expect(command(AcceleratorCommand.enableDevice)).toBe(AcceleratorError.success);
    expect(command(AcceleratorCommand.enableQueue, 2)).toBe(AcceleratorError.success);
    device.transfer(job(2, { submitterPasid: 7 }));
    expect(requests).toEqual([{ address: 0x1000n, pasid: 0x12345 }]);
  });

  it('tags requests of a shared queue with the PASID of the submission (DSA 3.2.2)', () => {
    const { device, requests, command, configure } = machine();
    configure(0, { size: 16, mode: 0, pasidEnable: 1 });
    command(AcceleratorCommand.enableDevice);
    command(AcceleratorCommand.enableQueue, 0);
    device.transfer(job(0, { submitterPasid: 7 }));
    expect(requests).toEqual([{ address: 0x1000n, pasid: 7 }]);
    expect(device.transfer(job(0)).refusal).toContain('must carry its PASID');
  });

  it('keeps the configuration of an enabled queue, and its state always, from being written', () => {
    const { registers, command, configure } = machine();
    configure(1, { size: 16, mode: 1, pasid: 3, pasidEnable: 1, state: 1 });
    command(AcceleratorCommand.enableDevice);
    const offset = AcceleratorRegister.queueConfiguration + AcceleratorRegister.queueConfigurationBytes;
    expect(registers.read(offset + 24, 4)).toBe(0n);
    command(AcceleratorCommand.enableQueue, 1);
    configure(1, { size: 16, mode: 1, pasid: 4, pasidEnable: 1 });
    expect((registers.read(offset + 8, 4) >> 8n) & 0xfffffn).toBe(3n);
  });

  it('refuses what the specification refuses, each with its code', () => {
    const off = machine({ busMaster: false, pasidEnabled: false });
    expect(off.command(AcceleratorCommand.enableDevice)).toBe(AcceleratorError.busMasterDisabled);
    const { command, configure } = machine({ busMaster: true, pasidEnabled: false });
    expect(command(AcceleratorCommand.enableQueue, 0)).toBe(AcceleratorError.deviceNotEnabled);
    command(AcceleratorCommand.enableDevice);
    expect(command(AcceleratorCommand.enableDevice)).toBe(AcceleratorError.deviceEnabled);
    expect(command(AcceleratorCommand.enableQueue, 20)).toBe(AcceleratorError.invalidQueue);
    expect(command(AcceleratorCommand.enableQueue, 0)).toBe(AcceleratorError.queueSizeZero);
    configure(0, { size: 65, mode: 1 });
    expect(command(AcceleratorCommand.enableQueue, 0)).toBe(AcceleratorError.queueSizeOutOfRange);
    configure(0, { size: 8, mode: 0 });
    expect(command(AcceleratorCommand.enableQueue, 0)).toBe(AcceleratorError.queueMode);
    configure(0, { size: 8, mode: 1, pasidEnable: 1 });
    expect(command(AcceleratorCommand.enableQueue, 0)).toBe(AcceleratorError.pasidEnable);
    expect(command(31)).toBe(AcceleratorError.invalidCommand);
  });

  it('disables queues by bank and mask, and stops their transfers', () => {
    const { device, requests, command, configure } = machine();
    configure(17, { size: 8, mode: 1 });
    command(AcceleratorCommand.enableDevice);
    command(AcceleratorCommand.enableQueue, 17);
    expect(device.transfer(job(17)).refusal).toBeUndefined();
    expect(requests).toEqual([{ address: 0x1000n, pasid: undefined }]);
    expect(command(AcceleratorCommand.disableQueue, 0x10002)).toBe(AcceleratorError.success);
    expect(command(AcceleratorCommand.disableQueue, 0x10002)).toBe(AcceleratorError.queueNotEnabled);
    expect(device.transfer(job(17)).refusal).toContain('disabled');
  });
});
