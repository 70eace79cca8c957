/** PCI classes by the names that lspci prints without -n, for texts that carry no numbers. pci.ids, class list. */
const NAMES: readonly (readonly [string, number])[] = [
  ['Non-VGA unclassified device', 0x0000],
  ['VGA compatible unclassified device', 0x0001],
  ['SCSI storage controller', 0x0100],
  ['IDE interface', 0x0101],
  ['RAID bus controller', 0x0104],
  ['SATA controller', 0x0106],
  ['Serial Attached SCSI controller', 0x0107],
  ['Non-Volatile memory controller', 0x0108],
  ['Mass storage controller', 0x0180],
  ['Ethernet controller', 0x0200],
  ['Infiniband controller', 0x0207],
  ['Fabric controller', 0x0208],
  ['Network controller', 0x0280],
  ['VGA compatible controller', 0x0300],
  ['XGA compatible controller', 0x0301],
  ['3D controller', 0x0302],
  ['Display controller', 0x0380],
  ['Multimedia video controller', 0x0400],
  ['Multimedia audio controller', 0x0401],
  ['Audio device', 0x0403],
  ['Multimedia controller', 0x0480],
  ['RAM memory', 0x0500],
  ['CXL', 0x0502],
  ['Memory controller', 0x0580],
  ['Host bridge', 0x0600],
  ['ISA bridge', 0x0601],
  ['EISA bridge', 0x0602],
  ['PCI bridge', 0x0604],
  ['PCMCIA bridge', 0x0605],
  ['CardBus bridge', 0x0607],
  ['Semi-transparent PCI-to-PCI bridge', 0x0609],
  ['Bridge', 0x0680],
  ['Serial controller', 0x0700],
  ['Parallel controller', 0x0701],
  ['Modem', 0x0703],
  ['Communication controller', 0x0780],
  ['PIC', 0x0800],
  ['DMA controller', 0x0801],
  ['SD Host controller', 0x0805],
  ['IOMMU', 0x0806],
  ['System peripheral', 0x0880],
  ['Keyboard controller', 0x0900],
  ['FireWire (IEEE 1394)', 0x0c00],
  ['USB controller', 0x0c03],
  ['Fibre Channel', 0x0c04],
  ['SMBus', 0x0c05],
  ['InfiniBand', 0x0c06],
  ['IPMI Interface', 0x0c07],
  ['Serial bus controller', 0x0c80],
  ['Wireless controller', 0x0d80],
  ['Intelligent controller', 0x0e00],
  ['Encryption controller', 0x1080],
  ['Signal processing controller', 0x1180],
  ['Processing accelerators', 0x1200],
  ['Non-Essential Instrumentation', 0x1300],
  ['Co-processor', 0x0b40],
  ['Unassigned class', 0xff00],
];

const BY_NAME = new Map(NAMES);

/** Base class and sub-class (16 bits) for a class name, or undefined. */
export function classByName(name: string): number | undefined {
  return BY_NAME.get(name);
}

/** Vendors whose devices the isolation rules know, by the start of the name. pci.ids, vendor list. */
const VENDORS: readonly (readonly [string, number])[] = [
  ['Intel Corporation', 0x8086],
  ['Advanced Micro Devices, Inc. [AMD/ATI]', 0x1002],
  ['Advanced Micro Devices, Inc. [AMD]', 0x1022],
  ['NVIDIA Corporation', 0x10de],
  ['Red Hat, Inc.', 0x1b36],
  ['Broadcom Inc. and subsidiaries', 0x14e4],
  ['Broadcom Corporation', 0x14e4],
  ['Realtek Semiconductor Co., Ltd.', 0x10ec],
  ['ASMedia Technology Inc.', 0x1b21],
  ['ASPEED Technology, Inc.', 0x1a03],
  ['PLX Technology, Inc.', 0x10b5],
  ['Marvell Technology Group Ltd.', 0x1b4b],
  ['Ricoh Co Ltd', 0x1180],
  ['Mellanox Technologies', 0x15b3],
  ['Solarflare Communications', 0x1924],
  ['Samsung Electronics Co Ltd', 0x144d],
  ['Qualcomm', 0x17cb],
  ['Zhaoxin', 0x1d17],
];

/** Vendor id by the start of a device's name, or undefined. */
export function vendorByName(name: string): number | undefined {
  return VENDORS.find(([vendor]) => name.startsWith(vendor))?.[1];
}
