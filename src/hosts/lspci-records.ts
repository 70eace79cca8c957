/**
 * The machine-readable forms of lspci that name their fields (-vm, -vmm): one record per device, a field a
 * line. They tell no more than the short listing, and are read as that.
 */

/** `Slot:` begins a record of -vmm; -vm calls it `Device:`. */
const FIRST_FIELD = /^(?:Slot|Device):\t((?:[0-9a-f]{4,8}:)?[0-9a-f]{2}:[0-9a-f]{2}\.[0-7])\s*$/i;

/** A text of records as a listing with as many lines; any other text as it is. */
export function recordsAsListing(text: string): string {
  const lines = text.split('\n');
  const first = lines.find((line) => line.trim() !== '');
  if (first === undefined || !FIRST_FIELD.test(first)) return text;
  const listing: string[] = [];
  for (let start = 0; start < lines.length; ) {
    let end = start + 1;
    while (end < lines.length && !FIRST_FIELD.test(lines[end])) end += 1;
    const record = listed(lines.slice(start, end));
    listing.push(...record, ...Array.from({ length: end - start - record.length }, () => ''));
    start = end;
  }
  return listing.join('\n');
}

/** Header line, and what of the rest a listing with -k tells. */
function listed([first, ...rest]: readonly string[]): string[] {
  const slot = FIRST_FIELD.exec(first);
  if (slot === null) return [first, ...rest];
  const fields = new Map<string, string>();
  for (const line of rest) {
    const field = /^(\w+):\t(.*?)\s*$/.exec(line);
    if (field !== null) fields.set(field[1], field[2]);
  }
  const [className, classCode] = nameAndId(fields.get('Class'));
  const [vendorName, vendor] = nameAndId(fields.get('Vendor'));
  const [deviceName, device] = nameAndId(fields.get('Device'));
  const ids = vendor === undefined || device === undefined ? '' : `${vendor}:${device}`;
  const name = [vendorName, deviceName].filter((one) => one !== '').join(' ');
  const revision = fields.has('Rev') ? ` (rev ${fields.get('Rev')})` : '';
  const programming = fields.has('ProgIf') ? ` (prog-if ${fields.get('ProgIf')})` : '';
  // As lspci -n prints it where there are no names.
  const header =
    className === ''
      ? `${slot[1]} ${classCode ?? ''}: ${ids}`
      : `${slot[1]} ${className}${classCode === undefined ? '' : ` [${classCode}]`}: ${name}${ids === '' ? '' : ` [${ids}]`}`;
  const driver = fields.get('Driver');
  const group = fields.get('IOMMUGroup');
  return [
    header + revision + programming,
    ...(driver === undefined ? [] : [`\tKernel driver in use: ${driver}`]),
    ...(group === undefined ? [] : [`\tIOMMU group: ${group}`]),
  ];
}

/** `Host bridge [0600]`, with -n `0600`, without ids `Host bridge`. */
function nameAndId(field: string | undefined): [name: string, id: string | undefined] {
  const text = field ?? '';
  const both = /^(.*?)\s*\[([0-9a-f]{4})\]$/i.exec(text);
  if (both !== null) return [both[1], both[2]];
  return /^[0-9a-f]{4}$/i.test(text) ? ['', text] : [text, undefined];
}
