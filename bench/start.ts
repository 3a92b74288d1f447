import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import fs from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import type { Ready } from "../test/support/local-cluster.ts";
import { clusterStatus, type ReachableNode } from "../src/cluster/status.ts";
import { realHost } from "../src/host/real/host.ts";
import { startCluster } from "../src/index.ts";
import { ClusterAdmin } from "../src/kafka/client/cluster-admin.ts";
import { KafkaClient, type ClusterMetadata, type Endpoint } from "../src/kafka/client/kafka-client.ts";
import { Producer } from "../src/kafka/client/producer.ts";
import { electLeaders } from "../src/kafka/protocol/messages/elect-leaders.ts";
import { must } from "../src/lib/assert.ts";
import { cpuMs, loadAverage, memoryMb } from "./processes.ts";
import { spread } from "./statistics.ts";

/** How soon a cluster of three is there, what it costs at rest, and how soon it has leaders again: the figures beside their targets. */

const { rounds: ROUNDS, "idle-seconds": IDLE_SECONDS } = numbers({ rounds: 5, "idle-seconds": 20 });

const TICK_MS = 2000;
const SESSION_TIMEOUT_MS = 6000;
const TARGET = {
  readyMs: 1000,
  nodeMb: 100,
  idlePercent: 1,
  killedMs: SESSION_TIMEOUT_MS + 2 * TICK_MS,
  killedLeaderMs: SESSION_TIMEOUT_MS + 2 * TICK_MS + 1000,
  restartedMs: 2000,
  shutdownMs: 1000,
};

const TOPIC = "bench";
const PARTITIONS = 6;
const POLL_MS = 10;
/** Of ElectLeaders. */
const PREFERRED = 0;
const NODES = [1, 2, 3];
const host = realHost({ logLevel: "silent" });
const odradek = resolve(import.meta.dirname, "../bundle/odradek.js");
const work = fs.mkdtempSync(join(tmpdir(), "odradek-bench-"));

/** What a node prints on its way, and what it has reached by then. The last one stands on one node only. */
const PHASES: readonly (readonly [string, RegExp])[] = [
  ["member's files read", /^(wrote a snapshot|loaded the database)/],
  ["member listens", /^looking for a leader/],
  ["leader of the ensemble elected", /^a leader is elected/],
  ["members serve", /^serving clients/],
  ["broker's ZooKeeper session", /^connected to ZooKeeper/],
  ["broker's logs opened", /^(loading logs|recovering logs)/],
  ["broker registered, serves", /^broker \d+ serves/],
  ["controller ready", /^ready as the controller/],
];

/** Whoever has one of the ports, as other runs may: others the next time. */
const TRIES = 5;
const chosen = new Map<string, number>();

/** Below those that systems give to outgoing connections. */
function portsOf(dir: string): number {
  const port = chosen.get(dir) ?? 10_000 + 20 * Math.floor(Math.random() * 1000);
  chosen.set(dir, port);
  return port;
}

class Up {
  readonly child: ChildProcess;
  readonly ready: Ready;
  readonly startedMs: number;
  readonly tookMs: number;
  readonly dir: string;

  private constructor(child: ChildProcess, ready: Ready, at: { readonly dir: string; readonly startedMs: number; readonly tookMs: number }) {
    this.child = child;
    this.ready = ready;
    this.dir = at.dir;
    this.startedMs = at.startedMs;
    this.tookMs = at.tookMs;
  }

  /** On ports that nobody has, or those that the directory had before. */
  static async start(dir: string): Promise<Up> {
    for (let tries = 1; ; tries++) {
      try {
        return await Up.#startOnce(dir);
      } catch (error) {
        if (tries === TRIES) throw error;
        chosen.delete(dir);
      }
    }
  }

  static async #startOnce(dir: string): Promise<Up> {
    const firstPort = portsOf(dir);
    const { NODE_EXTRA_CA_CERTS: _certificates, ...env } = process.env;
    const ports = ["--kafka-port", "--zookeeper-port", "--quorum-port", "--election-port"].flatMap((flag, at) => [flag, String(firstPort + NODES.length * at)]);
    const [startedMs, from] = [Date.now(), performance.now()];
    const child = spawn(process.execPath, [odradek, "up", "--json", "--dir", dir, ...ports], { env, stdio: ["ignore", "pipe", "inherit"] });
    const [line] = (await Promise.race([once(must(child.stdout, "a pipe"), "data"), once(child, "exit").then(() => Promise.reject(new Error("odradek up ended")))])) as [Buffer];
    return new Up(child, JSON.parse(line.toString()) as Ready, { dir, startedMs, tookMs: performance.now() - from });
  }

  get pids(): readonly number[] {
    return NODES.map((id) => must(this.ready.pids.nodes[id], `the process of node ${id}`));
  }

  get endpoints(): readonly Endpoint[] {
    return this.ready.kafka.map(endpoint);
  }

  /** When the first and the last node had come so far, in ms since the command; undefined: none has. */
  phase(pattern: RegExp): { readonly first: number; readonly last: number } | undefined {
    const times = NODES.flatMap((id) => {
      const lines = fs.readFileSync(join(this.dir, `node-${id}/node.log`), "utf8").trimEnd().split("\n");
      const said = lines.map((line) => JSON.parse(line) as { time: number; msg: string }).find(({ time, msg }) => time >= this.startedMs && pattern.test(msg));
      return said === undefined ? [] : [said.time - this.startedMs];
    });
    return times.length === 0 ? undefined : { first: Math.min(...times), last: Math.max(...times) };
  }

  async stop(): Promise<void> {
    const ended = once(this.child, "exit");
    this.child.kill("SIGTERM");
    await ended;
  }
}

const rows: string[][] = [];

function figure(name: string, value: string, target?: string, holds?: boolean): void {
  rows.push([name, value, target ?? "", holds === undefined ? "" : holds ? "holds" : "MISSED"]);
}

async function starts(): Promise<void> {
  for (const kind of ["fresh", "existing"] as const) {
    const took: number[] = [];
    const cpu: number[] = [];
    const phases = new Map<string, { first: number[]; last: number[] }>();
    const dirs = Array.from({ length: ROUNDS }, (_, round) => join(work, kind === "fresh" ? `fresh-${round}` : "existing"));
    if (kind === "existing") await (await Up.start(join(work, "existing"))).stop();
    for (const dir of dirs) {
      const up = await Up.start(dir);
      cpu.push([up.ready.pids.up, ...up.pids].reduce((sum, pid) => sum + cpuMs(pid), 0));
      took.push(up.tookMs);
      for (const [name, pattern] of PHASES) {
        const at = up.phase(pattern);
        const all = phases.get(name) ?? { first: [], last: [] };
        phases.set(name, all);
        if (at !== undefined) {
          all.first.push(at.first);
          all.last.push(at.last);
        }
      }
      await up.stop();
    }
    const { median, min, max } = spread(took);
    figure(`ready, ${kind} directory`, `${ms(median)} (${ms(min)} to ${ms(max)})`, `${TARGET.readyMs} ms`, median <= TARGET.readyMs);
    figure("  processor time of all four processes", `${ms(spread(cpu).median)} (${ms(spread(cpu).min)} to ${ms(spread(cpu).max)})`);
    for (const [name, { first, last }] of phases) if (first.length > 0) figure(`  ${name}, first to last node`, `${ms(spread(first).median)} to ${ms(spread(last).median)}`);
  }
}

async function idle(up: Up): Promise<void> {
  await sleep(5000);
  const before = up.pids.map(cpuMs);
  await sleep(IDLE_SECONDS * 1000);
  const percent = up.pids.map((pid, at) => (cpuMs(pid) - (before[at] ?? 0)) / (IDLE_SECONDS * 10));
  const memory = up.pids.map(memoryMb);
  figure("idle, of a core", percent.map((each) => `${each.toFixed(2)} %`).join(", "), `${TARGET.idlePercent} % a node`, percent.every((each) => each <= TARGET.idlePercent));
  figure("resident (Rss)", memory.map(({ rss }) => `${rss.toFixed(0)} MB`).join(", "), `${TARGET.nodeMb} MB a node`, memory.every(({ rss }) => rss <= TARGET.nodeMb));
  figure("  its own share (Pss)", memory.map(({ pss }) => `${pss.toFixed(0)} MB`).join(", "));
}

async function asking<T>(bootstrap: readonly Endpoint[], ask: (client: KafkaClient) => Promise<T>): Promise<T> {
  const client = new KafkaClient({ host, bootstrap, clientId: "bench", requestTimeoutMs: 5000, random: host.random });
  try {
    return await ask(client);
  } finally {
    await client.close();
  }
}

function partitionsOf(answer: ClusterMetadata): ClusterMetadata["topics"][number]["partitions"] {
  return answer.topics.flatMap(({ partitions }) => partitions);
}

async function untilMetadata(client: KafkaClient, isWanted: (answer: ClusterMetadata) => boolean): Promise<void> {
  for (;;) {
    const answer = await client.metadata([TOPIC]).catch(() => undefined);
    if (answer !== undefined && isWanted(answer)) return;
    await sleep(POLL_MS);
  }
}

function inSync(answer: ClusterMetadata): boolean {
  const partitions = partitionsOf(answer);
  return partitions.length === PARTITIONS && partitions.every(({ leaderId, isrNodes }) => leaderId >= 0 && isrNodes.length === NODES.length);
}

/** Every partition led by a node of its own choice again. */
function balanced(answer: ClusterMetadata): boolean {
  return inSync(answer) && NODES.every((id) => partitionsOf(answer).some(({ leaderId }) => leaderId === id));
}

async function makeTopic(bootstrap: readonly Endpoint[]): Promise<void> {
  await asking(bootstrap, async (client) => {
    await new ClusterAdmin(client).createTopic({ name: TOPIC, partitions: PARTITIONS, replicationFactor: NODES.length });
    await untilMetadata(client, balanced);
  });
}

async function ledBy(client: KafkaClient, node: number): Promise<readonly number[]> {
  return partitionsOf(await client.metadata([TOPIC])).flatMap(({ partitionIndex, leaderId }) => (leaderId === node ? [partitionIndex] : []));
}

function producer(client: KafkaClient, acks: 1 | -1): Producer {
  return new Producer(client, {
    acks,
    codec: 0,
    lingerMs: 0,
    batchBytes: 16_384,
    bufferBytes: 1 << 20,
    recordBytesMax: 1 << 20,
    retries: 1000,
    retryBackoffMs: 20,
    requestTimeoutMs: 5000,
    metadataTimeoutMs: 30_000,
    metadataMaxAgeMs: 60_000,
    idempotent: false,
  });
}

/** From the death of `node` until every partition that it led takes a record. A controller that begins meanwhile leaves them to it, as Apache's does. */
async function leadersAgain(bootstrap: readonly Endpoint[], node: number, kill: () => Promise<void>): Promise<number> {
  return asking(bootstrap.filter((_, at) => at !== node - 1), async (client) => {
    const led = await ledBy(client, node);
    const sender = producer(client, 1);
    await kill();
    const from = performance.now();
    await Promise.all(led.map((partition) => sender.send({ topic: TOPIC, partition, key: null, value: Buffer.from("again") })));
    const took = performance.now() - from;
    await sender.close();
    return took;
  });
}

/** From the request to leave until nothing is led by `node` any more. */
async function leadersMoved(bootstrap: readonly Endpoint[], node: number, ask: () => void): Promise<number> {
  return asking(bootstrap.filter((_, at) => at !== node - 1), async (client) => {
    const led = new Set(await ledBy(client, node));
    const from = performance.now();
    ask();
    await untilMetadata(client, (answer) => partitionsOf(answer).every(({ partitionIndex, leaderId }) => !led.has(partitionIndex) || (leaderId >= 0 && leaderId !== node)));
    return performance.now() - from;
  });
}

async function ensembleLeader(nodes: readonly ReachableNode[]): Promise<number> {
  const { nodes: states } = await clusterStatus(host, nodes, {});
  return must(states.find(({ member }) => member === "leader"), "a leader of the ensemble").id;
}

/** Records to all partitions, one every few milliseconds, until `signal`. Resolves with how many were not acknowledged, and the longest wait for one. */
async function produceUntil(bootstrap: readonly Endpoint[], signal: AbortSignal): Promise<{ readonly sent: number; readonly failed: number; readonly slowestMs: number }> {
  return asking(bootstrap, async (client) => {
    const sender = producer(client, -1);
    const waits: Promise<number | undefined>[] = [];
    for (let number = 0; !signal.aborted; number++) {
      const from = performance.now();
      waits.push(sender.send({ topic: TOPIC, partition: number % PARTITIONS, key: null, value: Buffer.from(String(number)) }).then(() => performance.now() - from, () => undefined));
      await sleep(5);
    }
    await sender.flush();
    const told = await Promise.all(waits);
    await sender.close();
    return { sent: told.length, failed: told.filter((each) => each === undefined).length, slowestMs: Math.max(...told.map((each) => each ?? 0)) };
  });
}

/** On a cluster that starts nobody again. */
async function losses(): Promise<void> {
  const cluster = await startCluster();
  try {
    const bootstrap = cluster.bootstrapServers.split(",").map(endpoint);
    const nodes = cluster.zookeeperConnect.split(",").map((at, index) => ({ id: index + 1, kafka: must(bootstrap[index], "a broker"), zookeeper: endpoint(at) }));
    await makeTopic(bootstrap);
    const leader = await ensembleLeader(nodes);
    const other = must(NODES.find((id) => id !== leader), "another node");
    const follower = await leadersAgain(bootstrap, other, () => cluster.kill(other));
    figure("kill -9, not restarted: new leaders", ms(follower), `${TARGET.killedMs} ms`, follower <= TARGET.killedMs);
    await cluster.start(other);
    await asking(bootstrap, (client) => rebalanced(client));
    const led = await ensembleLeader(nodes);
    const leading = await leadersAgain(bootstrap, led, () => cluster.kill(led));
    figure("  of the one that led the ensemble", ms(leading), `${TARGET.killedLeaderMs} ms`, leading <= TARGET.killedLeaderMs);
  } finally {
    await cluster.close();
  }
}

/** Whoever is in the replicas' first place leads again. */
async function rebalanced(client: KafkaClient): Promise<void> {
  await untilMetadata(client, inSync);
  await client.send("controller", electLeaders, () => ({ electionType: PREFERRED, topicPartitions: null, timeoutMs: 5000 }));
  await untilMetadata(client, balanced);
}

/** Resolves when its parent has seen the end. */
async function killed(pid: number): Promise<void> {
  process.kill(pid, "SIGKILL");
  while (fs.existsSync(`/proc/${pid}`)) await sleep(1);
}

/** On one that `up` keeps. */
async function returns(up: Up): Promise<void> {
  await makeTopic(up.endpoints);
  for (const [at, pid] of up.pids.entries()) {
    const took = await leadersAgain(up.endpoints, at + 1, () => killed(pid));
    figure(`kill -9 of node ${at + 1}, restarted by up: leaders`, ms(took), `${TARGET.restartedMs} ms`, took <= TARGET.restartedMs);
    await asking(up.endpoints, rebalanced);
  }
}

/** One node leaves in good order, under load. */
async function shutdown(up: Up): Promise<void> {
  await makeTopic(up.endpoints);
  const ending = new AbortController();
  const producing = produceUntil(up.endpoints, ending.signal);
  await sleep(1000);
  const node = 2;
  const took = await leadersMoved(up.endpoints, node, () => process.kill(must(up.pids[node - 1], "a process"), "SIGTERM"));
  await sleep(1000);
  ending.abort();
  const { sent, failed, slowestMs } = await producing;
  figure("controlled shutdown: leaders moved", ms(took), `${TARGET.shutdownMs} ms`, took <= TARGET.shutdownMs);
  figure("  records that failed meanwhile", `${failed} of ${sent}, slowest ${ms(slowestMs)}`, "0", failed === 0);
}

function endpoint(at: string): Endpoint {
  const colon = at.lastIndexOf(":");
  return { host: at.slice(0, colon), port: Number(at.slice(colon + 1)) };
}

function ms(value: number): string {
  return `${value.toFixed(0)} ms`;
}

function numbers<K extends string>(defaults: Readonly<Record<K, number>>): Readonly<Record<K, number>> {
  const { values } = parseArgs({ options: Object.fromEntries(Object.keys(defaults).map((name) => [name, { type: "string" as const }])) });
  return Object.fromEntries(Object.entries<number>(defaults).map(([name, value]) => [name, Number(values[name] ?? value)])) as Record<K, number>;
}

async function withUp(name: string, use: (up: Up) => Promise<void>): Promise<void> {
  const up = await Up.start(join(work, name));
  try {
    await use(up);
  } finally {
    await up.stop();
  }
}

try {
  const load = loadAverage();
  await starts();
  await withUp("idle", idle);
  await losses();
  await withUp("returns", returns);
  await withUp("shutdown", shutdown);
  console.log(`Node ${process.version}, ${cpus().length} cores, load before ${load}, after ${loadAverage()}; medians of ${ROUNDS} starts each`);
  const widths = [0, 1, 2, 3].map((column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  for (const row of rows) console.log(row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("  ").trimEnd());
  if (rows.some((row) => row[3] === "MISSED")) process.exitCode = 1;
} finally {
  fs.rmSync(work, { recursive: true, force: true });
}
