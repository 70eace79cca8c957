import { describe, expect, it } from 'vitest';
import { listenForCalls, type TracedLine } from '../../src/trace/call-lines.ts';
import { frame, page, SmallHost } from '../hw/kernel/small-host.ts';

describe('the kernel calls of an act as lines', () => {
  it('hang table writes and descriptors below the call that caused them, and results behind it', () => {
    const host = new SmallHost();
    const domain = host.domain('A');
    const lines: TracedLine[] = [];
    const stop = listenForCalls(host.trace, lines);
    host.core.attachGroup(domain, host.group('A'));
    stop();
    host.core.detachGroup(domain, host.group('A'));
    expect(lines[0]).toMatchObject({ depth: 0, kind: 'call' });
    expect(lines[0].text).toMatch(/^iommu_attach_group\(.*\) = 0$/);
    expect(lines.slice(1).every(({ depth }) => depth === 1)).toBe(true);
    expect(new Set(lines.slice(1).map(({ kind }) => kind))).toEqual(new Set(['table-write', 'descriptor']));
  });

  it('show the errno of a call that failed', () => {
    const host = new SmallHost();
    const lines: TracedLine[] = [];
    listenForCalls(host.trace, lines);
    expect(() => host.core.attachDevice(host.domain('M0'), host.device('M0'))).toThrow();
    expect(lines.at(-1)?.text).toContain(' = -EINVAL');
  });
});

it('many calls of one name in a row are counted, with all that hangs below them', () => {
  const host = new SmallHost({ unit: { firstLevelTranslation: 0, cachingMode: 1 } });
  const domain = host.domain('A');
  host.core.attachGroup(domain, host.group('A'));
  const lines: TracedLine[] = [];
  listenForCalls(host.trace, lines);
  for (let at = 0; at < 100; at += 1) domain.map(page(at), frame(at), 1, 3);
  domain.unmap(page(0), 1);
  expect(lines.filter(({ text }) => text.startsWith('iommu_map('))).toHaveLength(8);
  expect(lines.filter(({ text }) => text.startsWith('…'))).toEqual([
    { depth: 0, kind: 'call', text: '… and 92 more iommu_map' },
  ]);
  expect(lines.at(-1)?.depth).toBe(1);
  expect(lines.some(({ text }) => text.startsWith('iommu_unmap('))).toBe(true);
});
