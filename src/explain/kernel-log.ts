/**
 * Kernel log lines about DMA and interrupt remapping, VFIO and mediated devices, read and explained: which device,
 * which address, which table entry, and what an operator can do. Takes lines of 3.x to 7.x kernels, with or without
 * time stamps, severity, journald prefixes.
 */
import { faultReasons } from '../../hw/index.ts';

/** What one line says. Only what the line itself tells is filled in. */
export interface Explanation {
  /** The line as given, without prefix. */
  readonly line: string;
  /** A stable name of the kind: "dma-fault", "group-not-viable". */
  readonly kind: string;
  readonly device: string | undefined;
  readonly pasid: number | undefined;
  /** `0x…`, page-aligned as the fault register holds it. */
  readonly address: string | undefined;
  readonly access: 'read' | 'write' | 'interrupt' | undefined;
  readonly reason: { readonly code: string; readonly class: string; readonly meaning: string } | undefined;
  /** The table entry that refused, in the specification's words. */
  readonly entry: string | undefined;
  readonly meaning: string;
  readonly remedy: string;
}

type Facts = Omit<Explanation, 'line'>;

const nothing = {
  device: undefined,
  pasid: undefined,
  address: undefined,
  access: undefined,
  reason: undefined,
  entry: undefined,
};

/** dmar.c dmar_fault_do_one: 5.13 and newer write 0x and name the PASID, older ones write bare hex. */
const DMA_FAULT =
  /\[DMA (Read|Write)( NO_PASID| PASID (?:0x)?([0-9a-f]+))?\] Request device \[(?:0x)?([0-9a-f:.]+)\](?: PASID ([0-9a-f]+))? fault addr (?:0x)?([0-9a-f]+)(?: \[fault reason (0x[0-9a-f]+|\d+)\])?/i;
const INTERRUPT_FAULT =
  /\[?INTR-REMAP\]?:? Request device \[(?:0x)?([0-9a-f:.]+)\] fault index (?:0x)?([0-9a-f]+)(?: \[fault reason (0x[0-9a-f]+|\d+)\])?/i;

/** Which entry of which table a reason speaks of, by its class. */
const ENTRIES: readonly (readonly [RegExp, string])[] = [
  [/^RTA/, 'root table address register'],
  [/^(LRT|SRT)/, 'root table entry of the bus'],
  [/^(LCT|SCT)/, 'context table entry of the function'],
  [/^SPD/, 'PASID directory entry'],
  [/^SPT/, 'PASID table entry'],
  [/^SFL/, 'first-level paging entry of the address'],
  [/^(LSL|SSL)/, 'second-level paging entry of the address'],
  [/^(LGN|SGN)/, 'the paging entries of the address together (rights), or its width'],
  [/^INTR/, 'interrupt remapping table entry of the index'],
];

interface Rule {
  readonly pattern: RegExp;
  facts(match: RegExpExecArray): Facts | undefined;
}

/** Lines with fixed texts, by the source that prints them. */
const RULES: readonly Rule[] = [
  { pattern: DMA_FAULT, facts: dmaFault },
  { pattern: INTERRUPT_FAULT, facts: interruptFault },
  fixed(
    'rmrr-refusal',
    /Device is ineligible for IOMMU domain attach due to platform RMRR requirement/,
    'the firmware reserves memory for this device (RMRR in the DMAR table), so the kernel gives it to nobody (5.15 and 6.1: EPERM)',
    'ask the vendor for a firmware option that drops the RMRR (HP: conrep; many: "shared memory features" off); a relaxable RMRR (USB, graphics) does not refuse',
  ),
  fixed(
    'rmrr-refusal',
    /Firmware has requested this device have a 1:1 IOMMU mapping, rejecting configuring the device without a 1:1 mapping/,
    'the firmware reserves memory for this device (RMRR in the DMAR table); the kernel refuses to take that mapping away (EINVAL at the claim)',
    'ask the vendor for a firmware option that drops the RMRR; a relaxable RMRR (USB, graphics) does not refuse',
  ),
  fixed(
    'group-not-viable',
    /group (\d+) is not viable|Please ensure all devices within the iommu_group are bound to their vfio bus driver/,
    'another device of the same IOMMU group is bound to a driver that does DMA for the host',
    'vtdeck plan names the member: unbind it or bind it to vfio-pci, or choose a device that is alone in its group',
  ),
  fixed(
    'memory-lock-limit',
    /RLIMIT_MEMLOCK \((\d+)\) exceeded/,
    'the process may not lock as much memory as VFIO must pin for DMA',
    'raise the limit (LimitMEMLOCK of the unit, memtune hard_limit in libvirt) to all of the guest memory plus 1 GiB; with a virtual IOMMU, once per device',
  ),
  fixed(
    'interrupts-not-isolated',
    /No interrupt remapping support\.?\s+Use the module param "allow_unsafe_interrupts"/,
    'interrupt remapping is off, so a guest could send any interrupt to the host',
    'switch interrupt remapping on in the firmware and drop intremap=off / nointremap; allow_unsafe_interrupts=1 only for guests that you trust',
  ),
  fixed(
    'queue-error',
    /VT-d detected Invalidation Queue Error|VT-d detected Invalidation (Time-out|Completion) Error|QI HEAD:/,
    'the unit stopped at a descriptor of its invalidation queue, or a device did not answer a device-TLB invalidation',
    'look for a device that went away or hangs (its address stands in the neighbouring lines); a reset or removal of that device frees the queue',
  ),
  fixed(
    'fault-overflow',
    /DRHD: handling fault status reg (?:0x)?([0-9a-f]+)/,
    'a remapping unit reports faults; the lines after this one name them (bit 0 of the status: some were lost)',
    'explain the lines that follow',
  ),
  fixed(
    'broken-firmware-table',
    /\[Firmware Bug\]: (No firmware reserved region can cover this RMRR|RMRR entry for device .* is broken|Your BIOS is broken)/,
    'the DMAR table contradicts the memory map or itself; the kernel works around it',
    'a firmware update; check that the reserved region still applies',
  ),
  fixed(
    'unit-disabled',
    /DMAR: (?:IOMMU .*)?(?:Disable dmar|DMAR table not found|No DMAR devices found|intel_iommu=off|IOMMU disabled)/i,
    'there is no remapping: no IOMMU groups, and so no assignment through VFIO',
    'switch VT-d on in the firmware and give intel_iommu=on',
  ),
  fixed(
    'bind-refused',
    /(?:Driver|driver) .* (?:with )?error (?:-16|-EBUSY)|probe with driver (\S+) failed with error -16/,
    'the driver was refused because the group is claimed by user space (DMA ownership)',
    'release the other devices of the group first, or leave the device unbound',
  ),
];

function fixed(kind: string, pattern: RegExp, meaning: string, remedy: string): Rule {
  return {
    pattern,
    facts: (match) => ({ ...nothing, kind, device: deviceBefore(match), meaning, remedy }),
  };
}

/** The device that stands before the text, as dev_printk writes it: `vfio-pci 0000:02:00.0: …`. */
function deviceBefore(match: RegExpExecArray): string | undefined {
  const all = match.input
    .slice(0, match.index + match[0].length)
    .match(/\b(?:[0-9a-f]{4,8}:)?[0-9a-f]{2}:[01][0-9a-f]\.[0-7]\b/gi);
  return all?.[0];
}

function dmaFault(match: RegExpExecArray): Facts {
  const [, direction, , pasidNow, device, pasidThen, address, code] = match;
  const pasid = pasidNow ?? pasidThen;
  const reason = reasonOf(code, match.input);
  return {
    kind: 'dma-fault',
    device,
    pasid: pasid === undefined ? undefined : Number.parseInt(pasid, 16),
    address: `0x${BigInt(`0x${address}`).toString(16)}`,
    access: direction.toLowerCase() === 'write' ? 'write' : 'read',
    ...reason,
  };
}

function interruptFault(match: RegExpExecArray): Facts {
  const [, device, index, code] = match;
  return {
    kind: 'interrupt-fault',
    device,
    pasid: undefined,
    address: `0x${BigInt(`0x${index}`).toString(16)}`,
    access: 'interrupt',
    ...reasonOf(code, match.input),
  };
}

/** Kernels before 5.13 print the reason in decimal ("38" is 26h), newer ones as 0x26. */
function reasonOf(
  code: string | undefined,
  line: string,
): Pick<Facts, 'reason' | 'entry' | 'meaning' | 'remedy'> {
  const number = code === undefined ? Number.NaN : Number(code);
  const known = faultReasons.get(number);
  if (known === undefined) {
    const text = /\[fault reason [^\]]*\]\s*(.*)$/.exec(line)?.[1];
    return {
      reason:
        code === undefined
          ? undefined
          : {
              code: `0x${number.toString(16)}`,
              class: 'unknown',
              meaning: text ?? 'not in the specification',
            },
      entry: undefined,
      meaning:
        text === undefined || text === '' ? 'the request was blocked; the line does not say by what' : text,
      remedy: 'look at the lines around this one',
    };
  }
  return {
    reason: {
      code: `0x${known.code.toString(16).padStart(2, '0')}`,
      class: known.class,
      meaning: known.meaning,
    },
    entry: ENTRIES.find(([pattern]) => pattern.test(known.class))?.[1],
    meaning: known.meaning,
    remedy: known.remedy,
  };
}

/** Time stamps, severity, host and process names before the message. */
const PREFIX = /^(?:<\d+>)?(?:\w{3}\s+\d+\s[\d:]+\s\S+\skernel:\s*)?(?:\[\s*\d+\.\d+\]\s*)?/;

/** Explains each line that says something of DMA, interrupts or assignment; other lines are passed over. */
export function explainKernelLog(text: string): Explanation[] {
  const found: Explanation[] = [];
  for (const raw of text.split(/\r?\n/)) {
    const line = raw.slice(0, 2000).replace(PREFIX, '').trim();
    for (const rule of RULES) {
      const match = rule.pattern.exec(line);
      const facts = match === null ? undefined : rule.facts(match);
      if (facts !== undefined) {
        found.push({ line, ...facts });
        break;
      }
    }
  }
  return found;
}
