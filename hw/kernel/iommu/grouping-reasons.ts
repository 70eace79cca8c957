/** Why a device is in its group, in words an operator understands, with the register bit that decides. */
import { type AcsContext, explainAcs, GROUPING_CONTROLS } from '../pci/acs.ts';
import type { PciBus, PciDevice } from '../pci/pci-device.ts';
import type { Climb, GroupingDecision } from './grouping.ts';

/** The rule, by a stable name. */
export type GroupingRule =
  | 'alone'
  | 'shares requester id'
  | 'behind a bridge that replaces requester ids'
  | 'behind a VMD endpoint'
  | 'no isolation upstream'
  | 'functions not isolated'
  | 'not PCI';

export interface GroupingReason {
  readonly device: string;
  /** The member that draws it in, or null for the only member. */
  readonly with: string | null;
  readonly rule: GroupingRule;
  readonly detail: string;
}

const hex = (value: number, digits: number): string => value.toString(16).padStart(digits, '0');

function requesterText(requesterId: number): string {
  return `${hex(requesterId >>> 8, 2)}:${hex((requesterId >>> 3) & 31, 2)}.${requesterId & 7}`;
}

/** Words for one decision. */
export function reasonOf(device: PciDevice, decision: GroupingDecision, context: AcsContext): GroupingReason {
  switch (decision.kind) {
    case 'alias':
      return aliasReason(device, decision);
    case 'upstream':
      return {
        device: device.name,
        with: decision.with.name,
        rule: 'no isolation upstream',
        detail: `Requests may turn round below ${decision.with.name} without passing the IOMMU. ${climbText(decision.climbs, context)}`,
      };
    case 'sideways alias':
      return {
        device: device.name,
        with: decision.with.name,
        rule: 'shares requester id',
        detail:
          `${decision.at.name} and ${decision.with.name} may issue DMA with the same requester id on bus ` +
          `${hex(decision.at.bus.number, 2)} (known quirk of ${deviceId(decision.at)} or ${deviceId(decision.with)}), ` +
          `so the IOMMU can't tell them apart. ${climbText(decision.climbs, context)}`.trim(),
      };
    case 'sibling function':
      return {
        device: device.name,
        with: decision.with.name,
        rule: decision.climbs.length > 0 ? 'no isolation upstream' : 'functions not isolated',
        detail:
          `${climbText(decision.climbs, context)}${decision.climbs.length > 0 ? ' ' : ''}${decision.at.name} and ${decision.with.name} are functions of one slot ` +
          `that may reach each other inside the device. ${explainAcs(decision.at, GROUPING_CONTROLS, context).detail}; ` +
          `${explainAcs(decision.with, GROUPING_CONTROLS, context).detail}.`,
      };
    case 'new':
      return { device: device.name, with: null, rule: 'alone', detail: aloneText(device, context) };
  }
}

function aliasReason(
  device: PciDevice,
  decision: Extract<GroupingDecision, { kind: 'alias' }>,
): GroupingReason {
  const base = { device: device.name, with: decision.with.name };
  const id = requesterText(decision.requesterId);
  if (decision.alias === 'real dma device') {
    return {
      ...base,
      rule: 'behind a VMD endpoint',
      detail: `Its DMA carries the requester id ${id} of the VMD endpoint ${decision.with.name}: one translation for all behind it.`,
    };
  }
  if (decision.alias === 'quirk' || decision.alias === 'own') {
    return {
      ...base,
      rule: 'shares requester id',
      detail: `Its DMA may carry requester id ${id} (known quirk of ${deviceId(device)}), which ${decision.with.name} uses.`,
    };
  }
  const kind = decision.with.portType === 'conventional' ? 'conventional PCI bridge' : decision.with.portType;
  return {
    ...base,
    rule: 'behind a bridge that replaces requester ids',
    detail: `The ${kind} ${decision.with.name} passes its DMA on as requester id ${id}: the IOMMU sees one requester for all behind it.`,
  };
}

function climbText(climbs: readonly Climb[], context: AcsContext): string {
  if (climbs.length === 0) return '';
  const open = [...new Set(climbs.map((climb) => climb.openBridge))];
  return `${open.map((bridge) => bridgeText(bridge, context)).join('; ')}.`;
}

/** Texts of bridges by context: a bridge is told once for each device behind it, and its registers don't change meanwhile. */
const bridgeTexts = new WeakMap<AcsContext, Map<PciDevice, string>>();

function bridgeText(bridge: PciDevice, context: AcsContext): string {
  let texts = bridgeTexts.get(context);
  if (texts === undefined) {
    texts = new Map();
    bridgeTexts.set(context, texts);
  }
  let text = texts.get(bridge);
  if (text === undefined) {
    text = explainAcs(bridge, GROUPING_CONTROLS, context).detail;
    texts.set(bridge, text);
  }
  return text;
}

/** Why nothing draws a device to another. */
function aloneText(device: PciDevice, context: AcsContext): string {
  const parts: string[] = [];
  if (device.bus.parent === undefined) {
    parts.push('It sits on a root bus: no bridge above it where requests could turn round');
  } else {
    const above = bridgesAbove(device.bus);
    parts.push(`The way up is isolated: ${above.map((bridge) => bridgeText(bridge, context)).join('; ')}`);
  }
  if (device.isVirtualFunction) parts.push('A virtual function counts as single-function');
  else if (!device.multifunction) parts.push('It is the only function of its slot');
  else parts.push(slotText(device, context));
  return `${parts.join('. ')}.`;
}

function slotText(device: PciDevice, context: AcsContext): string {
  const own = explainAcs(device, GROUPING_CONTROLS, context);
  if (own.isolated) return `Among the functions of its slot it is isolated (${own.detail})`;
  const others = device.bus.devices.filter(
    (other) => other !== device && other.devfn >>> 3 === device.devfn >>> 3,
  );
  if (others.length === 0) return 'No other function of its slot is there';
  return `Every other function of its slot is isolated (${others
    .map((other) => explainAcs(other, GROUPING_CONTROLS, context).detail)
    .join('; ')})`;
}

function bridgesAbove(from: PciBus): PciDevice[] {
  const found: PciDevice[] = [];
  for (let bus: PciBus | undefined = from; bus !== undefined; bus = bus.parent) {
    if (bus.bridge !== undefined) found.push(bus.bridge);
  }
  return found;
}

function deviceId(device: PciDevice): string {
  return `${hex(device.vendorId, 4)}:${hex(device.deviceId, 4)}`;
}
