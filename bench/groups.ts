/**
 * Import and grouping: the largest capture that is at hand, and synthetic hosts of 1, 10 and 60 thousand functions. What
 * counts is the cost per function: it must not grow with the host.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { groupsOf, type HostDescription } from '../hw/index.ts';
import { loadHost } from '../src/hosts/import.ts';
import { importLspci } from '../src/hosts/lspci.ts';

const PORTS_PER_SEGMENT = 248;

const hex = (value: number, digits: number): string => value.toString(16).padStart(digits, '0');

const CAPABLE = 'SrcValid+ TransBlk+ ReqRedir+ CmpltRedir+ UpstreamFwd+ EgressCtrl- DirectTrans-';

function portText(address: string, secondary: number, isolating: boolean): string {
  const control = isolating ? CAPABLE.replace('TransBlk+', 'TransBlk-') : CAPABLE.replaceAll('+', '-');
  return `${address} PCI bridge [0604]: Intel Corporation Root Port [8086:2f02] (rev 02) (prog-if 00 [Normal decode])
\tBus: primary=00, secondary=${hex(secondary, 2)}, subordinate=${hex(secondary, 2)}, sec-latency=0
\tCapabilities: [90] Express (v2) Root Port (Slot+), MSI 00
\tCapabilities: [110 v1] Access Control Services
\t\tACSCap:\t${CAPABLE}
\t\tACSCtl:\t${control}
\tKernel driver in use: pcieport

`;
}

function adapterText(address: string, virtual: number): string {
  return `${address} Ethernet controller [0200]: Intel Corporation Adapter [8086:10fb] (rev 01)
\tSubsystem: Intel Corporation Device [8086:000c]
\tCapabilities: [a0] Express (v2) Endpoint, MSI 00
\tCapabilities: [160 v1] Single Root I/O Virtualization (SR-IOV)
\t\tIOVCtl:\tEnable+ Migration- Interrupt- MSE+ ARIHierarchy+
\t\tInitial VFs: 64, Total VFs: 64, Number of VFs: ${virtual}, Function Dependency Link: 00
\t\tVF offset: 16, stride: 1, Device ID: 10ed
\tKernel driver in use: ixgbe

`;
}

function virtualText(address: string): string {
  return `${address} Ethernet controller [0200]: Intel Corporation Virtual Function [8086:10ed] (rev 01)
\tCapabilities: [a0] Express (v2) Endpoint, MSI 00
\tKernel driver in use: vfio-pci

`;
}

/** Root ports (every ninth without isolation), an SR-IOV adapter behind each, its virtual functions; over several segments. */
function syntheticText(functions: number): string {
  const segments = functions > 5000 ? 4 : 1;
  const ports = Math.min(PORTS_PER_SEGMENT, Math.ceil(functions / segments / 20));
  const virtual = Math.max(0, Math.round(functions / segments / ports) - 2);
  const parts: string[] = [];
  for (let segment = 0; segment < segments; segment += 1) {
    for (let port = 0; port < ports; port += 1) {
      const slot = 1 + (port >> 3);
      const secondary = port + 1;
      parts.push(portText(`${hex(segment, 4)}:00:${hex(slot, 2)}.${port & 7}`, secondary, port % 9 !== 0));
      parts.push(adapterText(`${hex(segment, 4)}:${hex(secondary, 2)}:00.0`, virtual));
      for (let index = 0; index < virtual; index += 1) {
        const devfn = 16 + index;
        parts.push(virtualText(`${hex(segment, 4)}:${hex(secondary, 2)}:${hex(devfn >> 3, 2)}.${devfn & 7}`));
      }
    }
  }
  return parts.join('');
}

function hostOf(functions: HostDescription['functions']): HostDescription {
  return {
    format: 'vtdeck-host',
    version: 1,
    name: 'synthetic',
    origin: 'bench',
    functions,
    iommu: { state: 'unknown', because: 'bench' },
  };
}

/** Processor time of this process: wall time says little on a machine that others share. */
function processorMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

interface Timing {
  readonly what: string;
  readonly functions: number;
  readonly importMs: number;
  readonly groupMs: number;
  readonly groups: number;
}

/** The best of three: the machine is shared. */
function best(run: () => Timing): Timing {
  const tries = [run(), run(), run()];
  return tries.reduce((one, other) =>
    other.importMs + other.groupMs < one.importMs + one.groupMs ? other : one,
  );
}

function timeText(what: string, text: string): Timing {
  const start = processorMs();
  const { functions } = importLspci(text);
  const middle = processorMs();
  const { groups } = groupsOf(hostOf(functions));
  return {
    what,
    functions: functions.length,
    importMs: middle - start,
    groupMs: processorMs() - middle,
    groups: groups.length,
  };
}

function timeCapture(folder: string): Timing {
  const start = processorMs();
  const { description } = loadHost(folder);
  const middle = processorMs();
  const { groups } = groupsOf(description);
  return {
    what: 'largest capture',
    functions: description.functions.length,
    importMs: middle - start,
    groupMs: processorMs() - middle,
    groups: groups.length,
  };
}

function largestCapture(): string | undefined {
  const root = process.env.VTDECK_SHARED ?? resolve(import.meta.dirname, '../../shared');
  const folder = join(root, 'captures');
  if (!existsSync(folder)) return undefined;
  let largest: string | undefined;
  let size = 0;
  for (const name of readdirSync(folder)) {
    const path = join(folder, name, 'lspci.txt');
    if (!existsSync(path)) continue;
    const bytes = readFileSync(path).length;
    if (bytes > size) {
      size = bytes;
      largest = join(folder, name);
    }
  }
  return largest;
}

export function run(): void {
  const timings: Timing[] = [];
  const capture = largestCapture();
  if (capture === undefined) console.log('(no captures beside the repository: the largest is left out)');
  else timings.push(best(() => timeCapture(capture)));
  for (const functions of [1_000, 10_000, 60_000]) {
    const text = syntheticText(functions);
    timings.push(best(() => timeText(`synthetic ${functions}`, text)));
  }
  for (const one of timings) {
    const total = one.importMs + one.groupMs;
    console.log(
      `${one.what.padEnd(18)} ${String(one.functions).padStart(6)} functions ${String(one.groups).padStart(6)} groups  ` +
        `import ${one.importMs.toFixed(0).padStart(5)} ms  groups ${one.groupMs.toFixed(0).padStart(5)} ms  ` +
        `${((total / one.functions) * 1000).toFixed(1).padStart(6)} us a function`,
    );
  }
  const perFunction = timings.slice(-3).map((one) => (one.importMs + one.groupMs) / one.functions);
  console.log(
    `cost per function, 60 thousand against 1 thousand: ${(perFunction[2] / perFunction[0]).toFixed(2)} times`,
  );
  const largest = timings.at(-1);
  if (largest !== undefined) {
    const total = largest.importMs + largest.groupMs;
    console.log(`largest: ${total.toFixed(0)} ms of processor time (aim: under 2000)`);
  }
}
