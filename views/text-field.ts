/** A line of text being typed: prompts, filters and the palette share it. */
import type { InputEvent } from '../src/terminal/input.ts';
import { type Line, styled } from './format/line.ts';

export class TextField {
  private characters: string[];
  private at: number;

  constructor(value = '') {
    this.characters = [...value];
    this.at = this.characters.length;
  }

  get value(): string {
    return this.characters.join('');
  }

  set(value: string): void {
    this.characters = [...value];
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
        if (this.at > 0) {
          this.characters.splice(this.at - 1, 1);
          this.at -= 1;
        }
        return true;
      case 'Delete':
        this.characters.splice(this.at, 1);
        return true;
      case 'Left':
        this.at = Math.max(0, this.at - 1);
        return true;
      case 'Right':
        this.at = Math.min(this.characters.length, this.at + 1);
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
        this.characters.splice(0, this.at);
        this.at = 0;
        return true;
      case 'Ctrl-w': {
        const before = this.characters.slice(0, this.at).join('').trimEnd();
        const start = [...before.slice(0, before.lastIndexOf(' ') + 1)].length;
        this.characters.splice(start, this.at - start);
        this.at = start;
        return true;
      }
      default:
        return false;
    }
  }

  /** The text with its cursor; the cursor is a glyph too, so that it shows without colour. */
  line(): Line {
    const under = this.characters[this.at] ?? ' ';
    return [
      this.characters.slice(0, this.at).join(''),
      styled('selected', under === ' ' ? '_' : under),
      this.characters.slice(this.at + 1).join(''),
    ];
  }

  private insert(text: string): void {
    const added = [...text];
    if (this.characters.length + added.length > 4096) return;
    this.characters.splice(this.at, 0, ...added);
    this.at += added.length;
  }
}
