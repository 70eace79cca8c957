/** The mdev files: types below a parent, the directory of a mediated device, the bus and the class. */
import type { Device } from '../device.ts';
import type { LinuxKernel } from '../kernel.ts';
import { type Mdev, type MdevParent, type MdevType, typeId } from '../mdev/mdev-driver.ts';
import {
  directory,
  link,
  present,
  readOnly,
  type SysfsDirectory,
  type SysfsFile,
  type SysfsNode,
} from './node.ts';
import { devicePath } from './paths.ts';

function typeDirectory(kernel: LinuxKernel, parent: MdevParent, type: MdevType): SysfsDirectory {
  const { mdev } = kernel;
  const { driver } = parent;
  return directory(() =>
    present({
      available_instances: readOnly(() => String(mdev.available(parent, type))),
      create: {
        kind: 'file',
        write(text) {
          mdev.create(parent, type, text);
          return undefined;
        },
      },
      description:
        driver.description === undefined ? undefined : readOnly(() => driver.description?.(type) ?? ''),
      device_api: readOnly(() => driver.deviceApi),
      devices: directory(() => {
        const links: Record<string, SysfsNode> = {};
        for (const each of mdev.mdevs)
          if (each.parent === parent && each.type === type) links[each.uuid] = link(devicePath(each.device));
        return links;
      }),
      name: readOnly(() => type.prettyName ?? type.sysfsName),
    }),
  );
}

/** What an mdev parent has besides its own files. */
export function parentEntries(kernel: LinuxKernel, device: Device): Record<string, SysfsNode> {
  const parent = kernel.mdev.parentOf(device);
  if (parent === undefined) return {};
  const entries: Record<string, SysfsNode> = {
    mdev_supported_types: directory(() =>
      Object.fromEntries(
        parent.driver.types.map((type) => [typeId(parent, type), typeDirectory(kernel, parent, type)]),
      ),
    ),
  };
  for (const mdev of kernel.mdev.mdevs)
    if (mdev.parent === parent) entries[mdev.uuid] = mdevDirectory(kernel, mdev);
  return entries;
}

function removeFile(kernel: LinuxKernel, mdev: Mdev): SysfsFile {
  return {
    kind: 'file',
    write: (text) => kernel.mdev.remove(mdev, text),
    blockedBy: () => kernel.vfio.holderOf(mdev.device)?.name,
  };
}

function mdevDirectory(kernel: LinuxKernel, mdev: Mdev): SysfsDirectory {
  const { device, parent, type } = mdev;
  const parentPath = devicePath(parent.device);
  return directory(() => {
    const group = kernel.iommu.groupOf(device);
    const vendor = parent.driver.attributeGroup;
    const attributes = parent.driver.attributes?.(mdev);
    return present({
      driver: device.driver === undefined ? undefined : link(`/sys/bus/mdev/drivers/${device.driver.name}`),
      iommu_group: group === undefined ? undefined : link(`/sys/kernel/iommu_groups/${group.id}`),
      mdev_type: link(`${parentPath}/mdev_supported_types/${typeId(parent, type)}`),
      remove: removeFile(kernel, mdev),
      subsystem: link('/sys/bus/mdev'),
      ...(vendor === undefined
        ? {}
        : {
            [vendor]: directory(() => {
              const files: Record<string, SysfsNode> = {};
              for (const [name, { read, write }] of attributes ?? [])
                files[name] = {
                  kind: 'file',
                  read: read === undefined ? undefined : () => `${read()}\n`,
                  write(text) {
                    write?.(text);
                    return undefined;
                  },
                };
              return files;
            }),
          }),
    });
  });
}

/** /sys/class/mdev_bus. */
export function parentClass(kernel: LinuxKernel): SysfsDirectory {
  return directory(() =>
    Object.fromEntries(kernel.mdev.parents.map(({ device }) => [device.name, link(devicePath(device))])),
  );
}
