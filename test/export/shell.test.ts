import { execFileSync } from 'node:child_process';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { checkedName, fileName } from '../../src/export/names.ts';
import { shellCommand, shellWord } from '../../src/export/shell.ts';

describe('a shell gets exactly the word that was meant', () => {
  it('for hostile names', () => {
    const hostile = [
      '$(touch /tmp/x)',
      '`id`',
      "a'b",
      'a"b',
      'a b',
      '',
      '-n',
      'a\\b',
      'a;b',
      '*',
      '~',
      '!x',
      '$HOME',
      'ü',
      '#x',
      '\t',
    ];
    for (const word of hostile) {
      expect(execFileSync('sh', ['-c', `printf %s ${shellWord(word)}`], { encoding: 'utf8' })).toBe(word);
    }
  });
  it('for any words', () => {
    const printable = fc.string({ unit: 'grapheme', maxLength: 12 }).filter((text) => !text.includes('\0'));
    fc.assert(
      fc.property(fc.array(printable, { minLength: 1, maxLength: 4 }), (words) => {
        const out = execFileSync('sh', ['-c', `${shellCommand('printf', '%s\\036', ...words)}`], {
          encoding: 'utf8',
        });
        expect(out).toBe(words.map((word) => `${word}\x1e`).join(''));
      }),
      { numRuns: 30 },
    );
  });
});

describe('names', () => {
  it('control characters and path separators are refused', () => {
    for (const name of ['', 'a/b', '..', 'a\nb', '\x1b[31m', 'x'.repeat(201)])
      expect(() => checkedName(name)).toThrow();
  });
  it('a file name never climbs', () => {
    expect(fileName('../../etc/passwd', 'xml')).toBe('etc-passwd.xml');
    expect(fileName('...', 'xml')).toBe('unnamed.xml');
  });
});
