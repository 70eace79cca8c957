/** ink-table 3 is CommonJS and requires Ink, an ES module with top-level await: the loader makes both the same Ink. */
import { EventEmitter } from 'node:events';
import { render, Text } from 'ink';
import type { PropsWithChildren } from 'react';
import { describe, expect, it } from 'vitest';
import { inkTable, loadInkTable } from '../../views/components/ink-table.ts';

class Paper extends EventEmitter {
  readonly columns = 40;
  readonly rows = 10;
  last = '';

  write(text: string): boolean {
    this.last = text;
    return true;
  }
}

function Plain({ children }: PropsWithChildren) {
  return <Text>{children}</Text>;
}

function Bars({ children }: PropsWithChildren) {
  return children === '│' ? <Text>│</Text> : null;
}

describe('ink-table', () => {
  it('is not there before it is asked for, and then draws with the Ink that is loaded', async () => {
    expect(inkTable()).toBeUndefined();
    await loadInkTable();
    const Table = inkTable();
    if (Table === undefined) throw new Error('not loaded');
    const paper = new Paper();
    const instance = render(
      <Table
        data={[
          { type: 'one', left: '8 ' },
          { type: 'two', left: '16' },
        ]}
        columns={['type', 'left']}
        padding={1}
        header={Plain}
        cell={Plain}
        skeleton={Bars}
      />,
      { stdout: paper as unknown as NodeJS.WriteStream, debug: true, patchConsole: false },
    );
    // Its rules are left out: rows stand close together.
    expect(paper.last.split('\n')).toEqual(['│ type │ left │', '│ one  │ 8    │', '│ two  │ 16   │']);
    instance.unmount();
  });
});
