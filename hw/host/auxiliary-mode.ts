/**
 * What auxiliary mode takes (drivers/iommu/intel/iommu.c of 5.15: intel_iommu_dev_has_feat and what enabling tests),
 * condition by condition, each with the place it was read from.
 */
import type { Device } from '../kernel/device.ts';
import { KernelError } from '../kernel/errno.ts';
import { maximumPasids } from '../kernel/intel/device-features.ts';
import type { LinuxKernel } from '../kernel/kernel.ts';
import type { AuxiliaryModeState, Requirement } from './state.ts';

/** DVSEC of Scalable I/O Virtualization. */
const SIOV = { vendor: 0x8086, id: 5 } as const;

export function auxiliaryRequirements(kernel: LinuxKernel, device: Device): Requirement[] {
  const { profile, intel } = kernel;
  const { pci } = device;
  const requirements: Requirement[] = [
    {
      requirement: 'a kernel with auxiliary domains',
      met: profile.auxiliaryDomains,
      where: `kernel ${profile.version} (5.2 to 5.15 have them)`,
    },
    {
      requirement: 'DMA remapping is on',
      met: intel !== undefined,
      where: 'DMAR table and kernel command line (intel_iommu=on)',
    },
  ];
  for (const unit of intel?.units ?? []) {
    requirements.push(
      {
        requirement: `scalable mode on ${unit.name}`,
        met: unit.scalable,
        where: `ECAP of ${unit.name}, bit 43, and kernel command line (intel_iommu=sm_on)`,
      },
      {
        requirement: `requests with PASID on ${unit.name}`,
        met: unit.pasidSupported,
        where: `ECAP of ${unit.name}, bit 40`,
      },
    );
  }
  const unit = intel?.unitOf(device);
  requirements.push({
    requirement: `a remapping unit for ${device.name}`,
    met: unit !== undefined,
    where: 'device scopes of the DMAR table',
  });
  if (pci === undefined) {
    requirements.push({
      requirement: 'a PCI device',
      met: false,
      where: `${device.name} is on bus ${device.bus}`,
    });
    return requirements;
  }
  requirements.push(
    {
      requirement: 'PASID capability',
      met: maximumPasids(pci) > 0,
      where: `configuration space of ${(pci.physicalFunction ?? pci).name}, extended capability 1Bh`,
    },
    {
      requirement: 'Scalable I/O Virtualization (DVSEC 8086:0005)',
      met: pci.dvsec(SIOV.vendor, SIOV.id) !== undefined,
      where: `configuration space of ${device.name}, extended capability 23h`,
    },
    {
      requirement: 'a domain for requests without PASID',
      met: kernel.iommu.domainForDevice(device) !== undefined,
      where: `default domain of the IOMMU group of ${device.name}`,
    },
  );
  return requirements;
}

export function auxiliaryModeState(kernel: LinuxKernel, device: Device): AuxiliaryModeState {
  if (kernel.auxiliary?.featureEnabled(device) === true) return 'on';
  return kernel.auxiliary?.hasFeature(device) === true ? 'off' : 'unsupported';
}

/**
 * Switches it on as a parent driver does: it asks for the feature first, then enables it.
 * @throws KernelError ENODEV naming the first condition that is not met; or what the IOMMU driver says.
 */
export function enableAuxiliaryMode(kernel: LinuxKernel, device: Device): void {
  const { auxiliary } = kernel;
  const missing = auxiliaryRequirements(kernel, device).filter((one) => !one.met);
  if (auxiliary === undefined || missing.length > 0 || !auxiliary.hasFeature(device)) {
    const [first] = missing;
    const names = missing.map((one) => one.requirement).join('; ');
    throw new KernelError(
      'ENODEV',
      'auxiliary mode not possible',
      `${device.name} can't be switched to auxiliary mode: it lacks ${names || 'the feature'}.`,
      first === undefined ? undefined : `Looked in: ${first.where}.`,
    );
  }
  auxiliary.enableFeature(device);
}

/** @throws KernelError ENODEV: this kernel has no auxiliary domains; EBUSY: the device is behind no IOMMU. */
export function disableAuxiliaryMode(kernel: LinuxKernel, device: Device): void {
  if (kernel.auxiliary === undefined)
    throw new KernelError(
      'ENODEV',
      'auxiliary mode not possible',
      `kernel ${kernel.profile.version} has no auxiliary domains, or DMA remapping is off`,
    );
  kernel.auxiliary.disableFeature(device);
}
