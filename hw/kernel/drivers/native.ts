/**
 * Host drivers other than VFIO's, as far as binding is concerned: what they match, and whether they do DMA of their
 * own (and so keep their group from being given away).
 */
import { PciDriver, type PciId } from './pci-driver.ts';

const INTEL = 0x8086;

const ids = (vendor: number, ...devices: number[]): PciId[] => devices.map((device) => ({ vendor, device }));

const byClass = (code: number, mask = 0xffff00): PciId => ({
  vendor: 0xffffffff,
  device: 0xffffffff,
  class: code,
  classMask: mask,
});

/** pci-stub: holds a device without doing anything. Takes what is given to it by driver_override or new_id. */
export function stubDriver(log: (line: string) => void): PciDriver {
  return new PciDriver(
    'pci-stub',
    [],
    { probe: (device) => log(`pci-stub ${device.name}: claimed by stub`) },
    { managesDma: true },
  );
}

/** pcieport: root ports, switch ports. It claims nothing: ports do no DMA of their own. */
export function portDriver(): PciDriver {
  return new PciDriver(
    'pcieport',
    [byClass(0x060400, 0xffffff), byClass(0x060401, 0xffffff), byClass(0x080700, 0xffffff)],
    {},
    {
      managesDma: true,
    },
  );
}

/** Driver data of e1000e is the kind of board: 82571 is 0. */
const E1000E_BOARDS = Array.from({ length: 18 }, (_, board) => board);

/** Drivers of devices that the built-in hosts and the captures have. All of them do DMA through the kernel's API. */
export function nativeDrivers(): PciDriver[] {
  return [
    new PciDriver('e1000', ids(INTEL, 0x100e, 0x100f, 0x1004)),
    new PciDriver(
      'e1000e',
      ids(INTEL, 0x10d3, 0x10f5, 0x1502, 0x1503, 0x15b7, 0x15b8, 0x0d4e),
      {},
      { driverData: E1000E_BOARDS },
    ),
    new PciDriver('igb', ids(INTEL, 0x10c9, 0x1521, 0x1533, 0x1539)),
    new PciDriver('igbvf', ids(INTEL, 0x10ca, 0x1520)),
    new PciDriver('ice', ids(INTEL, 0x1591, 0x1592, 0x1593, 0x159a, 0x159b)),
    new PciDriver('iavf', ids(INTEL, 0x1889, 0x154c)),
    new PciDriver('nvme', [byClass(0x010802, 0xffffff)]),
    new PciDriver('xhci_hcd', [byClass(0x0c0330, 0xffffff)]),
    new PciDriver('ahci', [byClass(0x010601, 0xffffff)]),
    new PciDriver('snd_hda_intel', [byClass(0x040300)]),
    new PciDriver('ast', ids(0x1a03, 0x2000)),
    new PciDriver('virtio-pci', [{ vendor: 0x1af4, device: 0xffffffff }]),
  ];
}
