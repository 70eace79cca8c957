#!/usr/bin/env node
// The first file of the built program: runs the bundle beside it, from code that was compiled when it was built.
// Compiling is most of what starting costs. V8 looks the compiled code over itself and, where it comes from another
// version of V8, turns it down; the program then starts more slowly, and that is all.
const { readFileSync, writeFileSync } = require('node:fs');
const { join } = require('node:path');
const { Script } = require('node:vm');

const filename = join(__dirname, 'program.js');
const cacheFile = join(__dirname, 'program.cache');

function compiledBefore() {
  try {
    return readFileSync(cacheFile);
  } catch {
    return undefined; // none was made
  }
}

// The bundle is plain ASCII: read as Latin-1 it takes a byte a character in memory, and no decoding.
const parameters = 'exports, require, module, __filename, __dirname';
const script = new Script(`(function (${parameters}) {${readFileSync(filename, 'latin1')}\n})`, {
  filename,
  cachedData: compiledBefore(),
});
script.runInThisContext()(exports, require, module, filename, __dirname);

// Set while building: keeps the code of every function that this run has needed.
if (process.env.VTDECK_CODE === 'keep') {
  process.on('exit', () => writeFileSync(cacheFile, script.createCachedData()));
} else if (process.env.VTDECK_CODE === 'tell') {
  process.stderr.write(`compiled code ${script.cachedDataRejected === false ? 'taken' : 'not taken'}\n`);
}
