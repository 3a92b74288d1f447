import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { expect, test } from "vitest";

/**
 * The house's import table. A room may import itself and the rooms named here. The longest matching prefix of a
 * file's path is its room.
 */
const TABLE: Readonly<Record<string, readonly string[]>> = {
  lib: [],
  host: ["lib"],
  codec: ["lib"],

  "zookeeper/jute": ["lib", "codec"],
  "zookeeper/protocol": ["lib", "codec", "zookeeper/jute"],
  "zookeeper/config": ["lib", "host"],
  "zookeeper/tree": ["lib", "codec", "zookeeper/jute", "zookeeper/protocol"],
  "zookeeper/store": ["lib", "host", "codec", "zookeeper/jute", "zookeeper/protocol", "zookeeper/tree"],
  "zookeeper/quorum": ["lib", "host", "codec", "zookeeper/jute", "zookeeper/protocol", "zookeeper/config", "zookeeper/tree", "zookeeper/store"],
  "zookeeper/server": ["lib", "host", "codec", "zookeeper/jute", "zookeeper/protocol", "zookeeper/config", "zookeeper/tree", "zookeeper/store", "zookeeper/quorum"],
  "zookeeper/client": ["lib", "host", "codec", "zookeeper/jute", "zookeeper/protocol"],

  "kafka/protocol": ["lib", "codec"],
  "kafka/config": ["lib", "host", "kafka/protocol"],
  "kafka/records": ["lib", "codec", "kafka/protocol"],
  "kafka/log": ["lib", "host", "codec", "kafka/protocol", "kafka/config", "kafka/records"],
  "kafka/network": ["lib", "host", "codec", "kafka/protocol"],
  "kafka/client": ["lib", "host", "codec", "kafka/protocol", "kafka/records"],
  "kafka/znodes": ["lib", "host", "kafka/protocol", "zookeeper/client"],
  "kafka/replication": ["lib", "host", "codec", "kafka/protocol", "kafka/config", "kafka/records", "kafka/log", "kafka/client"],
  "kafka/controller": ["lib", "host", "codec", "kafka/protocol", "kafka/config", "kafka/client", "kafka/znodes", "zookeeper/client"],
  "kafka/coordinators": ["lib", "host", "codec", "kafka/protocol", "kafka/config", "kafka/records", "kafka/log", "kafka/replication"],
  "kafka/broker": [
    "lib", "host", "codec", "kafka/protocol", "kafka/config", "kafka/records", "kafka/log", "kafka/network", "kafka/client", "kafka/znodes",
    "kafka/replication", "kafka/controller", "kafka/coordinators", "zookeeper/client",
  ],

  admin: ["lib", "host", "codec", "kafka/protocol", "kafka/client", "zookeeper/client"],

  node: ["lib", "host", "codec", "zookeeper", "kafka"],
  cluster: ["lib", "host", "codec", "zookeeper", "kafka", "node"],
  cli: ["lib", "host", "codec", "zookeeper", "kafka", "admin", "node", "cluster"],
};

/** Rooms that only some files may enter. */
const REAL_HOST_FROM = ["node", "cluster", "cli", "host/real"];

const SRC = resolve(import.meta.dirname, "../../src");

function roomOf(path: string): string {
  const rooms = Object.keys(TABLE).filter((room) => path.startsWith(`${room}/`));
  return rooms.toSorted((a, b) => b.length - a.length)[0] ?? "";
}

function importsOf(file: string): string[] {
  const text = readFileSync(join(SRC, file), "utf8");
  return [...text.matchAll(/(?:from|import)\s+["'](\.{1,2}\/[^"']+)["']/g)].map((match) => relative(SRC, resolve(SRC, dirname(file), match[1] ?? "")));
}

const files = readdirSync(SRC, { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".ts"));

test("every file stands in a room of the table", () => {
  const homeless = files.filter((file) => file.includes("/") && roomOf(file) === "");
  expect(homeless, "add the room to the table in test/house/imports.test.ts, or move the file").toEqual([]);
});

test("imports follow the table", () => {
  const wrong: string[] = [];
  for (const file of files) {
    // Tests may build what they need from anywhere; the package's entry gathers what it exports.
    if (file.endsWith(".test.ts") || !file.includes("/")) continue;
    const room = roomOf(file);
    for (const imported of importsOf(file)) {
      const allowed = [room, ...(TABLE[room] ?? [])];
      if (!allowed.some((prefix) => imported.startsWith(`${prefix}/`))) wrong.push(`${file} imports ${imported}: ${room} may import ${allowed.join(", ")}`);
      if (imported.startsWith("host/real/") && !REAL_HOST_FROM.some((prefix) => file.startsWith(`${prefix}/`))) wrong.push(`${file} imports ${imported}: only ${REAL_HOST_FROM.join(", ")} know the real machine`);
    }
  }
  expect(wrong).toEqual([]);
});

/** What the benchmark stands on, from the package's root. */
const BENCH = ["bench/", "test/support/", "src/index.ts", "src/kafka/client/", "src/kafka/protocol/", "src/zookeeper/client/", "src/cluster/", "src/host/", "src/lib/"];

test("the benchmark stands on clients and on the tests' support, and nothing stands on it", () => {
  const root = resolve(SRC, "..");
  const wrong: string[] = [];
  for (const file of readdirSync(resolve(root, "bench"), { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".ts"))) {
    for (const match of readFileSync(resolve(root, "bench", file), "utf8").matchAll(/(?:from|import)\s+["'](\.{1,2}\/[^"']+)["']/g)) {
      const imported = relative(root, resolve(root, "bench", dirname(file), match[1] ?? ""));
      if (!BENCH.some((allowed) => imported.startsWith(allowed)) && !(file.startsWith("micro/") && imported.startsWith("src/"))) wrong.push(`bench/${file} imports ${imported}: bench may import ${BENCH.join(", ")}, its micro-benchmarks all of src`);
    }
  }
  expect(wrong).toEqual([]);
  expect(files.filter((file) => importsOf(file).some((imported) => imported.startsWith("../bench")))).toEqual([]);
});

test("every file is reached: from the package's entry, a command or a test", () => {
  const imported = new Set(files.flatMap(importsOf));
  const tests = readdirSync(resolve(SRC, "../test"), { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".ts"));
  for (const file of tests) {
    const text = readFileSync(resolve(SRC, "../test", file), "utf8");
    for (const match of text.matchAll(/["'](?:\.\.\/)+src\/([^"']+)["']/g)) imported.add(match[1] ?? "");
  }
  // What bin/ runs, and what is started as a process or a thread of its own.
  const entries = new Set(["cli/kafka-server-start.ts", "cli/zookeeper-server-start.ts", "cli/odradek.ts", "cli/kafka-console-producer.ts", "cli/kafka-console-consumer.ts", "cli/kafka-topics.ts", "cli/kafka-configs.ts", "cli/kafka-consumer-groups.ts", "cluster/node-process.ts", "cluster/member-worker.ts"]);
  const dead = files.filter((file) => !file.endsWith(".test.ts") && !file.endsWith(".d.ts") && !entries.has(file) && !imported.has(file));
  expect(dead, "nothing imports these files").toEqual([]);
});
