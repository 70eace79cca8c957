/**
 * The isolation matrix as an invariant: whatever an operator does, a device or a slice of one reaches the memory of the
 * machine that has it and of no other. The matrix is read from the tables as hardware follows them.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { buildHost, type Host } from '../../../hw/host.ts';
import { KernelError } from '../../../hw/kernel/errno.ts';
import type { ProfileName } from '../../../hw/kernel/profile.ts';
import { builtInHost, DEFAULT_HOST } from '../../../src/hosts/builtin.ts';

const ACCELERATORS = ['0000:6a:01.0', '0000:e7:01.0'];
const FUNCTIONS = ['0000:27:00.0', '0000:28:00.0', '0000:16:01.0', '0000:16:01.1', '0000:3b:00.0'];
const MACHINES = ['alpha', 'beta'];
const MEMORY = 8n << 20n;
const uuidOf = (number: number): string => `00000000-0000-4000-8000-${number.toString(16).padStart(12, '0')}`;

interface Act {
  readonly kind: number;
  readonly which: number;
  readonly machine: number;
}

/** One act; what the host refuses is part of the game, anything but a KernelError is not. */
function perform(host: Host, { kind, which, machine }: Act): void {
  const name = MACHINES[machine % MACHINES.length];
  const accelerator = ACCELERATORS[which % ACCELERATORS.length];
  const uuid = uuidOf(which % 5);
  const type = which % 3 === 0 ? 'idxd-1swq-v1' : 'idxd-1dwq-v1';
  const endpoint = FUNCTIONS[which % FUNCTIONS.length];
  const acts: (() => void)[] = [
    () => host.enableAuxiliaryMode(accelerator),
    () => host.disableAuxiliaryMode(accelerator),
    () => host.createMdev(accelerator, type, uuid),
    () => host.createMdev(accelerator, type, uuid),
    () => host.removeMdev(uuid),
    () => host.assign(name, uuid),
    () => host.assign(name, uuid),
    () => host.assign(name, endpoint),
    () => host.assign(name, endpoint),
    () => host.release(name, uuid),
    () => host.release(name, endpoint),
    () => host.startMachine(name),
    () => host.startMachine(name),
    () => host.stopMachine(name),
    () => host.killMachine(name),
    () => host.addMemory(name, 2n << 20n),
    () => host.unbindDriver(endpoint),
    () => host.bindDriver(endpoint, 'vfio-pci'),
  ];
  try {
    acts[kind % acts.length]();
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
  }
}

/** `device` or `device/pasid` → machine, as far as machines have devices open. */
function owners(host: Host): Map<string, string> {
  const map = new Map<string, string>();
  for (const machine of host.machineStates()) {
    if (machine.state !== 'running') continue;
    for (const { device, kind, group, pasid } of machine.devices) {
      if (kind === 'pci')
        for (const member of host.group(group)?.devices ?? []) map.set(member, machine.name);
      else {
        const parent = host.mdevs().find((mdev) => mdev.uuid === device)?.parent;
        if (parent !== undefined) map.set(pasid === undefined ? parent : `${parent}/${pasid}`, machine.name);
      }
    }
  }
  return map;
}

function expectIsolation(host: Host): void {
  const allowed = owners(host);
  const cells = host.isolationMatrix();
  for (const cell of cells) {
    const key = cell.pasid === undefined ? cell.device : `${cell.device}/${cell.pasid}`;
    expect(allowed.get(key), `${key} reaches ${cell.machine}`).toBe(cell.machine);
  }
  for (const machine of host.machineStates()) {
    if (machine.state !== 'running' || machine.devices.length === 0) continue;
    const pages = Number(machine.memoryBytes / 4096n);
    const reached = cells.filter((cell) => cell.machine === machine.name);
    expect(reached.length, `${machine.name} has devices`).toBeGreaterThan(0);
    for (const cell of reached) expect(cell.writablePages, `${cell.device} in ${machine.name}`).toBe(pages);
  }
}

describe('isolation', () => {
  it.each(['5.15', '6.1', '7.2'] as ProfileName[])(
    'holds after every act of a random sequence, Linux %s',
    (profile) => {
      const description = builtInHost(DEFAULT_HOST);
      if (description === undefined) throw new Error('the built-in host is missing');
      const act = fc.record({ kind: fc.nat(17), which: fc.nat(29), machine: fc.nat(1) });
      fc.assert(
        fc.property(fc.array(act, { minLength: 10, maxLength: 40, size: 'max' }), (acts) => {
          const host = buildHost(description, { profile });
          for (const name of MACHINES) host.createMachine(name, MEMORY);
          for (const accelerator of ACCELERATORS)
            if (profile === '5.15') host.enableAuxiliaryMode(accelerator);
          for (const each of acts) {
            perform(host, each);
            expectIsolation(host);
          }
        }),
        { numRuns: 12 },
      );
    },
  );
});
