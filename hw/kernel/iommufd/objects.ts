/**
 * Objects of an IOMMUFD descriptor and their numbers (drivers/iommu/iommufd/main.c). All kinds share one number space
 * that starts at 1; a new object gets the lowest free number. An object lives while something uses it: destroying one
 * that is in use is refused.
 */
import { KernelError } from '../errno.ts';

export type IommufdObjectType =
  | 'ioas'
  | 'hwpt paging'
  | 'hwpt nested'
  | 'device'
  | 'access'
  | 'fault queue'
  | 'selftest';

const MOST_OBJECTS = 0x7fffffff;

export abstract class IommufdObject {
  abstract readonly type: IommufdObjectType;
  /** Number within the descriptor; set when it is entered. */
  id = 0;
  /** 1: only the table holds it. */
  users = 1;

  /** False while it is being made: its number is taken, and nobody finds it. */
  complete = true;

  /** Runs once, when the object goes: lets go of what it holds. */
  abstract destroy(): void;
}

export class ObjectTable {
  private readonly objects = new Map<number, IommufdObject>();
  /** No number below this one is free. */
  private lowest = 1;

  get empty(): boolean {
    return this.objects.size === 0;
  }

  /** In order of numbers. */
  get all(): IommufdObject[] {
    return [...this.objects.values()].sort((a, b) => a.id - b.id);
  }

  /** Enters an object under the lowest free number. @throws KernelError ENOSPC */
  add<T extends IommufdObject>(object: T): T {
    while (this.objects.has(this.lowest)) this.lowest += 1;
    if (this.lowest > MOST_OBJECTS)
      throw new KernelError('ENOSPC', 'object numbers', 'no number is free in this descriptor');
    object.id = this.lowest;
    this.objects.set(object.id, object);
    return object;
  }

  find(id: number): IommufdObject | undefined {
    const object = this.objects.get(id);
    return object?.complete === true ? object : undefined;
  }

  /** The object of this number and one of these types. @throws KernelError ENOENT */
  get<T extends IommufdObject>(id: number, type: abstract new (...args: never[]) => T, wanted: string): T {
    const object = this.find(id);
    if (object instanceof type) return object;
    throw new KernelError(
      'ENOENT',
      'no such object',
      object === undefined
        ? `object ${id} does not exist in this descriptor`
        : `object ${id} is a ${object.type}, not ${wanted}`,
    );
  }

  /** Takes an object out and destroys it. @throws KernelError ENOENT, EBUSY while something uses it. */
  destroy(id: number): void {
    const object = this.find(id);
    if (object === undefined)
      throw new KernelError('ENOENT', 'no such object', `object ${id} does not exist in this descriptor`);
    if (object.users !== 1)
      throw new KernelError(
        'EBUSY',
        'object in use',
        `${object.type} ${id} has ${object.users - 1} more user${object.users === 2 ? '' : 's'}`,
        'Detach devices, destroy page tables that hang on it, or close the descriptor that holds it.',
      );
    this.remove(object);
  }

  /** Destroys an object unless something else uses it (iommufd_object_put_and_try_destroy). */
  tryDestroy(object: IommufdObject): void {
    if (object.users === 1 && this.objects.get(object.id) === object) this.remove(object);
  }

  /** Takes an object out whoever uses it: the making of it failed, or its only other user lets go. */
  remove(object: IommufdObject): void {
    this.objects.delete(object.id);
    if (object.id < this.lowest) this.lowest = object.id;
    object.destroy();
  }

  /** Gives a number back without destroying anything: the object never came to life. */
  abort(object: IommufdObject): void {
    this.objects.delete(object.id);
    if (object.id < this.lowest) this.lowest = object.id;
  }

  /** Destroys all objects, those first that nobody uses, until none is left (iommufd_fops_release). */
  destroyAll(): void {
    while (this.objects.size > 0) {
      let destroyed = 0;
      for (const object of this.all) {
        // One that goes may take others along.
        if (object.users !== 1 || this.objects.get(object.id) !== object) continue;
        this.remove(object);
        destroyed += 1;
      }
      if (destroyed === 0) return;
    }
  }
}
