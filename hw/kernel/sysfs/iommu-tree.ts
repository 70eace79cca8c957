/** /sys/kernel/iommu_groups and the parameters of vfio_iommu_type1. */
import { KernelError } from '../errno.ts';
import type { IommuGroup } from '../iommu/types.ts';
import type { IommufdModule } from '../iommufd/context.ts';
import type { LinuxKernel } from '../kernel.ts';
import { parseUnsigned } from '../mdev/mdev-core.ts';
import type { Type1Parameters, VfioParameters } from '../vfio/type1/state.ts';
import { directory, link, present, readOnly, type SysfsDirectory, type SysfsFile } from './node.ts';
import { devicePath } from './paths.ts';

const wide = (value: bigint): string => `0x${value.toString(16).padStart(16, '0')}`;

/** Lines of `reserved_regions`. */
export function reservedRegionsText(kernel: LinuxKernel, group: IommuGroup): string {
  return kernel.iommu
    .reservedRegions(group)
    .map(({ start, end, type }) => `${wide(start)} ${wide(end)} ${type}\n`)
    .join('');
}

function groupDirectory(kernel: LinuxKernel, group: IommuGroup): SysfsDirectory {
  return directory(() =>
    present({
      devices: directory(() =>
        Object.fromEntries(group.devices.map((device) => [device.name, link(devicePath(device))])),
      ),
      name: group.name === undefined ? undefined : readOnly(() => group.name ?? ''),
      reserved_regions: { kind: 'file', read: () => reservedRegionsText(kernel, group) },
      type: {
        kind: 'file',
        read: () => `${group.defaultDomain?.type ?? 'unknown'}\n`,
        write(text) {
          kernel.iommu.setDefaultType(group, text);
          return undefined;
        },
      },
    }),
  );
}

export function groupsDirectory(kernel: LinuxKernel): SysfsDirectory {
  return directory(() =>
    Object.fromEntries(kernel.iommu.groups.map((group) => [String(group.id), groupDirectory(kernel, group)])),
  );
}

function booleanParameter<Name extends string>(parameters: Record<Name, boolean>, name: Name): SysfsFile {
  return {
    kind: 'file',
    read: () => (parameters[name] ? 'Y\n' : 'N\n'),
    write(text) {
      // kstrtobool: what the first letters say counts.
      if (!/^(?:[yt1nf0]|o[nf])/i.test(text))
        throw new KernelError('EINVAL', 'parameter value', `"${text.trim()}" is neither yes nor no`);
      parameters[name] = /^(?:[yt1]|on)/i.test(text);
      return undefined;
    },
  };
}

/** /sys/module/vfio/parameters. */
export function vfioParameters(parameters: VfioParameters): SysfsDirectory {
  return directory(() => ({ enable_unsafe_noiommu_mode: booleanParameter(parameters, 'unsafeNoIommu') }));
}

/** /sys/module/iommufd/parameters. */
export function iommufdParameters(module: IommufdModule): SysfsDirectory {
  return directory(() => ({ allow_unsafe_interrupts: booleanParameter(module, 'allowUnsafeInterrupts') }));
}

/** /sys/module/vfio_iommu_type1/parameters. */
export function type1Parameters(parameters: Type1Parameters): SysfsDirectory {
  return directory(() => ({
    allow_unsafe_interrupts: booleanParameter(parameters, 'allowUnsafeInterrupts'),
    disable_hugepages: booleanParameter(parameters, 'disableHugepages'),
    dma_entry_limit: {
      kind: 'file',
      read: () => `${parameters.dmaEntryLimit}\n`,
      write(text) {
        const value = parseUnsigned(text);
        if (value === undefined)
          throw new KernelError('EINVAL', 'parameter value', `"${text.trim()}" is no number`);
        if (value > 0xffffffffn)
          throw new KernelError('ERANGE', 'parameter value', `${text.trim()} has more than 32 bits`);
        parameters.dmaEntryLimit = Number(value);
        return undefined;
      },
    },
  }));
}
