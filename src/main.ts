import { runCommandLine } from './cli.ts';

void runCommandLine(process.argv.slice(2)).then((code) => {
  process.exitCode = code;
});
