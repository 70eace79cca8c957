/** Paths of the ACPI name space. */

/** Whether two absolute paths name one object: names have four characters, and underscores that fill them up may be left out. ACPI 5.3. */
export function sameNamePath(one: string, other: string): boolean {
  return bare(one) === bare(other);
}

function bare(path: string): string {
  return path
    .replace(/^\\/, '')
    .split('.')
    .map((name) => name.replace(/_+$/, ''))
    .join('.')
    .toUpperCase();
}
