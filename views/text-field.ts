/** A line of text being typed: prompts, filters and the palette share it. */
import type { InputEvent } from '../src/terminal/input.ts';
import { textWidth } from '../src/terminal/width.ts';
import { type Segment, styled } from './format/line.ts';

/** More than this is not taken: nothing that is asked for here is so long. Characters. */
const LONGEST = 4096;

let segmenter: Intl.Segmenter | undefined;

/** What a person calls a character: with its accents, a flag, a family. */
function charactersOf(text: string): string[] {
  if (/^[ -~]*$/.test(text)) return [...text];
  segmenter ??= new Intl.Segmenter();
  return Array.from(segmenter.segment(text), ({ segment }) => segment);
}

export class TextField {
  private characters: string[] = [];
  private at = 0;

  constructor(value = '') {
    this.set(value);
  }

  get value(): string {
    return this.characters.join('');
  }

  set(value: string): void {
    this.characters = charactersOf(value);
    this.at = this.characters.length;
  }

  /** True when the event was one for a text field. */
  handle(event: InputEvent): boolean {
    if (event.type === 'paste') {
      // A paste of several lines is one line here: its breaks become spaces, and nothing is run by them.
      this.insert(event.text.replace(/[\r\n\t]+/g, ' ').replace(/[\u0000-\u001f\u007f-\u009f]/g, ''));
      return true;
    }
    if (event.type !== 'key') return false;
    if (event.text !== '') {
      this.insert(event.text);
      return true;
    }
    switch (event.key) {
      case 'Backspace':
        this.remove(this.at - 1, this.at);
        return true;
      case 'Delete':
      case 'Ctrl-d':
        this.remove(this.at, this.at + 1);
        return true;
      case 'Left':
      case 'Ctrl-b':
        this.at = Math.max(0, this.at - 1);
        return true;
      case 'Right':
      case 'Ctrl-f':
        this.at = Math.min(this.characters.length, this.at + 1);
        return true;
      case 'Ctrl-Left':
      case 'Alt-b':
        this.at = this.wordBefore();
        return true;
      case 'Ctrl-Right':
      case 'Alt-f':
        this.at = this.wordAfter();
        return true;
      case 'Home':
      case 'Ctrl-a':
        this.at = 0;
        return true;
      case 'End':
      case 'Ctrl-e':
        this.at = this.characters.length;
        return true;
      case 'Ctrl-u':
        this.remove(0, this.at);
        return true;
      case 'Ctrl-k':
        this.remove(this.at, this.characters.length);
        return true;
      case 'Ctrl-w':
        this.remove(this.wordBefore(), this.at);
        return true;
      default:
        return false;
    }
  }

  /**
   * The text with its cursor, which is a glyph too, so that it shows without colour. Of what is longer than `columns`
   * the part around the cursor, with a sign where more of it is.
   */
  line(columns = Number.POSITIVE_INFINITY): readonly (string | Segment)[] {
    const { characters, at } = this;
    const shown = [...characters, ' '];
    let from = 0;
    let to = shown.length;
    if (textWidth(shown.join('')) > columns) {
      const room = Math.max(1, columns - 2);
      from = at;
      to = at + 1;
      let used = textWidth(shown[at]);
      const takes = (index: number): boolean =>
        index >= 0 && index < shown.length && used + textWidth(shown[index]) <= room;
      while (takes(from - 1)) used += textWidth(shown[--from]);
      while (takes(to)) used += textWidth(shown[to++]);
    }
    return [
      from > 0 ? styled('dim', '…') : '',
      characters.slice(from, at).join(''),
      styled('selected', shown[at] === ' ' ? '_' : shown[at]),
      characters.slice(at + 1, to).join(''),
      to < shown.length ? styled('dim', '…') : '',
    ];
  }

  private insert(text: string): void {
    const before = this.characters.slice(0, this.at).join('') + text;
    const whole = before + this.characters.slice(this.at).join('');
    if (whole.length > LONGEST) return;
    // An accent that is typed joins the character before it.
    this.characters = charactersOf(whole);
    this.at = charactersOf(before).length;
  }

  private remove(from: number, to: number): void {
    if (from < 0) return;
    this.characters.splice(from, to - from);
    this.at = from;
  }

  private wordBefore(): number {
    let { at } = this;
    while (at > 0 && this.characters[at - 1] === ' ') at -= 1;
    while (at > 0 && this.characters[at - 1] !== ' ') at -= 1;
    return at;
  }

  private wordAfter(): number {
    let { at } = this;
    const { length } = this.characters;
    while (at < length && this.characters[at] === ' ') at += 1;
    while (at < length && this.characters[at] !== ' ') at += 1;
    return at;
  }
}
