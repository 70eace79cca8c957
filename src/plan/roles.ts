/**
 * What a device does for the host that has it. A capture tells class, driver and ids; which of several disks holds the
 * root file system or which card carries the default route it mostly does not tell: then the role is "possible", and
 * the operator is asked (--role ADDRESS=ROLE, or =none).
 */
import { usageError } from '../errors.ts';
import type { PlanFunction, PlanView } from './view.ts';

export type RoleName =
  | 'boot disk'
  | 'default-route network card'
  | 'console framebuffer'
  | 'USB keyboard'
  | 'management controller'
  | 'system device';

export interface Role {
  readonly role: RoleName;
  /** certain: stated, or the only candidate; possible: the capture can't tell. */
  readonly certainty: 'certain' | 'possible';
  readonly why: string;
}

/** Roles that the operator stated, by address; null: it has none. */
export type StatedRoles = ReadonlyMap<string, RoleName | null>;

const WORDS: Readonly<Record<string, RoleName | null>> = {
  'boot-disk': 'boot disk',
  network: 'default-route network card',
  console: 'console framebuffer',
  keyboard: 'USB keyboard',
  management: 'management controller',
  system: 'system device',
  none: null,
};

/** Parses `0000:01:00.0=boot-disk`. @throws ApplicationError (usage). */
export function parseStatedRoles(texts: readonly string[]): StatedRoles {
  const roles = new Map<string, RoleName | null>();
  for (const text of texts) {
    const at = text.indexOf('=');
    const word = text.slice(at + 1);
    if (at < 0 || !(word in WORDS)) {
      throw usageError(
        `"${text}" states no role`,
        `write ADDRESS=ROLE with ROLE one of ${Object.keys(WORDS).join(', ')}`,
      );
    }
    roles.set(text.slice(0, at), WORDS[word]);
  }
  return roles;
}

const ASPEED = 0x1a03;
const MATROX = 0x102b;

/** Finds the roles of a host's functions. */
export class Roles {
  private readonly view: PlanView;
  private readonly stated: StatedRoles;
  private readonly candidates: ReadonlyMap<RoleName, readonly string[]>;

  constructor(view: PlanView, stated: StatedRoles = new Map()) {
    this.view = view;
    this.stated = stated;
    const candidates = new Map<RoleName, string[]>();
    for (const [address, found] of view.functions) {
      const guess = candidateRole(found);
      if (guess === undefined) continue;
      const known = candidates.get(guess);
      if (known === undefined) candidates.set(guess, [address]);
      else known.push(address);
    }
    this.candidates = candidates;
  }

  /** The role of a function, or undefined: none that the host would miss. */
  of(address: string): Role | undefined {
    const stated = this.stated.get(address);
    if (stated === null) return undefined;
    if (stated !== undefined) return { role: stated, certainty: 'certain', why: 'stated by the operator' };
    const found = this.view.functions.get(address);
    if (found === undefined) return undefined;
    const role = candidateRole(found);
    if (role === undefined) return undefined;
    // Somebody else was named for the role: this one is free of it.
    for (const [, named] of this.stated) if (named === role) return undefined;
    const others = (this.candidates.get(role) ?? []).filter((other) => other !== address);
    const driver = found.driver ?? 'a driver not known';
    if (role === 'system device' || role === 'management controller' || others.length === 0) {
      return {
        role,
        certainty: 'certain',
        why: `${found.className}, ${driver}${others.length === 0 ? ', the only one of its kind in use' : ''}`,
      };
    }
    return {
      role,
      certainty: 'possible',
      why: `${found.className}, ${driver}; so could ${others.length} other${others.length === 1 ? '' : 's'} (state it with --role)`,
    };
  }
}

/** Host bridge, ISA bridge, other bridge, interrupt controller, DMA, timer, clock, IOMMU, SMBus: not to be given away. */
const SYSTEM_CLASSES: ReadonlySet<number> = new Set([
  0x0600, 0x0601, 0x0680, 0x0800, 0x0801, 0x0802, 0x0803, 0x0806, 0x0c05,
]);

function candidateRole(found: PlanFunction): RoleName | undefined {
  const base = found.classCode >>> 16;
  const kind = found.classCode >>> 8;
  // A device that no driver of the host serves, or that user space has, does nothing for the host.
  const { driver } = found;
  const idle = driver === null;
  const handedOut = driver === 'vfio-pci' || driver === 'pci-stub';
  if (found.isBridge || handedOut || found.physicalFunction !== undefined) return undefined;
  if (SYSTEM_CLASSES.has(kind)) return 'system device';
  if (kind === 0x0c07 || (kind === 0x0780 && driver?.startsWith('mei') === true))
    return 'management controller';
  if (base === 0x03) {
    if (found.vendorId === ASPEED || found.vendorId === MATROX) return 'console framebuffer';
    return idle ? undefined : 'console framebuffer';
  }
  if (idle) return undefined;
  if (base === 0x01) return 'boot disk';
  if (base === 0x02) return 'default-route network card';
  if (kind === 0x0c03) return 'USB keyboard';
  return undefined;
}
