/** Random acts of two owners on one machine, and what the hardware half says after each. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HwptFlag } from '../../../../hw/kernel/iommufd/hwpt.ts';
import { PasidTableEntry } from '../../../../hw/vtd/layouts.ts';
import { type DeviceName, SmallHost } from '../small-host.ts';
import { type BoundNode, codeOf, User } from './user.ts';

const DEVICES: readonly DeviceName[] = ['A', 'C', 'M0', 'M1', 'narrow'];
const PASIDS = [3, 9, 40] as const;
const PAGES = [0x10, 0x11, 0x200, 0x400] as const;

type Act = { readonly owner: 0 | 1; readonly device: number; readonly what: number; readonly detail: number };

const act: fc.Arbitrary<Act> = fc.record({
  owner: fc.constantFrom(0 as const, 1 as const),
  device: fc.nat(DEVICES.length - 1),
  what: fc.nat(9),
  detail: fc.nat(11),
});

/** One owner with what it has made so far. */
class Owner {
  readonly user: User;
  readonly nodes = new Map<DeviceName, BoundNode>();
  readonly ioas: number[] = [];
  readonly tables: number[] = [];

  constructor(host: SmallHost, name: string) {
    this.user = new User(host, name);
    this.ioas.push(this.user.ioas(), this.user.ioas());
  }

  perform({ device, what, detail }: Act): void {
    const name = DEVICES[device];
    const node = this.nodes.get(name);
    const ioas = this.ioas[detail % 2];
    const table = this.tables[detail % Math.max(1, this.tables.length)];
    switch (what) {
      case 0:
      case 1:
        if (node === undefined) this.nodes.set(name, this.user.bind(name));
        return;
      case 2:
        this.user.map(ioas, BigInt(PAGES[detail % PAGES.length]) << 12n, 0x1000);
        return;
      case 3:
        this.user.unmap(ioas, BigInt(PAGES[detail % PAGES.length]) << 12n, 0x1000n);
        return;
      case 4:
        node?.attach(ioas);
        return;
      case 5:
        if (node !== undefined)
          this.tables.push(this.user.pageTable(node, ioas, detail % 3 === 0 ? 0 : HwptFlag.pasid));
        return;
      case 6:
        if (table !== undefined)
          node?.attach(table, detail % 2 === 0 ? undefined : PASIDS[detail % PASIDS.length]);
        return;
      case 7:
        node?.detach(detail % 2 === 0 ? undefined : PASIDS[detail % PASIDS.length]);
        return;
      case 8:
        if (table !== undefined) {
          this.user.destroy(table);
          this.tables.splice(this.tables.indexOf(table), 1);
        }
        return;
      default:
        if (detail % 3 === 0 && node !== undefined) {
          this.nodes.delete(name);
          node.close();
        }
    }
  }

  /** The process's memory as frames. */
  owns(frame: number): boolean {
    const { memory } = this.user.process;
    return memory.memoryAreas.some((area) => {
      for (let page = area.first; page < area.end; page += 1)
        if (area.object.frame(area.objectPage + page - area.first) === frame) return true;
      return false;
    });
  }
}

/** All that the unit can find of the devices, but for the ids of domains: those are handed out anew, lowest first. */
function withoutId(words: Uint32Array): string {
  const copy = words.slice();
  PasidTableEntry.fields.domainId.set(copy, 0);
  return copy.join(',');
}

function tablesOf(host: SmallHost): string {
  return DEVICES.map((name) => {
    const entries = host.info(name).pasidTable?.entries?.() ?? [];
    return `${name} ${host.group(name).domain?.name} ${[...entries].map(({ pasid, words }) => `${pasid}:${withoutId(words)}`)}`;
  }).join('\n');
}

function checkReach(host: SmallHost, owners: readonly Owner[]): void {
  for (const name of DEVICES) {
    const owner = host.group(name).owner;
    for (const pasid of [-1, ...PASIDS]) {
      for (const page of PAGES) {
        const found = host.walk(name, page, 1, pasid);
        if (found < 0) continue;
        const reached = owners.find((each) => each.owns(found));
        // Whoever is reached has claimed the group.
        expect(reached?.user.context, `${name} PASID ${pasid} page ${page}`).toBe(owner);
      }
    }
  }
}

describe('two owners, random acts', () => {
  it('no device reaches memory of somebody who does not own its group; the end leaves nothing behind', () => {
    fc.assert(
      fc.property(fc.array(act, { maxLength: 80 }), (acts) => {
        const host = new SmallHost({ commandLine: 'intel_iommu=on' });
        for (const name of DEVICES) {
          host.device(name).driverOverride = 'vfio-pci';
          host.kernel.drivers.bind('pci', 'vfio-pci', host.device(name).name);
        }
        const before = tablesOf(host);
        const ids = host.unit.domainIds.taken;
        // Leaf tables of a PASID table stay once they are there; nothing else does.
        const leaves = () =>
          DEVICES.reduce((sum, name) => sum + (host.info(name).pasidTable?.leafTables ?? 0), 0);
        const frames = () => host.kernel.allocator.usedFrames - leaves();
        const framesBefore = frames();
        const owners = [new Owner(host, 'first'), new Owner(host, 'second')];
        acts.forEach((each, index) => {
          const code = codeOf(() => owners[each.owner].perform(each));
          expect(['ok', 'EPERM', 'EINVAL', 'EEXIST', 'ENOENT', 'EBUSY', 'EOPNOTSUPP']).toContain(code);
          if (index % 8 === 7) checkReach(host, owners);
        });
        checkReach(host, owners);
        for (const owner of owners) owner.user.end();
        expect(tablesOf(host)).toBe(before);
        expect(host.unit.domainIds.taken).toBe(ids);
        expect(frames()).toBe(framesBefore);
        for (const name of DEVICES) expect(host.group(name).ownerCount).toBe(0);
      }),
      { numRuns: Number(process.env.VTDECK_RUNS ?? 40) },
    );
  });
});
