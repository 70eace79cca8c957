/**
 * A plan, run on the emulated host: drivers unbound, groups claimed, devices opened, memory mapped, DMA let loose
 * inside and outside the guest, and everything taken back. What the real kernel would refuse is refused here.
 */
import { type Host, KernelError } from '../../hw/index.ts';
import type { Plan, PlanRequest } from './plan.ts';

export interface RehearsalStep {
  readonly act: string;
  readonly ok: boolean;
  readonly detail: string;
}

export interface Rehearsal {
  readonly ok: boolean;
  readonly steps: readonly RehearsalStep[];
  /** After taking all back: same drivers, owners, domains and table entries as before. */
  readonly restored: boolean;
}

/** The guest of a rehearsal is small: what is mapped decides, not how much. */
const MEMORY_BYTES = 64n << 20n;
const INSIDE = 0x10_0000n;
const OUTSIDE = 1n << 36n;

/** @param host Built for the rehearsal alone, or read-only elsewhere: its state is changed and changed back. */
export function rehearse(host: Host, plan: Plan, request: PlanRequest): Rehearsal {
  const before = standing(host);
  const steps: RehearsalStep[] = [];
  const undo: (() => void)[] = [];
  const attempt = (act: string, run: () => string | undefined, back?: () => void): boolean => {
    try {
      steps.push({ act, ok: true, detail: run() ?? '' });
      if (back !== undefined) undo.push(back);
      return true;
    } catch (thrown) {
      if (!(thrown instanceof KernelError)) throw thrown;
      steps.push({ act, ok: false, detail: `${thrown.code}: ${thrown.message}` });
      return false;
    }
  };
  const name = 'rehearsal';
  attempt(
    `start a virtual machine of ${MEMORY_BYTES >> 20n} MiB`,
    () => void host.createMachine(name, MEMORY_BYTES),
    () => {
      host.stopMachine(name);
      host.removeMachine(name);
    },
  );
  for (const lost of plan.lockedOut) {
    if (!lost.mustUnbind || !lost.accepted || lost.driver === null) continue;
    const { device, driver } = lost;
    attempt(
      `unbind ${device} from ${driver}`,
      () => void host.unbindDriver(device),
      () => host.bindDriver(device, driver),
    );
  }
  for (const device of request.assign) {
    const driver = host.device(device)?.driver;
    const given = attempt(
      `assign ${device}`,
      () => void host.assign(name, device),
      () => {
        host.release(name, device);
        if (host.device(device)?.driver === driver) return;
        host.unbindDriver(device);
        host.setDriverOverride(device, undefined);
        if (driver !== undefined) host.bindDriver(device, driver);
      },
    );
    if (!given) continue;
    attempt(`DMA of ${device} into the guest`, () => landing(host, name, device));
    attempt(`DMA of ${device} past the guest`, () => blocked(host, device));
  }
  for (const back of undo.reverse()) attempt('take back', () => void back());
  host.clearEvents();
  const restored = standing(host) === before;
  return { ok: steps.every((step) => step.ok), steps, restored };
}

/**
 * Who drives, owns and translates what. Not the whole digest: a function without driver comes back from vfio-pci with
 * bus mastering off, on a real kernel too.
 */
function standing(host: Host): string {
  const groups = host
    .groups()
    .map(({ id, owner, domain, devices }) => [
      id,
      owner,
      domain,
      devices.map((name) => [name, host.device(name)?.driver]),
    ]);
  // Domain ids are handed out lowest first, so that those freed in another order come back swapped.
  const entries = host
    .pasidEntries()
    .map(({ device, pasid, fields }) => [
      device,
      pasid,
      fields.filter(({ name }) => name !== 'domainId').map(({ text }) => text),
    ]);
  const machines = host
    .machineStates()
    .map(({ name, state, devices }) => [name, state, devices.map(({ device }) => device)]);
  return JSON.stringify([groups, entries, machines]);
}

/** Eight bytes written by the device must stand in the guest's memory. */
function landing(host: Host, machine: string, device: string): string {
  const sent = Uint8Array.of(0x76, 0x74, 0x64, 0x65, 0x63, 0x6b, 0x21, 0x0a);
  const result = host.deviceDma({ device, iova: INSIDE, access: 'write', bytes: sent });
  const found = host.readMachineMemory(machine, INSIDE, sent.length);
  if (!result.ok || found.some((byte, index) => byte !== sent[index])) {
    throw new KernelError(
      'EIO',
      'rehearsal',
      result.fault?.meaning ?? result.note ?? 'the bytes did not arrive',
    );
  }
  return `landed at 0x${INSIDE.toString(16)}`;
}

/** An address that the guest has no memory at must fault. */
function blocked(host: Host, device: string): string {
  const result = host.deviceDma({ device, iova: OUTSIDE, access: 'write', bytes: Uint8Array.of(1) });
  if (result.ok) throw new KernelError('EIO', 'rehearsal', 'a write past the guest was not blocked');
  return `blocked: ${result.fault?.meaning ?? result.note ?? ''}`;
}
