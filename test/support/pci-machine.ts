/** Small machines for tests of PCI and grouping, told by function. */
import type { FunctionDescription, HostDescription } from '../../hw/host-description.ts';
import { Acs } from '../../hw/pci/capabilities/acs.ts';
import { Ari } from '../../hw/pci/capabilities/ari.ts';
import { Express } from '../../hw/pci/capabilities/express.ts';
import { Sriov } from '../../hw/pci/capabilities/sriov.ts';
import {
  bridgeConfiguration,
  capability,
  endpointConfiguration,
  type PlacedCapability,
} from '../../hw/pci/configuration-builder.ts';

export interface FunctionPlan {
  /** `00:1c.0`; segment 0 unless told. */
  at: string;
  vendor?: number;
  device?: number;
  subsystem?: [number, number];
  /** 24 bits. */
  classCode?: number;
  multifunction?: boolean;
  /** PCI Express device/port type; absent: conventional. */
  port?: number;
  /** [capability, control]; absent: no ACS. */
  acs?: [number, number];
  /** [secondary, subordinate]: makes it a bridge. */
  buses?: [number, number];
  /** Next function of the ARI capability. */
  ari?: number;
  /** Device Control 2, ARI forwarding. */
  forwardsAri?: boolean;
  sriov?: { total: number; count: number; offset: number; stride: number };
}

/** All four controls that grouping asks for. */
export const ISOLATING: [number, number] = [0x1d, 0x1d];

export function functionOf(plan: FunctionPlan): FunctionDescription {
  const address = /^[0-9a-f]{4,}:[0-9a-f]{2}:/.test(plan.at) ? plan.at : `0000:${plan.at}`;
  const classCode = plan.classCode ?? (plan.buses === undefined ? 0x020000 : 0x060400);
  const header = {
    vendorId: plan.vendor ?? 0x1af4,
    deviceId: plan.device ?? 0x1000,
    baseClass: classCode >>> 16,
    subClass: (classCode >>> 8) & 0xff,
    programmingInterface: classCode & 0xff,
    multifunction: plan.multifunction ? 1 : 0,
  };
  const capabilities: PlacedCapability[] = [];
  if (plan.port !== undefined) {
    capabilities.push(
      capability(Express, {
        version: 2,
        portType: plan.port,
        ariForwardingSupported: plan.forwardsAri ? 1 : 0,
        ariForwardingEnable: plan.forwardsAri ? 1 : 0,
      }),
    );
  }
  if (plan.acs !== undefined) {
    capabilities.push(
      capability(Acs, {
        sourceValidation: plan.acs[0] & 1,
        translationBlocking: (plan.acs[0] >> 1) & 1,
        requestRedirect: (plan.acs[0] >> 2) & 1,
        completionRedirect: (plan.acs[0] >> 3) & 1,
        upstreamForwarding: (plan.acs[0] >> 4) & 1,
        egressControl: (plan.acs[0] >> 5) & 1,
        directTranslated: (plan.acs[0] >> 6) & 1,
        sourceValidationEnable: plan.acs[1] & 1,
        translationBlockingEnable: (plan.acs[1] >> 1) & 1,
        requestRedirectEnable: (plan.acs[1] >> 2) & 1,
        completionRedirectEnable: (plan.acs[1] >> 3) & 1,
        upstreamForwardingEnable: (plan.acs[1] >> 4) & 1,
        egressControlEnable: (plan.acs[1] >> 5) & 1,
        directTranslatedEnable: (plan.acs[1] >> 6) & 1,
      }),
    );
  }
  if (plan.ari !== undefined) capabilities.push(capability(Ari, { nextFunction: plan.ari }));
  if (plan.sriov !== undefined) {
    capabilities.push(
      capability(Sriov, {
        initialVirtualFunctions: plan.sriov.total,
        totalVirtualFunctions: plan.sriov.total,
        virtualFunctions: plan.sriov.count,
        virtualFunctionEnable: plan.sriov.count > 0 ? 1 : 0,
        memorySpaceEnable: plan.sriov.count > 0 ? 1 : 0,
        firstVirtualFunctionOffset: plan.sriov.offset,
        virtualFunctionStride: plan.sriov.stride,
        virtualFunctionDeviceId: 0x10ca,
        supportedPageSizes: 1,
        systemPageSize: 1,
      }),
    );
  }
  const bytes =
    plan.buses === undefined
      ? endpointConfiguration({
          header: {
            ...header,
            subsystemVendorId: plan.subsystem?.[0] ?? 0,
            subsystemId: plan.subsystem?.[1] ?? 0,
          },
          capabilities,
        })
      : bridgeConfiguration({
          header: { ...header, secondaryBus: plan.buses[0], subordinateBus: plan.buses[1] },
          capabilities,
        });
  return { address, config: Buffer.from(bytes).toString('hex') };
}

/** A machine whose registers are as Linux left them, with one assumed IOMMU over everything. */
export function machineOf(
  plans: readonly FunctionPlan[],
  more: Partial<HostDescription> = {},
): HostDescription {
  return {
    format: 'vtdeck-host',
    version: 1,
    name: 'test',
    origin: 'test',
    functions: plans.map(functionOf),
    kernelCommandLine: '',
    iommu: { state: 'unknown', because: 'test' },
    ...more,
  };
}
