import { z } from 'zod';
import type { Host } from '../../hw/index.ts';
import { defineAction } from './action.ts';

const moduleName = z.string().min(1).max(64).describe('sample driver, such as mtty');

const namesOf = (host: Host, loaded: boolean): string[] =>
  host
    .sampleModules()
    .filter((module) => module.loaded === loaded)
    .map((module) => module.name);

/** A driver without hardware of its own: its virtual device offers mediated devices that the driver isolates. */
export const loadModule = defineAction({
  name: 'module.load',
  title: 'Load a sample mdev driver',
  arguments: z.object({ module: moduleName }),
  danger: 'none',
  disabledReason(host, { module }) {
    if (module === undefined) return undefined;
    const known = host.sampleModules().find((one) => one.name === module);
    if (known === undefined) return `there is no module ${module}`;
    return known.loaded ? `${module} is loaded already` : undefined;
  },
  run(host, { module }) {
    host.loadModule(module);
    return { summary: `${module} is loaded: it offers mediated devices`, value: { module, loaded: true } };
  },
  linuxCommand: (_host, { module }) => [`modprobe ${module}`],
  candidates: (host) => namesOf(host, false),
});

export const unloadModule = defineAction({
  name: 'module.unload',
  title: 'Unload a sample mdev driver',
  arguments: z.object({ module: moduleName }),
  danger: 'confirm',
  disabledReason(host, { module }) {
    if (module === undefined || namesOf(host, true).includes(module)) return undefined;
    return `${module} is not loaded`;
  },
  consequences: (host, { module }) =>
    host
      .mdevs()
      .filter((mdev) => mdev.parent === module)
      .map((mdev) => `mediated device ${mdev.uuid} goes`),
  run(host, { module }) {
    host.unloadModule(module);
    return { summary: `${module} is unloaded`, value: { module, loaded: false } };
  },
  linuxCommand: (_host, { module }) => [`modprobe -r ${module}`],
  candidates: (host) => namesOf(host, true),
});
