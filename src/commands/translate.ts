/** `vtdeck translate`: the walk of an address, read from memory as hardware would. */
import type { CommandModule } from 'yargs';
import type { DecodedField, WalkState } from '../../hw/index.ts';
import { byteAddress, pciOrUuid } from '../actions/arguments.ts';
import { missingDeviceOrMdev } from '../actions/find.ts';
import { ApplicationError, ExitCode, usageError } from '../errors.ts';
import { printJson, printText } from '../output.ts';
import { openWorkspace } from '../session/open-workspace.ts';
import { sessionOf, sessionOption } from './options.ts';

interface TranslateArguments {
  session?: string;
  device: string;
  pasid?: string;
  iova: string;
  write?: boolean;
  json?: boolean;
}

const command: CommandModule<object, TranslateArguments> = {
  command: 'translate',
  describe: 'walk the tables for an address',
  builder: (yargs) =>
    yargs
      .option('session', sessionOption)
      .option('device', {
        type: 'string',
        demandOption: true,
        describe: 'PCI address, or UUID of a mediated device',
        requiresArg: true,
      })
      .option('pasid', {
        type: 'string',
        describe: 'PASID on the request (an mdev has its own)',
        requiresArg: true,
      })
      .option('iova', {
        type: 'string',
        demandOption: true,
        describe: 'address that the device uses',
        requiresArg: true,
      })
      .option('write', { type: 'boolean', describe: 'as for a write (else a read)' }) as never,
  handler: (argv) => {
    const device = accept(pciOrUuid, argv.device, '--device');
    const iova = BigInt(accept(byteAddress, argv.iova, '--iova'));
    const pasid = argv.pasid === undefined ? undefined : pasidOf(argv.pasid);
    const workspace = openWorkspace({ session: sessionOf(argv), readOnly: true, what: 'translate' });
    const missing = missingDeviceOrMdev(workspace.host, device);
    if (missing !== undefined) {
      throw new ApplicationError('ENODEV', missing, {
        rule: 'device by name',
        remedy: 'vtdeck topology lists them',
        exitCode: ExitCode.usage,
      });
    }
    const walk = workspace.host.explainTranslation({
      device,
      iova,
      access: argv.write ? 'write' : 'read',
      ...(pasid === undefined ? {} : { pasid }),
    });
    if (argv.json) printJson(walkToJson(walk));
    else printText(walkToText(walk, device, iova));
  },
};

export default command;

function accept(schema: typeof pciOrUuid | typeof byteAddress, text: string, option: string): string {
  const parsed = schema.safeParse(text);
  if (parsed.success) return parsed.data;
  throw usageError(`${option}: "${text}" ${parsed.error.issues[0].message}`);
}

function pasidOf(text: string): number {
  const value = /^(0x[0-9a-f]+|[0-9]+)$/i.test(text) ? Number(text) : Number.NaN;
  if (Number.isInteger(value) && value <= 0xfffff) return value;
  throw usageError(`--pasid: "${text}" is no PASID`, 'a number from 0 to 0xfffff');
}

/** Words of an entry as one hex number, most significant first. */
function rawOf(words: Uint32Array): string {
  let text = '';
  for (const word of words) text = word.toString(16).padStart(8, '0') + text;
  return `0x${text}`;
}

function walkToJson(walk: WalkState): unknown {
  return {
    ok: walk.ok,
    physical: walk.physical === undefined ? null : `0x${walk.physical.toString(16)}`,
    page: walk.page ?? null,
    cached: walk.cached,
    unit: walk.unit ?? null,
    steps: walk.steps.map((step) => ({
      structure: step.structure,
      address: `0x${step.address.toString(16)}`,
      raw: rawOf(step.words),
      fields: Object.fromEntries(step.fields.map((field) => [field.name, plainValue(field)])),
    })),
    fault:
      walk.fault === undefined
        ? null
        : {
            reason: `0x${walk.fault.reason.toString(16)}`,
            meaning: walk.fault.meaning,
            recorded: walk.fault.recorded,
          },
  };
}

/** Small fields as numbers, addresses and wide ones as hex. */
function plainValue(field: DecodedField): number | string {
  return field.text.startsWith('0x') ? field.text : Number(field.value);
}

function walkToText(walk: WalkState, device: string, iova: bigint): string {
  const lines = [
    `${device}, address 0x${iova.toString(16)}${walk.unit === undefined ? '' : `, through ${walk.unit}`}`,
  ];
  for (const step of walk.steps) {
    lines.push(`  ${step.structure} at 0x${step.address.toString(16)}: ${rawOf(step.words)}`);
    const shown = step.fields.filter((field) => field.value !== 0n);
    for (const field of shown) {
      const meaning = field.meaning === undefined ? '' : ` (${field.meaning})`;
      lines.push(`    ${field.name} = ${field.text}${meaning}`);
    }
  }
  if (walk.ok && walk.physical !== undefined) {
    lines.push(`physical 0x${walk.physical.toString(16)}, ${walk.page ?? 'no'} page; cached: ${walk.cached}`);
  } else if (walk.fault !== undefined) {
    const recorded = walk.fault.recorded ? '' : ', not recorded';
    lines.push(`fault 0x${walk.fault.reason.toString(16)}: ${walk.fault.meaning}${recorded}`);
  }
  return lines.join('\n');
}
