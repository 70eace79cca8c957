/**
 * /sys (and /dev/vfio) of the emulated machine: browsed and written by path, as an operator does with cat, ls and echo.
 */
import { Completion } from '../completion.ts';
import { KernelError } from '../errno.ts';
import type { LinuxKernel } from '../kernel.ts';
import { busDirectory } from './bus-tree.ts';
import { groupsDirectory, iommufdParameters, type1Parameters, vfioParameters } from './iommu-tree.ts';
import { parentClass, parentEntries } from './mdev-tree.ts';
import { directory, relativeTarget, resolve, type SysfsDirectory, type SysfsNode } from './node.ts';
import { pciDirectory, type SetVirtualFunctions } from './pci-tree.ts';

/** One name in a directory. `target`: where a link points, as readlink prints it. */
export interface SysfsEntry {
  readonly name: string;
  readonly kind: SysfsNode['kind'];
  readonly target?: string;
  readonly readable: boolean;
  readonly writable: boolean;
}

const hex = (value: number, digits: number): string => value.toString(16).padStart(digits, '0');

export class Sysfs {
  private readonly kernel: LinuxKernel;
  private readonly setVirtualFunctions: SetVirtualFunctions | undefined;
  private readonly root: SysfsDirectory;

  constructor(kernel: LinuxKernel, options: { setVirtualFunctions?: SetVirtualFunctions } = {}) {
    this.kernel = kernel;
    this.setVirtualFunctions = options.setVirtualFunctions;
    this.root = directory(() => ({
      sys: directory(() => ({
        bus: directory(() => ({ mdev: busDirectory(kernel, 'mdev'), pci: busDirectory(kernel, 'pci') })),
        class: directory(() => ({ mdev_bus: parentClass(kernel) })),
        devices: directory(() => this.devices()),
        kernel: directory(() => ({ iommu_groups: groupsDirectory(kernel) })),
        module: directory(() => ({
          ...(kernel.iommufd.available
            ? { iommufd: directory(() => ({ parameters: iommufdParameters(kernel.iommufd) })) }
            : {}),
          vfio: directory(() => ({ parameters: vfioParameters(kernel.vfioParameters) })),
          vfio_iommu_type1: directory(() => ({ parameters: type1Parameters(kernel.type1Parameters) })),
        })),
      })),
      dev: directory(() => ({ vfio: directory(() => this.nodes()) })),
    }));
  }

  /** Content of a file. @throws KernelError ENOENT, EISDIR, EACCES (write-only), and what the file says. */
  read(path: string): string {
    const { node } = resolve(this.root, path);
    if (node.kind !== 'file') throw new KernelError('EISDIR', 'is a directory', `${path} is a directory`);
    if (node.read === undefined)
      throw new KernelError('EACCES', 'write-only file', `${path} can only be written`);
    return node.read();
  }

  /**
   * Writes to a file, as `echo -n` does. Finished when the kernel's call returns; a write of nothing does nothing.
   * @throws KernelError ENOENT, EISDIR, EACCES (read-only), and what the kernel answers.
   */
  write(path: string, text: string): Completion {
    const { node } = resolve(this.root, path);
    if (node.kind !== 'file') throw new KernelError('EISDIR', 'is a directory', `${path} is a directory`);
    if (node.write === undefined)
      throw new KernelError('EACCES', 'read-only file', `${path} can only be read`);
    if (text.length === 0) return Completion.done();
    return node.write(text) ?? Completion.done();
  }

  /** Who holds the device that a write would have to wait for, or undefined. */
  wouldWaitFor(path: string, text: string): string | undefined {
    const { node } = resolve(this.root, path);
    return node.kind === 'file' ? node.blockedBy?.(text) : undefined;
  }

  /** Names in a directory, in order. @throws KernelError ENOENT, ENOTDIR. */
  list(path: string): SysfsEntry[] {
    const { node, path: base } = resolve(this.root, path);
    if (node.kind !== 'directory') throw new KernelError('ENOTDIR', 'not a directory', `${path} is a file`);
    return Object.entries(node.entries())
      .sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
      .map(([name, entry]) => ({
        name,
        kind: entry.kind,
        ...(entry.kind === 'link' ? { target: relativeTarget(`${base}/${name}`, entry.target) } : {}),
        readable: entry.kind !== 'file' || entry.read !== undefined,
        writable: entry.kind === 'file' && entry.write !== undefined,
      }));
  }

  /** Target of a link, as readlink prints it. @throws KernelError ENOENT, EINVAL: no link. */
  readLink(path: string): string {
    const { node, path: real } = resolve(this.root, path, false);
    if (node.kind !== 'link') throw new KernelError('EINVAL', 'not a link', `${path} is no link`);
    return relativeTarget(real, node.target);
  }

  private devices(): Record<string, SysfsNode> {
    const { kernel } = this;
    const roots = kernel.topology.roots.map((bus) => {
      const here = kernel.topology.devices.filter((pci) => pci.bus === bus || isBeside(pci, bus));
      const functions = directory(() =>
        Object.fromEntries(
          here.map((pci) => [pci.name, pciDirectory(kernel, pci, this.setVirtualFunctions)]),
        ),
      );
      return [`pci${hex(bus.segment, 4)}:${hex(bus.number, 2)}`, functions] as const;
    });
    return { ...Object.fromEntries(roots), virtual: directory(() => this.virtualDevices()) };
  }

  /** Parents that are no PCI devices. */
  private virtualDevices(): Record<string, SysfsNode> {
    const { kernel } = this;
    const virtual = kernel.mdev.parents.filter(({ device }) => device.pci === undefined);
    return Object.fromEntries(
      virtual.map(({ device }) => [
        device.name,
        directory(() => ({ [device.name]: directory(() => parentEntries(kernel, device)) })),
      ]),
    );
  }

  /** /dev/vfio: the container's node and one for each group. */
  private nodes(): Record<string, SysfsNode> {
    const node: SysfsNode = { kind: 'file' };
    const nodes: Record<string, SysfsNode> = { vfio: node };
    for (const group of this.kernel.vfio.groups) nodes[group.nodeName] = node;
    return nodes;
  }
}

/** A virtual function on a bus of its own sits beside its physical function. */
function isBeside(
  pci: { bus: { bridge?: unknown }; physicalFunction?: { bus: unknown } | undefined },
  bus: unknown,
): boolean {
  return pci.bus.bridge === undefined && pci.physicalFunction?.bus === bus;
}
