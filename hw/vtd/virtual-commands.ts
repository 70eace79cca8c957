/**
 * The virtual command interface: a unit made for guests hands out PASIDs, so that those of all guests differ. VT-d
 * 11.4.15; commands and responses as Linux's driver of 5.x to 6.x used them.
 */
import { capabilitiesOf, type UnitConfiguration } from './configuration.ts';
import type { RegisterFile } from './register-file.ts';
import { registers } from './registers.ts';

const Command = { allocate: 1, free: 2 } as const;
const Status = { done: 0, noSuchCommand: 1, noPasid: 16 } as const;

export class VirtualCommands {
  private readonly file: RegisterFile;
  private readonly end: number;
  private readonly given = new Set<number>();

  constructor(configuration: UnitConfiguration, file: RegisterFile) {
    this.file = file;
    this.end = 2 ** (capabilitiesOf(configuration).pasidSize + 1);
  }

  /** The upper half of the command register was written: the command is carried out at once. */
  commandWritten(): void {
    const { command, operand } = registers.VCMD.layout.fields;
    const words = Uint32Array.of(this.file.get('VCMD'), this.file.getHigh('VCMD'));
    switch (command.get(words)) {
      case Command.allocate:
        this.allocate();
        break;
      case Command.free:
        this.respond(this.given.delete(operand.get(words)) ? Status.done : Status.noPasid, 0);
        break;
      default:
        this.respond(Status.noSuchCommand, 0);
    }
  }

  /** The lowest that is free; 0 stands for requests without PASID. */
  private allocate(): void {
    let pasid = 1;
    while (this.given.has(pasid)) pasid += 1;
    if (pasid >= this.end) {
      this.respond(Status.noPasid, 0);
      return;
    }
    this.given.add(pasid);
    this.respond(Status.done, pasid);
  }

  private respond(status: number, result: number): void {
    const words = registers.VCRSP.layout.encode({ status, result });
    this.file.set('VCRSP', words[0]);
    this.file.setHigh('VCRSP', words[1]);
  }
}
