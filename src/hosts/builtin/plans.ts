/**
 * Words to declare functions of a built-in host with: a plan says what a data sheet says, and comes out as the
 * configuration bytes that firmware and kernel would leave behind.
 */
import {
  Acs,
  Ari,
  Ats,
  bridgeConfiguration,
  capability,
  Express,
  endpointConfiguration,
  type FunctionDescription,
  Msi,
  MsiX,
  PasidCapability,
  type PlacedCapability,
  PowerManagement,
  Pri,
  SiovDvsec,
  Sriov,
} from '../../../hw/index.ts';

/** A base address register pair as firmware assigned it. */
export interface BaseAddress {
  /** 0 to 5; a 64-bit one takes the next as well. */
  readonly index: number;
  readonly base: bigint;
  readonly wide?: boolean;
  readonly prefetchable?: boolean;
}

interface CommonPlan {
  readonly at: string;
  readonly ids: readonly [vendor: number, device: number];
  readonly subsystem?: readonly [vendor: number, device: number];
  /** Base class, sub-class, programming interface. */
  readonly classCode: number;
  readonly revision?: number;
  readonly name: string;
  readonly className: string;
  readonly driver: string | null;
  readonly socket: 0 | 1;
  readonly multifunction?: boolean;
  /** 1 to 4 for INTA to INTD. */
  readonly interruptPin?: number;
  readonly capabilities?: readonly PlacedCapability[];
  /** Conventional PCI has 256 bytes. */
  readonly conventional?: boolean;
}

export interface EndpointPlan extends CommonPlan {
  readonly baseAddresses?: readonly BaseAddress[];
  readonly model?: FunctionDescription['model'];
}

export interface BridgePlan extends CommonPlan {
  readonly buses: readonly [primary: number, secondary: number, subordinate: number];
  /** Windows in bytes, ends included; absent: closed. */
  readonly memoryWindow?: readonly [bigint, bigint];
  readonly prefetchableWindow?: readonly [bigint, bigint];
}

/** An endpoint's description. */
export function endpoint(plan: EndpointPlan): FunctionDescription {
  const bars = [0, 0, 0, 0, 0, 0];
  for (const bar of plan.baseAddresses ?? []) {
    const flags = (bar.wide === true ? 4 : 0) | (bar.prefetchable === true ? 8 : 0);
    bars[bar.index] = Number(bar.base & 0xfffffff0n) | flags;
    if (bar.wide === true) bars[bar.index + 1] = Number(bar.base >> 32n);
  }
  const [baseAddress0, baseAddress1, baseAddress2, baseAddress3, baseAddress4, baseAddress5] = bars.map(
    (value) => value >>> 0,
  );
  const bytes = endpointConfiguration({
    header: {
      ...header(plan),
      memorySpace: 1,
      subsystemVendorId: plan.subsystem?.[0] ?? plan.ids[0],
      subsystemId: plan.subsystem?.[1] ?? 0,
      baseAddress0,
      baseAddress1,
      baseAddress2,
      baseAddress3,
      baseAddress4,
      baseAddress5,
    },
    capabilities: plan.capabilities,
    size: plan.conventional === true ? 256 : 4096,
  });
  return { ...describe(plan, bytes), ...(plan.model === undefined ? {} : { model: plan.model }) };
}

/** A bridge's or port's description. */
export function bridge(plan: BridgePlan): FunctionDescription {
  const [memoryLow, memoryHigh] = plan.memoryWindow ?? [0xfff00000n, 0xfffffn];
  const [prefetchableLow, prefetchableHigh] = plan.prefetchableWindow ?? [0xfff00000n, 0xfffffn];
  const high16 = (value: bigint): number => Number((value >> 16n) & 0xfff0n);
  const bytes = bridgeConfiguration({
    header: {
      ...header(plan),
      ioSpace: 1,
      memorySpace: 1,
      primaryBus: plan.buses[0],
      secondaryBus: plan.buses[1],
      subordinateBus: plan.buses[2],
      ioBase: 0xf0,
      memoryBase: high16(memoryLow),
      memoryLimit: high16(memoryHigh),
      prefetchableBase: high16(prefetchableLow) | 1,
      prefetchableLimit: high16(prefetchableHigh) | 1,
      prefetchableBaseUpper: Number(prefetchableLow >> 32n),
      prefetchableLimitUpper: Number(prefetchableHigh >> 32n),
      bridgeSerrEnable: 1,
    },
    capabilities: plan.capabilities,
    size: plan.conventional === true ? 256 : 4096,
  });
  return describe(plan, bytes);
}

function header(plan: CommonPlan) {
  return {
    vendorId: plan.ids[0],
    deviceId: plan.ids[1],
    revision: plan.revision ?? 0,
    programmingInterface: plan.classCode & 0xff,
    subClass: (plan.classCode >>> 8) & 0xff,
    baseClass: plan.classCode >>> 16,
    multifunction: plan.multifunction === true ? 1 : 0,
    busMaster: plan.driver === null ? 0 : 1,
    interruptDisable: plan.driver === null ? 0 : 1,
    cacheLineSize: 16,
    interruptPin: plan.interruptPin ?? 0,
  };
}

function describe(plan: CommonPlan, bytes: Uint8Array): FunctionDescription {
  // Most of it is zeros: looked over by words first.
  const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
  let end = 4 * (words.findLastIndex((word) => word !== 0) + 1);
  while (end > 64 && bytes[end - 1] === 0) end -= 1;
  const config = Buffer.from(bytes.subarray(0, Math.max(end, 64))).toString('hex');
  return {
    address: plan.at,
    config,
    configSize: plan.conventional === true ? 256 : 4096,
    name: plan.name,
    className: plan.className,
    driver: plan.driver,
    numaNode: plan.socket,
  };
}

/** Device/port types of the PCI Express capability. */
const PORT = {
  endpoint: 0,
  root: 4,
  upstream: 5,
  downstream: 6,
  pciBridge: 7,
  integrated: 9,
  eventCollector: 10,
} as const;

export type PortKind = keyof typeof PORT;

/** The PCI Express capability of an endpoint or port. */
export function express(
  kind: PortKind,
  options: { slot?: number; functionLevelReset?: boolean; prefix?: boolean; ari?: boolean } = {},
): PlacedCapability {
  const linked = kind !== 'integrated' && kind !== 'eventCollector';
  const port = kind === 'root' || kind === 'downstream';
  return capability(Express, {
    version: 2,
    portType: PORT[kind],
    slotImplemented: options.slot === undefined ? 0 : 1,
    physicalSlot: options.slot ?? 0,
    presenceDetected: options.slot === undefined ? 0 : 1,
    maximumPayloadSupported: 2,
    maximumPayload: 1,
    maximumReadRequest: 2,
    extendedTagSupported: 1,
    extendedTagEnable: 1,
    roleBasedErrors: 1,
    functionLevelReset: options.functionLevelReset === true ? 1 : 0,
    relaxedOrderingEnable: port ? 0 : 1,
    correctableErrorEnable: 1,
    nonFatalErrorEnable: 1,
    fatalErrorEnable: 1,
    ...(linked
      ? {
          maximumLinkSpeed: 4,
          maximumLinkWidth: 16,
          linkSpeed: 4,
          linkWidth: 16,
          dataLinkActive: port ? 1 : 0,
          supportedLinkSpeeds: 15,
          targetLinkSpeed: 4,
        }
      : {}),
    completionTimeoutRanges: 15,
    ariForwardingSupported: port ? 1 : 0,
    ariForwardingEnable: options.ari === true ? 1 : 0,
    endToEndPrefixSupported: options.prefix === false ? 0 : 1,
  });
}

/** ACS as root ports and isolating switches have it, with what Linux switches on: SV, RR, CR, UF. */
export function acs(): PlacedCapability {
  return capability(Acs, {
    sourceValidation: 1,
    translationBlocking: 1,
    requestRedirect: 1,
    completionRedirect: 1,
    upstreamForwarding: 1,
    sourceValidationEnable: 1,
    requestRedirectEnable: 1,
    completionRedirectEnable: 1,
    upstreamForwardingEnable: 1,
  });
}

/** ACS of a multifunction endpoint that keeps its functions apart: no control bit to set. */
export function endpointAcs(): PlacedCapability {
  return capability(Acs);
}

export function ari(nextFunction: number): PlacedCapability {
  return capability(Ari, { nextFunction });
}

/** @param queueDepth Outstanding invalidations; 0 stands for 32. */
export function ats(queueDepth = 0): PlacedCapability {
  return capability(Ats, { invalidateQueueDepth: queueDepth, pageAlignedRequest: 1 });
}

/** @param width Bits of a PASID. */
export function pasid(width: number): PlacedCapability {
  return capability(PasidCapability, { executeSupported: 0, privilegedSupported: 1, maximumWidth: width });
}

export function pri(outstanding: number): PlacedCapability {
  return capability(Pri, { stopped: 1, responsePasidRequired: 1, maximumOutstanding: outstanding });
}

/** The DVSEC that says: this function can be cut into assignable device interfaces. */
export function siov(interruptMessageStorage: boolean): PlacedCapability {
  return capability(SiovDvsec, {
    vendor: 0x8086,
    revision: 1,
    length: 0x18,
    dvsecId: 5,
    supportedPageSizes: 1,
    systemPageSize: 1,
    interruptMessageStorage: interruptMessageStorage ? 1 : 0,
  });
}

/** SR-IOV; `enabled` VFs are on. */
export function sriov(options: {
  deviceId: number;
  total: number;
  enabled: number;
  offset: number;
  stride: number;
  link: number;
  baseAddress: bigint;
}): PlacedCapability {
  return capability(Sriov, {
    virtualFunctionEnable: options.enabled > 0 ? 1 : 0,
    memorySpaceEnable: options.enabled > 0 ? 1 : 0,
    ariHierarchy: 1,
    initialVirtualFunctions: options.total,
    totalVirtualFunctions: options.total,
    virtualFunctions: options.enabled,
    functionDependencyLink: options.link,
    firstVirtualFunctionOffset: options.offset,
    virtualFunctionStride: options.stride,
    virtualFunctionDeviceId: options.deviceId,
    supportedPageSizes: 0x553,
    systemPageSize: 1,
    virtualFunctionBar0: (Number(options.baseAddress & 0xfffffff0n) | 0xc) >>> 0,
    virtualFunctionBar1: Number(options.baseAddress >> 32n),
  });
}

export function powerManagement(): PlacedCapability {
  return capability(PowerManagement, { version: 3, noSoftReset: 1 });
}

/** MSI with a 64-bit address and no mask, not enabled. */
export function msi(): PlacedCapability {
  return capability(Msi, { address64: 1 }, { lengthBytes: 14 });
}

/** @param vectors 1 to 2048. */
export function msix(vectors: number, bar: number, enabled = true): PlacedCapability {
  return capability(MsiX, {
    tableSize: vectors - 1,
    enable: enabled ? 1 : 0,
    tableBar: bar,
    tableOffset: 0x400,
    pendingBar: bar,
    pendingOffset: 0x600,
  });
}
