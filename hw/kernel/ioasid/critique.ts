/**
 * What the review of the IOASID sets said (Jason Gunthorpe, March to May 2021), each point with what the machine shows
 * of it now, and what came of it in iommufd.
 */
import type { IoasidSets } from './ioasid-sets.ts';

export interface CritiquePoint {
  readonly point: string;
  /** What can be seen of it on this machine. */
  readonly evidence: string;
  /** What iommufd does instead. */
  readonly outcome: string;
}

/** The points of the critique, with evidence from a machine's sets. */
export function critiqueOf(sets: IoasidSets): CritiquePoint[] {
  const byProcess = sets.allSets.filter((set) => set.type === 'mm');
  const aliases = sets.allSets.reduce((count, set) => count + set.bySpid.size, 0);
  const listeners = sets.allSets.reduce((count, set) => count + set.chain.registered.length, 0);
  return [
    {
      point: 'Quota of a freed set is never given back.',
      evidence: `${sets.lostCapacity} of ${sets.totalCapacity} IOASIDs are lost, ${sets.available} are left.`,
      outcome: 'There is no quota: a descriptor holds what it made, closing it gives everything back.',
    },
    {
      point: 'The first user takes everything: a set opened by /dev/ioasid has all that is left.',
      evidence: `${byProcess.length} sets belong to processes; the largest has a quota of ${Math.max(0, ...byProcess.map((set) => set.quota))}.`,
      outcome: 'PASIDs are chosen by the user at attach and are numbers of the device, not of the system.',
    },
    {
      point:
        'Sets keyed by a process are over-complicated: access to the descriptor is all the authorisation needed.',
      evidence: `${byProcess.length} sets are found by the address space of their process.`,
      outcome: 'Objects live in the number space of one descriptor; those of another do not exist (ENOENT).',
    },
    {
      point: 'Translation of guest PASIDs does not belong into the allocator.',
      evidence: `${aliases} numbers have a set-private alias.`,
      outcome:
        'The driver of the shared device keeps the list of PASIDs that each of its virtual devices may use.',
    },
    {
      point: 'No web of notifiers across subsystems.',
      evidence: `${listeners} notifiers hang on sets.`,
      outcome:
        'Users hold references and drop them by closing; a wrong order causes faults, which are suppressed.',
    },
  ];
}
