import { describe, expect, it } from 'vitest';
import { importLspci } from '../../src/hosts/lspci.ts';

describe('records of lspci -vmm and -vm', () => {
  const record = (slot: string, ids: boolean): string => `${slot}
Class:	${ids ? 'Ethernet controller [0200]' : 'Ethernet controller'}
Vendor:	${ids ? 'Intel Corporation [8086]' : 'Intel Corporation'}
Device:	${ids ? '82574L [10d3]' : '82574L'}
SVendor:	Intel Corporation [8086]
Rev:	02
ProgIf:	00
Driver:	e1000e
IOMMUGroup:	3

`;

  it('are read as a short listing', () => {
    const text = record('Slot:	0000:00:04.0', true) + record('Slot:	0001:00:05.0', true);
    const { functions, problems } = importLspci(text);
    expect(problems).toEqual([]);
    expect(functions.map((one) => one.address)).toEqual(['0000:00:04.0', '0001:00:05.0']);
    const listing = importLspci(
      '0000:00:04.0 Ethernet controller [0200]: Intel Corporation 82574L [8086:10d3] (rev 02)\n\tKernel driver in use: e1000e\n\tIOMMU group: 3\n',
    ).functions[0];
    expect(functions[0]).toEqual(listing);
  });

  it('without ids and with the slot called Device, or with ids alone', () => {
    const [named] = importLspci(record('Device:	00:04.0', false)).functions;
    expect(named).toMatchObject({ address: '0000:00:04.0', driver: 'e1000e', group: 3 });
    expect(named.unknown).toContain('device id');
    const [numbered] = importLspci(
      'Slot:	00:04.0\nClass:	0200\nVendor:	8086\nDevice:	10d3\nRev:	02\n',
    ).functions;
    expect(numbered).toEqual(importLspci('00:04.0 0200: 8086:10d3 (rev 02)\n').functions[0]);
  });
});
