/**
 * Notifier chains as the IOASID series of February 2021 wanted them: one for each set and one for all. Who uses a
 * number hears that it goes: the CPU's tables (KVM) first, then the IOMMU, then device drivers.
 */
import { KernelError } from '../errno.ts';

export type IoasidEvent = 'alloc' | 'free' | 'bind' | 'unbind';

/** Order in which users are told: nothing may use a number that somebody below still translates. */
export const NotifierPriority = { cpu: 2, iommu: 1, device: 0 } as const;

export interface IoasidNotification {
  readonly event: IoasidEvent;
  readonly id: number;
  /** The number that a guest knows it by, or undefined. */
  readonly spid: number | undefined;
}

export interface IoasidNotifier {
  /** For people: "kvm vm1". */
  readonly name: string;
  readonly priority: number;
  /** Runs in atomic context: it must cause no event itself. */
  notify(notification: IoasidNotification): void;
}

export class NotifierChain {
  private readonly blocks: IoasidNotifier[] = [];
  private running = false;

  get registered(): readonly IoasidNotifier[] {
    return this.blocks;
  }

  /** @throws KernelError EEXIST */
  register(block: IoasidNotifier): void {
    if (this.blocks.includes(block))
      throw new KernelError('EEXIST', 'notifier registered', `${block.name} is registered already`);
    const at = this.blocks.findIndex((other) => other.priority < block.priority);
    if (at < 0) this.blocks.push(block);
    else this.blocks.splice(at, 0, block);
  }

  /** @throws KernelError ENOENT */
  unregister(block: IoasidNotifier): void {
    const at = this.blocks.indexOf(block);
    if (at < 0) throw new KernelError('ENOENT', 'notifier unknown', `${block.name} is not registered`);
    this.blocks.splice(at, 1);
  }

  /** @throws KernelError EDEADLK: a handler caused an event. */
  call(notification: IoasidNotification): void {
    if (this.running)
      throw new KernelError(
        'EDEADLK',
        'event inside a handler',
        `a handler of an IOASID event caused "${notification.event}" of ${notification.id}`,
        'Hand the work to the ordered work queue.',
      );
    this.running = true;
    try {
      for (const block of [...this.blocks]) block.notify(notification);
    } finally {
      this.running = false;
    }
  }
}
