/**
 * Starting a defined mediated device, as mdevctl does it: its checks, a write of the UUID to `create`, then every
 * attribute in its order; the first that can't be written takes the device away again. mdevctl 1.4 (src/mdev.rs).
 */
import { KernelError } from '../kernel/errno.ts';
import type { LinuxKernel } from '../kernel/kernel.ts';
import { typeId } from '../kernel/mdev/mdev-driver.ts';
import { devicePath } from '../kernel/sysfs/paths.ts';
import type { Sysfs } from '../kernel/sysfs/sysfs.ts';
import type { MdevDefinition } from './mdev-definitions.ts';

/**
 * @throws KernelError EEXIST: it runs, here or elsewhere; ENOENT: no such parent or type; ENOSPC: no instance is left; what
 * the kernel says to `create`; and why an attribute could not be written.
 */
export function startDefined(kernel: LinuxKernel, sysfs: Sysfs, definition: MdevDefinition): void {
  const { uuid, attributes } = definition;
  refuseRunning(kernel, definition);
  const parent = kernel.mdev.parent(definition.parent);
  if (parent === undefined) throw noParent(kernel, definition.parent);
  const type = kernel.mdev.type(parent, definition.type);
  if (kernel.mdev.available(parent, type) <= 0)
    throw new KernelError(
      'ENOSPC',
      'no instance available',
      `no instance of ${definition.type} is available on ${definition.parent}`,
      'Remove another mediated device of this parent.',
    );
  const made = kernel.mdev.create(parent, type, uuid);
  if (made === undefined) return;
  try {
    for (const [file, value] of attributes) sysfs.write(`${devicePath(made.device)}/${file}`, value);
  } catch (error) {
    kernel.mdev.remove(made, '1');
    throw error;
  }
}

function refuseRunning(kernel: LinuxKernel, { uuid, parent, type }: MdevDefinition): void {
  const running = kernel.mdev.find(uuid);
  if (running === undefined) return;
  const there = running.parent.device.name;
  const runningType = typeId(running.parent, running.type);
  const what =
    there !== parent
      ? `${uuid} runs under another parent, ${there}`
      : runningType === type
        ? `${uuid} runs already`
        : `${uuid} runs with another type, ${runningType}`;
  throw new KernelError('EEXIST', 'mdev runs', what, 'Remove the running one first.');
}

/** No parent of that name; names of devices are told apart by case. */
export function noParent(kernel: LinuxKernel, name: string): KernelError {
  const near = kernel.mdev.parents.find((each) => each.device.name.toLowerCase() === name.toLowerCase());
  return new KernelError(
    'ENOENT',
    'no mdev parent',
    `${name} offers no mdev types`,
    near === undefined ? 'Choose a device whose driver offers some.' : `Did you mean ${near.device.name}?`,
  );
}
