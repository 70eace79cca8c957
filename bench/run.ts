/**
 * `npm run bench -- NAME…`: runs the named benchmarks, or lists them. A benchmark is a file of this folder that exports
 * `run`; it prints what it measured.
 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

interface Benchmark {
  run?: () => void | Promise<void>;
}

const folder = import.meta.dirname;

async function load(file: string): Promise<Benchmark> {
  return (await import(pathToFileURL(join(folder, file)).href)) as Benchmark;
}

const files = readdirSync(folder).filter((file) => file.endsWith('.ts') && file !== 'run.ts');
const names: string[] = [];
for (const file of files) if ((await load(file)).run !== undefined) names.push(file.replace(/\.ts$/, ''));

const wanted = process.argv.slice(2);
if (wanted.length === 0) console.log(`Benchmarks: ${names.join(', ')}. Name those to run, or "all".`);
for (const name of wanted.includes('all') ? names : wanted) {
  if (!names.includes(name)) {
    console.error(`There is no benchmark "${name}". There are: ${names.join(', ')}.`);
    process.exitCode = 2;
    continue;
  }
  console.log(`\n== ${name} ==`);
  await (await load(`${name}.ts`)).run?.();
}
