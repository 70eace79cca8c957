import { z } from 'zod';
import { rebootHost } from '../../hw/index.ts';
import { defineAction } from './action.ts';
import { bootCost } from './cost.ts';

/** The machine restarts, perhaps with another kernel: what was defined comes back, what was only made does not. */
export const bootHost = defineAction({
  name: 'host.boot',
  title: 'Boot the host anew',
  arguments: z.object({
    profile: z
      .enum(['5.15', '6.1', '7.2'])
      .describe('kernel: 5.15 has auxiliary domains, 6.1 DMA ownership, 7.2 iommufd'),
  }),
  danger: 'confirm',
  disabledReason: () => undefined,
  consequences: (host) => [
    ...host
      .machineStates()
      .filter((machine) => machine.state === 'running')
      .map((machine) => `${machine.name} stops`),
    ...host
      .mdevs()
      .filter(
        (mdev) => !host.mdevDefinitions().some(({ uuid, autostart }) => uuid === mdev.uuid && autostart),
      )
      .map((mdev) => `mediated device ${mdev.uuid} does not come back by itself`),
  ],
  run(host, { profile }) {
    const next = rebootHost(host, { profile });
    return { summary: `the host runs Linux ${profile}`, value: { profile }, host: next };
  },
  cost: (host) => bootCost(host.description),
  linuxCommand: (_host, { profile }) => [`grub-reboot "Linux ${profile}"`, 'systemctl reboot'],
});
