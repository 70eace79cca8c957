/**
 * The only door of the emulated host: what src/ and views/ may use of it.
 */

export { type DeviceScope, DmarError, type DmarStructure, type DmarTable, ScopeType } from './acpi/dmar.ts';
export { readDmar } from './acpi/dmar-reader.ts';
export { writeDmar } from './acpi/dmar-writer.ts';
export { EDU_BUFFER, EduCommand, EduRegister } from './devices/edu.ts';
export { BareMachine } from './host/bare-machine.ts';
export type * from './host/state.ts';
export { buildHost, type Host, rebootHost } from './host.ts';
export type {
  FunctionDescription,
  HostDescription,
  HostEvent,
  OtherDeviceDescription,
  UnitDescription,
} from './host-description.ts';
export { compareHosts, type HostComparison } from './isolation/compare.ts';
export { type DeviceExplanation, explainDevice } from './isolation/explain.ts';
export { type GroupsReport, groupsOf } from './isolation/groups.ts';
export { type TopologyNode, type TopologyReport, topologyOf } from './isolation/topology.ts';
export { type WhatIf, type WhatIfReport, whatIf } from './isolation/what-if.ts';
export { KERNEL_CALLS } from './kernel/calls/kernel-calls.ts';
export type { Device } from './kernel/device.ts';
export * as kernel from './kernel/door.ts';
export { KernelError } from './kernel/errno.ts';
export { atsEnabled, maximumPasids, pasidEnabled, priEnabled } from './kernel/intel/device-features.ts';
export type { DeviceInfo } from './kernel/intel/device-info.ts';
export type { IntelDomain } from './kernel/intel/domain.ts';
export type { IntelDriver } from './kernel/intel/driver.ts';
export { iovaToPhysical, mapRange, unmapRange } from './kernel/iommu/map-range.ts';
export { IommuProt } from './kernel/iommu/types.ts';
export * as iommufd from './kernel/iommufd/door.ts';
export type { LinuxKernel } from './kernel/kernel.ts';
export { Process } from './kernel/process/process.ts';
export type { ProfileName } from './kernel/profile.ts';
export type { DecodedField, Layout } from './layout.ts';
export { PhysicalMemory } from './memory/physical-memory.ts';
export { formatPciAddress, type PciAddress, parsePciAddress } from './pci/address.ts';
export { Acs } from './pci/capabilities/acs.ts';
export { Ari } from './pci/capabilities/ari.ts';
export { Ats } from './pci/capabilities/ats.ts';
export { SiovDvsec } from './pci/capabilities/dvsec.ts';
export { Express } from './pci/capabilities/express.ts';
export { Msi } from './pci/capabilities/msi.ts';
export { MsiX } from './pci/capabilities/msix.ts';
export { PasidCapability } from './pci/capabilities/pasid.ts';
export { PowerManagement } from './pci/capabilities/power-management.ts';
export { Pri } from './pci/capabilities/pri.ts';
export { Sriov } from './pci/capabilities/sriov.ts';
export {
  bridgeConfiguration,
  capability,
  endpointConfiguration,
  type PlacedCapability,
} from './pci/configuration-builder.ts';
export { Trace } from './trace.ts';
export { type QemuUnitOptions, qemuUnit, unitWithRegisters } from './vtd/configuration.ts';
export { dmaRead, dmaWrite } from './vtd/dma.ts';
export { faultReasons } from './vtd/fault-reasons.ts';
export type { Interrupt } from './vtd/interrupt-remapping.ts';
export {
  FirstLevelEntry,
  LegacyContextEntry,
  LegacyRootEntry,
  PasidTableEntry,
  ScalableContextEntry,
  ScalableRootEntry,
  SecondLevelEntry,
} from './vtd/layouts.ts';
export { encodeCapabilities } from './vtd/registers.ts';
export { VtdUnit } from './vtd/unit.ts';
export { Cancelled, finish, mapInSteps, type Progress, partOf, type Work } from './work.ts';
