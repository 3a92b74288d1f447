import { existsSync, mkdirSync, statSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { packageRoot } from "../../test/support/package-root.ts";
import { run } from "../../test/support/processes.ts";

export type Driver = "produce" | "consume" | "latency" | "group" | "usable" | "mock" | "connections" | "zookeeper";

const SOURCES = join(packageRoot, "bench/drivers");
const BUILT = join(packageRoot, ".cache/bench-drivers");

/** What gcc needs to be there, and the Debian package that brings it. */
const NEEDED: readonly (readonly [path: string, aptPackage: string])[] = [
  ["/usr/bin/gcc", "gcc libc6-dev"],
  ["/usr/include/librdkafka/rdkafka.h", "librdkafka-dev"],
  [`/usr/lib/${process.arch === "arm64" ? "aarch64" : "x86_64"}-linux-gnu/libzookeeper_st.so`, "libzookeeper-st-dev"],
  ["/usr/bin/java", "default-jre-headless"],
  ["/usr/bin/mvn", "maven"],
];

/** The line that brings what this machine lacks; undefined where it lacks nothing. */
export function whatIsMissing(): string | undefined {
  const onPath = (path: string): boolean => existsSync(path) || (path.startsWith("/usr/bin/") && (process.env["PATH"] ?? "").split(":").some((directory) => existsSync(join(directory, path.slice("/usr/bin/".length)))));
  const packages = NEEDED.filter(([path]) => !onPath(path)).map(([, aptPackage]) => aptPackage);
  return packages.length === 0 ? undefined : `apt-get install -y ${packages.join(" ")}`;
}

/** The path of a driver's program, compiled where it is missing or older than its sources. */
export async function built(driver: Driver): Promise<string> {
  const program = join(BUILT, driver);
  const sources = [`${driver}.c`, "common.h", "kafka.h"].map((name) => join(SOURCES, name));
  const newest = Math.max(...sources.map((source) => statSync(source).mtimeMs));
  if (existsSync(program) && statSync(program).mtimeMs > newest) return program;
  mkdirSync(BUILT, { recursive: true });
  const library = driver === "zookeeper" ? "-lzookeeper_st" : "-lrdkafka";
  const { code, stderr } = await run("gcc", ["-O2", "-Wall", "-Wextra", "-o", program, join(SOURCES, `${driver}.c`), library, "-lpthread"], { timeoutMs: 120_000 });
  if (code !== 0) throw new Error(`gcc can't build ${driver}.c:\n${stderr}`);
  return program;
}
