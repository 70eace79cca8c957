/** Long work before there is a console. */
import { describe, expect, it } from 'vitest';
import { Cancelled, type Work } from '../../hw/index.ts';
import { follow } from '../../src/terminal/follow.ts';

/** Steps of 10 ms of the test's clock each. */
function slowWork(steps: number): {
  work: Work<string>;
  now: () => number;
  took: () => number;
  undone: () => boolean;
} {
  let time = 0;
  let taken = 0;
  let undone = false;
  function* work(): Work<string> {
    try {
      for (let done = 0; done < steps; done += 1) {
        taken += 1;
        time += 10;
        yield { done, total: steps };
      }
    } catch (thrown) {
      undone = thrown instanceof Cancelled;
      throw thrown;
    }
    return 'there';
  }
  return { work: work(), now: () => time, took: () => taken, undone: () => undone };
}

describe('work that is followed', () => {
  it('says nothing when it ends within 200 ms', async () => {
    const written: string[] = [];
    const { work, now } = slowWork(19);
    const write = (text: string): void => void written.push(text);
    expect(await follow(work, { what: 'opening lab', write, once: false, now })).toBe('there');
    expect(written).toEqual([]);
  });

  it('keeps one line up to date and takes it away', async () => {
    const written: string[] = [];
    const { work, now } = slowWork(1000);
    const write = (text: string): void => void written.push(text);
    expect(await follow(work, { what: 'opening lab', write, once: false, now })).toBe('there');
    expect(written[0]).toBe('\r\u001b[Kopening lab: 19 of 1,000 acts  0.2 s  Ctrl-C cancels');
    expect(written.length).toBe(100);
    expect(written.at(-1)).toBe('\r\u001b[K');
  });

  it('says it once where it is read aloud', async () => {
    const written: string[] = [];
    const { work, now } = slowWork(1000);
    const write = (text: string): void => void written.push(text);
    await follow(work, { what: 'opening lab', write, once: true, now });
    expect(written).toEqual(['opening lab; Ctrl-C cancels\n']);
  });

  it('stops at Ctrl-C, has it taken back, and listens no longer', async () => {
    const before = process.listenerCount('SIGINT');
    const { work, now, took, undone } = slowWork(1000);
    const write = (): void => {
      if (took() > 100) process.emit('SIGINT');
    };
    await expect(follow(work, { what: 'opening lab', write, once: false, now })).rejects.toMatchObject({
      code: 'EINTR',
      message: 'cancelled: opening lab; everything is as it was before',
    });
    expect(undone()).toBe(true);
    expect(took()).toBeLessThan(150);
    expect(process.listenerCount('SIGINT')).toBe(before);
  });
});
