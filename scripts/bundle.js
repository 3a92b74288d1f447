// Bundles what runs as a process or a thread into dist/bundle: one file to load instead of hundreds, and beside it what
// V8 has compiled of it in a cluster's first start (scripts/bundle-entry.cjs). Packages with native code stay outside.
import { spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { build } from "esbuild";

const base = join(import.meta.dirname, "..");
const outdir = join(base, "dist/bundle");

/** Started as a process by bin/, or as a process or a thread by the cluster. */
const commands = readdirSync(join(base, "dist/src/cli")).filter((name) => /^(odradek|kafka-.*|zookeeper-.*)\.js$/.test(name));
const entries = [...commands.map((name) => `cli/${name}`), "cluster/node-process.js", "cluster/member-worker.js"];

const { metafile } = await build({
  entryPoints: Object.fromEntries(entries.map((path) => [basename(path, ".js"), join(base, "dist/src", path)])),
  outdir,
  // A compiled form is kept under the same name: it must never meet another source.
  entryNames: "[name]-[hash]",
  bundle: true,
  platform: "node",
  target: "node20",
  // Loaded in half the time of an ES module, and can be kept compiled.
  format: "cjs",
  // What stays outside, and is loaded late, comes by require: a script that is kept compiled has no way to import.
  supported: { "dynamic-import": false },
  define: { "import.meta.url": "bundleUrl" },
  banner: { js: 'const bundleUrl = require("node:url").pathToFileURL(__filename).href;' },
  external: ["@node-rs/crc32", "@toondepauw/node-zstd", "fs-native-extensions", "lz4-napi", "snappy"],
  metafile: true,
  logLevel: "warning",
});

const entrySource = readFileSync(join(import.meta.dirname, "bundle-entry.cjs"), "utf8");
const kept = new Set(["package.json"]);
writeFileSync(join(outdir, "package.json"), '{ "type": "commonjs" }\n');
for (const [path, { entryPoint }] of Object.entries(metafile.outputs)) {
  const name = basename(entryPoint ?? "");
  const code = basename(path);
  // Flat, since these find each other beside themselves.
  writeFileSync(join(outdir, name), entrySource.replace("CODE_FILE", code));
  kept.add(name).add(code);
}
for (const name of readdirSync(outdir)) if (!kept.has(name)) rmSync(join(outdir, name));

if (!(await keepCompiled())) console.warn("no cluster could be started on this machine during the build: the first start will be slower");

/** Runs a cluster once and ends it in good order; each of its processes and threads leaves its compiled code. */
async function keepCompiled() {
  const dir = mkdtempSync(join(tmpdir(), "odradek-build-"));
  try {
    for (let tries = 0; tries < 5; tries++) if (await runOnce(dir)) return true;
    return false;
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

function runOnce(dir) {
  // Whoever has one of them: other ports the next time.
  const first = 10_000 + Math.floor(Math.random() * 20_000);
  const ports = ["--kafka-port", "--zookeeper-port", "--quorum-port", "--election-port"].flatMap((flag, at) => [flag, String(first + 3 * at)]);
  const { NODE_EXTRA_CA_CERTS: _certificates, ...env } = process.env;
  const up = spawn(process.execPath, [join(outdir, "odradek.js"), "up", "--json", "--dir", dir, ...ports], { env: { ...env, ODRADEK_KEEP_COMPILED: "yes" }, stdio: ["ignore", "pipe", "ignore"] });
  const timer = setTimeout(() => up.kill("SIGKILL"), 60_000);
  up.stdout.once("data", () => up.kill("SIGTERM"));
  return new Promise((done) => {
    up.once("error", () => done(false));
    up.once("exit", (code) => {
      clearTimeout(timer);
      done(code === 0);
    });
  });
}
