/** Definitions of mediated devices as mdevctl keeps them: they outlive the devices. */
import { KernelError } from '../kernel/errno.ts';

export interface MdevDefinition {
  readonly uuid: string;
  readonly parent: string;
  readonly type: string;
  readonly autostart: boolean;
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

export class MdevDefinitions {
  private readonly byKey = new Map<string, MdevDefinition>();

  /** In order of parents and UUIDs, as the files in /etc/mdevctl.d are listed. */
  get all(): MdevDefinition[] {
    return [...this.byKey.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, definition]) => definition);
  }

  /** @throws KernelError EINVAL (UUID), EEXIST: defined under that parent already. */
  define(definition: MdevDefinition): void {
    const uuid = definition.uuid.toLowerCase();
    if (!UUID.test(uuid)) throw new KernelError('EINVAL', 'UUID syntax', `"${definition.uuid}" is no UUID`);
    const key = `${definition.parent}/${uuid}`;
    if (this.byKey.has(key))
      throw new KernelError('EEXIST', 'defined already', `${uuid} is defined under ${definition.parent}`);
    this.byKey.set(key, { ...definition, uuid });
  }

  /** Takes the definition of a UUID away, under all parents. @throws KernelError ENOENT */
  undefine(uuid: string): void {
    const keys = [...this.byKey.entries()]
      .filter(([, definition]) => definition.uuid === uuid.toLowerCase())
      .map(([key]) => key);
    if (keys.length === 0) throw new KernelError('ENOENT', 'not defined', `${uuid} is not defined`);
    for (const key of keys) this.byKey.delete(key);
  }

  autostartOf(parent: string): MdevDefinition[] {
    return this.all.filter((definition) => definition.parent === parent && definition.autostart);
  }
}
