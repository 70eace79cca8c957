/**
 * Devices whose DMA carries requester ids that their address does not tell, and bridges that behave unlike their kind.
 * Ids and rules: drivers/pci/quirks.c of Linux 7.2.
 */
import type { PciDevice } from './pci-device.ts';

/** vendor << 16 | device. */
function id(vendor: number, device: number): number {
  return vendor * 0x10000 + device;
}

function ids(vendor: number, devices: readonly number[]): number[] {
  return devices.map((device) => id(vendor, device));
}

/** Every function but 0 also uses the requester id of function 0 (Ricoh, Glenfly). */
const FUNCTION_0 = new Set([...ids(0x1180, [0xe832, 0xe476]), ...ids(0x6766, [0x3d40, 0x3d41])]);

/** Every function but 1 also uses the requester id of function 1, there or not (Marvell, HighPoint, JMicron, Lite-On). */
const FUNCTION_1 = new Set([
  ...ids(
    0x1b4b,
    [
      0x9120, 0x9123, 0x9125, 0x9128, 0x9130, 0x9170, 0x9172, 0x917a, 0x9182, 0x9183, 0x91a0, 0x9215, 0x9220,
      0x9230, 0x9235,
    ],
  ),
  ...ids(0x1103, [0x0642, 0x0645]),
  id(0x197b, 0x2392),
  id(0x1c28, 0x0122),
]);

/** MIC x200: requester ids of its own address table. */
const MIC_X200 = new Set(ids(0x8086, [0x2260, 0x2264]));
/** Visual Compute Accelerator: functions 0 to 4 of every slot. */
const VISUAL_COMPUTE = new Set(ids(0x8086, [0x2954, 0x2955, 0x2956, 0x2958, 0x2959, 0x295a]));
/** PLX non-transparent bridges: any devfn. */
const PLX_NTB = new Set(ids(0x10b5, [0x87b0, 0x87b1]));

/** Switchtec switches of generation 3 to 5, by what follows 85, 40 to 45 and 50 to 55 in the device id. */
const SWITCHTEC_PORTS = new Set([0x28, 0x36, 0x52, 0x68, 0x84, 0x00]);
/** Narrow forms of generation 4 exist with fewer ports only. */
const SWITCHTEC_NARROW = new Set([0x28, 0x36, 0x52]);

/** Conventional bridges that are PCIe-to-PCI bridges without saying so. */
const HIDDEN_PCIE_BRIDGES = new Set([
  id(0x1b21, 0x1080),
  id(0x10e3, 0x8113),
  id(0x1283, 0x8892),
  id(0x1283, 0x8893),
  id(0x8086, 0x244e),
]);

/** Aspeed AST1150 passes requester ids on. */
const NO_ALIAS_BRIDGES = new Set([id(0x1a03, 0x1150)]);
/** The translation agent sits at this bridge, not at the root bus. */
const TRANSLATION_ROOTS = new Set([id(0x14e4, 0x9000), id(0x14e4, 0x9084)]);

function idOf(device: PciDevice): number {
  return id(device.vendorId, device.deviceId);
}

/** Vendors with any line above: nearly all devices need no look at the tables. */
const VENDORS = new Set([0x1180, 0x6766, 0x1b4b, 0x1103, 0x197b, 0x1c28, 0x9005, 0x8086, 0x10b5]);
const NONE: readonly number[] = [];

/** Devfns on the device's own bus that its requests may also carry (pci_add_dma_alias), besides its own. */
export function quirkAliases(device: PciDevice): readonly number[] {
  if (!VENDORS.has(device.vendorId)) return NONE;
  const key = idOf(device);
  const slot = device.devfn & 0xf8;
  if (FUNCTION_0.has(key)) return (device.devfn & 7) === 0 ? [] : [slot];
  if (FUNCTION_1.has(key)) return (device.devfn & 7) === 1 ? [] : [slot | 1];
  if (key === id(0x9005, 0x0285) && device.subsystemVendorId === 0x9005) {
    return device.subsystemId === 0x02bb || device.subsystemId === 0x02bc ? [0x08] : [];
  }
  if (MIC_X200.has(key)) return [0x80, 0x88, 0x93];
  if (VISUAL_COMPUTE.has(key)) {
    return Array.from({ length: 32 * 5 }, (_, index) => Math.floor(index / 5) * 8 + (index % 5));
  }
  if (PLX_NTB.has(key)) return Array.from({ length: 256 }, (_, devfn) => devfn);
  return NONE;
}

/**
 * A Switchtec non-transparent bridge: its requests carry proxy ids that stand in a table behind its first base address, which
 * no capture of configuration space holds (quirk_switchtec_ntb_dma_alias).
 */
export function hasHiddenProxyIds(device: PciDevice): boolean {
  if (device.classCode >>> 8 !== 0x0680) return false;
  const { vendorId, deviceId } = device;
  if (vendorId === 0x1055) return deviceId >= 0x1001 && deviceId <= 0x1006;
  if (vendorId !== 0x11f8) return false;
  const family = deviceId >>> 8;
  const form = deviceId & 0xff;
  if (family === 0x85) {
    const size = form & 0xf;
    return form >= 0x31 && form <= 0x76 && size >= 1 && size <= 6;
  }
  if (family >= 0x43 && family <= 0x45) return SWITCHTEC_NARROW.has(form);
  return (
    ((family >= 0x40 && family <= 0x42) || (family >= 0x50 && family <= 0x55)) && SWITCHTEC_PORTS.has(form)
  );
}

/** PCI_DEV_FLAG_PCIE_BRIDGE_ALIAS: takes the alias of a PCIe-to-PCI bridge although it has no Express capability. */
export function behavesLikePcieBridge(device: PciDevice): boolean {
  const above = device.bus.bridge;
  return (
    HIDDEN_PCIE_BRIDGES.has(idOf(device)) &&
    above !== undefined &&
    device.headerType === 1 &&
    !device.isExpress &&
    above.isExpress &&
    above.portType !== 'pcie-to-pci bridge'
  );
}

/** PCI_DEV_FLAGS_PCI_BRIDGE_NO_ALIAS. */
export function passesRequesterIdsOn(device: PciDevice): boolean {
  return NO_ALIAS_BRIDGES.has(idOf(device));
}

/** PCI_DEV_FLAGS_BRIDGE_XLATE_ROOT. */
export function isTranslationRoot(device: PciDevice): boolean {
  return TRANSLATION_ROOTS.has(idOf(device));
}
