/** One word of a POSIX shell, quoted when it needs to be: nothing in it can act as syntax. */
export function shellWord(text: string): string {
  if (text !== '' && /^[A-Za-z0-9_@%+=:,./-]+$/.test(text)) return text;
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

/** A command line of words, each quoted as needed. */
export function shellCommand(...words: readonly string[]): string {
  return words.map(shellWord).join(' ');
}

/** A command that writes one line into a file (sysfs): quoted, and with printf so that no option or escape acts. */
export function shellWrite(value: string, file: string): string {
  return `printf '%s\\n' ${shellWord(value)} > ${shellWord(file)}`;
}
