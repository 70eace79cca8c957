/**
 * A host: the emulated machine with both its halves, hardware and kernel, built from a description.
 */

import type { HostOperations, HostQueries } from './host/operations.ts';
import type { HostDescription } from './host-description.ts';
import type { Trace } from './trace.ts';

/** The kernel generations that can run on it: '5.15' has auxiliary domains, '6.1' DMA ownership, '7.2' iommufd. */
export type ProfileName = '5.15' | '6.1' | '7.2';

export interface Host extends HostOperations, HostQueries {
  readonly description: HostDescription;
  readonly profile: ProfileName;
  readonly trace: Trace;
}
