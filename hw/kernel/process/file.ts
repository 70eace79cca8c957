/**
 * Open files: struct file and the descriptor table. What stands behind a descriptor (a container, a group, a device,
 * an IOMMUFD context) is an `OpenFileObject`; several descriptors, of several processes after a fork, and memory
 * mappings of it hold one `OpenFile`, and the object is released when the last of them lets go.
 */
import { KernelError } from '../errno.ts';

/** What an open file is about. `release` runs once, when the last reference is gone (file_operations.release). */
export interface OpenFileObject {
  /** For people and for tests of kind: "vfio container", "vfio group", "vfio device", "iommufd", "file". */
  readonly fileKind: string;
  release(): void;
  /** What a request gets that is none of its own; ENOTTY unless told. */
  unknownRequest?(): 'EINVAL' | 'ENOTTY';
}

/** struct file: an object and the references to it. */
export class OpenFile {
  readonly object: OpenFileObject;
  private references = 1;

  constructor(object: OpenFileObject) {
    this.object = object;
  }

  /** get_file. */
  get(): this {
    this.references += 1;
    return this;
  }

  /** fput: the last reference releases the object. */
  put(): void {
    this.references -= 1;
    if (this.references === 0) this.object.release();
  }
}

/** Descriptors of a process, from 3 upwards (0 to 2 are the terminal's). */
export class DescriptorTable {
  private readonly files = new Map<number, OpenFile>();

  /** Installs a file under the lowest free number; the table takes over the caller's reference. */
  install(file: OpenFile): number {
    let number = 3;
    while (this.files.has(number)) number += 1;
    this.files.set(number, file);
    return number;
  }

  /** The file behind a descriptor. @throws KernelError EBADF */
  file(descriptor: number): OpenFile {
    const file = this.files.get(descriptor);
    if (file === undefined)
      throw new KernelError('EBADF', 'bad descriptor', `descriptor ${descriptor} is not open`);
    return file;
  }

  /** @throws KernelError EBADF */
  close(descriptor: number): void {
    const file = this.file(descriptor);
    this.files.delete(descriptor);
    file.put();
  }

  /** The table of a forked child: the same files under the same numbers. */
  fork(): DescriptorTable {
    const child = new DescriptorTable();
    for (const [number, file] of this.files) child.files.set(number, file.get());
    return child;
  }

  /** Descriptors now open, ascending. */
  get open(): number[] {
    return [...this.files.keys()].sort((a, b) => a - b);
  }

  /** Closes everything, in order of numbers, as exit does. */
  closeAll(): void {
    for (const descriptor of this.open) this.close(descriptor);
  }
}
