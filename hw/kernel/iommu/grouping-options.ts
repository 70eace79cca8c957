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

/** Later words override earlier ones, as the kernel parses them in order. */
export function iommuOptions(commandLine: string | undefined): IommuOptions {
  const options = {
    intelEnabled: true,
    amdEnabled: true,
    passThrough: false,
    strict: false,
    graphicsOff: false,
    scalableMode: true,
  };
  for (const word of commandLineWords(commandLine ?? '')) {
    const equals = word.indexOf('=');
    if (equals < 0) continue;
    const key = word.slice(0, equals).replaceAll('-', '_');
    const value = word.slice(equals + 1);
    const parts = value.split(',');
    if (key === 'intel_iommu') applyIntel(options, parts);
    else if (key === 'amd_iommu') {
      if (parts.includes('off')) options.amdEnabled = false;
    } else if (key === 'iommu') applyGeneric(options, parts);
    else if (key === 'iommu.passthrough') options.passThrough = booleanOf(value) ?? options.passThrough;
    else if (key === 'iommu.strict') options.strict = booleanOf(value) ?? options.strict;
  }
  return options;
}

type Mutable = { -readonly [Key in keyof IommuOptions]: IommuOptions[Key] };

function applyIntel(options: Mutable, parts: readonly string[]): void {
  for (const part of parts) {
    if (part.startsWith('on')) options.intelEnabled = true;
    else if (part.startsWith('off')) options.intelEnabled = false;
    else if (part.startsWith('igfx_off')) options.graphicsOff = true;
    else if (part.startsWith('strict')) options.strict = true;
    else if (part.startsWith('sm_on')) options.scalableMode = true;
    else if (part.startsWith('sm_off')) options.scalableMode = false;
  }
}

function applyGeneric(options: Mutable, parts: readonly string[]): void {
  for (const part of parts) {
    if (part === 'off') {
      options.intelEnabled = false;
      options.amdEnabled = false;
    } else if (part === 'pt') options.passThrough = true;
    else if (part === 'nopt') options.passThrough = false;
  }
}
