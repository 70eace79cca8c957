/** What happened that an operator should see: faults as the kernel's handler read them. */
import type { FaultReport } from '../kernel/intel/fault-handler.ts';
import type { QuirkSighting } from '../kernel/quirk-log.ts';
import { faultMeaning, faultReasons } from '../vtd/fault-reasons.ts';
import type { FaultState, ReportedEvent } from './state.ts';

/** Events kept; older ones fall out. */
const KEPT = 1000;

export class EventLog {
  private kept: ReportedEvent[] = [];
  private next = 1;

  get events(): readonly ReportedEvent[] {
    return this.kept;
  }

  /** The number the next event gets: a mark for `faultSince`. */
  get nextSequence(): number {
    return this.next;
  }

  addFault(report: FaultReport, device: string | undefined): void {
    const fault: FaultState = {
      unit: report.unit,
      device,
      requesterId: report.requesterId,
      pasid: report.pasid,
      address: report.address,
      access: report.access,
      reason: report.reason,
      meaning: faultMeaning(report.reason),
      remedy: faultReasons.get(report.reason)?.remedy,
    };
    const who = device ?? `requester ${report.requesterId.toString(16).padStart(4, '0')}`;
    const pasid = report.pasid === undefined ? '' : ` PASID ${report.pasid}`;
    this.add({
      kind: 'fault',
      text: `${who}${pasid}: ${report.access} at 0x${report.address.toString(16)} refused by ${report.unit}: ${fault.meaning} (0x${report.reason.toString(16).padStart(2, '0')})`,
      fault,
    });
  }

  /** A known defect of the kernel shaped what happened. */
  addQuirk({ quirk, detail }: QuirkSighting): void {
    this.add({ kind: 'kernel', text: `quirk ${quirk.name}: ${detail}. ${quirk.effect}`, fault: undefined });
  }

  /** The first fault since a mark, or undefined. */
  faultSince(sequence: number): FaultState | undefined {
    return this.kept.find((event) => event.sequence >= sequence && event.fault !== undefined)?.fault;
  }

  /** Forgets what was read; numbers go on. */
  clear(): void {
    this.kept = [];
  }

  private add(event: Omit<ReportedEvent, 'sequence'>): void {
    this.kept.push({ ...event, sequence: this.next });
    this.next += 1;
    if (this.kept.length > KEPT) this.kept.shift();
  }
}
