import type { CommandModule } from 'yargs';
import { readTape } from '../../demo/parse.ts';
import { titleOf } from '../../demo/settings.ts';
import { printJson, printText } from '../../output.ts';
import { bundledDemoNames, bundledDemoPath } from '../../session/bundled.ts';

export const list: CommandModule<object, { json?: boolean }> = {
  command: 'list',
  describe: 'the demos that come with vtdeck',
  handler: ({ json }) => {
    const demos = bundledDemoNames().map((name) => {
      const path = bundledDemoPath(name) as string;
      const { commands } = readTape(path);
      const title = titleOf({ file: path, commands });
      let keys = 0;
      let expectations = 0;
      for (const command of commands) {
        if (command.kind === 'type') keys += [...command.text].length;
        else if (command.kind === 'key') keys += command.count;
        else if (command.kind === 'expect') expectations += 1;
      }
      return { name, title, keys, expectations, path };
    });
    if (json) printJson({ demos });
    else for (const { name, title, keys } of demos) printText(`${name.padEnd(24)} ${title} (${keys} keys)`);
  },
};
