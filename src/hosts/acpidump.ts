/** ACPI tables out of the text that acpidump prints, or out of a raw table. */

/** A line of acpidump that starts a table: `DMAR @ 0x0000000000000000`. */
const START = /^([A-Z0-9_]{4}) @ 0x[0-9a-f]+/i;
const ROW = /^\s*([0-9a-f]+):((?:\s[0-9a-f]{2}){1,16})(?:\s|$)/i;

export interface AcpiTables {
  /** Tables by signature; SSDTs and other repeated ones in order. */
  readonly tables: readonly { readonly signature: string; readonly bytes: Uint8Array }[];
  readonly problems: readonly { readonly line: number; readonly problem: string }[];
}

/** Reads acpidump text. Rows must follow one another without holes. */
export function parseAcpidump(text: string): AcpiTables {
  const tables: { signature: string; bytes: Uint8Array }[] = [];
  const problems: { line: number; problem: string }[] = [];
  let signature: string | undefined;
  let bytes: number[] = [];
  const close = (): void => {
    if (signature !== undefined) tables.push({ signature, bytes: Uint8Array.from(bytes) });
    signature = undefined;
    bytes = [];
  };
  text.split('\n').forEach((line, index) => {
    const start = START.exec(line);
    if (start !== null) {
      close();
      signature = start[1].toUpperCase();
      return;
    }
    const row = ROW.exec(line);
    if (row === null || signature === undefined) return;
    const offset = Number.parseInt(row[1], 16);
    if (offset !== bytes.length) {
      problems.push({
        line: index + 1,
        problem: `${signature}: row 0x${offset.toString(16)} where 0x${bytes.length.toString(16)} should follow`,
      });
      return;
    }
    for (const digits of row[2].trim().split(/\s+/)) bytes.push(Number.parseInt(digits, 16));
  });
  close();
  return { tables, problems };
}

/** True for text that acpidump made. */
export function isAcpidump(text: string): boolean {
  return text.split('\n', 50).some((line) => START.test(line));
}
