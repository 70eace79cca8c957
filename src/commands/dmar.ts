/** `vtdeck dmar FILE`: a DMAR table, structure by structure. */
import type { CommandModule } from 'yargs';
import { type DeviceScope, type DmarStructure, type DmarTable, ScopeType } from '../../hw/index.ts';
import { readDmarFile } from '../hosts/import.ts';
import { printJson, printText } from '../output.ts';

interface DmarArguments {
  file: string;
  json?: boolean;
}

const SCOPE_NAMES: Readonly<Record<number, string>> = {
  [ScopeType.endpoint]: 'PCI endpoint',
  [ScopeType.bridge]: 'PCI sub-hierarchy',
  [ScopeType.ioApic]: 'IO-APIC',
  [ScopeType.hpet]: 'HPET',
  [ScopeType.namespaceDevice]: 'ACPI device',
};

const hex = (value: number | bigint, digits = 1): string => `0x${value.toString(16).padStart(digits, '0')}`;

/** Start bus and path: `00:1c.0/00.0` is function 00.0 behind the bridge 1c.0 on bus 00. */
function scopePath(scope: DeviceScope): string {
  const bus = scope.startBus.toString(16).padStart(2, '0');
  const hops = scope.path.map((hop) => `${hop.device.toString(16).padStart(2, '0')}.${hop.function}`);
  return `${bus}:${hops.join('/')}`;
}

function scopeText(scope: DeviceScope): string {
  const name = SCOPE_NAMES[scope.type] ?? `scope type ${scope.type}`;
  const id = scope.type >= ScopeType.ioApic ? `, id ${scope.enumerationId}` : '';
  return `    ${name} ${scopePath(scope)}${id}`;
}

function structureText(structure: DmarStructure): string {
  switch (structure.kind) {
    case 'DRHD': {
      const rest = structure.includeAll ? ', all other PCI devices' : '';
      const size = hex(4096 * 2 ** structure.sizeShift);
      return `DRHD  registers at ${hex(structure.registerBase)} (${size} bytes), segment ${structure.segment}${rest}`;
    }
    case 'RMRR':
      return `RMRR  reserved memory ${hex(structure.base)}-${hex(structure.limit)}, segment ${structure.segment}`;
    case 'ATSR':
      return `ATSR  ${structure.allPorts ? 'all root ports pass ATS on' : 'root ports that pass ATS on'}, segment ${structure.segment}`;
    case 'RHSA':
      return `RHSA  unit at ${hex(structure.registerBase)} is in proximity domain ${structure.proximityDomain}`;
    case 'ANDD':
      return `ANDD  ACPI device ${structure.deviceNumber}: ${structure.name}`;
    case 'SATC':
      return `SATC  integrated devices with a translation cache${structure.atcRequired ? ' that they require' : ''}, segment ${structure.segment}`;
    case 'SIDP':
      return `SIDP  properties of integrated devices, segment ${structure.segment}`;
    case 'unknown':
      return `type ${structure.type}  not defined, ${structure.bytes?.length ?? 4} bytes`;
  }
}

function tableText(table: DmarTable): string {
  const flags = [
    table.interruptRemapping && 'interrupt remapping',
    table.x2apicOptOut && 'x2APIC opt-out',
    table.dmaControlOptIn && 'DMA protection opt-in',
  ].filter(Boolean);
  const lines = [
    `DMAR revision ${table.revision}, ${table.oemId} ${table.oemTableId} ${hex(table.oemRevision)}, by ${table.creatorId} ${hex(table.creatorRevision)}`,
    `host address width ${table.hostAddressWidth} bits; flags: ${flags.join(', ') || 'none'}`,
  ];
  for (const structure of table.structures) {
    lines.push(structureText(structure));
    if ('scopes' in structure) lines.push(...structure.scopes.map(scopeText));
  }
  lines.push(...table.warnings.map((warning) => `warning: ${warning}`));
  return lines.join('\n');
}

function tableJson(table: DmarTable): unknown {
  const { headerBytes: _header, trailingBytes: _trailing, structures, ...rest } = table;
  return {
    ...rest,
    structures: structures.map(({ bytes, ...structure }) => ({
      ...structure,
      ...('scopes' in structure && {
        scopes: structure.scopes.map((scope) => ({ ...scope, text: scopePath(scope) })),
      }),
      ...(structure.kind === 'unknown' && { bytes }),
    })),
  };
}

const command: CommandModule<object, DmarArguments> = {
  command: 'dmar <file>',
  describe: 'show a DMAR table: remapping units, device scopes, reserved memory',
  builder: (yargs) =>
    yargs.positional('file', {
      type: 'string',
      demandOption: true,
      describe: 'the table as bytes, as /sys/firmware/acpi/tables/DMAR holds it, or the text of acpidump',
    }) as never,
  handler: (argv) => {
    const { table } = readDmarFile(argv.file);
    if (argv.json) printJson(tableJson(table));
    else printText(tableText(table));
  },
};

export default command;
