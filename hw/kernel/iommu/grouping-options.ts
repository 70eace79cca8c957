/** What the kernel command line says about IOMMU groups: drivers/iommu/iommu.c, intel/iommu.c, arch/x86 pci-dma.c. */

export interface IommuOptions {
  /** False: intel_iommu=off, iommu=off. */
  readonly intelEnabled: boolean;
  readonly amdEnabled: boolean;
  /** Default domains translate nothing: iommu=pt, iommu.passthrough=1. */
  readonly passThrough: boolean;
  /** Unmapping flushes at once: iommu.strict=1, intel_iommu=strict. */
  readonly strict: boolean;
  /** intel_iommu=igfx_off. */
  readonly graphicsOff: boolean;
  /** False: intel_iommu=sm_off. */
  readonly scalableMode: boolean;
}

/** kstrtobool: y, Y, t, T, 1, on; n, N, f, F, 0, off. */
function booleanOf(value: string): boolean | undefined {
  if (/^(?:[yYtT1]|on)/i.test(value)) return true;
  if (/^(?:[nNfF0]|of)/i.test(value)) return false;
  return undefined;
}

/** Splits a command line at blanks outside double quotes. */
export function commandLineWords(line: string): string[] {
  return (line.match(/(?:"[^"]*"|[^\s"])+/g) ?? []).map((word) => word.replaceAll('"', ''));
}

/**
 * What a command line comes to. `iommu=`, `iommu.passthrough` and `iommu.strict` are early parameters: they are all read
 * before `intel_iommu=`, which therefore has the last word on strictness. Among words of one kind later ones win, but for
 * `iommu=off`, which nothing takes back. What follows `--` is for init.
 */
export function iommuOptions(commandLine: string | undefined): IommuOptions {
  const early = { off: false, passThrough: false, strict: false };
  const late = { intel: true, amd: true, strict: false, graphicsOff: false, scalableMode: true };
  for (const word of commandLineWords(commandLine ?? '')) {
    if (word === '--') break;
    const equals = word.indexOf('=');
    if (equals < 0) continue;
    const key = word.slice(0, equals).replaceAll('-', '_');
    const value = word.slice(equals + 1);
    const parts = value.split(',');
    if (key === 'intel_iommu') applyIntel(late, parts);
    else if (key === 'amd_iommu') {
      if (parts.includes('off')) late.amd = false;
      if (parts.some((part) => part.startsWith('fullflush'))) late.strict = true;
    } else if (key === 'iommu') applyGeneric(early, parts);
    else if (key === 'iommu.passthrough') early.passThrough = booleanOf(value) ?? early.passThrough;
    else if (key === 'iommu.strict') early.strict = booleanOf(value) ?? early.strict;
  }
  return {
    intelEnabled: late.intel && !early.off,
    amdEnabled: late.amd && !early.off,
    passThrough: early.passThrough,
    strict: early.strict || late.strict,
    graphicsOff: late.graphicsOff,
    scalableMode: late.scalableMode,
  };
}

interface LateOptions {
  intel: boolean;
  strict: boolean;
  graphicsOff: boolean;
  scalableMode: boolean;
}

/** intel_iommu_setup: prefixes decide. */
function applyIntel(options: LateOptions, parts: readonly string[]): void {
  for (const part of parts) {
    if (part.startsWith('on')) options.intel = true;
    else if (part.startsWith('off')) options.intel = false;
    else if (part.startsWith('igfx_off')) options.graphicsOff = true;
    else if (part.startsWith('strict')) options.strict = true;
    else if (part.startsWith('sm_on')) options.scalableMode = true;
    else if (part.startsWith('sm_off')) options.scalableMode = false;
  }
}

/** iommu_setup of arch/x86/kernel/pci-dma.c; `usedac` ends it. */
function applyGeneric(options: { off: boolean; passThrough: boolean }, parts: readonly string[]): void {
  for (const part of parts) {
    if (part.startsWith('usedac')) return;
    if (part.startsWith('off')) options.off = true;
    else if (part.startsWith('pt')) options.passThrough = true;
    else if (part.startsWith('nopt')) options.passThrough = false;
  }
}
