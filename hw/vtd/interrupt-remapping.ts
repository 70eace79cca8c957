/**
 * Interrupt remapping: what becomes of a message that a device writes to 0xfee00000-0xfeefffff. VT-d 5.
 */

import type { PhysicalMemory } from '../memory/physical-memory.ts';
import type { InterruptCache } from './caches/interrupt-cache.ts';
import { capabilitiesOf, type UnitConfiguration } from './configuration.ts';
import { Fault } from './fault-reasons.ts';
import { InterruptEntry, PostedInterruptDescriptor, PostedInterruptEntry } from './layouts.ts';
import type { Capabilities } from './registers.ts';

/** An interrupt on its way to the CPUs. */
export interface Interrupt {
  /** The unit's own message (fault, completion, page request), a device's, or the notification of a posted one. */
  readonly origin: 'unit' | 'device' | 'posted';
  /** Who sent it; undefined for the unit. */
  readonly requesterId: number | undefined;
  readonly destination: number;
  /** 0 physical, 1 logical. */
  readonly destinationMode: number;
  /** 0 fixed, 1 lowest priority, 2 SMI, 4 NMI, 5 INIT, 7 ExtINT. */
  readonly deliveryMode: number;
  readonly vector: number;
  /** 0 edge, 1 level. */
  readonly triggerMode: number;
  /** The message as written: address and data. */
  readonly address: bigint;
  readonly data: number;
}

/** A message as written by its sender. */
export interface InterruptMessage {
  readonly requesterId: number;
  readonly addressHigh: number;
  readonly addressLow: number;
  readonly data: number;
}

/** Why a message was blocked. */
export interface BlockedInterrupt {
  readonly reason: number;
  /** The table entry's fault-processing-disable. */
  readonly faultDisable: boolean;
  /** Index into the table, as the record shows it. */
  readonly index: number;
}

/** Bits of a source id that SQ leaves in the comparison. */
const QUALIFIED_BITS = [0xffff, 0xfffb, 0xfff9, 0xfff8];
/** Values of SVT. */
const Validation = { none: 0, sourceId: 1, bus: 2 } as const;

const FORMAT_REMAPPABLE = 1 << 4;
const SUBHANDLE_VALID = 1 << 3;
const DESCRIPTOR_BYTES = 64;
const PENDING_WORDS = 8;

/** A message in compatibility format as the CPU takes it. */
export function decodeCompatible(
  origin: Interrupt['origin'],
  message: Omit<InterruptMessage, 'requesterId'> & { readonly requesterId: number | undefined },
): Interrupt {
  const { requesterId, addressHigh, addressLow, data } = message;
  return {
    origin,
    requesterId,
    // Bits 63:40 of the address extend the destination of the unit's own messages in x2APIC mode.
    destination: ((addressLow >>> 12) & 0xff) | (addressHigh & 0xffffff00),
    destinationMode: (addressLow >>> 2) & 1,
    deliveryMode: (data >>> 8) & 7,
    vector: data & 0xff,
    triggerMode: (data >>> 15) & 1,
    address: (BigInt(addressHigh >>> 0) << 32n) | BigInt(addressLow >>> 0),
    data: data >>> 0,
  };
}

export class InterruptRemapper {
  /** Set by the unit from GSTS and the latched IRTA. */
  enabled = false;
  compatibilityFormatPasses = false;
  extendedMode = false;
  private tableAddress = 0;
  private entries = 0;

  private readonly memory: PhysicalMemory;
  private readonly cache: InterruptCache;
  private readonly has: Capabilities;

  constructor(configuration: UnitConfiguration, memory: PhysicalMemory, cache: InterruptCache) {
    this.memory = memory;
    this.cache = cache;
    this.has = capabilitiesOf(configuration);
  }

  /** Takes over the table address register. */
  latch(high: number, low: number): void {
    this.tableAddress = high * 2 ** 32 + ((low & 0xfffff000) >>> 0);
    this.entries = 2 ** ((low & 0xf) + 1);
    this.extendedMode = (low & 0x800) !== 0;
  }

  /** The interrupt that the message becomes, or undefined when it was posted without notification, or why not. */
  remap(message: InterruptMessage): Interrupt | BlockedInterrupt | undefined {
    if (!this.enabled) return decodeCompatible('device', message);
    const { addressLow, addressHigh, data } = message;
    if ((addressLow & FORMAT_REMAPPABLE) === 0) {
      if (this.compatibilityFormatPasses && !this.extendedMode) return decodeCompatible('device', message);
      return { reason: Fault.interruptCompatibility, faultDisable: false, index: 0 };
    }
    const hasSubhandle = (addressLow & SUBHANDLE_VALID) !== 0;
    const handle = ((addressLow >>> 5) & 0x7fff) | (((addressLow >>> 2) & 1) << 15);
    const index = handle + (hasSubhandle ? data & 0xffff : 0);
    const blocked = (reason: number, faultDisable = false): BlockedInterrupt => ({
      reason,
      faultDisable,
      index,
    });
    if (addressHigh !== 0 || (hasSubhandle && data >>> 16 !== 0))
      return blocked(Fault.interruptRequestReserved);
    if (index >= this.entries) return blocked(Fault.interruptIndex);
    const words = this.entry(index);
    if (words === undefined) return blocked(Fault.interruptTableAccess);
    const fields = InterruptEntry.fields;
    const faultDisable = fields.faultDisable.isSet(words);
    if (!fields.present.isSet(words)) return blocked(Fault.interruptNotPresent, faultDisable);
    const posted = fields.mode.isSet(words);
    if (this.reservedSet(words, posted)) return blocked(Fault.interruptReserved, faultDisable);
    if (!sourceAccepted(words, message.requesterId)) return blocked(Fault.interruptSource, faultDisable);
    this.cache.keep(index, words);
    if (posted) return this.post(words, message, blocked);
    const destination = fields.destination.get(words);
    return {
      origin: 'device',
      requesterId: message.requesterId,
      destination: this.extendedMode ? destination : (destination >>> 8) & 0xff,
      destinationMode: fields.destinationMode.get(words),
      deliveryMode: fields.deliveryMode.get(words),
      vector: fields.vector.get(words),
      triggerMode: fields.triggerMode.get(words),
      address: BigInt(addressLow >>> 0),
      data: data >>> 0,
    };
  }

  private entry(index: number): Uint32Array | undefined {
    const cached = this.cache.get(index);
    if (cached !== undefined) return cached;
    const address = this.tableAddress + index * 16;
    if (!this.memory.contains(address, 16)) return undefined;
    return Uint32Array.from({ length: 4 }, (_, word) => this.memory.read32(address + word * 4));
  }

  private reservedSet(words: Uint32Array, posted: boolean): boolean {
    if (InterruptEntry.fields.sourceValidation.get(words) === 3) return true;
    if (posted) return this.has.postedInterrupts === 0 || PostedInterruptEntry.reservedSet(words);
    if (InterruptEntry.reservedSet(words)) return true;
    return !this.extendedMode && (words[1] & ~0xff00) !== 0;
  }

  /** Sets the bit in the virtual CPU's descriptor, and notifies unless a notification is out already. */
  private post(
    words: Uint32Array,
    message: InterruptMessage,
    blocked: (reason: number, faultDisable: boolean) => BlockedInterrupt,
  ): Interrupt | BlockedInterrupt | undefined {
    const entry = PostedInterruptEntry.fields;
    const faultDisable = entry.faultDisable.isSet(words);
    const address =
      entry.descriptorAddressHigh.get(words) * 2 ** 32 + entry.descriptorAddressLow.get(words) * 64;
    const bytes = this.memory.writable(address, DESCRIPTOR_BYTES);
    if (!bytes) return blocked(Fault.postedDescriptorAccess, faultDisable);
    const descriptor = Uint32Array.from({ length: 16 }, (_, word) => this.memory.read32(address + word * 4));
    if (PostedInterruptDescriptor.reservedSet(descriptor.subarray(0, 12)))
      return blocked(Fault.postedDescriptorReserved, faultDisable);
    const vector = entry.virtualVector.get(words);
    descriptor[vector >>> 5] |= 1 << (vector & 31);
    const fields = PostedInterruptDescriptor.fields;
    const notify =
      !fields.outstanding.isSet(descriptor) &&
      (!fields.suppress.isSet(descriptor) || entry.urgent.isSet(words));
    if (notify) fields.outstanding.set(descriptor, 1);
    for (let word = 0; word <= PENDING_WORDS; word += 1)
      this.memory.write32(address + word * 4, descriptor[word]);
    if (!notify) return undefined;
    const destination = fields.notificationDestination.get(descriptor);
    return {
      origin: 'posted',
      requesterId: message.requesterId,
      destination: this.extendedMode ? destination : (destination >>> 8) & 0xff,
      destinationMode: 0,
      deliveryMode: 0,
      vector: fields.notificationVector.get(descriptor),
      triggerMode: 0,
      address: BigInt(message.addressLow >>> 0),
      data: message.data >>> 0,
    };
  }
}

/** Source-id validation. VT-d 9.9, fields SVT, SQ, SID. */
function sourceAccepted(words: Uint32Array, requesterId: number): boolean {
  const fields = InterruptEntry.fields;
  const sourceId = fields.sourceId.get(words);
  switch (fields.sourceValidation.get(words)) {
    case Validation.sourceId:
      return ((sourceId ^ requesterId) & QUALIFIED_BITS[fields.sourceQualifier.get(words)]) === 0;
    case Validation.bus: {
      const bus = requesterId >>> 8;
      return bus >= sourceId >>> 8 && bus <= (sourceId & 0xff);
    }
    default:
      return true;
  }
}
