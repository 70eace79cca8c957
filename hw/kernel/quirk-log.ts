/**
 * Where a known defect of the kernel shaped what happened. The emulation keeps the defects of old kernels because a
 * running kernel is the rule; this is how the console can point at them.
 */
import { type KernelProfile, type KernelQuirk, type QuirkName, quirkOf } from './profile.ts';

export interface QuirkSighting {
  readonly quirk: KernelQuirk;
  /** What it did here: "PASID 1 of 0000:6a:01.0 stays". */
  readonly detail: string;
}

export class QuirkLog {
  private readonly profile: KernelProfile;
  private readonly seen: QuirkSighting[] = [];
  private readonly listeners = new Set<(sighting: QuirkSighting) => void>();

  constructor(profile: KernelProfile) {
    this.profile = profile;
  }

  /** What showed so far, each pair of quirk and detail once. */
  get sightings(): readonly QuirkSighting[] {
    return this.seen;
  }

  /** Calls `listener` for each new sighting until the returned function is called. */
  onSighting(listener: (sighting: QuirkSighting) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** A quirk shows. Nothing happens in a generation that does not have it, nor for what was told before. */
  show(name: QuirkName, detail: string): void {
    const quirk = quirkOf(this.profile, name);
    if (quirk === undefined) return;
    if (this.seen.some((each) => each.quirk.name === name && each.detail === detail)) return;
    const sighting = { quirk, detail };
    this.seen.push(sighting);
    for (const listener of this.listeners) listener(sighting);
  }
}
