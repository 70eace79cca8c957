import type { Assignment } from './assignment.ts';

/** What a guest's process locks beside the guest's memory: device memory mapped for peers, tables, its own heap. */
const SLACK_BYTES = 1024 * 1024 * 1024;

/**
 * Memory that must be allowed to be locked for a guest, in bytes. VFIO pins all of a guest's memory once a container.
 * With a virtual IOMMU each assigned device has an address space, and so a container and an accounting, of its own: N
 * devices lock N times the guest (the rule libvirt uses for its own limit).
 */
export function lockedMemoryBytes(assignment: Assignment): number {
  const count = assignment.devices.length;
  if (count === 0) return 0;
  return assignment.memoryBytes * (assignment.virtualIommu === undefined ? 1 : count) + SLACK_BYTES;
}
