import { describe, expect, it } from 'vitest';
import { FaultQueue, PAGE_FAULT_BYTES } from '../../../../hw/kernel/iommufd/fault-queue.ts';
import { HwptFlag } from '../../../../hw/kernel/iommufd/hwpt.ts';
import { faultQueueAlloc, hwptAlloc } from '../../../../hw/kernel/iommufd/hwpt-requests.ts';
import { SmallHost } from '../small-host.ts';
import { codeOf, User } from './user.ts';

function answer(cookie: number, code: number): Uint8Array {
  const bytes = new Uint8Array(8);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, cookie, true);
  view.setUint32(4, code, true);
  return bytes;
}

function group(address: bigint, count: number, respond: (code: string) => void, deviceId = 1) {
  const requests = Array.from({ length: count }, (_, index) => ({
    pasid: 5,
    groupIndex: 7,
    permission: 1,
    address: address + BigInt(index) * 0x1000n,
  }));
  return { deviceId, requests, respond };
}

describe('a fault queue (drivers/iommu/iommufd/eventq.c)', () => {
  it('delivers whole groups, marks the last record, and takes answers by cookie', () => {
    const queue = new FaultQueue(() => {});
    const answers: string[] = [];
    queue.deliver(group(0x1000n, 2, (code) => answers.push(`first ${code}`)));
    queue.deliver(group(0x9000n, 1, (code) => answers.push(`second ${code}`)));
    expect(codeOf(() => queue.read(PAGE_FAULT_BYTES))).toBe('EINVAL');
    expect(codeOf(() => queue.read(50))).toBe('EINVAL');
    expect(codeOf(() => queue.read(80, 40))).toBe('ESPIPE');
    const records = queue.read(2 * PAGE_FAULT_BYTES);
    const view = new DataView(records.buffer);
    expect([view.getUint32(0, true), view.getUint32(40, true)]).toEqual([1, 3]);
    expect(view.getBigUint64(40 + 24, true)).toBe(0x2000n);
    const cookie = view.getUint32(36, true);
    expect(view.getUint32(76, true)).toBe(cookie);
    expect(queue.depth).toEqual({ waiting: 1, unanswered: 1 });
    expect(codeOf(() => queue.write(answer(cookie, 2)))).toBe('EINVAL');
    expect(codeOf(() => queue.write(answer(cookie + 9, 0)))).toBe('EINVAL');
    expect(codeOf(() => queue.write(new Uint8Array(12)))).toBe('EINVAL');
    // An answer before a bad one stands.
    const two = new Uint8Array(16);
    two.set(answer(cookie, 0));
    two.set(answer(99, 0), 8);
    expect(queue.write(two)).toBe(8);
    expect(answers).toEqual(['first success']);
    queue.cancel(1);
    expect(answers).toEqual(['first success', 'second invalid']);
  });
});

describe('page requests of a device on the machine', () => {
  const host = new SmallHost({ commandLine: 'intel_iommu=on' });
  const user = new User(host, 'qemu');
  const device = user.bind('A');
  const ioas = user.ioas();
  const queue = faultQueueAlloc(user.context, { flags: 0 });
  const table = hwptAlloc(user.context, {
    flags: HwptFlag.faultIdValid,
    device: device.id,
    pageTable: ioas,
    dataType: 0,
    data: new Uint8Array(0),
    faultQueue: queue.id,
  });
  const ask = (address: bigint): boolean =>
    host.hardwareUnit.pageRequest({
      requesterId: host.requesterId('A'),
      pasid: -1,
      address,
      read: true,
      write: false,
      execute: false,
      privileged: false,
      last: true,
      group: 3,
    });

  it('reach the queue of the page table that is attached, and their answer goes back as a descriptor', () => {
    device.attach(table);
    host.takeDescriptors();
    expect(ask(0x5000n)).toBe(true);
    expect(queue.depth).toEqual({ waiting: 1, unanswered: 0 });
    const record = new DataView(queue.read(PAGE_FAULT_BYTES).buffer);
    expect(record.getUint32(4, true)).toBe(device.id);
    expect(record.getBigUint64(24, true)).toBe(0x5000n);
    queue.write(answer(record.getUint32(36, true), 0));
    expect(host.takeTypes()).toContain(9);
  });

  it('are answered "invalid" when the device moves away, or nobody has a queue for them', () => {
    ask(0x6000n);
    host.takeDescriptors();
    device.attach(ioas);
    expect(queue.depth).toEqual({ waiting: 0, unanswered: 0 });
    expect(host.takeTypes()).toContain(9);
    ask(0x7000n);
    expect(host.takeTypes()).toContain(9);
  });

  it('the queue is in use while a page table names it or its descriptor is open', () => {
    expect(codeOf(() => user.destroy(queue.id))).toBe('EBUSY');
    user.destroy(table);
    expect(codeOf(() => user.destroy(queue.id))).toBe('EBUSY');
    queue.file.file.put();
    expect(codeOf(() => user.destroy(queue.id))).toBe('ok');
  });
});
