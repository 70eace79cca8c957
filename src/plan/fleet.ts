/**
 * A folder of captures planned in one call: two workers take host after host, results come out as they are ready, and
 * nothing is kept, so that memory does not grow with the fleet.
 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { fileError } from '../errors.ts';
import type { FleetRequest, FleetResult } from './fleet-host.ts';

/** Hosts of a folder: its folders and its text files, in order of name. @throws ApplicationError (usage). */
export function fleetHosts(folder: string): string[] {
  const hosts = readdirSync(folder, { withFileTypes: true })
    .filter(
      (entry) =>
        !entry.name.startsWith('.') &&
        (entry.isDirectory() || entry.isSymbolicLink() || /\.txt(\.gz)?$/.test(entry.name)),
    )
    .map((entry) => join(folder, entry.name))
    .sort();
  if (hosts.length === 0)
    throw fileError(
      'holds no capture',
      { file: folder },
      'put one folder with an lspci.txt there for each host',
    );
  return hosts;
}

/** Plans each host; `emit` gets the results in the order they are ready. At most `workers` hosts are in memory. */
export async function planFleet(
  hosts: readonly string[],
  request: FleetRequest,
  emit: (result: FleetResult) => void,
  workers = 2,
): Promise<void> {
  let next = 0;
  const serve = (): Promise<void> =>
    new Promise((resolve, reject) => {
      const worker = new Worker(join(import.meta.dirname, 'plan-worker.js'), { workerData: request });
      const hand = (): void => {
        if (next < hosts.length) worker.postMessage(hosts[next++]);
        else void worker.terminate();
      };
      worker.on('message', (result: FleetResult) => {
        emit(result);
        hand();
      });
      worker.on('error', reject);
      worker.on('exit', () => resolve());
      hand();
    });
  await Promise.all(Array.from({ length: Math.min(workers, hosts.length) }, serve));
}
