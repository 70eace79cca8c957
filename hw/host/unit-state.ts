/** A remapping unit as the screens show it: registers, invalidation queue and faults, read through its own registers. */
import { type DeviceScope, type RemappingUnitStructure, ScopeType } from '../acpi/dmar.ts';
import type { MmioPort } from '../port.ts';
import { cacheContents } from '../vtd/cache-contents.ts';
import { decodeDescriptor } from '../vtd/descriptors.ts';
import { faultMeaning } from '../vtd/fault-reasons.ts';
import { FaultRecord } from '../vtd/layouts.ts';
import {
  type Capabilities,
  decodeCapabilities,
  GlobalBit,
  registerList,
  registers,
  TableMode,
} from '../vtd/registers.ts';
import type { Hardware } from './hardware.ts';
import type { DescriptorState, InvalidationQueueState, RegisterState, UnitState } from './state.ts';
import { readWords, type WordMemory } from './tables.ts';
import type { WiredUnit } from './wired-unit.ts';

/** Descriptors shown at most: the newest. */
const DESCRIPTORS_SHOWN = 128;

export function capabilitiesFrom(mmio: MmioPort): Capabilities {
  return decodeCapabilities(mmio.read(registers.CAP.offset, 8), mmio.read(registers.ECAP.offset, 8));
}

/** Every register that the unit implements, with its value now. */
export function registerStates(mmio: MmioPort, capabilities: Capabilities): RegisterState[] {
  return registerList
    .filter((one) => one.implementedBy(capabilities))
    .map((one) => {
      const offset = one.offsetIn(capabilities);
      const value = mmio.read(offset, one.widthBytes === 8 ? 8 : 4);
      const words = Uint32Array.of(Number(value & 0xffffffffn), Number(value >> 32n));
      return {
        name: one.name,
        offset,
        widthBits: one.widthBytes * 8,
        value,
        fields: one.layout.decode(words),
      };
    });
}

export function globalStatus(mmio: MmioPort): {
  translation: boolean;
  interruptRemapping: boolean;
  queuedInvalidation: boolean;
} {
  const status = Number(mmio.read(registers.GSTS.offset, 4));
  return {
    translation: (status & GlobalBit.translation) !== 0,
    interruptRemapping: (status & GlobalBit.interruptRemapping) !== 0,
    queuedInvalidation: (status & GlobalBit.queuedInvalidation) !== 0,
  };
}

/** The invalidation queue with its newest descriptors, oldest first; undefined when the unit has none. */
export function queueState(
  mmio: MmioPort,
  memory: WordMemory,
  capabilities: Capabilities,
): InvalidationQueueState | undefined {
  if (capabilities.queuedInvalidation === 0) return undefined;
  const address = mmio.read(registers.IQA.offset, 8);
  const bytes = (address & 0x800n) === 0n ? 16 : 32;
  const entries = (4096 / bytes) * 2 ** Number(address & 7n);
  const base = address & ~0xfffn;
  const head = Number(mmio.read(registers.IQH.offset, 8)) / bytes;
  const tail = Number(mmio.read(registers.IQT.offset, 8)) / bytes;
  const enabled = globalStatus(mmio).queuedInvalidation;
  const descriptors: DescriptorState[] = [];
  if (enabled) {
    const count = Math.min(entries - 1, DESCRIPTORS_SHOWN);
    for (let back = count; back >= 1; back -= 1) {
      const index = (tail - back + entries) % entries;
      const at = Number(base) + index * bytes;
      const words = readWords(memory, at, bytes / 4);
      if (words.every((word) => word === 0)) continue;
      const decoded = decodeDescriptor(words);
      const text = decoded.fields
        .filter((field) => !field.name.startsWith('type') && field.value !== 0n)
        .map((field) => `${field.name} ${field.meaning ?? field.text}`)
        .join(', ');
      descriptors.push({
        index,
        address: BigInt(at),
        kind: decoded.name,
        text,
        words,
        fields: decoded.fields,
      });
    }
  }
  return { enabled, base, entries, head, tail, descriptors };
}

/** Fault records that hold a fault now. */
export function pendingFaults(mmio: MmioPort, capabilities: Capabilities): string[] {
  const faults: string[] = [];
  for (let index = 0; index <= capabilities.faultRecords; index += 1) {
    const offset = capabilities.faultRecordOffset * 16 + index * 16;
    const low = mmio.read(offset, 8);
    const high = mmio.read(offset + 8, 8);
    const words = Uint32Array.of(
      Number(low & 0xffffffffn),
      Number(low >> 32n),
      Number(high & 0xffffffffn),
      Number(high >> 32n),
    );
    if (!FaultRecord.fields.fault.isSet(words)) continue;
    const reason = FaultRecord.fields.reason.get(words);
    const source = FaultRecord.fields.sourceId.get(words).toString(16).padStart(4, '0');
    faults.push(
      `record ${index}: reason 0x${reason.toString(16)} (${faultMeaning(reason)}), source id ${source}, address 0x${FaultRecord.fields.address.getBig(words).toString(16)}`,
    );
  }
  return faults;
}

/** What a unit answers for, in words. */
export function scopeTexts(structure: RemappingUnitStructure): string[] {
  const texts = structure.scopes.map((scope) => `${scopeKind(scope)} ${scopePath(structure.segment, scope)}`);
  if (structure.includeAll)
    texts.push(`all PCI devices of segment ${structure.segment} that no other unit lists`);
  return texts;
}

function scopeKind(scope: DeviceScope): string {
  switch (scope.type) {
    case ScopeType.endpoint:
      return 'PCI endpoint';
    case ScopeType.bridge:
      return 'PCI bridge and all below it';
    case ScopeType.ioApic:
      return `IO-APIC ${scope.enumerationId}`;
    case ScopeType.hpet:
      return `HPET ${scope.enumerationId}`;
    case ScopeType.namespaceDevice:
      return `ACPI device ${scope.enumerationId}`;
    default:
      return `scope of type ${scope.type}`;
  }
}

function scopePath(segment: number, scope: DeviceScope): string {
  const hex = (value: number, digits: number): string => value.toString(16).padStart(digits, '0');
  const hops = scope.path.map((hop) => `${hex(hop.device, 2)}.${hop.function}`).join('/');
  return `${hex(segment, 4)}:${hex(scope.startBus, 2)}:${hops}`;
}

/** The whole unit. */
export function unitState(wired: WiredUnit, hardware: Hardware): UnitState {
  const { unit, structure } = wired;
  const mmio: MmioPort = {
    read: (offset, size) => unit.mmioRead(offset, size),
    write: (offset, size, value) => unit.mmioWrite(offset, size, value),
  };
  const capabilities = capabilitiesFrom(mmio);
  const status = globalStatus(mmio);
  const mode = Number((mmio.read(registers.RTADDR.offset, 8) >> 10n) & 3n);
  return {
    name: wired.name,
    registerBase: structure.registerBase,
    segment: structure.segment,
    translationEnabled: status.translation,
    scalableMode: mode === TableMode.scalable,
    interruptRemapping: status.interruptRemapping,
    registers: registerStates(mmio, capabilities),
    queue: queueState(mmio, hardware.memory, capabilities),
    caches: cacheContents(unit),
    faults: pendingFaults(mmio, capabilities),
    scope: scopeTexts(structure),
  };
}
