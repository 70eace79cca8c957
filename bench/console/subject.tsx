/** The console on a machine of many rows: what the bench runs in a pseudo-terminal. All but the machine is real. */
import { openConsole } from '../../views/App.tsx';
import { workspaceOf } from './many-rows.ts';

await openConsole(workspaceOf(Number(process.argv[2] ?? 100)), {
  input: process.stdin,
  output: process.stdout,
  signals: true,
  preferences: { tourDone: true },
});
