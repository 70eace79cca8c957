/** Configuration bytes of a virtual function that its physical function brings into being. PCIe 9.3.4. */
import { Acs } from './capabilities/acs.ts';
import { Ari } from './capabilities/ari.ts';
import { Ats } from './capabilities/ats.ts';
import { Express } from './capabilities/express.ts';
import { MsiX } from './capabilities/msix.ts';
import { capability, endpointConfiguration, type PlacedCapability } from './configuration-builder.ts';
import type { PciFunction } from './function.ts';

/**
 * Vendor and device read ffff; class and revision are those of the physical function; PRI and PASID stay with the
 * physical function, ATS is its own. PCIe 9.3.4.1, 10.5.
 */
export function virtualFunctionConfiguration(physical: PciFunction): Uint8Array {
  const read = (offset: number, size: 1 | 2 | 4): number => physical.read(offset, size);
  const express = physical.capability(Express.id);
  const capabilities: PlacedCapability[] = [];
  if (express !== undefined) {
    capabilities.push(
      capability(Express, {
        version: 2,
        portType: 0,
        functionLevelReset: 1,
        maximumPayloadSupported: read(express + 4, 1) & 7,
        endToEndPrefixSupported: (read(express + 0x24, 4) >>> 21) & 1,
      }),
    );
  }
  const msix = physical.capability(MsiX.id);
  if (msix !== undefined) {
    capabilities.push(capability(MsiX, { tableSize: Math.min(read(msix + 2, 2) & 0x7ff, 4) }));
  }
  if (physical.config.size > 256) {
    capabilities.push(capability(Ari));
    if (physical.extendedCapability(Ats.id) !== undefined) {
      const ats = physical.extendedCapability(Ats.id) ?? 0;
      capabilities.push(
        capability(Ats, { invalidateQueueDepth: read(ats + 4, 1) & 0x1f, pageAlignedRequest: 1 }),
      );
    }
    if (physical.extendedCapability(Acs.id) !== undefined) capabilities.push(capability(Acs));
  }
  return endpointConfiguration({
    header: {
      vendorId: 0xffff,
      deviceId: 0xffff,
      revision: read(0x08, 1),
      programmingInterface: read(0x09, 1),
      subClass: read(0x0a, 1),
      baseClass: read(0x0b, 1),
      subsystemVendorId: read(0x2c, 2),
      subsystemId: read(0x2e, 2),
    },
    capabilities,
    size: physical.config.size > 256 ? 4096 : 256,
  });
}
