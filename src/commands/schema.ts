/** `vtdeck schema [NAME]`: the JSON schema of what a command prints with --json. */
import type { CommandModule } from 'yargs';
import { z } from 'zod';
import { printJson, printText } from '../output.ts';
import { outputSchemas } from '../output-schemas.ts';

const command: CommandModule<object, { name?: string; json?: boolean }> = {
  command: 'schema [name]',
  describe: 'print the JSON schema of what a command prints with --json',
  builder: (yargs) =>
    yargs.positional('name', { choices: Object.keys(outputSchemas), describe: 'of which output' }) as never,
  handler: ({ name, json }) => {
    if (name !== undefined) printJson(z.toJSONSchema(outputSchemas[name]));
    else if (json === true) printJson(Object.keys(outputSchemas));
    else printText(Object.keys(outputSchemas).join('\n'));
  },
};

export default command;
