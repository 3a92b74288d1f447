import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "vitest";
import type { ZooKeeperClient } from "../../src/zookeeper/client/client.ts";
import { dumpLog } from "./apache-kafka.ts";
import { startApacheZooKeeper } from "./apache-zookeeper.ts";
import { BrokersView, type BrokerAt } from "./brokers-view.ts";
import { eventually, freePort, run, ServerProcess, temporaryDirectory, type Finished } from "./processes.ts";
import { connectClient } from "./zookeeper-clients.ts";

/** Who runs on a broker's directory: ours from dist/, or Apache's. */
export type BrokerKind = "odradek" | "apache";

interface BrokerPlace {
  readonly id: number;
  readonly kind: BrokerKind;
  readonly port: number;
  readonly directory: string;
  readonly classPath: string;
  /** Above those that all brokers of a test have. */
  readonly settings: Settings;
}

export type Settings = Readonly<Record<string, string | number | boolean>>;

/** The ensemble that a cluster's brokers share; `stop` ends it and removes its data. */
export interface SharedZooKeeper {
  /** `host:port,…` */
  readonly connect: string;
  stop(): Promise<void>;
}

export interface ClusterOptions {
  readonly settings?: Settings;
  /** A standalone server of Apache's unless given. */
  readonly zookeeper?: SharedZooKeeper;
}

const SCRIPT = resolve(import.meta.dirname, "../../bin/kafka-server-start.sh");
const JAVA_OPTIONS = ["-Xmx512m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"];

/** A JVM takes 3 s to a serving broker, and many times that while other processes want its core. */
const JVM_START_MS_MAX = 60_000;

/** Short, so that a cluster notices and mends within a test what takes it minutes by default. */
const SETTINGS = {
  "min.insync.replicas": 2,
  "zookeeper.session.timeout.ms": 6000,
  // Longer than the session: the dead are the controller's to take out. A leader of Apache's that asks a controller that
  // is dead itself may forget its next change when that answer comes (AlterIsrManager of 2.7.1), and stay alone for ever.
  "replica.lag.time.max.ms": 10_000,
  "leader.imbalance.check.interval.seconds": 10,
  "log.segment.bytes": 131_072,
  "log.segment.delete.delay.ms": 1000,
  "controlled.shutdown.retry.backoff.ms": 500,
  "auto.create.topics.enable": false,
};

/** One broker: a process that comes and goes, on a directory and a port that stay. */
export class ClusterBroker implements BrokerAt {
  readonly id: number;
  readonly port: number;
  readonly logDir: string;
  readonly #place: BrokerPlace;
  readonly #config: string;
  #kind: BrokerKind;
  #process: ServerProcess | undefined;
  #said = "";

  constructor(place: BrokerPlace, zookeeper: string) {
    this.#place = place;
    this.id = place.id;
    this.port = place.port;
    this.logDir = join(place.directory, `broker-${place.id}`);
    this.#config = join(place.directory, `broker-${place.id}.properties`);
    this.#kind = place.kind;
    mkdirSync(this.logDir);
    const settings = { "broker.id": place.id, "listeners": `PLAINTEXT://127.0.0.1:${place.port}`, "log.dirs": this.logDir, "zookeeper.connect": zookeeper, ...SETTINGS, ...place.settings };
    writeFileSync(
      this.#config,
      Object.entries(settings)
        .map(([key, value]) => `${key}=${value}\n`)
        .join(""),
    );
  }

  get kind(): BrokerKind {
    return this.#kind;
  }

  get name(): string {
    return `broker ${this.id} (${this.kind})`;
  }

  get bootstrap(): string {
    return `127.0.0.1:${this.port}`;
  }

  get running(): boolean {
    return this.#process?.running === true;
  }

  /** What its process has printed since its start. */
  get output(): string {
    return this.#process?.output ?? "";
  }

  /** The same of every process that it had. */
  get history(): string {
    return this.#said + this.output;
  }

  /** Resolves when it serves. */
  async start(): Promise<void> {
    this.#said += `${this.output}\n`;
    const started =
      this.kind === "odradek"
        ? new ServerProcess(SCRIPT, [this.#config])
        : new ServerProcess("java", [...JAVA_OPTIONS, "-cp", this.#place.classPath, "kafka.Kafka", this.#config]);
    this.#process = started;
    const ready = this.kind === "odradek" ? `broker ${this.id} serves` : `[KafkaServer id=${this.id}] started`;
    const serves = (): boolean => {
      if (!started.running) throw new Error(`${this.name} ended:\n${started.output}`);
      return started.output.includes(ready);
    };
    await eventually(`${this.name} serves`, serves, this.kind === "apache" ? JVM_START_MS_MAX : undefined);
  }

  /** Resolves with the exit code; null after a signal that it does not handle. */
  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<number | null> {
    return (await this.#process?.stop(signal)) ?? null;
  }

  async kill(): Promise<void> {
    await this.stop("SIGKILL");
  }

  /** It keeps its sockets and its session, and does nothing. */
  pause(): void {
    this.#process?.child.kill("SIGSTOP");
  }

  resume(): void {
    this.#process?.child.kill("SIGCONT");
  }

  /** Another implementation on the same directory, from the next start on. */
  become(kind: BrokerKind): void {
    this.#kind = kind;
  }

  /** The segments' paths of a partition; none where it has no such directory. */
  segments(topic: string, partition: number): string[] {
    const directory = `${topic}-${partition}`;
    if (!readdirSync(this.logDir).includes(directory)) return [];
    const names = readdirSync(join(this.logDir, directory)).filter((name) => name.endsWith(".log"));
    return names.toSorted().map((name) => join(this.logDir, directory, name));
  }

  /** Of a topic's partitions; those marked as deleted are called `topic-0.<id>-delete`. */
  directories(topic: string): string[] {
    return readdirSync(this.logDir).filter((name) => name.startsWith(`${topic}-`) || name.startsWith(`${topic}.`));
  }
}

/** Brokers on this machine, each a process of its own, and the ZooKeeper that they share. */
export class KafkaCluster extends BrokersView<ClusterBroker> {
  readonly #classPath: string;
  readonly #zookeeper: SharedZooKeeper;
  readonly #client: ZooKeeperClient;
  readonly #directory: ReturnType<typeof temporaryDirectory>;

  private constructor({ brokers, classPath, zookeeper, client, directory }: { brokers: readonly ClusterBroker[]; classPath: string; zookeeper: SharedZooKeeper; client: ZooKeeperClient; directory: ReturnType<typeof temporaryDirectory> }) {
    super(brokers);
    this.#classPath = classPath;
    this.#zookeeper = zookeeper;
    this.#client = client;
    this.#directory = directory;
  }

  /** Its ZooKeeper runs, none of its brokers does: 1, 2, … of these kinds. `classPath` is Apache Kafka's, which brings a ZooKeeper along; without either it may be empty. */
  static async plan(kinds: readonly BrokerKind[], classPath: string, options: ClusterOptions = {}): Promise<KafkaCluster> {
    const directory = temporaryDirectory();
    const zookeeper = options.zookeeper ?? (await apacheZooKeeper(classPath));
    const connect = `${zookeeper.connect}/kafka`;
    const settings = options.settings ?? {};
    const brokers: ClusterBroker[] = [];
    for (const [index, kind] of kinds.entries()) {
      brokers.push(new ClusterBroker({ id: index + 1, kind, port: await freePort(), directory: directory.path, classPath, settings }, connect));
    }
    return new KafkaCluster({ brokers, classPath, zookeeper, client: await connectClient(connect), directory });
  }

  /** `host:port,…/path` of its own root. */
  get zookeeper(): string {
    return `${this.#zookeeper.connect}/kafka`;
  }

  /** Who is in /controller. */
  override async controller(): Promise<number | undefined> {
    const found = await this.#client.getData("/controller");
    if (!found.ok) return undefined;
    return (JSON.parse(found.value.data?.toString() ?? "{}") as { brokerid?: number }).brokerid;
  }

  async exists(path: string): Promise<boolean> {
    return (await this.#client.exists(path)).ok;
  }

  async createNode(path: string, content: string): Promise<void> {
    expect(await this.#client.create(path, Buffer.from(content))).toMatchObject({ ok: true });
  }

  /** Makes a broker of this kind the controller, as whoever deletes /controller does: the others stand still meanwhile. */
  async controlledBy(kind: BrokerKind): Promise<void> {
    const current = await eventually("a controller", () => this.controller());
    if (this.broker(current).kind === kind) return;
    const rivals = this.others().filter((broker) => broker.kind !== kind);
    for (const rival of rivals) rival.pause();
    try {
      expect(await this.#client.delete("/controller")).toMatchObject({ ok: true });
      await eventually(`a controller of kind ${kind}`, () => this.controller());
    } finally {
      for (const rival of rivals) rival.resume();
    }
  }

  /** Apache refuses to start while the registration of its dead session stands. */
  async forgotten(id: number): Promise<void> {
    await eventually(`the registration of broker ${id} is gone`, async () => !(await this.exists(`/brokers/ids/${id}`)));
  }

  /** What this broker's Metadata shows without a leader while `work` is under way, asked every 50 ms. */
  async leaderlessWhile(asked: ClusterBroker, topic: string, work: Promise<unknown>): Promise<string[]> {
    const leaderless: string[] = [];
    const over = work.then(() => true);
    do {
      for (const [partition, { leader }] of (await this.layout(asked, topic)).entries()) if (leader < 0) leaderless.push(`${topic}-${partition}`);
    } while (!(await Promise.race([over, sleep(50, false)])));
    return leaderless;
  }

  /** One of Apache's tools, told of a broker that runs. */
  async tool(name: "kafka.admin.TopicCommand" | "kafka.tools.ConsoleConsumer" | "kafka.tools.ConsoleProducer", args: readonly string[], input = ""): Promise<Finished> {
    const bootstrap = this.others()[0]?.bootstrap ?? "";
    return run("java", ["-XX:TieredStopAtLevel=1", "-cp", this.#classPath, name, "--bootstrap-server", bootstrap, ...args], { timeoutMs: JVM_START_MS_MAX, input });
  }

  /** DumpLogSegments' lines of the batches of all of a broker's segments of a topic, but for where in a file they stand. */
  async batches(broker: ClusterBroker, topic: string, partitions: number): Promise<string[]> {
    const segments = Array.from({ length: partitions }, (_, partition) => broker.segments(topic, partition)).flat();
    const { code, stdout, stderr } = await dumpLog(this.#classPath, "--files", segments.join(","));
    expect(code).toBe(0);
    expect(stdout + stderr).not.toMatch(/Exception|Mismatch|Non-consecutive|isvalid: false/);
    return stdout
      .split("\n")
      .filter((line) => line.startsWith("baseOffset"))
      .map((line) => line.replace(/ position: \d+/, ""));
  }

  async close(): Promise<void> {
    await Promise.all(this.brokers.map((broker) => broker.kill()));
    await this.#client.abandon();
    await this.#zookeeper.stop();
    const kept = process.env["ODRADEK_TEST_KEEP"];
    if (kept !== undefined) for (const broker of this.brokers) writeFileSync(join(kept, `broker-${broker.id}.log`), broker.history);
    else this.#directory.remove();
  }
}

async function apacheZooKeeper(classPath: string): Promise<SharedZooKeeper> {
  const server = await startApacheZooKeeper({ classPath });
  return { connect: `127.0.0.1:${server.port}`, stop: () => server.stop() };
}
