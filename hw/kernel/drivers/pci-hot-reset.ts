/**
 * A reset of a whole bus through one of its functions (VFIO hot reset): what it hits, and that the caller holds all of
 * that. drivers/vfio/pci/vfio_pci_core.c: vfio_pci_fill_devs, vfio_pci_dev_set_hot_reset.
 */
import type { Device } from '../device.ts';
import { KernelError } from '../errno.ts';
import type { IommuGroup } from '../iommu/types.ts';
import type { PciDevice } from '../pci/pci-device.ts';
import type { VfioDevice } from '../vfio/device.ts';
import {
  type AffectedFunction,
  type HotResettable,
  ResetOwnership,
  type ResetProof,
} from '../vfio/hot-reset.ts';
import type { Vfio } from '../vfio/vfio.ts';
import { hotResetSet, resetBusOf } from './pci-reset.ts';

export class PciHotReset implements HotResettable {
  private readonly pci: PciDevice;
  private readonly vfio: Vfio;
  private readonly deviceOf: (pci: PciDevice) => Device | undefined;

  constructor(pci: PciDevice, vfio: Vfio, deviceOf: (pci: PciDevice) => Device | undefined) {
    this.pci = pci;
    this.vfio = vfio;
    this.deviceOf = deviceOf;
  }

  count(): number {
    return this.hit().length;
  }

  affected(context: object | undefined): AffectedFunction[] {
    return this.hit().map((pci) => ({
      id: context === undefined ? this.groupOf(pci).id : this.idIn(context, pci),
      segment: pci.address.segment,
      bus: pci.address.bus,
      devfn: pci.devfn,
    }));
  }

  run(proof: ResetProof): void {
    for (const pci of this.hit()) {
      const offered = this.offeredOf(pci);
      // Devices of another bus are in another set: nobody can hold what sits behind a further bridge.
      if (offered === undefined || pci.bus !== this.pci.bus)
        throw new KernelError(
          'EINVAL',
          'reset hits others',
          `a reset of the bus of ${this.pci.name} hits ${pci.name}, which is bound to no VFIO driver there`,
          `Bind ${pci.name} to vfio-pci and hold it as well.`,
        );
    }
    for (const pci of this.hit())
      if (!this.holds(proof, pci))
        throw new KernelError(
          'EINVAL',
          'reset hits others',
          `a reset of the bus of ${this.pci.name} hits ${pci.name}, which the caller does not hold`,
          `Take ${pci.name} as well.`,
        );
    resetBusOf(this.pci);
  }

  private holds(proof: ResetProof, pci: PciDevice): boolean {
    if ('context' in proof) return this.idIn(proof.context, pci) !== ResetOwnership.notOwned;
    const group = this.offeredOf(pci)?.group;
    return group !== undefined && proof.includes(group);
  }

  /** vfio_iommufd_get_dev_id: its number there; owned without one when a device of its group is in the context. */
  private idIn(context: object, pci: PciDevice): number {
    const offered = this.offeredOf(pci);
    if (offered === undefined || pci.bus !== this.pci.bus) return ResetOwnership.notOwned;
    if (offered.iommufd?.context === context) return offered.iommufd.id;
    const group = this.vfio.environment.core.groupOf(offered.device);
    const sibling = this.vfio.devices.some(
      (other) =>
        other.iommufd?.context === context && this.vfio.environment.core.groupOf(other.device) === group,
    );
    return group !== undefined && sibling ? ResetOwnership.owned : ResetOwnership.notOwned;
  }

  /** @throws KernelError ENODEV: the bus can't be reset. */
  private hit(): PciDevice[] {
    const hit = hotResetSet(this.pci);
    if (hit.length > 0) return hit;
    throw new KernelError(
      'ENODEV',
      'no bus reset',
      `${this.pci.name} sits on a root bus: there is no bridge that could reset it`,
    );
  }

  private groupOf(pci: PciDevice): IommuGroup {
    const device = this.deviceOf(pci);
    const group = device === undefined ? undefined : this.vfio.environment.core.groupOf(device);
    if (group !== undefined) return group;
    throw new KernelError(
      'EPERM',
      'function without group',
      `${pci.name} would be reset as well, and is in no IOMMU group`,
    );
  }

  private offeredOf(pci: PciDevice): VfioDevice | undefined {
    const device = this.deviceOf(pci);
    return device === undefined ? undefined : this.vfio.deviceOf(device);
  }
}
