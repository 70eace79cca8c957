/**
 * What a plan looks at: a host's functions, groups and remapping, flat. Made from a host that was built from its
 * description, so that the plan and the rehearsal speak of the same machine.
 */
import type { CapabilityState, DeviceNode, FunctionDescription, GroupState, Host } from '../../hw/index.ts';

export interface PlanFunction {
  readonly node: DeviceNode;
  /** What the capture says beyond configuration space (NUMA node, unknown parts); undefined for VFs made later. */
  readonly described: FunctionDescription | undefined;
  readonly capabilities: readonly CapabilityState[];
  /** The bridge above, or undefined on a root bus. */
  readonly parent: string | undefined;
}

export interface PlanView {
  readonly host: Host;
  readonly functions: ReadonlyMap<string, PlanFunction>;
  readonly groups: ReadonlyMap<number, GroupState>;
}

/** Reads the host once. */
export function planView(host: Host): PlanView {
  const described = new Map(host.description.functions.map((found) => [found.address, found]));
  const functions = new Map<string, PlanFunction>();
  const visit = (nodes: readonly DeviceNode[], parent: string | undefined): void => {
    for (const node of nodes) {
      functions.set(node.address, {
        node,
        described: described.get(node.address),
        capabilities: host.capabilities(node.address),
        parent,
      });
      visit(node.children, node.address);
    }
  };
  for (const root of host.deviceTree()) visit(root.devices, undefined);
  return { host, functions, groups: new Map(host.groups().map((group) => [group.id, group])) };
}

/** A field of a capability of a function, or undefined when either is absent. */
export function capabilityField(found: PlanFunction, capability: string, field: string): bigint | undefined {
  return found.capabilities.find(({ name }) => name === capability)?.fields.find(({ name }) => name === field)
    ?.value;
}
