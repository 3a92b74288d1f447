import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { tmpdir } from "node:os";
import { realHost } from "../../src/host/real/host.ts";
import { ClusterAdmin } from "../../src/kafka/client/cluster-admin.ts";
import { KafkaClient } from "../../src/kafka/client/kafka-client.ts";
import { eventually, freePort, run, ServerProcess } from "../../test/support/processes.ts";
import { packageRoot } from "../../test/support/package-root.ts";
import { modes } from "../members.ts";
import { isRunning, processTree } from "../processes.ts";
import { brokerSettings, jvmOptions, memberSettings, nodesOf, properties, sessionSettings, type Settings, type Topology } from "../settings.ts";
import type { Contestant, ContestantName } from "./contestant.ts";

/** Of what a cluster writes; on the disk that it is to be measured on. */
const WORKPLACE = process.env["ODRADEK_BENCH_DIR"] ?? tmpdir();

/** A JVM's start while two others have theirs on two cores. */
const SERVING_MS_MAX = 120_000;
/** Who has not ended by then is killed: of three KRaft nodes that stop at once the last wait for a quorum that is gone. */
const STOP_MS_MAX = { odradek: 60_000, apache: 60_000, kraft: 20_000 } as const;

/** Some thousand partitions take a JVM half a minute where it has no core for itself. */
const TOPIC_MS_MAX = 120_000;

interface Command {
  readonly program: string;
  readonly args: readonly string[];
}

interface Plan {
  readonly name: ContestantName;
  readonly topology: Topology;
  readonly directory: string;
  readonly ports: readonly NodePorts[];
  /** In the order of their start; `killNode(i)` is the i-th. */
  readonly commands: readonly Command[];
}

interface NodePorts {
  readonly kafka: number;
  readonly zookeeper: number;
  readonly quorum: number;
  readonly election: number;
}

const host = realHost({ logLevel: "silent" });

/** Ours: `odradek up` for brokers, Kafka's script for members alone. `settings` are more lines of a broker's server.properties. */
export async function planOdradek(topology: Topology, settings: (index: number) => Settings = () => ({})): Promise<Contestant> {
  const { directory, ports } = await layOut("odradek", topology, settings);
  writeFileSync(join(directory, "odradek.json"), `${JSON.stringify({ version: 1, nodes: ports.length })}\n`);
  const members = ports.map((_, index) => ({ program: join(packageRoot, "bin/zookeeper-server-start.sh"), args: [memberFile(directory, index)] }));
  const brokers = ports.map((_, index) => ({ program: join(packageRoot, "bin/kafka-server-start.sh"), args: [brokerFile(directory, index)] }));
  const up = { program: join(packageRoot, "bin/odradek"), args: ["up", "--json", "--dir", directory] };
  const commands = { three: [up], one: [up], five: [up], ensemble: members, apart: [...members, ...brokers] };
  return new Deployment({ name: "odradek", topology, directory, ports, commands: commands[topology] });
}

/** Apache's: a JVM for each member, one for each broker. */
export async function planApache(topology: Topology, classPath: string): Promise<Contestant> {
  const { directory, ports } = await layOut("apache", topology);
  const jvm = (kind: keyof typeof jvmOptions, main: string, file: string): Command => ({ program: "java", args: [...jvmOptions[kind], "-Dzookeeper.jmx.log4j.disable=true", "-cp", classPath, main, file] });
  const members = ports.map((_, index) => jvm("member", "org.apache.zookeeper.server.quorum.QuorumPeerMain", memberFile(directory, index)));
  const brokers = ports.map((_, index) => jvm("broker", "kafka.Kafka", brokerFile(directory, index)));
  return new Deployment({ name: "apache", topology, directory, ports, commands: topology === "ensemble" ? members : [...members, ...brokers] });
}

/** The newest Kafka's: a JVM for each node, which is broker and controller. Its directories are formatted, as it wants them. */
export async function planKraft(topology: Topology, classPath: string): Promise<Contestant> {
  const { directory, ports } = await layOut("kraft", topology);
  const voters = ports.map(({ quorum }, index) => `${index + 1}@127.0.0.1:${quorum}`).join(",");
  for (const [index, { kafka, quorum }] of ports.entries()) {
    const file = brokerFile(directory, index);
    writeFileSync(
      file,
      properties({
        "process.roles": "broker,controller",
        "node.id": index + 1,
        "listeners": `PLAINTEXT://127.0.0.1:${kafka},CONTROLLER://127.0.0.1:${quorum}`,
        "controller.listener.names": "CONTROLLER",
        "controller.quorum.voters": voters,
        "log.dirs": join(nodeDirectory(directory, index), "logs"),
        ...brokerSettings(topology),
      }),
    );
    const { code, stdout, stderr } = await run("java", ["-Xmx256m", "-cp", classPath, "kafka.tools.StorageTool", "format", "-t", KRAFT_CLUSTER_ID, "-c", file], { timeoutMs: 60_000 });
    if (code !== 0) throw new Error(`kafka-storage format failed:\n${stdout}${stderr}`);
  }
  const commands = ports.map((_, index) => ({ program: "java", args: [...jvmOptions.broker, "-cp", classPath, "kafka.Kafka", brokerFile(directory, index)] }));
  return new Deployment({ name: "kraft", topology, directory, ports, commands });
}

/** Any UUID of Kafka's form. */
const KRAFT_CLUSTER_ID = "MkU3OEVBNTcwNTJENDM2Qg";

function nodeDirectory(directory: string, index: number): string {
  return join(directory, `node-${index + 1}`);
}

function memberFile(directory: string, index: number): string {
  return join(nodeDirectory(directory, index), "config/zookeeper.properties");
}

function brokerFile(directory: string, index: number): string {
  return join(nodeDirectory(directory, index), "config/server.properties");
}

/** The same directories and files for every contestant. */
async function layOut(name: ContestantName, topology: Topology, settings: (index: number) => Settings = () => ({})): Promise<{ directory: string; ports: NodePorts[] }> {
  const directory = mkdtempSync(join(WORKPLACE, `bench-${name}-${topology}-`));
  const ports: NodePorts[] = [];
  for (let index = 0; index < nodesOf(topology); index++) ports.push({ kafka: await freePort(), zookeeper: await freePort(), quorum: await freePort(), election: await freePort() });
  const ensemble = ports.length === 1 ? {} : Object.fromEntries(ports.map(({ quorum, election }, index) => [`server.${index + 1}`, `127.0.0.1:${quorum}:${election}`]));
  for (const [index, { kafka, zookeeper }] of ports.entries()) {
    const node = nodeDirectory(directory, index);
    for (const part of ["config", ...DATA]) mkdirSync(join(node, part), { recursive: true });
    writeFileSync(join(node, "zookeeper/myid"), `${index + 1}\n`);
    writeFileSync(memberFile(directory, index), properties({ dataDir: join(node, "zookeeper"), dataLogDir: join(node, "log/zookeeper"), clientPort: zookeeper, clientPortAddress: "127.0.0.1", ...memberSettings, ...ensemble }));
    const connect = ports.map((each) => `127.0.0.1:${each.zookeeper}`).join(",");
    writeFileSync(
      brokerFile(directory, index),
      properties({ "broker.id": index + 1, "listeners": `PLAINTEXT://127.0.0.1:${kafka}`, "log.dirs": join(node, "logs"), "zookeeper.connect": connect, ...sessionSettings, ...brokerSettings(topology), ...settings(index) }),
    );
  }
  return { directory, ports };
}

const DATA = ["zookeeper", "log/zookeeper", "logs"];

/** Processes on directories that stay. */
class Deployment implements Contestant {
  readonly name: ContestantName;
  readonly topology: Topology;
  readonly #plan: Plan;
  #processes: (ServerProcess | undefined)[] = [];
  #client: KafkaClient | undefined;

  constructor(plan: Plan) {
    this.name = plan.name;
    this.topology = plan.topology;
    this.#plan = plan;
  }

  get bootstrap(): string {
    return this.topology === "ensemble" ? "" : this.#plan.ports.map(({ kafka }) => `127.0.0.1:${kafka}`).join(",");
  }

  get members(): readonly string[] {
    return this.#plan.ports.map(({ zookeeper }) => `127.0.0.1:${zookeeper}`);
  }

  get logDirs(): readonly string[] {
    return this.#plan.ports.map((_, index) => join(nodeDirectory(this.#plan.directory, index), "logs"));
  }

  get roots(): readonly number[] {
    return this.#processes.flatMap((each) => (each?.running === true && each.child.pid !== undefined ? [each.child.pid] : []));
  }

  get running(): boolean {
    return this.roots.length > 0;
  }

  get admin(): ClusterAdmin {
    return new ClusterAdmin(this.#kafka, { timeoutMs: TOPIC_MS_MAX });
  }

  get #kafka(): KafkaClient {
    this.#client ??= new KafkaClient({ host, bootstrap: this.#plan.ports.map(({ kafka }) => ({ host: "127.0.0.1", port: kafka })), clientId: "bench", requestTimeoutMs: TOPIC_MS_MAX + 10_000, random: host.random });
    return this.#client;
  }

  launch(): void {
    for (const index of this.#plan.commands.keys()) this.startNode(index);
  }

  startNode(index: number): void {
    const command = this.#plan.commands[index];
    if (command === undefined) throw new RangeError(`${this.name} has no process ${index}`);
    this.#processes[index] = new ServerProcess(command.program, command.args);
  }

  async serving(): Promise<void> {
    const brokers = this.#plan.ports.length;
    await eventually(
      `${this.name} (${this.topology}) serves`,
      async () => {
        const ended = this.#processes.find((each) => each?.running === false);
        if (ended !== undefined) throw new Error(`${this.name} (${this.topology}): a process has ended:\n${ended.output.slice(-4000)}`);
        if (this.topology === "ensemble") return oneLeads(await modes(this.members));
        const metadata = await this.#kafka.metadata([]).catch(() => undefined);
        return metadata !== undefined && metadata.brokers.length === brokers && metadata.controllerId >= 0;
      },
      SERVING_MS_MAX,
    );
  }

  /** Brokers before members, as the guide says: the last commands first. */
  async stop(): Promise<void> {
    await this.#disconnect();
    const nodes = this.#plan.ports.length;
    const groups = this.#plan.commands.length === 2 * nodes ? [this.#processes.slice(nodes), this.#processes.slice(0, nodes)] : [this.#processes];
    for (const group of groups) await Promise.all(group.map((each) => stopWithin(each, STOP_MS_MAX[this.name])));
    this.#processes = [];
  }

  async kill(): Promise<void> {
    await this.#disconnect();
    const all = processTree(this.roots);
    await Promise.all(this.#processes.map(async (each) => each?.stop("SIGKILL")));
    // The nodes of `odradek up` end with it, by the channel between them: a little later.
    await eventually(`all of ${this.name} has ended`, () => !all.some(isRunning));
    this.#processes = [];
  }

  brokerProcess(id: number): number {
    const { ports, commands } = this.#plan;
    if (commands.length !== 2 * ports.length || id < 1 || id > ports.length) throw new RangeError(`${this.name} (${this.topology}) has no process for broker ${id} alone`);
    return ports.length + id - 1;
  }

  async killNode(index: number): Promise<void> {
    await this.#processes[index]?.stop("SIGKILL");
  }

  lastWords(): string {
    return this.#processes.map((each) => each?.output.split("\n").slice(-5).join("\n") ?? "").join("\n---\n");
  }

  remove(): void {
    rmSync(this.#plan.directory, { recursive: true, force: true, maxRetries: 5, retryDelay: 500 });
  }

  async #disconnect(): Promise<void> {
    const client = this.#client;
    this.#client = undefined;
    await client?.close();
  }
}

async function stopWithin(server: ServerProcess | undefined, withinMs: number): Promise<void> {
  const timer = setTimeout(() => server?.child.kill("SIGKILL"), withinMs);
  await server?.stop();
  clearTimeout(timer);
}

function oneLeads(all: readonly (string | undefined)[]): boolean {
  return all.filter((mode) => mode === "leader").length === 1 && !all.includes(undefined);
}
