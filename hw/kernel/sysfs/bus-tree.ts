/** /sys/bus/<bus>: devices, drivers with their files, and the files that bind. */
import type { BusName, Device } from '../device.ts';
import type { BusDriver } from '../drivers/driver-core.ts';
import { PciDriver } from '../drivers/pci-driver.ts';
import { KernelError } from '../errno.ts';
import type { LinuxKernel } from '../kernel.ts';
import { parseUnsigned } from '../mdev/mdev-core.ts';
import { directory, link, present, type SysfsDirectory, type SysfsFile, type SysfsNode } from './node.ts';
import { devicePath } from './paths.ts';

function writeOnly(write: (text: string) => void): SysfsFile {
  return {
    kind: 'file',
    write(text) {
      write(text);
      return undefined;
    },
  };
}

function idFiles(kernel: LinuxKernel, driver: PciDriver): Record<string, SysfsNode> {
  return {
    new_id: writeOnly((text) => {
      driver.addId(text);
      kernel.drivers.attachDriver(driver);
    }),
    remove_id: writeOnly((text) => driver.removeId(text)),
  };
}

function driverDirectory(kernel: LinuxKernel, bus: BusName, driver: BusDriver): SysfsDirectory {
  const { drivers } = kernel;
  return directory(() => {
    const bound = drivers.devices(bus).filter((device) => device.driver === driver);
    const links = Object.fromEntries(bound.map((device) => [device.name, link(devicePath(device))]));
    return {
      ...links,
      bind: writeOnly((text) => drivers.bind(bus, driver.name, text)),
      unbind: {
        kind: 'file',
        write: (text) => drivers.unbind(bus, driver.name, text),
        blockedBy(text) {
          const device = drivers.device(bus, text.trim());
          return device?.driver === driver ? kernel.vfio.holderOf(device)?.name : undefined;
        },
      },
      ...(driver instanceof PciDriver ? idFiles(kernel, driver) : {}),
    };
  });
}

function autoprobeFile(kernel: LinuxKernel, bus: BusName): SysfsFile {
  return {
    kind: 'file',
    read: () => `${kernel.drivers.autoprobe(bus) ? 1 : 0}\n`,
    write(text) {
      kernel.drivers.setAutoprobe(bus, !text.startsWith('0'));
      return undefined;
    },
  };
}

export function busDirectory(kernel: LinuxKernel, bus: BusName): SysfsDirectory {
  const { drivers } = kernel;
  const devices = (): readonly Device[] => drivers.devices(bus);
  return directory(() =>
    present({
      devices: directory(() =>
        Object.fromEntries(devices().map((device) => [device.name, link(devicePath(device))])),
      ),
      drivers: directory(() =>
        Object.fromEntries(
          drivers.drivers(bus).map((driver) => [driver.name, driverDirectory(kernel, bus, driver)]),
        ),
      ),
      drivers_autoprobe: autoprobeFile(kernel, bus),
      drivers_probe: writeOnly((text) => drivers.probeByName(bus, text)),
      rescan:
        bus === 'pci'
          ? writeOnly((text) => {
              const value = parseUnsigned(text);
              if (value === undefined)
                throw new KernelError('EINVAL', 'rescan value', `"${text.trim()}" is no number`);
              if (value !== 0n) kernel.rescanPci();
            })
          : undefined,
    }),
  );
}
