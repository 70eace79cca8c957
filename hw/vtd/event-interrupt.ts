import type { RegisterFile } from './register-file.ts';
import { EventControlBit, type RegisterName } from './registers.ts';

/** The four registers of an event interrupt. */
export interface EventRegisters {
  readonly control: RegisterName;
  readonly data: RegisterName;
  readonly address: RegisterName;
  readonly upperAddress: RegisterName;
}

/** Sends a message of the unit itself; it isn't remapped. */
export type MessageSender = (addressHigh: number, addressLow: number, data: number) => void;

/**
 * An interrupt that the unit sends by itself (fault, invalidation completion, page request): a mask, a pending bit,
 * and a message. VT-d 11.4.7.2, 11.4.9.7, 11.4.11.6.
 */
export class EventInterrupt {
  private readonly file: RegisterFile;
  private readonly registers: EventRegisters;
  private readonly send: MessageSender;

  constructor(file: RegisterFile, registers: EventRegisters, send: MessageSender) {
    this.file = file;
    this.registers = registers;
    this.send = send;
  }

  /** Something happened: the message goes out now, or stays pending while masked. */
  raise(): void {
    const { control } = this.registers;
    this.file.set(control, this.file.get(control) | EventControlBit.pending);
    this.controlWritten();
  }

  /** Software wrote the control register: a pending message goes out when it is no longer masked. */
  controlWritten(): void {
    const { control, data, address, upperAddress } = this.registers;
    const state = this.file.get(control);
    if ((state & EventControlBit.pending) === 0 || (state & EventControlBit.mask) !== 0) return;
    this.clearPending();
    this.send(this.file.get(upperAddress), this.file.get(address), this.file.get(data));
  }

  /** What it told of is gone. */
  clearPending(): void {
    const { control } = this.registers;
    this.file.set(control, this.file.get(control) & ~EventControlBit.pending);
  }
}
