/** Reads a QEMU command line (from a script, or /proc/PID/cmdline): which devices it assigns. */
import { formatPciAddress, parsePciAddress } from '../../hw/index.ts';
import { fileError, usageError } from '../errors.ts';
import type { AssignedDevice, Assignment } from '../export/assignment.ts';
import { memoryBytes } from '../plan/options.ts';

/**
 * Splits a command line as a POSIX shell does: quotes, backslashes, line continuations; NULs separate words too.
 * @throws ApplicationError (usage) for a quote that does not end.
 */
export function shellWords(text: string): string[] {
  if (text.includes('\0')) return text.split('\0').filter((word) => word !== '');
  const words: string[] = [];
  let word = '';
  let open = false;
  for (let at = 0; at < text.length; at += 1) {
    const character = text[at];
    if (character === "'" || character === '"') {
      const end = closing(text, at);
      word +=
        character === "'" ? text.slice(at + 1, end) : text.slice(at + 1, end).replace(/\\(["\\$`])/g, '$1');
      at = end;
      open = true;
    } else if (character === '\\') {
      at += 1;
      if (text[at] !== '\n') {
        word += text[at] ?? '';
        open = true;
      }
    } else if (/\s/.test(character)) {
      if (open) words.push(word);
      word = '';
      open = false;
    } else {
      word += character;
      open = true;
    }
  }
  if (open) words.push(word);
  return words;
}

function closing(text: string, start: number): number {
  for (let at = start + 1; at < text.length; at += 1) {
    if (text[start] === '"' && text[at] === '\\') at += 1;
    else if (text[at] === text[start]) return at;
  }
  throw usageError(`a quote at character ${start + 1} does not end`, 'give the whole command line');
}

/** `vfio-pci,host=01:00.0,id=x` as its driver and its options; a doubled comma is a comma. */
function optionList(text: string): { driver: string; options: Map<string, string> } {
  const [driver, ...rest] = text
    .replaceAll(',,', '\0')
    .split(',')
    .map((part) => part.replaceAll('\0', ','));
  const options = new Map<string, string>();
  for (const part of rest) {
    const at = part.indexOf('=');
    options.set(at < 0 ? part : part.slice(0, at), at < 0 ? 'on' : part.slice(at + 1));
  }
  const given = driver.startsWith('driver=') ? driver.slice(7) : driver;
  return { driver: given, options };
}

/**
 * What a QEMU command line assigns. @param file Where the text is from.
 * @throws ApplicationError FORMAT for text that is none.
 */
export function assignmentFromQemu(text: string, file?: string): Assignment {
  const words = shellWords(text);
  const start = words.findIndex((word) => /(^|\/)qemu-(system-|kvm)|(^|\/)kvm$/.test(word));
  if (start < 0) throw fileError('no QEMU command line', { file }, 'give it from the program name on');
  const values = (option: string): string[] =>
    words.flatMap((word, at) =>
      word === `-${option}` || word === `--${option}` ? [words[at + 1] ?? ''] : [],
    );
  const devices = values('device').map(optionList);
  const iommu = devices.find(({ driver }) => driver === 'intel-iommu')?.options;
  const name = values('name').map(optionList)[0];
  const memory = values('m')[0];
  const machine = [...values('machine'), ...values('M')].map(optionList)[0];
  const width = Number(iommu?.get('aw-bits'));
  return {
    machine:
      name === undefined ? 'unnamed' : (name.options.get('guest') ?? name.driver.replace(/^guest=/, '')),
    memoryBytes: memory === undefined ? 128 * 2 ** 20 : sizeOf(optionList(memory).driver),
    virtualCpus: Number.parseInt(values('smp')[0] ?? '1', 10) || 1,
    machineType: machine?.driver.includes('q35') === true ? 'q35' : 'pc',
    iommufd: devices.some(({ options }) => options.has('iommufd')),
    devices: devices.flatMap(({ driver, options }) =>
      driver.startsWith('vfio-pci') ? assigned(options) : [],
    ),
    ...(iommu === undefined
      ? {}
      : {
          virtualIommu: {
            interruptRemapping: iommu.get('intremap') !== 'off',
            cachingMode: iommu.get('caching-mode') === 'on',
            ...(iommu.has('device-iotlb') ? { deviceTlb: iommu.get('device-iotlb') === 'on' } : {}),
            ...(width === 39 || width === 48 || width === 57 ? { addressWidth: width } : {}),
          },
        }),
  };
}

/** `-m 4096` counts mebibytes. */
function sizeOf(text: string): number {
  const value = text.replace(/^size=/, '');
  return /^\d+$/.test(value) ? Number(value) * 2 ** 20 : memoryBytes(value);
}

function assigned(options: ReadonlyMap<string, string>): AssignedDevice[] {
  const folder = options.get('sysfsdev');
  const last = folder
    ?.split('/')
    .filter((part) => part !== '')
    .at(-1);
  const at = parsePciAddress(options.get('host') ?? last ?? '');
  if (at !== undefined) return [{ kind: 'pci', address: formatPciAddress(at), managed: false }];
  if (last === undefined) return [];
  return [
    {
      kind: 'mdev',
      uuid: last,
      parent: '',
      type: '',
      deviceApi: 'vfio-pci',
      start: 'manual',
      attributes: [],
    },
  ];
}
