import { z } from 'zod';
import { defineAction } from './action.ts';
import { machineName } from './arguments.ts';
import { machineNames, missingMachine } from './find.ts';

const onlyMachine = z.object({ vm: machineName });

/** The three steps of a migration's copy rounds: VFIO_IOMMU_DIRTY_PAGES start, get bitmap, stop. */
export const startDirtyTracking = defineAction({
  name: 'dirty.start',
  title: 'Start counting dirty pages',
  arguments: onlyMachine,
  danger: 'none',
  disabledReason(host, { vm }) {
    const missing = missingMachine(host, vm);
    if (missing !== undefined || vm === undefined) return missing;
    return host.machineState(vm)?.dirtyTracking ? `dirty pages of ${vm} are counted already` : undefined;
  },
  run(host, { vm }) {
    host.startDirtyTracking(vm);
    return { summary: `dirty pages of ${vm} are counted from now on`, value: { vm } };
  },
  linuxCommand: () => ['# ioctl(container, VFIO_IOMMU_DIRTY_PAGES, FLAG_START)'],
  candidates: machineNames,
});

export const queryDirtyPages = defineAction({
  name: 'dirty.query',
  title: 'Read and clear the dirty pages (one round)',
  arguments: onlyMachine,
  danger: 'none',
  disabledReason: needsTracking,
  run(host, { vm }) {
    const pages = host.queryDirtyPages(vm);
    return { summary: `${pages} pages of ${vm} were dirty`, value: { vm, dirtyPages: Number(pages) } };
  },
  linuxCommand: () => ['# ioctl(container, VFIO_IOMMU_DIRTY_PAGES, FLAG_GET_BITMAP)'],
  candidates: machineNames,
});

export const stopDirtyTracking = defineAction({
  name: 'dirty.stop',
  title: 'Stop counting dirty pages',
  arguments: onlyMachine,
  danger: 'none',
  disabledReason: needsTracking,
  run(host, { vm }) {
    host.stopDirtyTracking(vm);
    return { summary: `dirty pages of ${vm} are no longer counted`, value: { vm } };
  },
  linuxCommand: () => ['# ioctl(container, VFIO_IOMMU_DIRTY_PAGES, FLAG_STOP)'],
  candidates: machineNames,
});

function needsTracking(
  host: Parameters<typeof missingMachine>[0],
  { vm }: { vm?: string },
): string | undefined {
  const missing = missingMachine(host, vm);
  if (missing !== undefined || vm === undefined) return missing;
  return host.machineState(vm)?.dirtyTracking ? undefined : `dirty pages of ${vm} are not counted`;
}
