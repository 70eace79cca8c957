import { describe, expect, it } from 'vitest';
import { readDmar } from '../../hw/acpi/dmar-reader.ts';
import { parsePciAddress } from '../../hw/pci/address.ts';
import { buildHierarchy, bytesOfHex } from '../../hw/pci/from-description.ts';
import { builtInHost, builtInHostNames, DEFAULT_HOST } from '../../src/hosts/builtin.ts';

describe('built-in hosts', () => {
  it('names one of them as the default', () => {
    expect(builtInHostNames()).toContain(DEFAULT_HOST);
    expect(builtInHost('no such host')).toBeUndefined();
  });

  it.each(builtInHostNames())('%s: all functions can be built, each once', (name) => {
    const host = builtInHost(name);
    if (host === undefined) throw new Error('missing');
    const { hierarchy, problems } = buildHierarchy(host);
    expect(problems).toEqual([]);
    expect([...hierarchy.functions]).toHaveLength(host.functions.length);
  });

  it.each(builtInHostNames())('%s: its DMAR table is sound and every scope names a function', (name) => {
    const host = builtInHost(name);
    if (host === undefined) throw new Error('missing');
    const table = readDmar(bytesOfHex(host.dmar ?? '') ?? new Uint8Array());
    expect(table.warnings).toEqual([]);
    const addresses = new Set(host.functions.map((one) => one.address));
    for (const structure of table.structures) {
      if (!('scopes' in structure)) continue;
      for (const scope of structure.scopes) {
        if (scope.type > 2) continue;
        const [first] = scope.path;
        const bus = scope.startBus.toString(16).padStart(2, '0');
        expect(addresses).toContain(
          `0000:${bus}:${first.device.toString(16).padStart(2, '0')}.${first.function}`,
        );
      }
    }
    expect(host.units?.map((unit) => BigInt(unit.registerBase))).toEqual(
      table.structures.flatMap((one) => (one.kind === 'DRHD' ? [one.registerBase] : [])),
    );
  });

  it('has what its purpose asks for: accelerators with PASID, ATS, PRI and the SIOV DVSEC, an SR-IOV adapter', () => {
    const host = builtInHost(DEFAULT_HOST);
    if (host === undefined) throw new Error('missing');
    const { hierarchy } = buildHierarchy(host);
    const find = (name: string) => {
      const at = parsePciAddress(name);
      const found = at === undefined ? undefined : hierarchy.find(at);
      if (found === undefined) throw new Error(`${name} is missing`);
      return found;
    };
    const accelerator = find('0000:6a:01.0');
    for (const id of [0x0f, 0x13, 0x1b, 0x23])
      expect(accelerator.extendedCapability(id), `capability ${id}`).toBeDefined();
    expect(find('0000:16:00.0').extendedCapability(0x10)).toBeDefined();
    expect(find('0000:16:01.3').physicalFunction).toBe(find('0000:16:00.0'));
    expect(find('0000:39:00.0').extendedCapability(0x0d)).toBeUndefined();
  });
});
