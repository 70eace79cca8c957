/** What the small files beside a capture say: how the machine was started, what its kernel logged, what the units are. */
import type { HostDescription, UnitDescription } from '../../hw/index.ts';

/** The kernel command line: the `-append` of a QEMU command line, or what the kernel logged. */
export function kernelCommandLine(files: { qemu?: string; dmesg?: string }): string | undefined {
  const logged = /Kernel command line: (.*)$/m.exec(files.dmesg ?? '');
  if (logged !== null) return logged[1].trim();
  const append = /-append\s+('([^']*)'|"([^"]*)"|(\S+))/.exec(files.qemu ?? '');
  return append === null ? undefined : (append[2] ?? append[3] ?? append[4]);
}

/** CAP and ECAP of the units, from the kernel log or from /sys/class/iommu as JSON. */
export function unitRegisters(files: { dmesg?: string; iommu?: string }): UnitDescription[] {
  const units = new Map<string, UnitDescription>();
  const pattern = /dmar\d+: reg_base_addr ([0-9a-f]+) ver \S+ cap ([0-9a-f]+) ecap ([0-9a-f]+)/g;
  for (const [, base, cap, ecap] of (files.dmesg ?? '').matchAll(pattern)) {
    units.set(base, { registerBase: `0x${base}`, cap: `0x${cap}`, ecap: `0x${ecap}` });
  }
  if (files.iommu !== undefined) {
    const listed = parseObject(files.iommu);
    for (const unit of Object.values(listed)) {
      if (unit === null || typeof unit !== 'object') continue;
      const { address, cap, ecap } = unit as Record<string, unknown>;
      if (typeof address !== 'string' || typeof cap !== 'string' || typeof ecap !== 'string') continue;
      const base = address.replace(/^0x/, '');
      if (!units.has(base))
        units.set(base, { registerBase: `0x${base}`, cap: `0x${cap}`, ecap: `0x${ecap}` });
    }
  }
  return [...units.values()];
}

function parseObject(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    return value !== null && typeof value === 'object' ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

/** What the kernel log says of the IOMMU where the command line leaves it to the kernel's configuration. */
export function commandLineWithDefaults(
  line: string | undefined,
  dmesg: string | undefined,
): string | undefined {
  if (dmesg === undefined) return line;
  const defaults: string[] = [];
  if (/iommu: Default domain type: Passthrough/.test(dmesg)) defaults.push('iommu.passthrough=1');
  if (/DMA domain TLB invalidation policy: strict/.test(dmesg)) defaults.push('iommu.strict=1');
  // Options of the line come last: they override what the kernel was configured with.
  return defaults.length === 0 ? line : [...defaults, line ?? ''].join(' ').trim();
}

/** What the kernel log says when it refuses the DMAR table or its units as a whole; undefined: it does not. */
export function iommuRefusal(dmesg: string | undefined): string | undefined {
  const line = (dmesg ?? '')
    .split('\n')
    .find((one) =>
      /DMAR.*returns all ones|Parse DMAR table failure|DMAR: Failed to (?:map|enable)/.test(one),
    );
  return line === undefined ? undefined : `the kernel log says: ${line.replace(/^\[[^\]]*\]\s*/, '')}`;
}

/** Root buses as the kernel log tells of them one after the other; undefined: it does not. */
export function loggedRootBuses(dmesg: string | undefined): string[] | undefined {
  const found = [...(dmesg ?? '').matchAll(/PCI host bridge to bus ([0-9a-f]{4,}:[0-9a-f]{2})\b/g)];
  return found.length === 0 ? undefined : found.map(([, bus]) => bus);
}

/**
 * Root buses of a QEMU machine, as its ACPI tables declare them: bus 0, then the expanders, the last of the command line
 * first. Without a command line they are taken as numbered in its order.
 * @param buses root buses of segment 0
 * @param expanders bus numbers of the expanders (pxb) in the order of the command line
 */
export function qemuRootBusOrder(buses: readonly number[], expanders: readonly number[] = []): string[] {
  const told = expanders.filter((bus) => buses.includes(bus)).reverse();
  const rest = buses.filter((bus) => bus !== 0 && !told.includes(bus)).sort((a, b) => b - a);
  return [0, ...told, ...rest].map((bus) => `0000:${bus.toString(16).padStart(2, '0')}`);
}

/** Whether the host is a QEMU machine, by the subsystem of its host bridge (1af4:1100). */
export function isQemuMachine(description: HostDescription): boolean {
  const first = description.functions.find((one) => one.address === '0000:00:00.0');
  return first?.config?.slice(0x2c * 2, 0x30 * 2) === 'f41a0011';
}
