/**
 * What is handed out, apart from any tool: one guest, its memory, its virtual IOMMU and its devices. Exporters turn
 * it into the files and commands of libvirt, QEMU, mdevctl and the rest; importers read it back out of them.
 */

/** A PCI function given whole. */
export interface AssignedFunction {
  readonly kind: 'pci';
  /** `0000:6a:01.0` */
  readonly address: string;
  /** The driver it has now and goes back to; undefined: none, or not known. */
  readonly driver?: string;
  /** libvirt unbinds and rebinds by itself; else the operator does. */
  readonly managed: boolean;
}

/** A mediated device. */
export interface AssignedMdev {
  readonly kind: 'mdev';
  readonly uuid: string;
  /** Name in sysfs of the parent: a PCI address, `mtty`. */
  readonly parent: string;
  /** Directory name of the type: `idxd-1dwq-v1`. */
  readonly type: string;
  /** vfio-pci, vfio-ccw or vfio-ap. */
  readonly deviceApi: string;
  /** Started when the parent appears, or by hand. */
  readonly start: 'auto' | 'manual';
  /** Files written after creation, in order; the same one may come twice. */
  readonly attributes: readonly (readonly [name: string, value: string])[];
}

export type AssignedDevice = AssignedFunction | AssignedMdev;

/** The guest's own remapping unit (intel-iommu). Absent options are the tool's default. */
export interface VirtualIommu {
  readonly interruptRemapping: boolean;
  /** Needed as soon as a device is assigned: the hypervisor must see every change of the guest's tables. */
  readonly cachingMode: boolean;
  readonly deviceTlb?: boolean;
  readonly extendedInterruptMode?: boolean;
  /** 39, 48 or 57 bits. */
  readonly addressWidth?: 39 | 48 | 57;
  readonly scalableMode?: boolean;
}

/** One guest with what it is given. */
export interface Assignment {
  /** Name of the virtual machine. */
  readonly machine: string;
  readonly memoryBytes: number;
  readonly virtualCpus: number;
  readonly machineType: 'q35' | 'pc';
  readonly virtualIommu?: VirtualIommu;
  /** Page size of huge pages that back the guest's memory, in bytes. */
  readonly hugePageBytes?: number;
  /** Through /dev/iommu and device nodes in place of VFIO groups. */
  readonly iommufd: boolean;
  readonly devices: readonly AssignedDevice[];
}

/** One file or script that an exporter makes. */
export interface Artefact {
  /** A file name without folders: `guest1.xml`. */
  readonly file: string;
  /** What it is for, and how it is taken into use, in one line. */
  readonly purpose: string;
  readonly text: string;
}
