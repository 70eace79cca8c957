/** `vtdeck host …`: bring hosts in, list, show, compare and export them. */
import type { CommandModule } from 'yargs';
import { compareHosts, groupsOf, type HostComparison } from '../../hw/index.ts';
import { usageError } from '../errors.ts';
import { builtInHostNames } from '../hosts/builtin.ts';
import { hexExport } from '../hosts/export-lspci.ts';
import { loadHost } from '../hosts/import.ts';
import { forgetHost, importedHostNames, keepHost } from '../hosts/store.ts';
import { scanSysfs } from '../hosts/sysfs.ts';
import { printError, printJson, printText } from '../output.ts';
import { writeWholeFile } from '../output-file.ts';
import type { AnyCommand } from './catalogue.ts';
import { dmarOption, hostFrom } from './host-option.ts';

const nameOption = { type: 'string', requiresArg: true, describe: 'name to keep it under' } as const;

const importOne: CommandModule<object, { source: string; dmar?: string; name?: string; json?: boolean }> = {
  command: 'import <source>',
  describe: 'keep a host: a folder with lspci.txt (and dmar.bin), or an lspci text',
  builder: (yargs) =>
    yargs
      .positional('source', { type: 'string', demandOption: true, describe: 'folder or file' })
      .option('dmar', dmarOption)
      .option('name', nameOption),
  handler: ({ source, dmar, name, json }) => {
    const { description } = hostFrom(source, { dmar, name });
    const as = name ?? description.name;
    const path = keepHost(as, description);
    if (json) printJson({ name: as, path, devices: description.functions.length });
    else printText(`${as}: ${description.functions.length} functions, kept in ${path}`);
  },
};

const list: CommandModule<object, { json?: boolean }> = {
  command: 'list',
  describe: 'hosts that are there, built in and imported',
  handler: ({ json }) => {
    const hosts = [
      ...builtInHostNames().map((name) => ({ name, kind: 'built in' })),
      ...importedHostNames().map((name) => ({ name, kind: 'imported' })),
    ];
    if (json) printJson({ hosts });
    else printText(hosts.map((host) => `${host.name}  (${host.kind})`).join('\n'));
  },
};

const show: CommandModule<object, { source: string; json?: boolean }> = {
  command: 'show <source>',
  describe: 'what is known of a host',
  builder: (yargs) =>
    yargs.positional('source', { type: 'string', demandOption: true, describe: 'name, folder or file' }),
  handler: ({ source, json }) => {
    const { description, problems } = loadHost(source);
    const report = groupsOf(description);
    const facts = {
      name: description.name,
      origin: description.origin,
      functions: description.functions.length,
      groups: report.groups.length,
      withoutGroup: report.ungrouped.length,
      unknown: report.unknown.length,
      dmarBytes: description.dmar === undefined ? null : description.dmar.length / 2,
      kernelCommandLine: description.kernelCommandLine ?? null,
      problems: [...problems, ...report.problems.map((one) => `${one.device}: ${one.problem}`)],
    };
    if (json) printJson(facts);
    else {
      const lines = Object.entries(facts).flatMap(([key, value]) =>
        Array.isArray(value)
          ? value.map((one) => `problem: ${one}`)
          : value === null
            ? []
            : [`${key}: ${value}`],
      );
      printText(lines.join('\n'));
    }
  },
};

const scan: CommandModule<object, { root: string; name?: string; json?: boolean }> = {
  command: 'scan',
  describe: 'read the machine this runs on from /sys, changing nothing',
  builder: (yargs) =>
    yargs
      .option('root', {
        type: 'string',
        default: '/',
        requiresArg: true,
        describe: 'folder that holds sys/ (a copy of another machine)',
      })
      .option('name', nameOption),
  handler: ({ root, name, json }) => {
    const { description, problems } = scanSysfs(root, name ?? 'this-machine');
    for (const problem of problems) printError(problem);
    const path = name === undefined ? null : keepHost(name, description);
    if (json) printJson(path === null ? description : { name, path, devices: description.functions.length });
    else {
      const kept = path === null ? 'not kept (give it a --name)' : `kept in ${path}`;
      printText(
        `${description.functions.length} functions, ${groupsOf(description).groups.length} groups, ${kept}`,
      );
    }
  },
};

const remove: CommandModule<object, { name: string; json?: boolean }> = {
  command: 'remove <name>',
  describe: 'forget an imported host',
  builder: (yargs) => yargs.positional('name', { type: 'string', demandOption: true, describe: 'its name' }),
  handler: ({ name, json }) => {
    if (!forgetHost(name)) {
      throw usageError(
        `no imported host "${name}"`,
        `there are: ${importedHostNames().join(', ') || 'none'}`,
      );
    }
    if (json) printJson({ removed: name });
    else printText(`${name} is forgotten`);
  },
};

const compare: CommandModule<object, { before: string; after: string; json?: boolean }> = {
  command: 'compare <before> <after>',
  describe: 'two captures of one machine: what moved, what was renumbered',
  builder: (yargs) =>
    yargs
      .positional('before', { type: 'string', demandOption: true, describe: 'name, folder or file' })
      .positional('after', { type: 'string', demandOption: true, describe: 'name, folder or file' }),
  handler: ({ before, after, json }) => {
    const comparison = compareHosts(loadHost(before).description, loadHost(after).description);
    if (json) printJson(comparison);
    else printText(comparisonLines(comparison).join('\n'));
  },
};

function comparisonLines(one: HostComparison): string[] {
  const lines = [`${one.unchanged} devices where they were`];
  for (const device of one.moved)
    lines.push(`moved: ${device.before} -> ${device.after}  ${device.identity}`);
  for (const device of one.added) lines.push(`new: ${device}`);
  for (const device of one.removed) lines.push(`gone: ${device}`);
  for (const device of one.regrouped) {
    const joined = device.joined.length > 0 ? ` now with ${device.joined.join(', ')}` : '';
    const left = device.left.length > 0 ? ` no longer with ${device.left.join(', ')}` : '';
    lines.push(`other company: ${device.device}${joined}${left}`);
  }
  for (const device of one.renumbered) {
    lines.push(`renumbered: ${device.device} group ${device.before} -> ${device.after}`);
  }
  return lines;
}

const exportOne: CommandModule<object, { source: string; out?: string; format: string }> = {
  command: 'export <source>',
  describe: 'a host as hex for lspci -F, or as JSON',
  builder: (yargs) =>
    yargs
      .positional('source', { type: 'string', demandOption: true, describe: 'name, folder or file' })
      .option('format', { choices: ['hex', 'json'], default: 'hex', describe: 'hex: for lspci -F' })
      .option('out', { type: 'string', requiresArg: true, describe: 'file to write; else standard output' }),
  handler: ({ source, out, format }) => {
    const { description } = loadHost(source);
    const text = format === 'json' ? `${JSON.stringify(description, null, 1)}\n` : hexExport(description);
    if (out === undefined) printText(text.trimEnd());
    else writeWholeFile(out, text);
  },
};

const command: CommandModule = {
  command: 'host <verb>',
  describe: 'import, list, show, scan, compare, export hosts',
  builder: (yargs) => {
    const verbs: AnyCommand[] = [importOne, list, show, scan, remove, compare, exportOne];
    for (const verb of verbs) yargs.command(verb);
    return yargs.demandCommand(1, 'say what to do with hosts');
  },
  handler: () => undefined,
};

export default command;
