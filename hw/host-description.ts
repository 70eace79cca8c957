/**
 * A host as data: what an importer reads out of a capture, what a session file holds, and what `Host` is built from.
 * Plain JSON: bytes are hex strings.
 */

/** One PCI function as found. */
export interface FunctionDescription {
  /** `0000:6a:01.0` */
  address: string;
  /**
   * Configuration space in hex: 256 or 4096 bytes (64 when lspci ran without root). Absent when the capture is text
   * without hex dump; importers then rebuild what the text shows, and list in `unknown` what it does not show.
   */
  config?: string;
  /**
   * Bytes of configuration space when `config` is shorter: 64, 256 or 4096. What `config` leaves out at the end is zero.
   */
  configSize?: 64 | 256 | 4096;
  /** Sizes of BARs (0 to 5; 6: expansion ROM), where known: what sizing them reads. A power of two each. */
  regions?: { bar: number; sizeBytes: number }[];
  /**
   * Sizes of base address registers in bytes, powers of two, by index (6: the expansion ROM). Bytes alone don't tell them:
   * software finds them by writing, and without a size a register keeps its value.
   */
  barSizes?: { index: number; bytes: number }[];
  /** What the source could not show and a rule may depend on: "capabilities", "acs", "express type", "bus numbers". */
  unknown?: string[];
  /** Vendor and device by name, where the source had them. */
  name?: string;
  className?: string;
  /** Bound driver at capture, or null for none. Absent: not known. */
  driver?: string | null;
  kernelModules?: string[];
  numaNode?: number;
  /** The IOMMU group the capture names: never used for computing, only for comparing. */
  group?: number;
  /** For a virtual function: its physical function. */
  physicalFunction?: string;
  /** Where the text knows identity that the bytes lack (VFs read ffff:ffff). */
  vendorId?: number;
  deviceId?: number;
  /** Which model answers for it in the emulation; absent: it holds its configuration space and does no DMA by itself. */
  model?: DeviceModelDescription;
}

/** Parameters of an emulated device, by kind of model. */
export interface DeviceModelDescription {
  kind: string;
  [parameter: string]: unknown;
}

/** A range of physical memory, hex strings, end inclusive. */
export interface RangeDescription {
  start: string;
  end: string;
}

/** Properties of a remapping unit that no capture holds (registers are not in DMAR), by register base address. */
export interface UnitDescription {
  registerBase: string;
  /** CAP and ECAP as the hardware reports them; absent: the profile of the host. */
  cap?: string;
  ecap?: string;
}

/** What happened after boot and before the capture, in order: it decides on group numbers and types. */
export type HostEvent =
  | { kind: 'virtual-functions'; device: string; count: number }
  /** Written to sysfs `remove`: a rescan finds it again. */
  | { kind: 'remove'; device: string }
  /** Pulled out. */
  | { kind: 'unplug'; device: string }
  | { kind: 'plug'; device: string }
  /** Of all buses, or of one ("0000:01") with what lies behind its bridges. */
  | { kind: 'rescan'; bus?: string }
  /**
   * Written to the `type` of the device's group, or of the group with a number; `unbound`: after all drivers of the group
   * were unbound.
   */
  | { kind: 'group-type'; device: string | number; type: string; unbound?: boolean };

/** A device that is not on the PCI bus. */
export interface OtherDeviceDescription {
  name: string;
  /** platform, acpi, vdpa, mdev, auxiliary, … */
  bus: string;
  /** The device it hangs on, by name: a PCI address for a vDPA or mediated device. */
  parent?: string;
  /** Path in the ACPI name space, as the DMAR table names it. */
  acpiPath?: string;
  /** The IOMMU group the capture names: only for comparing. */
  group?: number;
}

export interface HostDescription {
  format: 'vtdeck-host';
  version: 1;
  name: string;
  /** Where it comes from, for people: "capture desktop", "built in". */
  origin: string;
  functions: FunctionDescription[];
  /** The ACPI DMAR table in hex; absent: the machine has none. */
  dmar?: string;
  units?: UnitDescription[];
  /** Order in which root buses are enumerated, where known ("0000:00", "0000:80"). */
  rootBuses?: string[];
  memory?: RangeDescription[];
  /** Kernel command line where known; options that decide on groups are honoured. */
  kernelCommandLine?: string;
  /**
   * Whether Linux used the IOMMU. `on`: registers are as Linux left them. `unknown`: the source does not say, and where it has
   * no DMAR table one unit over everything is assumed. `assumed`: supposed on, whatever the registers say of that boot.
   * Absent: registers are as firmware left them, the DMAR table decides.
   */
  iommu?: { state: 'on' | 'off' | 'unknown' | 'assumed'; because: string };
  history?: HostEvent[];
  /** Functions that were there at boot and are gone: they matter for group numbers only. */
  formerFunctions?: FunctionDescription[];
  /** Devices that are not PCI (platform, ACPI), where known. */
  otherDevices?: OtherDeviceDescription[];
}
