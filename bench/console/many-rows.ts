/**
 * A machine of as many rows as asked: a list of functions and mediated devices that only the screens of them show.
 * Nothing can be done to it.
 */
import type { DeviceNode, Host, MdevState, Work } from '../../hw/index.ts';
import type { Workspace } from '../../src/workspace.ts';

const hex = (value: number, digits: number): string => value.toString(16).padStart(digits, '0');

function uuid(at: number): string {
  return `00000000-0000-4000-8000-${hex(at, 12)}`;
}

/** Three of five rows are functions, two are mdevs. */
function hostOf(rows: number): Host {
  const functions = Math.ceil(rows * 0.6);
  const mdevsEach = Math.round((rows - functions) / functions) || 1;
  const mdevs: MdevState[] = [];
  const buses = new Map<number, DeviceNode[]>();
  for (let at = 0; at < functions; at += 1) {
    const segment = at >> 16;
    const bus = (at >> 8) & 0xff;
    const address = `${hex(segment, 4)}:${hex(bus, 2)}:${hex((at >> 3) & 31, 2)}.${at & 7}`;
    const own: string[] = [];
    for (let made = 0; made < mdevsEach && mdevs.length < rows - functions; made += 1) {
      const name = uuid(mdevs.length);
      own.push(name);
      mdevs.push({
        uuid: name,
        parent: address,
        type: 'type-1',
        group: mdevs.length,
        assignedTo: undefined,
        pasid: undefined,
        resource: undefined,
      });
    }
    const list = buses.get((segment << 8) | bus) ?? [];
    buses.set((segment << 8) | bus, list);
    list.push({
      address,
      name: `Device ${at}`,
      className: 'Processing accelerators',
      vendorId: 0x8086,
      deviceId: 0x0b25,
      classCode: 0x120000,
      revision: 0,
      headerType: 0,
      portType: 'endpoint',
      isBridge: false,
      secondaryBus: undefined,
      subordinateBus: undefined,
      driver: 'idxd',
      group: at,
      unit: 'dmar0',
      numaNode: 0,
      physicalFunction: undefined,
      virtualFunctions: [],
      totalVirtualFunctions: 0,
      auxiliaryMode: 'off',
      mdevs: own,
      assignedTo: undefined,
      children: [],
    });
  }
  const tree = [...buses].map(([key, devices]) => ({ segment: key >> 8, bus: key & 0xff, devices }));
  const nothing = (): [] => [];
  // biome-ignore lint/correctness/useYield: a step too small to pause in
  function* atOnce<Result>(result: Result): Work<Result> {
    return result;
  }
  return {
    description: { name: `${rows} rows` },
    profile: '5.15',
    deviceTree: () => tree,
    deviceTreeInSteps: () => atOnce(tree),
    mdevs: () => mdevs,
    device: () => undefined,
    group: () => undefined,
    groups: nothing,
    groupsInSteps: () => atOnce([]),
    mdevParents: nothing,
    mdevDefinitions: nothing,
    machineStates: nothing,
    machineState: () => undefined,
    domains: nothing,
    pasidEntries: nothing,
    unitStates: nothing,
    events: nothing,
    isolationMatrixInSteps: () => atOnce([]),
    auxiliaryModeRequirements: nothing,
    capabilities: nothing,
    configurationBytes: () => new Uint8Array(256),
  } as unknown as Host;
}

const refused = () => ({
  ok: false,
  error: Object.assign(new Error('nothing can be done here'), { code: 'EROFS', rule: 'bench' }),
});

// biome-ignore lint/correctness/useYield: there is nothing to pause in
function* refusing(): Work<ReturnType<typeof refused>> {
  return refused();
}

/** A session on such a machine. */
export function workspaceOf(rows: number): Workspace {
  const session = {
    host: hostOf(rows),
    profile: '5.15',
    sessionName: 'bench',
    readOnly: false,
    readOnlyReason: undefined,
    notices: [],
    version: 1,
    journal: [],
    redoable: [],
    commandLog: [],
    branches: [],
    unsavedActs: 0,
    travellingAt: undefined,
    disabledReason: () => undefined,
    inSteps: { dispatch: refusing, undo: refusing, redo: refusing, save: refusing },
    subscribe: () => () => {},
    close: () => {},
  };
  return session as unknown as Workspace;
}
