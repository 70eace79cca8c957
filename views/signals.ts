/** However the program ends, the terminal is given back. */
import { constants } from 'node:os';
import type { Terminal } from '../src/terminal/terminal.ts';

const ENDING = ['SIGTERM', 'SIGHUP', 'SIGINT', 'SIGQUIT'] as const;

/** Watches until the returned function is called. */
export function watchSignals(terminal: Terminal, end: () => void): () => void {
  const handlers = ENDING.map((signal) => {
    const handler = (): void => {
      terminal.leave();
      process.exitCode = 128 + constants.signals[signal];
      end();
    };
    process.on(signal, handler);
    return () => process.off(signal, handler);
  });
  const exiting = (): void => terminal.leave();
  const crashed = (thrown: unknown): void => {
    terminal.leave();
    process.stderr.write(
      `vtdeck: a fault of the program itself; the session is on disk up to the last act\n`,
    );
    process.stderr.write(`${thrown instanceof Error ? thrown.stack : String(thrown)}\n`);
    process.exit(1);
  };
  // The window is gone: writing to it fails, and there is nothing more to show.
  const closed = (): void => end();
  process.on('exit', exiting);
  process.on('uncaughtException', crashed);
  process.on('unhandledRejection', crashed);
  process.stdout.on('error', closed);
  process.stdin.on('error', closed);
  process.stdin.on('end', closed);
  return () => {
    for (const off of handlers) off();
    process.off('exit', exiting);
    process.off('uncaughtException', crashed);
    process.off('unhandledRejection', crashed);
    process.stdout.off('error', closed);
    process.stdin.off('error', closed);
    process.stdin.off('end', closed);
  };
}
