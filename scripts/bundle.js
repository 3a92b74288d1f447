// Bundles what runs as a process or a thread into dist/bundle: one file to load instead of hundreds, which is most of
// the time that a start takes. Packages with native code stay outside.
import { join } from "node:path";
import { build } from "esbuild";

const base = join(import.meta.dirname, "..");
const from = (path) => join(base, "dist/src", `${path}.js`);

await build({
  // Flat, since these find each other beside themselves.
  entryPoints: {
    odradek: from("cli/odradek"),
    "kafka-server-start": from("cli/kafka-server-start"),
    "zookeeper-server-start": from("cli/zookeeper-server-start"),
    "node-process": from("cluster/node-process"),
    "member-worker": from("cluster/member-worker"),
  },
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
