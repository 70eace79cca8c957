/** A part of the bench with the console in it, as one bundle: with production React, as the program is. */
import { join } from 'node:path';
import { build } from 'esbuild';

/** @param file Name in this folder. @returns the path of what can be run. */
export async function bundled(file: string, folder: string): Promise<string> {
  const out = join(folder, 'bundled');
  await build({
    entryPoints: [join(import.meta.dirname, file)],
    outdir: out,
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    minify: true,
    outExtension: { '.js': '.mjs' },
    define: { 'process.env.NODE_ENV': '"production"' },
    external: ['react-devtools-core'],
    banner: { js: "import{createRequire as __c}from'node:module';const require=__c(import.meta.url);" },
  });
  return join(out, file.replace(/\.tsx?$/, '.mjs'));
}
