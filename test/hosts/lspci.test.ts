import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { groupsOf } from '../../hw/isolation/groups.ts';
import { topologyOf } from '../../hw/isolation/topology.ts';
import { importLspci } from '../../src/hosts/lspci.ts';
import { functionOf, ISOLATING, machineOf } from '../support/pci-machine.ts';

const PORT = `00:01.0 PCI bridge [0604]: Intel Corporation Xeon E7 v3 PCI Express Root Port 1 [8086:2f02] (rev 02) (prog-if 00 [Normal decode])
	Bus: primary=00, secondary=01, subordinate=01, sec-latency=0
	Capabilities: [90] Express (v2) Root Port (Slot-), MSI 00
		DevCap2: Completion Timeout: Range BCD, TimeoutDis+ NROPrPrP- LTR-
			 FRS- ARIFwd+
		DevCtl2: Completion Timeout: 50us to 50ms, TimeoutDis- LTR- ARIFwd+
	Capabilities: [110 v1] Access Control Services
		ACSCap:	SrcValid+ TransBlk+ ReqRedir+ CmpltRedir+ UpstreamFwd+ EgressCtrl- DirectTrans-
		ACSCtl:	SrcValid+ TransBlk- ReqRedir+ CmpltRedir+ UpstreamFwd+ EgressCtrl- DirectTrans-
	Kernel driver in use: pcieport
`;

const NIC = `01:00.0 Ethernet controller [0200]: Intel Corporation 82599ES [8086:10fb] (rev 01)
	Subsystem: Intel Corporation Device [8086:000c]
	NUMA node: 1
	IOMMU group: 37
	Region 0: Memory at 38fffff00000 (64-bit, prefetchable) [size=512K]
	Capabilities: [40] Power Management version 3
		Status: D3 NoSoftRst- PME-Enable- DSel=0 DScale=1 PME-
	Capabilities: [50] MSI: Enable- Count=1/4 Maskable+ 64bit+
		Address: 0000000000000000  Data: 0000
	Capabilities: [70] MSI-X: Enable+ Count=64 Masked-
		Vector table: BAR=4 offset=00000000
		PBA: BAR=4 offset=00002000
	Capabilities: [a0] Express (v2) Endpoint, MSI 00
		DevCap:	MaxPayload 512 bytes, PhantFunc 0, Latency L0s <512ns, L1 <64us
			ExtTag- AttnBtn- AttnInd- PwrInd- RBE+ FLReset+ SlotPowerLimit 0W
	Capabilities: [150 v1] Alternative Routing-ID Interpretation (ARI)
		ARICap:	MFVC- ACS-, Next Function: 0
	Capabilities: [160 v1] Single Root I/O Virtualization (SR-IOV)
		IOVCtl:	Enable+ Migration- Interrupt- MSE+ ARIHierarchy+ 10BitTagReq-
		Initial VFs: 64, Total VFs: 64, Number of VFs: 2, Function Dependency Link: 00
		VF offset: 128, stride: 2, Device ID: 10ed
		Supported Page Size: 00000553, System Page Size: 00000001
	Kernel driver in use: ixgbe
	Kernel modules: ixgbe, vfio_pci
`;

function capabilityOf(text: string, address: string, name: string) {
  const { functions } = importLspci(text);
  const find = (
    nodes: ReturnType<typeof topologyOf>['roots'][number]['devices'],
  ): (typeof nodes)[number] | undefined => {
    for (const node of nodes) {
      if (node.address === address) return node;
      const below = find(node.children);
      if (below !== undefined) return below;
    }
    return undefined;
  };
  const report = topologyOf(machineOf([], { functions }));
  for (const root of report.roots) {
    const node = find(root.devices);
    const capability = node?.decoded.capabilities.find((one) => one.name.startsWith(name));
    if (capability !== undefined) {
      return Object.fromEntries(capability.fields.map((field) => [field.name, Number(field.value)]));
    }
  }
  return undefined;
}

describe('lspci text without hex', () => {
  it('rebuilds the registers that it prints', () => {
    const text = PORT + NIC;
    expect(capabilityOf(text, '0000:00:01.0', 'Access Control')).toMatchObject({
      sourceValidation: 1,
      requestRedirectEnable: 1,
      translationBlocking: 1,
      translationBlockingEnable: 0,
    });
    expect(capabilityOf(text, '0000:00:01.0', 'PCI Express')).toMatchObject({
      portType: 4,
      ariForwardingEnable: 1,
    });
    expect(capabilityOf(text, '0000:01:00.0', 'MSI-X')).toMatchObject({
      tableSize: 63,
      enable: 1,
      pendingOffset: 0x400,
    });
    expect(capabilityOf(text, '0000:01:00.0', 'Single Root')).toMatchObject({
      totalVirtualFunctions: 64,
      virtualFunctions: 2,
      firstVirtualFunctionOffset: 128,
      virtualFunctionStride: 2,
      virtualFunctionDeviceId: 0x10ed,
    });
    expect(capabilityOf(text, '0000:01:00.0', 'PCI Express')).toMatchObject({ functionLevelReset: 1 });
  });

  it.each([
    ['blanks for tabs', (text: string) => text.replaceAll('\t', '    ')],
    ['carriage returns', (text: string) => text.replaceAll('\n', '\r\n')],
    ['a byte order mark', (text: string) => `\u00ef\u00bb\u00bf${text}`],
  ])('reads text with %s like any other', (_what, change) => {
    expect(importLspci(change(PORT + NIC))).toEqual(importLspci(PORT + NIC));
  });

  it('keeps what is no register: driver, modules, node, group, names', () => {
    const nic = importLspci(PORT + NIC).functions[1];
    expect(nic).toMatchObject({
      address: '0000:01:00.0',
      className: 'Ethernet controller',
      name: 'Intel Corporation 82599ES',
      driver: 'ixgbe',
      kernelModules: ['ixgbe', 'vfio_pci'],
      numaNode: 1,
      group: 37,
    });
  });

  it('knows virtual functions by the registers of the physical one', () => {
    const virtual = `01:10.0 Ethernet controller [0200]: Intel Corporation 82599 Virtual Function [8086:10ed] (rev 01)
	Capabilities: [a0] Express (v2) Endpoint, MSI 00
`;
    const { functions } = importLspci(PORT + NIC + virtual);
    expect(functions[2].physicalFunction).toBe('0000:01:00.0');
    const report = groupsOf(machineOf([], { functions }));
    expect(report.groups.map((group) => group.devices)).toEqual([
      ['0000:00:01.0'],
      ['0000:01:00.0'],
      ['0000:01:10.0'],
    ]);
  });

  it('reads header lines of every form', () => {
    const text = `0000:00:00.0 0600: 8086:29c0 (rev 02)
10000:e0:06.0 PCI bridge: Intel Corporation Device 7ecb (rev 10) (prog-if 00 [Normal decode])
00:02.0 VGA compatible controller [0300]: Intel Corporation Lunar Lake [Intel Graphics] [8086:64a0] (rev 04) (prog-if 00 [VGA controller])
00:03.0 System peripheral [0880]: Intel Corporation Very Long Name [8086... (rev 02)
0d:00.0 CXL [0502]: Intel Corporation Device [8086:0d93] (rev 01) (prog-if 10 [CXL Memory Device (CXL 2.x)])
00:04.0 Class [0807]: Intel Corporation Device [8086:0b23]
`;
    const facts = importLspci(text).functions.map((one) => [
      one.address,
      one.vendorId,
      one.deviceId,
      one.name,
    ]);
    expect(facts).toEqual([
      ['0000:00:00.0', 0x8086, 0x29c0, undefined],
      ['10000:e0:06.0', 0x8086, 0x7ecb, 'Intel Corporation Device 7ecb'],
      ['0000:00:02.0', 0x8086, 0x64a0, 'Intel Corporation Lunar Lake [Intel Graphics]'],
      ['0000:00:03.0', 0x8086, undefined, 'Intel Corporation Very Long Name [8086...'],
      ['0000:0d:00.0', 0x8086, 0x0d93, 'Intel Corporation Device'],
      ['0000:00:04.0', 0x8086, 0x0b23, 'Intel Corporation Device'],
    ]);
  });
});

describe('what a text does not show is unknown, not absent', () => {
  const denied = PORT.replace(
    /\tCapabilities: \[90[\s\S]*?\tKernel/,
    '\tCapabilities: <access denied>\n\tKernel',
  );
  const simple =
    '01:00.0 Ethernet controller [0200]: Red Hat, Inc. Virtio [1af4:1041]\n\tCapabilities: <access denied>\n';

  it('a root port with denied capabilities leaves its group and what is behind it open', () => {
    const { functions } = importLspci(denied + simple);
    const report = groupsOf(machineOf([], { functions }));
    expect(report.groups).toEqual([]);
    expect(report.unknown.map((one) => one.device)).toEqual(['0000:00:01.0', '0000:01:00.0']);
    expect(report.unknown[1]).toMatchObject({
      dependsOn: ['0000:00:01.0'],
      ifIsolated: ['0000:01:00.0'],
      ifOpen: ['0000:00:01.0', '0000:01:00.0'],
    });
  });

  it('a single function on a root bus is alone whatever it hides', () => {
    const text =
      '00:05.0 Ethernet controller [0200]: Red Hat, Inc. Virtio [1af4:1041]\n\tCapabilities: <access denied>\n';
    const report = groupsOf(machineOf([], { functions: importLspci(text).functions }));
    expect(report.groups.map((group) => group.devices)).toEqual([['0000:00:05.0']]);
  });

  it('a card that is powered down reads all ones; that no NVIDIA card has ACS is known all the same', () => {
    const card = (vendor: string, id: string): string =>
      [0, 1]
        .map(
          (fn) =>
            `01:00.${fn} ${fn === 0 ? 'VGA compatible controller [0300]' : 'Audio device [0403]'}: Some Card [${vendor}:${id}${fn}] (rev ff) (prog-if ff)\n\t!!! Unknown header type 7f\n\n`,
        )
        .join('');
    const report = (text: string) =>
      groupsOf(machineOf([], { functions: importLspci(PORT + text).functions }));
    expect(report(card('10de', '1c2')).groups.map((group) => group.devices.length)).toEqual([1, 2]);
    expect(report(card('1002', '73a')).unknown.map((one) => one.device)).toEqual([
      '0000:01:00.0',
      '0000:01:00.1',
    ]);
  });

  it('where some capabilities are denied, a device without such a line has none (show_caps of lspci)', () => {
    const mates = [0, 1].map(
      (fn) =>
        `00:1f.${fn} ISA bridge [0601]: Intel Corporation LPC [8086:a14${fn}]\n\tKernel driver in use: lpc\n`,
    );
    const alone = groupsOf(machineOf([], { functions: importLspci(mates.join('')).functions }));
    expect(alone.unknown).toHaveLength(2);
    const { functions } = importLspci(mates.join('') + simple.replace('01:00.0', '00:05.0'));
    const report = groupsOf(machineOf([], { functions }));
    expect(report.unknown).toEqual([]);
    expect(report.groups.map((group) => group.devices)).toEqual([
      ['0000:00:05.0'],
      ['0000:00:1f.0', '0000:00:1f.1'],
    ]);
  });

  it('ACS off on an Intel root port without device id: it may be on where dword registers are', () => {
    const off = PORT.replace(' [8086:2f02]', '').replace(
      /ACSCtl:.*/,
      'ACSCtl:\tSrcValid- TransBlk- ReqRedir- CmpltRedir- UpstreamFwd- EgressCtrl- DirectTrans-',
    );
    const { functions } = importLspci(off + NIC);
    const report = groupsOf(machineOf([], { functions, kernelCommandLine: undefined }));
    // Neither "the IOMMU was off" nor "one group" can be said.
    expect(report.groups).toEqual([]);
    expect(report.ungrouped).toEqual([]);
    expect(report.unknown.map((one) => one.device)).toContain('0000:00:01.0');
  });

  it('whether the IOMMU was on: ACS bits that are set or missing everywhere tell, else it is taken as on and said', () => {
    const unsaid = { iommu: { state: 'unknown' as const, because: 'test' }, kernelCommandLine: undefined };
    const report = (text: string) =>
      groupsOf(machineOf([], { functions: importLspci(text).functions, ...unsaid }));
    const told = (text: string): boolean =>
      report(text).assumptions.join().includes('whether the IOMMU was on');
    expect(told(PORT + NIC)).toBe(false);
    expect(told(simple.replace('01:00.0', '00:05.0'))).toBe(true);
    const off = PORT.replace(
      /ACSCtl:.*/,
      'ACSCtl:\tSrcValid- TransBlk- ReqRedir- CmpltRedir- UpstreamFwd- EgressCtrl- DirectTrans-',
    );
    expect(report(off + NIC).ungrouped[0].why).toContain('the IOMMU was off');
    // The register is not shown, so it tells nothing.
    expect(report(PORT.replace(/\t\tACSCtl:.*\n/, '') + NIC).ungrouped).toEqual([]);
  });

  it('a segment behind a VMD endpoint that the text does not tell is open, and so is what may be that endpoint', () => {
    const raid = (id: string): string =>
      `0000:00:0e.0 RAID bus controller [0104]: Intel Corporation Volume Management Device${id}\n\tCapabilities: [80] MSI-X: Enable+ Count=19 Masked-\n`;
    const behind =
      '10000:e0:06.0 PCI bridge [0604]: Intel Corporation Device [8086:7ecb]\n\tBus: primary=e0, secondary=e1, subordinate=e1, sec-latency=0\n\tCapabilities: [40] Express (v2) Root Port (Slot+), MSI 00\n';
    const report = (id: string) =>
      groupsOf(machineOf([], { functions: importLspci(raid(id) + behind).functions }));
    expect(report(' [8086:7d0b]').groups.map((group) => group.devices)).toEqual([
      ['0000:00:0e.0', '10000:e0:06.0'],
    ]);
    expect(report('').groups).toEqual([]);
    expect(report('').unknown.map((one) => one.device)).toEqual(['0000:00:0e.0', '10000:e0:06.0']);
  });

  it.each([
    ['the flags of ACS', /(ACSCtl:.*?CmpltRedir[+-]).*/, '$1 Upst'],
    ['the name of ACS', /(Access Control) Services\n\t\tACSCap.*\n\t\tACSCtl.*/, '$1'],
    ['the port type', /(Express \(v2\) Root) Port.*/, '$1'],
  ])('a line cut off in %s leaves the group open', (_what, line, cut) => {
    expect(PORT).toMatch(line);
    const { functions } = importLspci(PORT.replace(line, cut) + NIC);
    const report = groupsOf(machineOf([], { functions }));
    expect(report.groups).toEqual([]);
    expect(report.unknown[0].dependsOn).toEqual(['0000:00:01.0']);
  });

  it('64 bytes of hex and the names of capabilities (lspci -vx): the ACS registers are not shown', () => {
    const header = (functionOf({ at: '00:01.0', port: 4, buses: [1, 1] }).config ?? '').slice(0, 128);
    const hex = (header.match(/.{32}/g) ?? []).map(
      (row, index) => `${index}0: ${(row.match(/../g) ?? []).join(' ')}\n`,
    );
    const words = PORT.replaceAll(/\t\t.*\n/g, '');
    const { functions } = importLspci(words + hex.join(''));
    expect(functions[0].unknown).toContain('acs');
  });

  it('a device that pci.ids has no name for shows its number without -nn', () => {
    const [one, other] = importLspci(
      '00:05.0 Unclassified device: Device 1234:11e8 (rev 10)\n00:06.0 System peripheral: Intel Corporation Device a0ef (rev 20)\n',
    ).functions;
    expect(one).toMatchObject({ vendorId: 0x1234, deviceId: 0x11e8 });
    expect(other).toMatchObject({ vendorId: 0x8086, deviceId: 0xa0ef });
  });

  it('a known device id decides what hidden registers would', () => {
    const nic = (fn: number): string =>
      `00:05.${fn} Ethernet controller [0200]: Intel Corporation 82576 [8086:10c9]\n\tCapabilities: <access denied>\n`;
    const report = groupsOf(machineOf([], { functions: importLspci(nic(0) + nic(1)).functions }));
    expect(report.groups.map((group) => group.devices)).toEqual([['0000:00:05.0'], ['0000:00:05.1']]);
  });

  it('a bridge without bus numbers leaves the place of other buses open', () => {
    const text =
      '00:01.0 PCI bridge [0604]: Intel Corporation Port [8086:1901]\n01:00.0 Ethernet controller [0200]: X [1af4:1041]\n';
    const report = groupsOf(machineOf([], { functions: importLspci(text).functions }));
    expect(report.groups).toEqual([]);
    expect(report.unknown.some((one) => one.why.includes('bus numbers'))).toBe(true);
  });
});

describe('bad input', () => {
  const dump = (
    plan: Parameters<typeof functionOf>[0],
    bytes: number,
    name = 'Class 0200: 1af4:1041',
  ): string => {
    const one = functionOf(plan);
    const rows = (one.config ?? '').slice(0, bytes * 2).match(/.{1,32}/g) ?? [];
    const lines = rows.map(
      (row, index) => `${(index * 16).toString(16).padStart(2, '0')}: ${(row.match(/../g) ?? []).join(' ')}`,
    );
    return `${plan.at} ${name}\n${lines.join('\n')}\n\n`;
  };
  const port = { at: '00:01.0', port: 4, buses: [1, 1] as [number, number], acs: ISOLATING };

  it('hex that ends early is named with its line, and what is there is used', () => {
    const { functions, problems } = importLspci(dump(port, 4096) + dump({ at: '01:00.0', port: 0 }, 100));
    expect(problems).toEqual([
      {
        line: 259,
        problem: expect.stringContaining('the hex of 0000:01:00.0 is cut: 100 bytes where 256 are expected'),
      },
    ]);
    expect(functions[1].unknown).toContain('capabilities');
    expect(groupsOf(machineOf([], { functions })).groups).toHaveLength(2);
  });

  it('a hole in the hex is named', () => {
    const text = dump(port, 256).replace(/^40: .*\n/m, '');
    expect(importLspci(text).problems[0].problem).toBe('hex jumps to 0x50 where 0x40 should follow');
  });

  it('a line that is no hex is named', () => {
    const text = dump(port, 256).replace(/^40: .*$/m, '40: zz zz');
    expect(importLspci(text).problems[0].problem).toContain('not a line of hex');
  });

  it('an address that is there twice is named with both lines; different ids tell of two machines', () => {
    const once = dump({ at: '00:05.0' }, 256);
    const twice = importLspci(once + once);
    expect(twice.functions).toHaveLength(1);
    expect(twice.problems[0].problem).toContain('is there twice, first at line 1');
    const other = dump({ at: '00:05.0' }, 256, 'Class 0300: 10de:1c20');
    expect(importLspci(once + other).problems[0].problem).toContain('dumps of two machines');
  });

  it('of the dumps of two machines the second is left out whole: none of its devices joins the first host', () => {
    const first = dump(port, 256) + dump({ at: '01:00.0', port: 0 }, 256);
    const second =
      dump({ at: '00:01.0' }, 256, 'Class 0300: 10de:1c20') +
      dump({ at: '00:02.0' }, 256) +
      dump({ at: '00:03.0' }, 256);
    const { functions, problems } = importLspci(first + second);
    expect(functions.map((one) => one.address)).toEqual(['0000:00:01.0', '0000:01:00.0']);
    expect(problems).toEqual([
      {
        line: 37,
        problem: expect.stringMatching(
          /another machine: 0000:00:01.0 is .* at line 1 .* at line 37.*3 devices/,
        ),
      },
    ]);
  });

  it('one block that is pasted over with other ids costs that block only', () => {
    const stray = dump({ at: '00:01.0' }, 256, 'Class 0300: 10de:1c20');
    const { functions } = importLspci(dump(port, 256) + stray + dump({ at: '00:02.0' }, 256));
    expect(functions.map((one) => one.address)).toEqual(['0000:00:01.0', '0000:00:02.0']);
    expect(functions[0].vendorId).toBe(0x1af4);
  });

  it('words first and hex after them, of one machine, are one dump', () => {
    const words = '00:01.0 Ethernet controller [0200]: Red Hat, Inc. Virtio [1af4:1041]\n\tNUMA node: 1\n\n';
    const hex = dump({ at: '00:01.0', device: 0x1041 }, 256, 'Ethernet controller: Red Hat, Inc. Virtio');
    const { functions, problems } = importLspci(words + hex);
    expect(problems).toEqual([]);
    expect(functions).toHaveLength(1);
    expect(functions[0]).toMatchObject({ numaNode: 1, configSize: 256 });
    expect(functions[0].unknown).toBeUndefined();
  });

  it('text that belongs to no device is named once', () => {
    const { problems } = importLspci(
      `lspci: Unable to load libkmod resources: error -2\nanother line\n${dump(port, 256)}`,
    );
    expect(problems).toEqual([{ line: 1, problem: expect.stringContaining('belongs to no device') }]);
  });

  it('what sits behind a bridge with impossible bus numbers is not claimed, the rest is', () => {
    const plans = [
      { at: '05:01.0', port: 4, buses: [3, 3] as [number, number] },
      { at: '03:00.0', port: 0 },
      { at: '00:05.0' },
    ];
    const report = groupsOf(machineOf(plans));
    expect(report.groups.flatMap((group) => group.devices)).toEqual(['0000:00:05.0', '0000:05:01.0']);
    expect(report.unknown.map((one) => one.device)).toEqual(['0000:03:00.0']);
    expect(report.problems[0].problem).toContain('must lie beyond bus 05');
  });

  it('no damage of a text makes the import fail', () => {
    const good = PORT + NIC + dump(port, 4096).replace('00:01.0', '00:02.0') + dump({ at: '02:00.0' }, 256);
    fc.assert(
      fc.property(
        fc.array(
          fc.tuple(fc.nat(good.length - 1), fc.constantFrom('', '\n', 'x', '0', 'ff', '\t', '[', ':', '.7')),
          {
            minLength: 1,
            maxLength: 12,
          },
        ),
        (edits) => {
          let text = good;
          for (const [at, piece] of edits) text = text.slice(0, at) + piece + text.slice(at + 1);
          const { functions } = importLspci(text);
          const report = groupsOf(machineOf([], { functions }));
          const told = [
            ...report.groups.flatMap((group) => group.devices),
            ...report.unknown.map((one) => one.device),
          ];
          expect(new Set(told)).toEqual(new Set(functions.map((one) => one.address)));
        },
      ),
      { numRuns: 150 },
    );
  });

  it('a capability list that loops is named, and the function keeps what came before', () => {
    const one = functionOf({ at: '00:05.0', port: 0 });
    const config = one.config ?? '';
    const looped = `${config.slice(0, 0x41 * 2)}40${config.slice(0x42 * 2)}`;
    const report = groupsOf(machineOf([], { functions: [{ ...one, config: looped }] }));
    expect(report.problems[0].problem).toContain('the capability list loops');
    expect(report.groups).toHaveLength(1);
  });
});
