/** The sample mdev drivers as loadable modules: loading one makes its virtual parent device and registers it. */
import { Completion } from '../completion.ts';
import { Device, type DeviceDriver } from '../device.ts';
import { KernelError } from '../errno.ts';
import type { LinuxKernel } from '../kernel.ts';
import { PinningTestDriver } from './drivers/pinning-test.ts';
import { MbochsDriver, MdpyDriver, MttyDriver } from './drivers/samples.ts';
import type { MdevDriver } from './mdev-driver.ts';

export class SampleModules {
  private readonly kernel: LinuxKernel;
  private readonly makers: Readonly<Record<string, () => MdevDriver>>;

  constructor(kernel: LinuxKernel) {
    this.kernel = kernel;
    const log = (line: string): void => kernel.log.write(line);
    this.makers = {
      mtty: () => new MttyDriver(),
      mdpy: () => new MdpyDriver(log),
      mbochs: () => new MbochsDriver(log),
      vpin: () => new PinningTestDriver(kernel.port.memory, kernel.vfio),
    };
  }

  get names(): readonly string[] {
    return Object.keys(this.makers);
  }

  /** insmod. @throws KernelError ENOENT (no such module), EEXIST (loaded already). */
  load(name: string): void {
    const make = Object.hasOwn(this.makers, name) ? this.makers[name] : undefined;
    if (make === undefined) throw new KernelError('ENOENT', 'no such module', `there is no module ${name}`);
    if (this.kernel.mdev.parent(name) !== undefined)
      throw new KernelError('EEXIST', 'module loaded', `${name} is loaded already`);
    const device = new Device(name, 'platform');
    device.driver = parentDriver(name);
    this.kernel.mdev.registerParent(device, make());
  }

  /** rmmod. @throws KernelError ENOENT (not loaded), EAGAIN (a device of it is open). */
  unload(name: string): Completion {
    const { mdev, vfio } = this.kernel;
    const parent = Object.hasOwn(this.makers, name) ? mdev.parent(name) : undefined;
    if (parent === undefined) throw new KernelError('ENOENT', 'module not loaded', `${name} is not loaded`);
    const open = vfio.devices.find(
      (device) => device.device.parent === parent.device && device.openCount > 0,
    );
    if (open !== undefined)
      throw new KernelError('EAGAIN', 'module in use', `${open.name} of ${name} is open`, 'close it first');
    return mdev.unregisterParent(parent);
  }
}

function parentDriver(name: string): DeviceDriver {
  return { name, bus: 'platform', managesDma: true, probe: () => {}, remove: () => Completion.done() };
}
