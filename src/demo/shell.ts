/**
 * The shell that a tape of VHS types into before (and after) the console runs. It knows one program: vtdeck, which
 * opens the console.
 */
const LAUNCH = /^\s*(?:\$ )?(?:vtdeck|npm start(?: --)?|npx vtdeck)(?:\s+(.*?))?\s*$/;
const PROMPT = '> ';

export class Shell {
  private line = '';
  private readonly write: (text: string) => void;

  constructor(write: (text: string) => void) {
    this.write = write;
    write(PROMPT);
  }

  /** Whether a text opens the console when it is entered. */
  static isLaunch(text: string): boolean {
    return LAUNCH.test(text);
  }

  /** Takes a key; the words of the command line when the console is to be opened. */
  type(bytes: string): string[] | undefined {
    if (bytes === '\r') return this.enter();
    if (bytes === '\u007f') {
      if (this.line !== '') this.write('\b \b');
      this.line = this.line.slice(0, -1);
    } else if (bytes === '\u0003' || bytes === '\u0015') {
      this.write(`\r\u001b[K${PROMPT}`);
      this.line = '';
    } else if (!/[\u0000-\u001f\u007f-\u009f]/.test(bytes)) {
      this.line += bytes;
      this.write(bytes);
    }
    return undefined;
  }

  private enter(): string[] | undefined {
    const { line } = this;
    this.line = '';
    this.write('\r\n');
    const match = LAUNCH.exec(line);
    if (match !== null) return (match[1] ?? '').split(/\s+/).filter((word) => word !== '');
    if (line.trim() === 'clear') this.write('\u001b[H\u001b[2J');
    else if (line.trim() !== '') this.write(`${line.trim().split(/\s+/)[0]}: only vtdeck runs in a demo\r\n`);
    this.write(PROMPT);
    return undefined;
  }
}
