import { DmarError, type DmarTable, readDmar } from '../../hw/index.ts';

/** A DMAR table, or undefined: it can't be read, which is told where it is used. */
export function readableTable(bytes: Uint8Array): DmarTable | undefined {
  try {
    return readDmar(bytes);
  } catch (error) {
    if (error instanceof DmarError) return undefined;
    throw error;
  }
}
