/**
 * A graphics card cut into virtual ones: every virtual card of a type has the same share of the card's memory, and the
 * first one made settles the type for the whole card (NVIDIA vGPU, homogeneous). The driver isolates by itself: it pins
 * the guest's pages that a virtual card uses, and lets go of them when they are unmapped. No IOMMU device stands behind.
 */
import type { MemoryPort } from '../../../port.ts';
import { KernelError } from '../../errno.ts';
import type { Vfio } from '../../vfio/vfio.ts';
import type { Mdev, MdevAttribute, MdevDriver, MdevType } from '../mdev-driver.ts';
import { PinningFunction } from './pinning-test.ts';

interface CardType extends MdevType {
  /** Of the card's memory, MiB. */
  readonly memoryMebibytes: number;
}

/** Memory of the card, MiB. */
const CARD_MEMORY = 16384;
const PAGE_BYTES = 4096n;
const READ_AND_WRITE = 3;
/** Characters that a write to vgpu_params may have. */
const MOST_PARAMETERS = 1024;

const TYPES: readonly CardType[] = [
  { sysfsName: '230', prettyName: 'GRID T4-1Q', memoryMebibytes: 1024 },
  { sysfsName: '231', prettyName: 'GRID T4-2Q', memoryMebibytes: 2048 },
  { sysfsName: '232', prettyName: 'GRID T4-4Q', memoryMebibytes: 4096 },
  { sysfsName: '233', prettyName: 'GRID T4-8Q', memoryMebibytes: 8192 },
  { sysfsName: '234', prettyName: 'GRID T4-16Q', memoryMebibytes: 16384 },
];

/** A virtual card that was made. */
interface Card {
  readonly type: CardType;
  readonly pins: PinningFunction;
  parameters: string;
}

export class VgpuMdevDriver implements MdevDriver {
  readonly name = 'nvidia-vgpu-vfio';
  readonly deviceApi = 'vfio-pci';
  readonly maximumInstances = 0;
  readonly attributeGroup = 'nvidia';
  readonly types: readonly MdevType[] = TYPES;
  private readonly memory: MemoryPort;
  private readonly vfio: Vfio;
  private readonly cards = new Map<Mdev, Card>();

  constructor(memory: MemoryPort, vfio: Vfio) {
    this.memory = memory;
    this.vfio = vfio;
  }

  /** As many as fit, as long as no card of another type exists. */
  available(type: MdevType): number {
    const wanted = typeOf(type);
    const present = [...this.cards.values()];
    if (present.some((card) => card.type !== wanted)) return 0;
    return CARD_MEMORY / wanted.memoryMebibytes - present.length;
  }

  description(type: MdevType): string {
    const { memoryMebibytes } = typeOf(type);
    return `framebuffer=${memoryMebibytes}M, max_instance=${CARD_MEMORY / memoryMebibytes}`;
  }

  probe(mdev: Mdev): PinningFunction {
    const type = typeOf(mdev.type);
    if (this.available(type) === 0) {
      const other = [...this.cards.values()].find((card) => card.type !== type)?.type;
      throw new KernelError(
        'ENOSPC',
        other === undefined ? 'no instance left' : 'types exclude each other',
        other === undefined
          ? `the card has no memory left for another ${type.prettyName}`
          : `the card is cut into ${other.prettyName} already: one type at a time`,
        'Remove the virtual cards there are first.',
      );
    }
    const pins = new PinningFunction(this.memory, () => this.vfio.deviceOf(mdev.device));
    this.cards.set(mdev, { type, pins, parameters: '' });
    return pins;
  }

  removed(mdev: Mdev): void {
    this.cards.delete(mdev);
  }

  /** nvidia/vgpu_params: plug-in parameters of one card, such as "frame_rate_limiter=0"; a blank clears them. */
  attributes(mdev: Mdev): ReadonlyMap<string, MdevAttribute> {
    const card = this.cards.get(mdev);
    if (card === undefined) return new Map();
    return new Map([
      [
        'vgpu_params',
        {
          read: () => card.parameters,
          write(text: string) {
            if (text.length > MOST_PARAMETERS)
              throw new KernelError('EINVAL', 'parameters', `at most ${MOST_PARAMETERS} characters`);
            card.parameters = text.trim();
          },
        },
      ],
    ]);
  }

  resource(mdev: Mdev): string | undefined {
    const card = this.cards.get(mdev);
    return card === undefined
      ? undefined
      : `${card.type.memoryMebibytes} MiB of card memory, ${card.pins.pinned} pages pinned`;
  }

  /**
   * A virtual card reads or writes guest memory: each page is pinned at first use and stays pinned.
   * @throws KernelError EINVAL: nothing mapped there; EPERM: no right; ENOMEM: beyond the limit on locked memory.
   */
  moveData(mdev: Mdev, iova: bigint, bytes: Uint8Array, write: boolean): Uint8Array {
    const pins = this.cards.get(mdev)?.pins;
    if (pins === undefined) throw new KernelError('ENODEV', 'no mdev', `${mdev.uuid} is gone`);
    const first = iova / PAGE_BYTES;
    const last = (iova + BigInt(bytes.length) - 1n) / PAGE_BYTES;
    for (let page = first; page <= last; page += 1n)
      if (!pins.isPinned(page * PAGE_BYTES)) pins.pin(page * PAGE_BYTES, 1, READ_AND_WRITE);
    const moved = new Uint8Array(bytes.length);
    for (let done = 0; done < bytes.length; ) {
      const at = iova + BigInt(done);
      const take = Math.min(bytes.length - done, Number(PAGE_BYTES - (at % PAGE_BYTES)));
      if (write) pins.writePinned(at, bytes.subarray(done, done + take));
      else moved.set(pins.readPinned(at, take), done);
      done += take;
    }
    return moved;
  }
}

function typeOf(type: MdevType): CardType {
  const found = TYPES.find((each) => each.sysfsName === type.sysfsName);
  if (found === undefined) throw new KernelError('ENOENT', 'no such type', type.sysfsName);
  return found;
}
