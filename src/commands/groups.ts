/** `vtdeck groups`: the IOMMU groups that Linux would form of a host, why, and what would change them. */
import type { CommandModule } from 'yargs';
import {
  type DeviceExplanation,
  DmarError,
  explainDevice,
  type GroupsReport,
  groupsOf,
  type HostDescription,
  type WhatIf,
  type WhatIfReport,
  whatIf,
} from '../../hw/index.ts';
import { ExitCode, fileError, usageError } from '../errors.ts';
import { normalAddress, readDmarFile } from '../hosts/import.ts';
import { type GroupListing, listingDifferences } from '../hosts/iommu-groups.ts';
import { hexOf } from '../hosts/lspci.ts';
import { printJson, printText } from '../output.ts';
import { deviceTitle, dmarOption, hostFrom, hostOption } from './host-option.ts';

interface Arguments {
  host: string;
  dmar?: string;
  explain?: string;
  'acs-override'?: string;
  'firmware-acs'?: string;
  'kernel-options'?: string;
  iommu?: string;
  'what-if-dmar'?: string;
  verify?: boolean;
  json?: boolean;
}

const command: CommandModule<object, Arguments> = {
  command: 'groups',
  describe: 'IOMMU groups of a host, with the reason for every membership',
  builder: (yargs) =>
    yargs
      .option('host', hostOption)
      .option('dmar', dmarOption)
      .option('explain', {
        type: 'string',
        requiresArg: true,
        describe: 'one device (00:1f.2): all that decides on its group',
      })
      .option('acs-override', {
        type: 'string',
        requiresArg: true,
        describe:
          'what if these devices (comma between them) isolated: the difference, and the paths that opens',
      })
      .option('firmware-acs', {
        type: 'string',
        requiresArg: true,
        describe: 'what if ACS control registers read so (00:1c.0=0x00, comma between them)',
      })
      .option('kernel-options', {
        type: 'string',
        requiresArg: true,
        describe: 'what if the kernel got these options too ("pci=disable_acs_redir=00:1c.0", "iommu=pt")',
      })
      .option('iommu', { choices: ['on', 'off'], describe: 'what if the IOMMU were on, or off' })
      .option('what-if-dmar', {
        type: 'string',
        requiresArg: true,
        describe: 'what if firmware had this DMAR table ("none": no table)',
      })
      .option('verify', {
        type: 'boolean',
        default: false,
        describe: 'compare with the groups that the capture lists; exit code 4 when they differ',
      }),
  handler: (argv) => {
    const { description, listing } = hostFrom(argv.host, { dmar: argv.dmar });
    const question = questionOf(argv);
    withTableErrors(argv.host, () => {
      if (argv.verify === true) verify(groupsOf(description), listing, argv.json === true);
      else if (question !== undefined) showWhatIf(whatIf(description, question), argv.json === true);
      else if (argv.explain !== undefined) explain(description, argv.explain, argv.json === true);
      else show(description, groupsOf(description), argv.json === true);
    });
  },
};

export default command;

/** A DMAR table that can't be read is an input that is wrong, at an offset. */
function withTableErrors(host: string, run: () => void): void {
  try {
    run();
  } catch (error) {
    if (!(error instanceof DmarError)) throw error;
    throw fileError(error.message, { file: `DMAR table of ${host}`, offset: error.offset });
  }
}

function questionOf(argv: Arguments): WhatIf | undefined {
  const override = argv['acs-override']?.split(',').map(addressOrFail);
  const table = argv['what-if-dmar'];
  const question: WhatIf = {
    ...(override === undefined ? {} : { overrideAcs: override }),
    ...(argv['firmware-acs'] === undefined ? {} : { firmwareAcs: firmwareSettings(argv['firmware-acs']) }),
    ...(argv['kernel-options'] === undefined ? {} : { commandLine: argv['kernel-options'] }),
    ...(argv.iommu === undefined ? {} : { iommu: argv.iommu as 'on' | 'off' }),
    ...(table === undefined ? {} : { dmar: table === 'none' ? null : hexOf(readDmarFile(table).bytes) }),
  };
  return Object.keys(question).length === 0 ? undefined : question;
}

function firmwareSettings(text: string): NonNullable<WhatIf['firmwareAcs']> {
  return text.split(',').map((part) => {
    const [address, value] = part.split('=');
    const control = Number(value);
    if (value === undefined || !Number.isInteger(control) || control < 0 || control > 0x7f) {
      throw usageError(`"${part}" sets no ACS control`, 'write it as 00:1c.0=0x1d, up to 0x7f');
    }
    return { device: addressOrFail(address), control };
  });
}

function addressOrFail(text: string): string {
  const address = normalAddress(text);
  if (address === undefined)
    throw usageError(`"${text}" is no PCI address`, 'write it as 0000:00:1f.2 or 00:1f.2');
  return address;
}

function show(description: HostDescription, report: GroupsReport, json: boolean): void {
  if (json) {
    printJson(report);
    return;
  }
  const lines: string[] = [];
  for (const group of report.groups) {
    const count = group.devices.length === 1 ? '1 device' : `${group.devices.length} devices`;
    lines.push(`Group ${group.id}  ${group.type}  ${count}`);
    for (const reason of group.reasons) {
      lines.push(`  ${reason.device}  ${deviceTitle(description, reason.device)}`);
      if (group.devices.length > 1) {
        lines.push(
          `      ${reason.rule}${reason.with === null ? '' : ` (${reason.with})`}: ${reason.detail}`,
        );
      }
    }
    for (const region of group.reserved) {
      if (region.type !== 'msi') lines.push(`  reserved ${region.start}-${region.end} ${region.type}`);
    }
  }
  if (report.ungrouped.length > 0) lines.push('', 'Without a group:');
  for (const [why, devices] of byReason(report.ungrouped)) {
    lines.push(`  ${why}`, ...devices.map((device) => `    ${device}  ${deviceTitle(description, device)}`));
  }
  if (report.unknown.length > 0) lines.push('', 'Not to be told from this source:');
  for (const [why, devices] of byReason(report.unknown)) {
    lines.push(`  ${why}`, ...devices.map((device) => `    ${device}  ${deviceTitle(description, device)}`));
  }
  for (const assumption of report.assumptions) lines.push('', `Assumed: ${assumption}`);
  for (const problem of report.problems) lines.push(`Problem: ${problem.device}: ${problem.problem}`);
  printText(lines.join('\n'));
}

/** The partition and the numbers against those of the capture; what is unknown is no difference. */
function verify(report: GroupsReport, listing: GroupListing, json: boolean): void {
  if (listing.size === 0) {
    throw usageError('the source lists no groups to compare with', 'put iommu-groups.txt beside lspci.txt');
  }
  const differences = listingDifferences(report, listing);
  const wrong = differences.filter((one) => one.kind === 'members').length;
  if (json) printJson({ devices: listing.size, unknown: report.unknown.length, differences });
  else {
    const lines = differences.map((one) => `${one.device}: ${one.text}`);
    lines.push(
      wrong === 0
        ? `the partition is that of the capture (${listing.size} devices, ${report.unknown.length} not to be told)`
        : `${wrong} devices are in other company than in the capture`,
    );
    printText(lines.join('\n'));
  }
  if (wrong > 0) process.exitCode = ExitCode.differs;
}

function byReason(list: readonly { readonly device: string; readonly why: string }[]): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const one of list) found.set(one.why, [...(found.get(one.why) ?? []), one.device]);
  return found;
}

function explain(description: HostDescription, text: string, json: boolean): void {
  const address = addressOrFail(text);
  const explanation = explainDevice(description, groupsOf(description), address);
  if (explanation === undefined) {
    throw usageError(`the host has no device ${address}`, 'vtdeck topology lists all');
  }
  if (json) {
    printJson(explanation);
    return;
  }
  printText(explanationLines(description, explanation).join('\n'));
}

function explanationLines(description: HostDescription, one: DeviceExplanation): string[] {
  const lines = [`${one.device}  ${deviceTitle(description, one.device)}`];
  if (one.group !== null) {
    lines.push(`Group ${one.group.id} (${one.group.type}): ${one.group.devices.join(', ')}`);
    const reason = one.group.reasons.find((candidate) => candidate.device === one.device);
    if (reason !== undefined) {
      lines.push(
        `Why: ${reason.rule}${reason.with === null ? '' : `, with ${reason.with}`}. ${reason.detail}`,
      );
    }
  } else if (one.unknown !== null) {
    lines.push(`Not to be told: ${one.unknown.why}`);
    lines.push(`  if all that is hidden isolates: ${one.unknown.ifIsolated.join(', ')}`);
    lines.push(`  if nothing of it does: ${one.unknown.ifOpen.join(', ')}`);
  } else lines.push(`No group: ${one.ungrouped?.why ?? 'it is not covered'}`);
  lines.push(one.enforcement, '', 'Its DMA carries');
  for (const id of one.requesterIds) {
    lines.push(`  ${id.id}  ${id.of === one.device ? id.kind : `${id.kind}, ${id.of}`}`);
  }
  if (one.phantom !== null) {
    lines.push(
      `  ${one.phantom.ids.join(', ')}  phantom functions, ${one.phantom.enabled ? 'ON: the IOMMU has no entry for these ids' : 'off'}`,
    );
  }
  lines.push('', one.path.length === 0 ? 'It sits on a root bus.' : 'The way up');
  for (const step of one.path) lines.push(`  ${step.isolated ? 'isolates' : 'OPEN    '}  ${step.detail}`);
  lines.push('', 'Its slot');
  for (const step of one.slot) lines.push(`  ${step.isolated ? 'isolates' : 'OPEN    '}  ${step.detail}`);
  return lines;
}

function showWhatIf(report: WhatIfReport, json: boolean): void {
  if (json) {
    printJson(report);
    return;
  }
  const lines: string[] = [
    `${report.before.groups.length} groups before, ${report.after.groups.length} after.`,
  ];
  if (report.moved.length === 0 && report.retyped.length === 0) lines.push('Nothing changes.');
  for (const one of report.moved) {
    lines.push(`  ${one.device}`, `    before: ${company(one.before)}`, `    after:  ${company(one.after)}`);
  }
  for (const one of report.retyped) lines.push(`  ${one.device}: ${one.before} becomes ${one.after}`);
  if (report.opened.length > 0) lines.push('', 'Paths past the IOMMU that stay open in hardware:');
  for (const path of report.opened) {
    lines.push(
      `  ${path.from.join(', ')}  <->  ${path.to.join(', ')}`,
      `    through ${path.through}: ${path.detail}`,
    );
  }
  printText(lines.join('\n'));
}

function company(members: readonly string[]): string {
  return members.length === 0 ? 'no group' : members.join(', ');
}
