// Builds dist/ where it is missing or older than a source: what `npm start` does first.
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";

const base = join(import.meta.dirname, "..");
const built = join(base, "dist/bundle/odradek.js");

function newest(directory) {
  return readdirSync(directory, { recursive: true, encoding: "utf8" }).reduce((latest, name) => Math.max(latest, statSync(join(directory, name)).mtimeMs), 0);
}

if (!existsSync(built) || statSync(built).mtimeMs < newest(join(base, "src"))) {
  const { status } = spawnSync("npm", ["run", "--silent", "build"], { cwd: base, stdio: "inherit" });
  process.exitCode = status ?? 1;
}
