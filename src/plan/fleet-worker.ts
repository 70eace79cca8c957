/** Entry of a worker thread of `vtdeck plan --fleet`: takes names of hosts, answers with their plans. */
import { parentPort, workerData } from 'node:worker_threads';
import { type FleetRequest, planHost } from './fleet-host.ts';

parentPort?.on('message', (host: string) => {
  parentPort?.postMessage(planHost(host, workerData as FleetRequest));
});
