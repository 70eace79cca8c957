import { dmaRead, dmaWrite, type Interrupt, type PhysicalMemory, type VtdUnit } from '../../../hw/index.ts';
import { fileError, type Place } from '../../errors.ts';
import type { JsonObject } from '../runner.ts';

/** What the operations of one transcript act upon. */
export interface OperationContext {
  readonly unit: VtdUnit;
  readonly memory: PhysicalMemory;
  /** Requester ids by the names of the header. */
  readonly devices: ReadonlyMap<string, number>;
  /** Since the last `irq.take`. */
  readonly interrupts: Interrupt[];
}

const PAGE = 4096n;

/** Reads the fields of one operation, and says where a field is wrong. */
class Fields {
  private readonly content: JsonObject;
  private readonly place: Place;
  constructor(content: JsonObject, place: Place) {
    this.content = content;
    this.place = place;
  }

  private wrong(name: string, wanted: string): Error {
    const value = JSON.stringify(this.content[name]);
    return fileError(`"${name}" of ${String(this.content.op)} is ${value}, not ${wanted}`, this.place);
  }

  hex(name: string): bigint {
    const value = this.content[name];
    if (typeof value === 'string' && /^0x[0-9a-f]{1,16}$/i.test(value)) return BigInt(value);
    throw this.wrong(name, 'a hex number of up to 64 bits');
  }

  address(name: string): number {
    const value = this.hex(name);
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw this.wrong(name, 'an address below 2^53');
    return Number(value);
  }

  count(name: string): number {
    const value = this.content[name];
    const limit = 2 ** 30;
    if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= limit) return value;
    if (typeof value === 'string' && /^0x[0-9a-f]{1,8}$/i.test(value) && Number(value) <= limit)
      return Number(value);
    throw this.wrong(name, 'a length in bytes');
  }

  flag(name: string): boolean {
    return Boolean(this.content[name]);
  }

  number(name: string): number {
    const value = this.content[name];
    if (typeof value === 'number' && Number.isInteger(value) && value >= 0) return value;
    throw this.wrong(name, 'a whole number');
  }

  bytes(name: string): Uint8Array {
    const value = this.content[name];
    if (typeof value !== 'string' || !/^([0-9a-f]{2})*$/i.test(value))
      throw this.wrong(name, 'a hex byte string');
    return Uint8Array.from(Buffer.from(value, 'hex'));
  }

  /** -1: none. */
  pasid(): number {
    return this.content.pasid === null || this.content.pasid === undefined ? -1 : this.number('pasid');
  }

  requester(devices: ReadonlyMap<string, number>): number {
    const found = devices.get(String(this.content.dev));
    if (found === undefined) throw this.wrong('dev', 'a device of the header');
    return found;
  }
}

const hexOf = (value: bigint | number): string => `0x${value.toString(16)}`;

function readMemory(memory: PhysicalMemory, fields: Fields): string | null {
  const bytes = memory.read(fields.address('addr'), fields.count('len'));
  return bytes === undefined ? null : Buffer.from(bytes).toString('hex');
}

/** Words of a pattern that are written at once. */
const PATTERN_BLOCK = 0x4000;

/** Every aligned 32-bit word at address A becomes (A mod 2^32) xor salt. */
function writePattern(memory: PhysicalMemory, start: number, length: number, salt: number): void {
  const words = new Uint32Array(PATTERN_BLOCK);
  for (let done = 0; done < length; done += PATTERN_BLOCK * 4) {
    const count = Math.min(PATTERN_BLOCK, Math.ceil((length - done) / 4));
    const low = (start + done) % 2 ** 32;
    for (let word = 0; word < count; word += 1) words[word] = (low + word * 4) ^ salt;
    memory.write(start + done, new Uint8Array(words.buffer, 0, count * 4));
  }
}

/** The events of `irq.take`: a message of the unit itself, and each interrupt that reaches the CPUs. */
function takeInterrupts(interrupts: Interrupt[]): unknown[] {
  const events: unknown[] = [];
  for (const interrupt of interrupts.splice(0)) {
    if (interrupt.origin === 'unit')
      events.push({ event: 'iommu.msi', addr: hexOf(interrupt.address), data: hexOf(interrupt.data) });
    events.push({
      event: 'deliver',
      dest: hexOf(interrupt.destination >>> 0),
      destMode: interrupt.destinationMode,
      deliveryMode: interrupt.deliveryMode,
      vector: hexOf(interrupt.vector),
      trigger: interrupt.triggerMode,
    });
  }
  return events;
}

/**
 * One ATS request for a range, as the transcripts report it: an entry a page until the range is covered. Neighbouring
 * pages of nothing are reported page by page.
 */
function translationRequests(context: OperationContext, fields: Fields): unknown[] {
  const request = {
    requesterId: fields.requester(context.devices),
    pasid: fields.pasid(),
    noWrite: fields.flag('noWrite'),
    privileged: fields.flag('priv'),
    execute: fields.flag('exec'),
  };
  const start = fields.hex('iova');
  const end = start + BigInt(fields.count('len'));
  const answers: unknown[] = [];
  for (let address = start & ~(PAGE - 1n); address < end; ) {
    const found = context.unit.translationRequest({ ...request, address });
    const rights = `${found.read ? 'r' : ''}${found.write ? 'w' : ''}${found.execute ? 'x' : ''}`;
    const size = BigInt(found.sizeBytes);
    const base = address & ~(size - 1n);
    if (rights === '') answers.push({ iova: hexOf(base), perm: '' });
    else answers.push({ iova: hexOf(base), addr: hexOf(found.physical), size: hexOf(size), perm: rights });
    address = base + size;
  }
  return answers;
}

/** Carries out one operation. @returns What `expect` is compared with. */
export function runOperation(context: OperationContext, content: JsonObject, place: Place): unknown {
  const { unit, memory, devices } = context;
  const fields = new Fields(content, place);
  switch (content.op) {
    case 'comment':
      return undefined;
    case 'mmio.write':
      return unit.mmioWrite(fields.address('off'), fields.number('size'), fields.hex('val'));
    case 'mmio.read':
      return hexOf(unit.mmioRead(fields.address('off'), fields.number('size')));
    case 'mem.write':
      return memory.write(fields.address('addr'), fields.bytes('hex'));
    case 'mem.zero':
      return memory.zero(fields.address('addr'), fields.count('len'));
    case 'mem.pattern':
      return writePattern(memory, fields.address('addr'), fields.count('len'), Number(fields.hex('salt')));
    case 'mem.read':
      return readMemory(memory, fields);
    case 'dma.read': {
      const marks = { pasid: fields.pasid() };
      const done = dmaRead(unit, fields.requester(devices), fields.hex('iova'), fields.count('len'), marks);
      return done.bytes === undefined
        ? { ok: false }
        : { ok: true, hex: Buffer.from(done.bytes).toString('hex') };
    }
    case 'dma.write': {
      const marks = { pasid: fields.pasid() };
      const done = dmaWrite(unit, fields.requester(devices), fields.hex('iova'), fields.bytes('hex'), marks);
      return { ok: done.ok };
    }
    case 'msi.send': {
      const address = fields.hex('addr');
      return unit.messageInterrupt({
        requesterId: fields.requester(devices),
        addressHigh: Number(address >> 32n),
        addressLow: Number(address & 0xffffffffn),
        data: Number(fields.hex('data') & 0xffffffffn),
      });
    }
    case 'irq.take':
      return takeInterrupts(context.interrupts);
    case 'ats.request':
      return translationRequests(context, fields);
    case 'page.request':
      return {
        ok: unit.pageRequest({
          requesterId: fields.requester(devices),
          pasid: fields.pasid(),
          address: fields.hex('iova'),
          read: fields.flag('r'),
          write: fields.flag('w'),
          last: fields.flag('last'),
          group: fields.number('group'),
          privileged: fields.flag('priv'),
          execute: fields.flag('exec'),
        }),
      };
    default:
      throw fileError(`there is no operation ${JSON.stringify(content.op)}`, place);
  }
}
