/**
 * What the whole machine costs: building it, its digest, one DMA of a device, giving a device to a machine (per page),
 * and the matrix of who reaches what. Processor time, so that other work on the computer does not count.
 */
import { buildHost, type Host } from '../hw/host.ts';
import type { HostDescription } from '../hw/host-description.ts';
import type { ProfileName } from '../hw/kernel/profile.ts';
import { builtInHost, DEFAULT_HOST } from '../src/hosts/builtin.ts';

const CARD = '0000:27:00.0';
const PAGE = 4096n;
const MIB = 2n ** 20n;
const SIZES = [64n * MIB, 1024n * MIB, 4096n * MIB];
const TRANSFERS = 50_000;
const REPEATS = 20;

function milliseconds(work: () => void): number {
  const before = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

function show(what: string, value: number, unit: string): void {
  console.log(`${what.padEnd(44)} ${value.toFixed(2).padStart(10)} ${unit}`);
}

function transfers(host: Host): void {
  const bytes = Uint8Array.of(1, 2, 3, 4);
  const spent = milliseconds(() => {
    for (let index = 0; index < TRANSFERS; index += 1) {
      const iova = MIB + ((BigInt(index) * PAGE) % (32n * MIB));
      const { ok } = host.deviceDma({ device: CARD, iova, access: 'write', bytes });
      if (!ok) throw new Error(`the write to ${iova.toString(16)} failed`);
    }
  });
  show('one DMA write of 4 bytes', (spent * 1000) / TRANSFERS, 'µs');
}

function assignments(description: HostDescription, profile: ProfileName): void {
  for (const size of SIZES) {
    const host = buildHost(description, { profile });
    host.createMachine('guest', size);
    const pages = Number(size / PAGE);
    const name = `${size / MIB} MiB in pages of 4 KiB`;
    const spent = milliseconds(() => host.assign('guest', CARD));
    show(`assign, ${name}`, spent, `ms, ${((spent * 1e6) / pages).toFixed(0)} ns a page`);
    if (size === SIZES[0]) transfers(host);
    show(
      `matrix, ${name}`,
      milliseconds(() => host.isolationMatrix()),
      'ms',
    );
    show(
      `release, ${name}`,
      milliseconds(() => host.release('guest', CARD)),
      'ms',
    );
  }
}

export function run(): void {
  const description = builtInHost(DEFAULT_HOST);
  if (description === undefined) throw new Error('the built-in host is missing');
  for (const profile of ['5.15', '6.1', '7.2'] as const) {
    console.log(`Linux ${profile}`);
    show(
      'build, first',
      milliseconds(() => buildHost(description, { profile })),
      'ms',
    );
    const host = buildHost(description, { profile });
    const each = (work: () => void): number =>
      milliseconds(() => {
        for (let round = 0; round < REPEATS; round += 1) work();
      }) / REPEATS;
    show(
      'build',
      each(() => buildHost(description, { profile })),
      'ms',
    );
    show(
      'digest',
      each(() => host.digest()),
      'ms',
    );
    assignments(description, profile);
  }
}
