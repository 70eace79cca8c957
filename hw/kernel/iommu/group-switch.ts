/** Moving a whole group from one domain to another, or not at all (__iommu_group_set_domain). */
import { KernelError } from '../errno.ts';
import type { DriverDomain } from './driver.ts';
import type { Group } from './group.ts';

/**
 * Every member gets the domain; when one can't, those before it are put back and the group is where it was.
 * @param reverts False: as 5.15, which leaves the members where they are then; the one that failed has no domain.
 * @throws KernelError of the driver; EINVAL: a member must keep its direct mappings and `domain` blocks.
 */
export function switchGroup(group: Group, domain: DriverDomain, reverts = true): void {
  if (group.domain === domain) return;
  const before = group.domain;
  refuseBlockingOfDirect(group, domain);
  for (const [index, device] of group.devices.entries()) {
    try {
      domain.driver.attach(domain, device);
    } catch (error) {
      if (!reverts) throw error;
      for (const moved of group.devices.slice(0, index + 1)) {
        if (before !== undefined) before.driver.attach(before, moved);
        else domain.driver.detach(domain, moved);
      }
      throw error;
    }
  }
  group.domain = domain;
}

function refuseBlockingOfDirect(group: Group, domain: DriverDomain): void {
  if (!domain.driver.refusesBlockingDirect) return;
  if (domain.type !== 'blocked' && domain !== group.blockingDomain) return;
  const bound = group.devices.find((device) => domain.driver.requiresDirect(device));
  if (bound === undefined) return;
  throw new KernelError(
    'EINVAL',
    'device needs a 1:1 mapping',
    `Firmware has requested that ${bound.name} have a 1:1 IOMMU mapping at all times (RMRR): it can't be blocked, so it can't be handed out.`,
    'There is none short of other firmware: contact the vendor of the platform.',
  );
}
