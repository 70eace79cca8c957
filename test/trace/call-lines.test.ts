import { describe, expect, it } from 'vitest';
import { listenForCalls, type TracedLine } from '../../src/trace/call-lines.ts';
import { SmallHost } from '../hw/kernel/small-host.ts';

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
