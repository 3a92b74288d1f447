import { spawn, type ChildProcess } from "node:child_process";
import { cpSync, existsSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { freePlace, isFree } from "../support/local-cluster.ts";
import { childEnvironment, eventually, run, ServerProcess, temporaryDirectory, type Finished } from "../support/processes.ts";
import { forBrokers, readmeBlock } from "../support/readme.ts";

/**
 * What README.md promises a newcomer, in its own words and from a fresh clone: install, start, use, stop, and go on. The
 * tests are one story, in this order.
 */

const ROOT = resolve(import.meta.dirname, "../..");
/** Brokers, members, and what members have among themselves, as `npm start` takes them by itself. */
const DEFAULT_PORTS = [9092, 2181, 2888, 3888].flatMap((first) => [first, first + 1, first + 2]);
/** Packages come from the cache of npm where it has them. */
const NPM = { npm_config_prefer_offline: "true", npm_config_audit: "false", npm_config_fund: "false", npm_config_update_notifier: "false" };

/** A program in a process group of its own, as a shell starts it, so that Ctrl-C reaches all that it has begun. */
class Terminal {
  output = "";
  readonly child: ChildProcess;
  readonly ended: Promise<number | null>;

  constructor(command: string, { cwd, env = childEnvironment() }: { readonly cwd: string; readonly env?: NodeJS.ProcessEnv }) {
    this.child = spawn("sh", ["-c", `exec ${command}`], { cwd, env: { ...env, ...NPM }, stdio: ["ignore", "pipe", "pipe"], detached: true });
    for (const stream of [this.child.stdout, this.child.stderr]) stream?.setEncoding("utf8").on("data", (text: string) => (this.output += text));
    this.ended = new Promise((done) => this.child.on("close", done));
  }

  get running(): boolean {
    return this.child.exitCode === null && this.child.signalCode === null;
  }

  signal(signal: NodeJS.Signals): void {
    if (this.running && this.child.pid !== undefined) process.kill(-this.child.pid, signal);
  }

  /** What the line `ready in …` names. */
  async ready(): Promise<{ readonly kafka: readonly string[]; readonly seconds: number }> {
    const [, seconds, kafka = ""] = await eventually("the line that says that it is ready", () => {
      if (!this.running) throw new Error(`npm start has ended: ${this.output}`);
      return /^ready in (\d+\.\d) s {2}kafka (\S+) {2}zookeeper localhost:\d+,localhost:\d+,localhost:\d+$/m.exec(this.output) ?? undefined;
    });
    return { kafka: kafka.split(","), seconds: Number(seconds) };
  }
}

/** HEAD with what is changed since, and nothing of what git ignores; without git or a repository everything but what is made here. */
async function freshClone(to: string): Promise<void> {
  const git = (...args: string[]): Promise<Finished | undefined> => run("git", ["-C", ROOT, ...args]).catch(() => undefined);
  if (existsSync(join(ROOT, ".git")) && (await git("clone", "--quiet", ROOT, to))?.code === 0) {
    const changed = (await git("diff", "--name-only", "-z", "HEAD"))?.stdout.split("\0") ?? [];
    for (const path of changed) if (path !== "" && existsSync(join(ROOT, path))) cpSync(join(ROOT, path), join(to, path));
    return;
  }
  const made = new Set([".git", "node_modules", "dist", ".cache", "odradek-data"]);
  cpSync(ROOT, to, { recursive: true, filter: (path) => !made.has(basename(path)) });
}

describe("a newcomer", () => {
  const place = temporaryDirectory();
  const clone = join(place.path, "odradek");
  /** None where the default ports are free, so that the commands are README.md's to the letter. */
  let flags: readonly string[] = [];
  let terminal: Terminal;
  let kafka: readonly string[];

  beforeAll(async () => {
    await freshClone(clone);
    if ((await Promise.all(DEFAULT_PORTS.map(isFree))).every(Boolean)) return;
    console.warn("README.md's default ports are taken on this machine: its commands are tried on others");
    const elsewhere = await freePlace();
    elsewhere.remove();
    flags = elsewhere.flags.slice(2);
  });

  afterAll(async () => {
    terminal?.signal("SIGKILL");
    await terminal?.ended;
    place.remove();
  });

  /** A block of README.md's as a shell takes it that stops at the first command that fails. */
  const shell = (text: string): Promise<Finished> => run("sh", ["-e", "-c", forBrokers(text, kafka)], { cwd: clone, timeoutMs: 60_000 });
  const odradek = (...args: readonly string[]): Promise<Finished> => run(join(clone, "bin/odradek"), args, { cwd: clone });
  const start = (more: readonly string[] = flags): Terminal => new Terminal(`npm start${more.length === 0 ? "" : ` -- ${more.join(" ")}`}`, { cwd: clone });

  test("npm ci and npm start bring up three nodes", { timeout: 300_000 }, async () => {
    const [install = "", begin = ""] = readmeBlock("Two commands", "sh").trimEnd().split("\n");
    expect([install, begin]).toEqual(["npm ci", "npm start"]);
    // As npm itself was called: it may need what children of ours do not.
    const installing = new Terminal(install, { cwd: clone, env: process.env });
    expect([await installing.ended, installing.output]).toMatchObject([0, expect.stringContaining("added ")]);
    terminal = start();
    await eventually("what it builds and starts", () => !terminal.running || terminal.output.includes("ready in"), 120_000);
    ({ kafka } = await terminal.ready());
    expect(kafka).toHaveLength(3);
  });

  test("the first commands do what they say", async () => {
    const { code, stdout, stderr } = await shell(readmeBlock("Two commands", "sh", "topics create"));
    expect({ code, stderr }).toEqual({ code: 0, stderr: "group readers has no members\n" });
    expect(stdout).toMatch(/^created topic greetings\nhello\n\nGROUP +TOPIC .*\nreaders +greetings +\d +1 +1 +0 .*\nNODE PROCESS ZOOKEEPER BROKER\n/);
    expect(stdout).toContain("partitions under-replicated: none");
    expect(JSON.parse((await odradek("topics", "describe", "greetings", "--json")).stdout)).toMatchObject([{ partitions: [{ replicas: { length: 3 } }, { replicas: { length: 3 } }, { replicas: { length: 3 } }] }]);
  });

  test("Kafka's scripts, kafkajs and startCluster do as their blocks say", async () => {
    const javascript = (word: string): readonly string[] => ["--input-type=module", "-e", forBrokers(readmeBlock("Use it from your client", "js", word), kafka)];
    const reading = new ServerProcess(process.execPath, javascript("kafka.consumer"), { cwd: clone });
    const [scripts, embedded] = await Promise.all([
      shell(readmeBlock("Use it from your client", "sh", "kafka-topics.sh")),
      run(process.execPath, javascript("startCluster"), { cwd: clone, timeoutMs: 60_000 }),
      eventually("what it has sent, and what was there before", () => ["Node", "hello"].every((value) => reading.output.split("\n").includes(value))).finally(() => void reading.stop("SIGKILL")),
    ]);
    expect(scripts).toMatchObject({ code: 0, stdout: expect.stringMatching(/^Created topic letters\.\nhello\n\nGROUP +TOPIC .*\nscripts +letters +\d +1 +1 +0 /) as string });
    expect(embedded).toMatchObject({ code: 0 });
  });

  test("a second npm start says what keeps it: the cluster that runs in this directory, or its ports", async () => {
    const [same, elsewhere] = [start(), start([...flags, "--dir", join(place.path, "elsewhere")])];
    expect([await same.ended, await elsewhere.ended]).toEqual([1, 1]);
    expect(same.output).toMatch(/odradek-data is running already \(process \d+\)/);
    for (const at of kafka) expect(elsewhere.output).toMatch(new RegExp(`^port ${at.split(":")[1]} is taken by process \\d+ .*--kafka-port$`, "m"));
    expect(existsSync(join(place.path, "elsewhere"))).toBe(false);
  });

  test("Ctrl-C stops all in good order, with 0", async () => {
    terminal.signal("SIGINT");
    expect(await terminal.ended).toBe(0);
    expect(terminal.output).toMatch(/\nstopping\n(node \d stopped\n){3}stopped\n$/);
    expect(await odradek("status")).toMatchObject({ code: 1 });
  });

  test("the next npm start has all the data, and odradek down stops it", async () => {
    terminal = start();
    expect((await terminal.ready()).kafka).toEqual(kafka);
    const { code, stdout } = await odradek("consume", "greetings", "letters", "--from-beginning", "--max", "3");
    expect([code, stdout.split("\n").toSorted()]).toEqual([0, ["", "Node", "hello", "hello"]]);
    expect((await odradek("groups", "describe", "scripts")).stdout).toMatch(/\nscripts +letters +\d +1 +1 +0 /);
    expect(await odradek("down")).toMatchObject({ code: 0, stdout: expect.stringContaining("stopped the cluster of ") as string });
    expect(await terminal.ended).toBe(0);
  });
});
