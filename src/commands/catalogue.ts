/**
 * The commands of the program by name. Each loads when it is asked for: a command that only prints never loads the
 * console. `summary` is what `vtdeck --help` shows before anything is loaded.
 */
import type { CommandModule } from 'yargs';

// biome-ignore lint/suspicious/noExplicitAny: the arguments of each command are its own affair
export type AnyCommand = CommandModule<any, any>;

export interface CommandEntry {
  readonly name: string;
  readonly summary: string;
  load(): Promise<{ default: AnyCommand }>;
}

export const commands: readonly CommandEntry[] = [
  { name: 'open', summary: 'open the console on a session', load: () => import('./open.ts') },
  { name: 'do', summary: 'run one action on a session', load: () => import('./do.ts') },
  { name: 'run', summary: 'run a file of actions on a session', load: () => import('./run.ts') },
  { name: 'session', summary: 'list, show, verify, export … sessions', load: () => import('./session.ts') },
  { name: 'demo', summary: 'list and play keystroke demos', load: () => import('./demo.ts') },
  { name: 'host', summary: 'import, list, show, scan, compare hosts', load: () => import('./host.ts') },
  { name: 'topology', summary: 'the PCI tree of a host', load: () => import('./topology.ts') },
  { name: 'groups', summary: 'IOMMU groups of a host, and why', load: () => import('./groups.ts') },
  { name: 'translate', summary: 'walk the tables for an address', load: () => import('./translate.ts') },
  {
    name: 'explain',
    summary: 'explain kernel log lines about DMA faults',
    load: () => import('./explain.ts'),
  },
  { name: 'replay', summary: 'run transcripts against the engine', load: () => import('./replay.ts') },
  { name: 'dmar', summary: 'show a DMAR table', load: () => import('./dmar.ts') },
  { name: 'plan', summary: 'what an assignment takes, blocks and needs', load: () => import('./plan.ts') },
  {
    name: 'export',
    summary: 'libvirt, QEMU, mdevctl, driverctl artefacts',
    load: () => import('./export.ts'),
  },
  { name: 'sysfs', summary: 'browse and write sysfs by path', load: () => import('./sysfs.ts') },
  {
    name: 'import',
    summary: 'read files of libvirt, mdevctl, QEMU, debugfs',
    load: () => import('./import.ts'),
  },
  { name: 'doctor', summary: 'check the environment', load: () => import('./doctor.ts') },
  {
    name: 'completion',
    summary: 'print a script for shell completion',
    load: () => import('./completion.ts'),
  },
  { name: 'schema', summary: 'the JSON schema of an output', load: () => import('./schema.ts') },
  { name: 'man', summary: 'print the manual page', load: () => import('./man.ts') },
];
