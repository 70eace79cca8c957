/** `vtdeck topology`: the PCI tree of a host with capabilities decoded. */
import type { CommandModule } from 'yargs';
import { type TopologyNode, type TopologyReport, topologyOf } from '../../hw/index.ts';
import { printJson, printText } from '../output.ts';
import { dmarOption, hostFrom, hostOption } from './host-option.ts';

interface Arguments {
  host: string;
  dmar?: string;
  fields?: boolean;
  json?: boolean;
}

const command: CommandModule<object, Arguments> = {
  command: 'topology',
  describe: 'the PCI tree of a host, capabilities decoded',
  builder: (yargs) =>
    yargs
      .option('host', hostOption)
      .option('dmar', dmarOption)
      .option('fields', { type: 'boolean', default: false, describe: 'every field of every capability' }),
  handler: (argv) => {
    const { description } = hostFrom(argv.host, { dmar: argv.dmar });
    const report = topologyOf(description);
    if (argv.json) printJson({ host: description.name, ...jsonOf(report) });
    else printText(textOf(report, argv.fields === true).join('\n'));
  },
};

export default command;

function jsonOf(report: TopologyReport): object {
  return {
    deviceCount: report.deviceCount,
    roots: report.roots.map((root) => ({
      segment: root.segment,
      bus: root.bus,
      devices: root.devices.map(nodeJson),
    })),
    problems: report.problems,
  };
}

function nodeJson(node: TopologyNode): object {
  const { decoded, children, ...rest } = node;
  return {
    ...rest,
    classCode: `0x${decoded.classCode.toString(16).padStart(6, '0')}`,
    revision: decoded.revision,
    header: decoded.headerLayout,
    bars: decoded.bars,
    windows: decoded.windows,
    capabilities: decoded.capabilities.map((one) => ({
      list: one.list,
      id: `0x${one.id.toString(16)}`,
      version: one.version,
      offset: `0x${one.offset.toString(16)}`,
      name: one.name,
      fields: Object.fromEntries(
        one.fields.map((field) => [field.name, field.meaning ?? Number(field.value)]),
      ),
    })),
    problems: decoded.problems,
    children: children.map(nodeJson),
  };
}

function textOf(report: TopologyReport, fields: boolean): string[] {
  const lines: string[] = [];
  const hex = (value: number, digits: number): string => value.toString(16).padStart(digits, '0');
  for (const root of report.roots) {
    lines.push(`root bus ${hex(root.segment, 4)}:${hex(root.bus, 2)}`);
    for (const node of root.devices) addNode(lines, node, '  ', fields);
  }
  for (const problem of report.problems) lines.push(`Problem: ${problem.device}: ${problem.problem}`);
  return lines;
}

function addNode(lines: string[], node: TopologyNode, indent: string, fields: boolean): void {
  const hex = (value: number, digits: number): string => value.toString(16).padStart(digits, '0');
  const ids = `${hex(node.vendorId, 4)}:${hex(node.deviceId, 4)}`;
  const buses =
    node.secondaryBus === undefined ? '' : ` [bus ${hex(node.secondaryBus, 2)}-${hex(node.lastBus ?? 0, 2)}]`;
  const kind = node.portType === 'conventional' ? '' : `, ${node.portType}`;
  const driver = node.driver === undefined || node.driver === null ? '' : `, ${node.driver}`;
  const virtual = node.physicalFunction === undefined ? '' : `, virtual function of ${node.physicalFunction}`;
  lines.push(
    `${indent}${node.address} ${[node.className, node.name].filter((part) => part).join(': ')} [${ids}]${buses}${kind}${driver}${virtual}`,
  );
  const deeper = `${indent}    `;
  const hidden = node.unknown.filter((part) => part !== 'device registers');
  if (hidden.length > 0) lines.push(`${deeper}not shown by the source: ${hidden.join(', ')}`);
  if (fields) lines.push(...placeLines(node, deeper));
  for (const one of node.decoded.capabilities) {
    lines.push(`${deeper}[${one.offset.toString(16)}] ${one.name}${fields ? '' : summary(one.fields)}`);
    if (!fields) continue;
    for (const field of one.fields) {
      lines.push(
        `${deeper}    ${field.name} = ${field.text}${field.meaning === undefined ? '' : ` (${field.meaning})`}`,
      );
    }
  }
  for (const child of node.children) addNode(lines, child, `${indent}  `, fields);
}

/** Base addresses and bridge windows. */
function placeLines(node: TopologyNode, indent: string): string[] {
  const lines = node.decoded.bars.map((bar) => {
    const kind =
      bar.kind === 'io'
        ? 'I/O'
        : `memory${bar.wide ? ', 64-bit' : ''}${bar.prefetchable ? ', prefetchable' : ''}`;
    const size = bar.sizeBytes === undefined ? '' : `, ${sizeText(bar.sizeBytes)}`;
    return `${indent}BAR ${bar.index}: 0x${bar.address.toString(16)} (${kind}${size})`;
  });
  for (const window of node.decoded.windows) {
    lines.push(
      `${indent}window: 0x${window.start.toString(16)}-0x${window.end.toString(16)} (${window.kind})`,
    );
  }
  return lines;
}

function sizeText(bytes: number): string {
  for (const [unit, shift] of [
    ['GiB', 30],
    ['MiB', 20],
    ['KiB', 10],
  ] as const) {
    if (bytes >= 2 ** shift) return `${bytes / 2 ** shift} ${unit}`;
  }
  return `${bytes} bytes`;
}

/** Single bits that are set, and small numbers: enough to recognise a capability's state in one line. */
function summary(fields: TopologyNode['decoded']['capabilities'][number]['fields']): string {
  const shown = fields
    .filter((field) => field.value !== 0n || field.name === 'portType')
    .map((field) => (field.low === field.high ? field.name : `${field.name}=${field.meaning ?? field.text}`));
  return shown.length === 0 ? '' : `: ${shown.slice(0, 12).join(' ')}${shown.length > 12 ? ' …' : ''}`;
}
