/**
 * Integrated graphics that can't live with translation, by the ids that Linux knows: quirk_iommu_igfx and
 * quirk_calpella_no_shadow_gtt of drivers/iommu/intel/iommu.c, Linux 7.2.
 */
import type { PciDevice } from '../pci/pci-device.ts';
import type { IommuOptions } from './grouping-options.ts';

/** Host bridges of the 4 series and of QM57, graphics of Broadwell. */
const BROKEN_GRAPHICS = new Set([
  0x2a40, 0x2e00, 0x2e10, 0x2e20, 0x2e30, 0x2e40, 0x2e90, 0x0044, 0x1602, 0x1606, 0x160a, 0x160b, 0x160d,
  0x160e, 0x1612, 0x1616, 0x161a, 0x161b, 0x161d, 0x161e, 0x1622, 0x1626, 0x162a, 0x162b, 0x162d, 0x162e,
  0x1632, 0x1636, 0x163a, 0x163b, 0x163d, 0x163e,
]);

/** Host bridges of Ironlake (Calpella). */
const IRONLAKE = new Set([0x0040, 0x0062, 0x006a]);
/** Graphics control of the Ironlake host bridge, and the bit that says a second, translated GTT was set aside. */
const GRAPHICS_CONTROL = 0x52;
const SHADOW_GTT = 0x800;

const INTEL = 0x8086;

export interface GraphicsQuirks {
  /** The options as the quirks leave them: `graphicsOff` and `strict` may be set on top. */
  readonly options: IommuOptions;
  /** What had to be taken for granted because the source does not show it. */
  readonly assumptions: readonly string[];
}

/**
 * What the devices of a machine make of the options.
 * @param unreadable true for a function whose registers from 0x40 on the source does not show
 */
export function graphicsQuirks(
  devices: readonly PciDevice[],
  options: IommuOptions,
  unreadable: (device: PciDevice) => boolean,
): GraphicsQuirks {
  let { graphicsOff, strict } = options;
  const assumptions: string[] = [];
  for (const device of devices) {
    if (device.vendorId !== INTEL) continue;
    if (BROKEN_GRAPHICS.has(device.deviceId)) graphicsOff = true;
    if (!IRONLAKE.has(device.deviceId)) continue;
    if (unreadable(device)) {
      assumptions.push(
        `${device.name}: the source does not show register 0x52, so a shadow GTT for graphics is taken as set aside.`,
      );
      strict ||= !graphicsOff;
    } else if ((device.read(GRAPHICS_CONTROL, 2) & SHADOW_GTT) === 0) graphicsOff = true;
    else strict ||= !graphicsOff;
  }
  return { options: { ...options, graphicsOff, strict }, assumptions };
}

/** A graphics function of the processor or chipset: what a unit for graphics alone would serve. */
export function isIntegratedGraphics(device: PciDevice): boolean {
  return device.vendorId === INTEL && device.classCode >>> 16 === 3 && device.bus.parent === undefined;
}
