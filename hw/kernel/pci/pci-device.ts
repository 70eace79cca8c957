/**
 * struct pci_dev and struct pci_bus as the kernel knows them after the bus scan: read from configuration space through
 * the port, never from the model.
 */
import type { PciAddress } from '../../pci/address.ts';

/** PCI Express device/port type (PCIe capability, bits 7:4), or 'conventional' without the capability. */
export type PciePortType =
  | 'conventional'
  | 'endpoint'
  | 'legacy endpoint'
  | 'root port'
  | 'upstream port'
  | 'downstream port'
  | 'pcie-to-pci bridge'
  | 'pci-to-pcie bridge'
  | 'root complex integrated endpoint'
  | 'root complex event collector';

export interface PciBus {
  readonly segment: number;
  readonly number: number;
  /** Last bus number of the range behind this bus (busn_res.end). */
  readonly lastNumber: number;
  /** The bus that leads here; undefined for a root bus. */
  readonly parent: PciBus | undefined;
  /** The bridge whose secondary bus this is; undefined for a root bus (and for the virtual bus of VFs beyond the PF's). */
  readonly bridge: PciDevice | undefined;
  readonly devices: readonly PciDevice[];
}

export interface PciDevice {
  readonly address: PciAddress;
  /** Device << 3 | function. */
  readonly devfn: number;
  /** `0000:6a:01.0` */
  readonly name: string;
  readonly bus: PciBus;
  readonly vendorId: number;
  readonly deviceId: number;
  readonly subsystemVendorId: number;
  readonly subsystemId: number;
  readonly revision: number;
  /** 24 bits: base class, sub-class, programming interface. */
  readonly classCode: number;
  readonly headerType: 0 | 1 | 2;
  readonly multifunction: boolean;
  readonly portType: PciePortType;
  /** True with a PCI Express capability. */
  readonly isExpress: boolean;
  readonly isBridge: boolean;
  readonly isVirtualFunction: boolean;
  readonly physicalFunction: PciDevice | undefined;
  /** The bus behind a bridge. */
  readonly subordinate: PciBus | undefined;
  /** Whose requester id its DMA really carries (pci_real_dma_dev): the VMD endpoint for what sits behind it, else itself. */
  readonly realDmaDevice: PciDevice;
  /** Offset of a capability (conventional list) or undefined. */
  capability(id: number): number | undefined;
  /** Offset of an extended capability or undefined; DVSECs by vendor and id through `dvsec`. */
  extendedCapability(id: number): number | undefined;
  dvsec(vendor: number, id: number): number | undefined;
  read(offset: number, size: 1 | 2 | 4): number;
  write(offset: number, size: 1 | 2 | 4, value: number): void;
  /** Requester ids its DMA can carry, its own first (pci_for_each_dma_alias). */
  readonly dmaAliases: readonly number[];
}
