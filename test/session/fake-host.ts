import { createHash } from 'node:crypto';
import type { Host } from '../../hw/index.ts';

/**
 * A host small enough to see through: machines and what the guests wrote. For tests of sessions alone; the tests of
 * whole sessions use the real one.
 */
export function fakeHost(): Host {
  const machines = new Map<string, { memory: bigint; writes: string[] }>();
  let counter = 0;
  const fake = {
    description: { name: 'fake', origin: 'test' },
    profile: '5.15',
    kernel: { iommu: { acts: { begin: () => undefined } } },
    machineStates: () => [...machines].map(([name]) => fake.machineState(name)),
    machineState: (name: string) =>
      machines.has(name)
        ? { name, state: 'stopped', devices: [], mappings: [], dirtyTracking: false }
        : undefined,
    createMachine(name: string, memory: bigint) {
      counter += 1;
      if (machines.has(name)) throw kernelError(`there is a ${name}`);
      machines.set(name, { memory, writes: [] });
    },
    removeMachine: (name: string) => machines.delete(name),
    addMemory(name: string, bytes: bigint) {
      counter += 1; // half done when it then fails
      if (bytes > 1n << 30n) throw kernelError('too much');
      (machines.get(name) as { memory: bigint }).memory += bytes;
    },
    writeMachineMemory(name: string, address: bigint, bytes: Uint8Array) {
      machines.get(name)?.writes.push(`${address}:${Buffer.from(bytes).toString('hex')}`);
    },
    events: () => [],
    // biome-ignore lint/correctness/useYield: a step too small to pause in
    *digestInSteps() {
      return fake.digest();
    },
    digest: (): string =>
      digestOf([counter, [...machines].map(([name, { memory, writes }]) => [name, String(memory), writes])]),
  };
  return fake as unknown as Host;
}

function digestOf(state: unknown): string {
  return createHash('sha1').update(JSON.stringify(state)).digest('hex');
}

function kernelError(message: string): Error {
  return Object.assign(new Error(message), {
    name: 'KernelError',
    code: 'EINVAL',
    rule: 'fake',
    remedy: undefined,
  });
}
