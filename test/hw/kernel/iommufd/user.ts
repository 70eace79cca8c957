/** A process that drives devices by /dev/iommu and their own nodes: what QEMU and DPDK do. */
import { KernelError } from '../../../../hw/kernel/errno.ts';
import type { IommufdContext } from '../../../../hw/kernel/iommufd/context.ts';
import { DeviceNodeFile, openDeviceNode } from '../../../../hw/kernel/iommufd/device-node.ts';
import { destroy, hwptAlloc, ioasAlloc } from '../../../../hw/kernel/iommufd/hwpt-requests.ts';
import { ioasMap, ioasUnmap, MapFlag } from '../../../../hw/kernel/iommufd/ioas-requests.ts';
import type { Process } from '../../../../hw/kernel/process/process.ts';
import { AT, type DeviceName, type SmallHost } from '../small-host.ts';

export const RW = MapFlag.readable | MapFlag.writeable;

/** The errno of a call, or "ok". */
export function codeOf(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    if (error instanceof KernelError) return error.code;
    throw error;
  }
  return 'ok';
}

export class User {
  readonly process: Process;
  readonly context: IommufdContext;
  private readonly host: SmallHost;
  private readonly descriptor: number;

  constructor(host: SmallHost, name: string) {
    this.host = host;
    this.process = host.kernel.processes.create(name);
    this.context = host.kernel.iommufd.open(this.process);
    this.descriptor = this.process.descriptors.install(this.context.file);
  }

  /** Opens a device's node and binds it; the device is bound to vfio-pci first. */
  bind(name: DeviceName): BoundNode {
    if (this.host.device(name).driver === undefined) {
      this.host.device(name).driverOverride = 'vfio-pci';
      this.host.kernel.drivers.bind('pci', 'vfio-pci', AT[name]);
    }
    const device = this.host.kernel.vfio.deviceOf(this.host.device(name));
    const descriptor = this.process.descriptors.install(openDeviceNode(device, this.process));
    const node = this.process.object(descriptor, DeviceNodeFile);
    try {
      const id = node.bind(this.process, { argsz: 16, flags: 0, descriptor: this.descriptor });
      return new BoundNode(this.process, node, descriptor, id);
    } catch (error) {
      this.process.descriptors.close(descriptor);
      throw error;
    }
  }

  ioas(): number {
    return ioasAlloc(this.context, { flags: 0 });
  }

  /** Anonymous memory of the process, mapped at `iova`. @returns its address. */
  map(
    ioas: number,
    iova: bigint,
    lengthBytes: number,
    options: { flags?: number; huge?: boolean } = {},
  ): number {
    const address = this.process.memory.mapAnonymous(lengthBytes, { huge: options.huge });
    this.mapAt(ioas, iova, BigInt(lengthBytes), address, options.flags);
    return address;
  }

  mapAt(ioas: number, iova: bigint, length: bigint, address: number, flags = RW): void {
    ioasMap(this.context, this.process, {
      ioas,
      flags: flags | MapFlag.fixedIova,
      userVa: BigInt(address),
      length,
      iova,
    });
  }

  unmap(ioas: number, iova: bigint, length: bigint): bigint {
    return ioasUnmap(this.context, { ioas, iova, length });
  }

  pageTable(
    device: BoundNode,
    below: number,
    flags = 0,
    data: { type: number; bytes: Uint8Array } = { type: 0, bytes: new Uint8Array(0) },
  ): number {
    return hwptAlloc(this.context, {
      flags,
      device: device.id,
      pageTable: below,
      dataType: data.type,
      data: data.bytes,
    });
  }

  destroy(id: number): void {
    destroy(this.context, id);
  }

  end(): void {
    this.host.kernel.processes.end(this.process);
  }
}

export class BoundNode {
  readonly id: number;
  readonly node: DeviceNodeFile;
  private readonly process: Process;
  private readonly descriptor: number;

  constructor(process: Process, node: DeviceNodeFile, descriptor: number, id: number) {
    this.process = process;
    this.node = node;
    this.descriptor = descriptor;
    this.id = id;
  }

  attach(pageTable: number, pasid?: number): number {
    return this.node.attach({ argsz: 16, flags: pasid === undefined ? 0 : 1, pageTable, pasid: pasid ?? 0 });
  }

  detach(pasid?: number): void {
    this.node.detach({ argsz: 12, flags: pasid === undefined ? 0 : 1, pasid: pasid ?? 0 });
  }

  close(): void {
    this.process.descriptors.close(this.descriptor);
  }
}
