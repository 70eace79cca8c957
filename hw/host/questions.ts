/** The questions a host answers: everything is read at the moment it is asked. */

import { ownershipOf } from '../kernel/iommu/operator-view.ts';
import type { SysfsEntry } from '../kernel/sysfs/sysfs.ts';
import type { Frame } from '../memory/types.ts';
import { finish, mapInSteps, type Work } from '../work.ts';
import { HostAssembly } from './assembly.ts';
import { auxiliaryRequirements } from './auxiliary-mode.ts';
import { assignmentBlockers } from './blockers.ts';
import { deviceNode, deviceTree } from './device-tree.ts';
import { digestOf } from './digest.ts';
import { domainStates, pasidEntryStates } from './domain-state.ts';
import { groupState } from './group-state.ts';
import { isolationMatrix } from './isolation-matrix.ts';
import { machineState, mdevParentState, mdevState } from './machine-state.ts';
import type { HostQueries, WalkRequest } from './operations.ts';
import { capabilityStates, headerState } from './pci-state.ts';
import { resetSetState } from './resets.ts';
import type * as State from './state.ts';
import { unitState } from './unit-state.ts';

export abstract class HostQuestions extends HostAssembly implements HostQueries {
  deviceTree(): State.RootBusNode[] {
    return finish(this.deviceTreeInSteps());
  }

  deviceTreeInSteps(): Work<State.RootBusNode[]> {
    return deviceTree(this.kernel.topology, this.facts);
  }

  device(name: string): State.DeviceNode | undefined {
    const pci = this.kernel.topology.find(name);
    return pci === undefined ? undefined : deviceNode(pci, this.kernel.topology, this.facts);
  }

  capabilities(device: string): State.CapabilityState[] {
    return capabilityStates(this.function(device));
  }

  configurationHeader(device: string): State.DecodedHeader {
    return headerState(this.function(device));
  }

  configurationBytes(device: string): Uint8Array {
    return this.function(device).config.snapshot();
  }

  /** Content of a file of sysfs. @throws KernelError ENOENT, EISDIR, EACCES. */
  readSysfs(path: string): string {
    return this.sysfs.read(path);
  }

  /** What a directory of sysfs holds, in order of names. @throws KernelError ENOENT, ENOTDIR. */
  listSysfs(path: string): SysfsEntry[] {
    return this.sysfs.list(path);
  }

  groups(): State.GroupState[] {
    return finish(this.groupsInSteps());
  }

  groupsInSteps(): Work<State.GroupState[]> {
    return mapInSteps(this.kernel.iommu.groups, (group) => groupState(this.kernel, this.machines, group));
  }

  group(id: number): State.GroupState | undefined {
    const group = this.kernel.iommu.groups.find((one) => one.id === id);
    return group === undefined ? undefined : groupState(this.kernel, this.machines, group);
  }

  ownership(id: number): State.OwnershipReport | undefined {
    const group = this.kernel.iommu.groups.find((one) => one.id === id);
    if (group === undefined) return undefined;
    return ownershipOf(group, this.kernel.profile, () => this.machines.ownerOfGroup(id)?.name);
  }

  mdevParents(): State.MdevParentState[] {
    return this.kernel.mdev.parents.map((parent) => mdevParentState(this.kernel, parent));
  }

  mdevs(): State.MdevState[] {
    return this.kernel.mdev.mdevs.map((mdev) => mdevState(this.kernel, this.machines, mdev));
  }

  mdevDefinitions(): State.MdevDefinitionState[] {
    return this.definitions.all.map((definition) => ({
      ...definition,
      active: this.kernel.mdev.find(definition.uuid)?.parent.device.name === definition.parent,
    }));
  }

  sampleModules(): { name: string; loaded: boolean }[] {
    return this.modules.names.map((name) => ({ name, loaded: this.kernel.mdev.parent(name) !== undefined }));
  }

  machineStates(): State.MachineState[] {
    return this.machines.all.map((machine) => machineState(this.kernel, machine));
  }

  machineState(name: string): State.MachineState | undefined {
    const machine = this.machines.find(name);
    return machine === undefined ? undefined : machineState(this.kernel, machine);
  }

  domains(): State.DomainState[] {
    return domainStates(this.kernel, this.machines);
  }

  pasidEntries(): State.PasidEntryState[] {
    return pasidEntryStates(this.hardware, this.kernel);
  }

  unitStates(): State.UnitState[] {
    return this.hardware.units.map((wired) => unitState(wired, this.hardware));
  }

  events(): readonly State.ReportedEvent[] {
    return this.eventLog.events;
  }

  auxiliaryModeRequirements(device: string): State.Requirement[] {
    return auxiliaryRequirements(this.kernel, this.pciDevice(device));
  }

  assignmentBlockers(machine: string, device: string): State.Requirement[] {
    const blockers = assignmentBlockers(this.kernel, this.machines, this.machines.get(machine), device);
    return blockers.map(({ requirement, met, where }) => ({ requirement, met, where }));
  }

  resetSet(device: string): State.ResetSetState {
    return resetSetState(this.kernel, this.machines, this.pciDevice(device));
  }

  driversFor(name: string): string[] {
    const device = this.pciDevice(name);
    return this.kernel.drivers
      .drivers('pci')
      .filter((driver) => driver.matches(device))
      .map((driver) => driver.name);
  }

  explainTranslation(request: WalkRequest): State.WalkState {
    return this.transfers.explain(request);
  }

  deviceTlb(device: string): State.HeldTranslationState[] {
    return this.transfers.deviceTlb(this.pciDevice(device).name);
  }

  isolationMatrix(): State.ReachCell[] {
    return finish(this.isolationMatrixInSteps());
  }

  isolationMatrixInSteps(): Work<State.ReachCell[]> {
    return isolationMatrix(this.hardware, this.kernel, this.machines.all);
  }

  digest(): string {
    return finish(this.digestInSteps());
  }

  digestInSteps(): Work<string> {
    const { pages } = this.kernel.processes;
    return digestOf(this.hardware, (frame) => pages.references(frame as Frame) > 0);
  }
}
