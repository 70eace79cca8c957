import { z } from 'zod';
import { defineAction } from './action.ts';

export const clearFaults = defineAction({
  name: 'fault.clear',
  title: 'Forget the faults and events that were read',
  arguments: z.object({}),
  danger: 'none',
  disabledReason: (host) => (host.events().length === 0 ? 'there are no events' : undefined),
  run(host) {
    const count = host.events().length;
    host.clearEvents();
    return { summary: `${count} events cleared`, value: { cleared: count } };
  },
  linuxCommand: () => ['dmesg --clear'],
});
