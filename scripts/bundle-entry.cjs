"use strict";
// Runs a bundled program, from what V8 has kept of its compilation where it is this very V8 that reads it: it refuses
// what another version or other flags have made, and compiles then as ever.
const { readFileSync, renameSync, writeFileSync } = require("node:fs");
const path = require("node:path");
const { Script } = require("node:vm");

const code = path.join(__dirname, "CODE_FILE");
const compiled = `${code}.compiled`;

function keptOrNothing() {
  try {
    return readFileSync(compiled);
  } catch {
    return undefined;
  }
}

// The bundler writes ASCII.
const source = `(function (exports, require, module, __filename, __dirname) {${readFileSync(code, "latin1")}\n})`;
const script = new Script(source, { filename: code, cachedData: keptOrNothing() });
if (process.env.ODRADEK_KEEP_COMPILED === "yes") {
  process.once("exit", () => {
    const { threadId } = require("node:worker_threads");
    writeFileSync(`${compiled}.${process.pid}.${threadId}`, script.createCachedData());
    renameSync(`${compiled}.${process.pid}.${threadId}`, compiled);
  });
}
script.runInThisContext().call(exports, exports, require, module, __filename, __dirname);
