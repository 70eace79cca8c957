/** All actions by name. */
import { usageError } from '../errors.ts';
import type { Action } from './action.ts';
import { disableAuxiliaryMode } from './device-aux-disable.ts';
import { enableAuxiliaryMode } from './device-aux-enable.ts';
import { bindDriver } from './device-bind.ts';
import { resetBus } from './device-bus-reset.ts';
import { deviceDma } from './device-dma.ts';
import { overrideDriver } from './device-override.ts';
import { resetDevice } from './device-reset.ts';
import { unbindDriver } from './device-unbind.ts';
import { runWorkload } from './device-workload.ts';
import { queryDirtyPages, startDirtyTracking, stopDirtyTracking } from './dirty-tracking.ts';
import { clearFaults } from './fault-clear.ts';
import { bootHost } from './host-boot.ts';
import { callKernel } from './kernel-call.ts';
import { createMdev } from './mdev-create.ts';
import { defineMdev } from './mdev-define.ts';
import { modifyMdev } from './mdev-modify.ts';
import { removeMdev } from './mdev-remove.ts';
import { startMdev } from './mdev-start.ts';
import { undefineMdev } from './mdev-undefine.ts';
import { loadModule, unloadModule } from './module-load.ts';
import { setVirtualFunctions } from './sriov-set.ts';
import { writeSysfs } from './sysfs-write.ts';
import { addMemory } from './vm-add-memory.ts';
import { assignDevice } from './vm-assign.ts';
import { createMachine } from './vm-create.ts';
import { guestMap } from './vm-guest-map.ts';
import { guestUnmap } from './vm-guest-unmap.ts';
import { killMachine } from './vm-kill.ts';
import { releaseDevice } from './vm-release.ts';
import { removeMachine } from './vm-remove.ts';
import { removeMemory } from './vm-remove-memory.ts';
import { startMachine } from './vm-start.ts';
import { stopMachine } from './vm-stop.ts';
import { writeMemory } from './vm-write.ts';

export const actions: readonly Action[] = [
  enableAuxiliaryMode,
  disableAuxiliaryMode,
  bindDriver,
  unbindDriver,
  overrideDriver,
  resetDevice,
  resetBus,
  deviceDma,
  runWorkload,
  setVirtualFunctions,
  createMdev,
  removeMdev,
  defineMdev,
  modifyMdev,
  startMdev,
  undefineMdev,
  loadModule,
  unloadModule,
  createMachine,
  startMachine,
  stopMachine,
  killMachine,
  removeMachine,
  addMemory,
  removeMemory,
  writeMemory,
  guestMap,
  guestUnmap,
  assignDevice,
  releaseDevice,
  startDirtyTracking,
  queryDirtyPages,
  stopDirtyTracking,
  clearFaults,
  bootHost,
  writeSysfs,
  callKernel,
];

const byName = new Map(actions.map((action) => [action.name, action]));

/** @throws ApplicationError USAGE with the nearest names when there is none of that name. */
export function actionNamed(name: string): Action {
  const found = byName.get(name);
  if (found !== undefined) return found;
  const [family] = name.split('.');
  const near = actions.filter((action) => action.name.startsWith(`${family}.`)).map((action) => action.name);
  throw usageError(
    `there is no action "${name}"`,
    `${near.length > 0 ? `near: ${near.join(', ')}; ` : ''}all: vtdeck do --list`,
  );
}
