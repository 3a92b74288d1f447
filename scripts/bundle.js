// Bundles what runs as a process or a thread into dist/bundle: one file to load instead of hundreds, which is most of
// the time that a start takes. Packages with native code stay outside.
import { readdirSync } from "node:fs";
import { basename, join } from "node:path";
import { build } from "esbuild";

const base = join(import.meta.dirname, "..");

/** Started as a process by bin/, or as a process or a thread by the cluster. */
const commands = readdirSync(join(base, "dist/src/cli")).filter((name) => /^(odradek|kafka-.*|zookeeper-.*)\.js$/.test(name));
const entries = [...commands.map((name) => `cli/${name}`), "cluster/node-process.js", "cluster/member-worker.js"];

await build({
  // Flat, since these find each other beside themselves.
  entryPoints: Object.fromEntries(entries.map((path) => [basename(path, ".js"), join(base, "dist/src", path)])),
  outdir: join(base, "dist/bundle"),
  bundle: true,
  splitting: true,
  platform: "node",
  target: "node20",
  format: "esm",
  sourcemap: "linked",
  external: ["@node-rs/crc32", "@toondepauw/node-zstd", "fs-native-extensions", "lz4-napi", "snappy"],
  // What CommonJS packages in the bundle ask for by require.
  banner: { js: 'import { createRequire as requireFrom } from "node:module"; const require = requireFrom(import.meta.url);' },
  logLevel: "warning",
});
