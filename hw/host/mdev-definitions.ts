/**
 * Definitions of mediated devices as mdevctl keeps them in /etc/mdevctl.d: they outlive the devices and the boot. The
 * same UUID may be defined under several parents; only one of them can run. mdevctl 1.4 (src/mdev.rs).
 */
import { KernelError } from '../kernel/errno.ts';

/** A file of the mediated device and what is written to it when it starts. Order and repetition count. */
export type MdevAttributeSetting = readonly [file: string, value: string];

export interface MdevDefinition {
  readonly uuid: string;
  readonly parent: string;
  readonly type: string;
  readonly autostart: boolean;
  readonly attributes: readonly MdevAttributeSetting[];
}

/** What `mdevctl modify` changes; what is left out stays. Positions count from 0. */
export interface MdevModification {
  /** Needed where the UUID is defined under several parents. */
  readonly parent?: string;
  readonly type?: string;
  readonly autostart?: boolean;
  /** Put before `index`, at the end unless told. */
  readonly add?: { readonly file: string; readonly value: string; readonly index?: number };
  /** Taken away at `index`, the last one unless told. */
  readonly remove?: { readonly index?: number };
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
/** A file below the device's directory: no step up, no absolute path. */
const ATTRIBUTE_FILE = /^(?!\.{1,2}(?:\/|$))[\w.+-]+(?:\/(?!\.{1,2}(?:\/|$))[\w.+-]+)*$/;
/** A definition is a file that people write: more would be a mistake. */
const MOST_ATTRIBUTES = 1024;

export class MdevDefinitions {
  private readonly byKey = new Map<string, MdevDefinition>();

  /** In order of parents and UUIDs, as the files in /etc/mdevctl.d are listed. */
  get all(): MdevDefinition[] {
    return [...this.byKey.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, definition]) => definition);
  }

  /** @throws KernelError EINVAL (UUID, attribute), EEXIST: defined under that parent already. */
  define(definition: MdevDefinition): void {
    const uuid = definition.uuid.toLowerCase();
    if (!UUID.test(uuid)) throw new KernelError('EINVAL', 'UUID syntax', `"${definition.uuid}" is no UUID`);
    const key = keyOf(definition.parent, uuid);
    if (this.byKey.has(key))
      throw new KernelError('EEXIST', 'defined already', `${uuid} is defined under ${definition.parent}`);
    for (const [file] of definition.attributes) checkAttribute(file);
    this.byKey.set(key, { ...definition, uuid });
  }

  /** The definition of a UUID. @throws KernelError ENOENT; EINVAL: there are several, and no parent was told. */
  get(uuid: string, parent?: string): MdevDefinition {
    const found = this.matching(uuid, parent);
    if (found.length > 1)
      throw new KernelError(
        'EINVAL',
        'several definitions',
        `${uuid} is defined under ${found.map((one) => one.parent).join(' and ')}`,
        'Name the parent.',
      );
    return found[0];
  }

  /** mdevctl modify; a device that runs stays as it is. @throws KernelError as `get`, and EINVAL: attribute, position. */
  modify(uuid: string, change: MdevModification): void {
    const before = this.get(uuid, change.parent);
    const attributes = [...before.attributes];
    const { add, remove } = change;
    if (add !== undefined) {
      checkAttribute(add.file);
      if (attributes.length >= MOST_ATTRIBUTES)
        throw new KernelError('EINVAL', 'attributes', `${uuid} has ${MOST_ATTRIBUTES} attributes already`);
      const index = add.index ?? attributes.length;
      checkIndex(index, attributes.length);
      attributes.splice(index, 0, [add.file, add.value]);
    }
    if (remove !== undefined) {
      const index = remove.index ?? attributes.length - 1;
      checkIndex(index, attributes.length - 1);
      attributes.splice(index, 1);
    }
    this.byKey.set(keyOf(before.parent, before.uuid), {
      ...before,
      type: change.type ?? before.type,
      autostart: change.autostart ?? before.autostart,
      attributes,
    });
  }

  /** Takes the definition of a UUID away: under all parents unless told. @throws KernelError ENOENT */
  undefine(uuid: string, parent?: string): void {
    for (const one of this.matching(uuid, parent)) this.byKey.delete(keyOf(one.parent, one.uuid));
  }

  autostartOf(parent: string): MdevDefinition[] {
    return this.all.filter((definition) => definition.parent === parent && definition.autostart);
  }

  private matching(uuid: string, parent: string | undefined): MdevDefinition[] {
    const found = this.all.filter(
      (one) => one.uuid === uuid.toLowerCase() && (parent === undefined || one.parent === parent),
    );
    if (found.length > 0) return found;
    const where = parent === undefined ? '' : ` under ${parent}`;
    throw new KernelError('ENOENT', 'not defined', `${uuid} is not defined${where}`);
  }
}

const keyOf = (parent: string, uuid: string): string => `${parent}/${uuid}`;

function checkAttribute(file: string): void {
  if (!ATTRIBUTE_FILE.test(file))
    throw new KernelError('EINVAL', 'attribute name', `"${file}" names no file of a mediated device`);
}

function checkIndex(index: number, last: number): void {
  if (!Number.isInteger(index) || index < 0 || index > last)
    throw new KernelError(
      'EINVAL',
      'attribute position',
      last < 0 ? 'there are no attributes' : `position ${index}: from 0 to ${last}`,
    );
}
