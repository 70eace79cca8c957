/** From a thing to who has it, and from a holder to what it holds. */

import { ownerOf } from './commands/jobs.ts';
import type { Console } from './console.ts';

export function jumpToOwner(console: Console): void {
  const subject = console.subject();
  if (subject === undefined) return;
  const { hostState } = console;
  switch (subject.kind) {
    case 'device': {
      const owner = ownerOf(console, subject.name);
      const group = hostState.device(subject.name)?.group;
      if (owner !== undefined) return console.go('machines', owner);
      if (group !== undefined) return console.go('groups', String(group));
      return console.note(`${subject.name} has no owner and no group`);
    }
    case 'mdev': {
      const owner = ownerOf(console, subject.name);
      const parent = hostState.mdevs().find((mdev) => mdev.uuid === subject.name)?.parent;
      if (owner !== undefined) return console.go('machines', owner);
      return console.go('topology', parent);
    }
    case 'mdev type':
      return console.go('topology', subject.parent);
    case 'definition':
      return console.go(
        'topology',
        hostState.mdevDefinitions().find((candidate) => candidate.uuid === subject.name)?.parent,
      );
    case 'group': {
      const owner = hostState.group(subject.id)?.owner;
      if (owner !== undefined && hostState.machineState(owner) !== undefined)
        return console.go('machines', owner);
      return console.note(`the owner is ${owner ?? 'nobody'}`);
    }
    case 'domain': {
      const owner = hostState.domains().find((domain) => domain.name === subject.name)?.owner;
      if (owner !== undefined && hostState.machineState(owner) !== undefined)
        return console.go('machines', owner);
      return console.note('the owner is the kernel');
    }
    case 'event':
      if (subject.device === undefined) return console.note('no device known for this event');
      return console.go('topology', subject.device);
    default:
      return console.note('nothing owns this');
  }
}

export function jumpToUser(console: Console): void {
  const subject = console.subject();
  if (subject === undefined) return;
  const { hostState } = console;
  switch (subject.kind) {
    case 'device': {
      const mdev = hostState.device(subject.name)?.mdevs[0];
      if (mdev !== undefined) return console.go('mdevs', mdev);
      const domain = hostState
        .domains()
        .find((candidate) => candidate.attachments.some((attachment) => attachment.device === subject.name));
      if (domain !== undefined) return console.go('domains', domain.name);
      return console.note(`nothing uses ${subject.name}`);
    }
    case 'mdev': {
      if (console.screenId !== 'mdevs') return console.go('mdevs', subject.name);
      const mdev = hostState.mdevs().find((candidate) => candidate.uuid === subject.name);
      const domain = hostState
        .domains()
        .find((candidate) =>
          candidate.attachments.some(
            ({ device, pasid }) => device === mdev?.parent && (pasid ?? 0) === (mdev.pasid ?? -1),
          ),
        );
      if (domain === undefined) return console.note(`no domain translates for ${subject.name}`);
      return console.go('domains', domain.name);
    }
    case 'mdev type': {
      const mdev = hostState
        .mdevs()
        .find((candidate) => candidate.parent === subject.parent && candidate.type === subject.type);
      return mdev === undefined ? console.note('none of this type is made') : console.go('mdevs', mdev.uuid);
    }
    case 'machine': {
      const device = hostState.machineState(subject.name)?.devices[0];
      if (device === undefined) return console.note(`${subject.name} has no devices`);
      return console.go(device.kind === 'mdev' ? 'mdevs' : 'topology', device.device);
    }
    case 'group': {
      const member = hostState.group(subject.id)?.devices[0];
      return member === undefined ? console.note('the group is empty') : console.go('topology', member);
    }
    case 'domain': {
      const attachment = hostState.domains().find((domain) => domain.name === subject.name)?.attachments[0];
      return attachment === undefined
        ? console.note('nothing is attached')
        : console.go('topology', attachment.device);
    }
    case 'unit': {
      const find = (nodes: readonly import('../hw/index.ts').DeviceNode[]): string | undefined => {
        for (const node of nodes) {
          if (node.unit === subject.name) return node.address;
          const below = find(node.children);
          if (below !== undefined) return below;
        }
        return undefined;
      };
      const address = hostState
        .deviceTree()
        .map((root) => find(root.devices))
        .find((found) => found !== undefined);
      return address === undefined ? console.note('no device is below it') : console.go('topology', address);
    }
    case 'event':
      return console.go(
        'machines',
        subject.device === undefined ? undefined : ownerOf(console, subject.device),
      );
    default:
      return console.note('nothing uses this');
  }
}
