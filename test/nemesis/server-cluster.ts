import { createWriteStream, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { BROKER_PORT, LOG_DIRECTORY } from "../../sim/kafka/cluster-world.ts";
import { filesOfDirectory, type StoredFiles } from "../../sim/stored-files.ts";
import { CLIENT_PORT } from "../../sim/zookeeper/client-tap.ts";
import { packageRoot } from "../support/package-root.ts";
import { temporaryDirectory, ServerProcess } from "../support/processes.ts";
import { ServerNetwork } from "./server-network.ts";

export const HALVES = ["member", "broker"] as const;
export type Half = (typeof HALVES)[number];

const SCRIPTS: Readonly<Record<Half, string>> = { member: "zookeeper-server-start.sh", broker: "kafka-server-start.sh" };
/** Below a server's directory. */
const FILES: Readonly<Record<Half, string>> = { member: "config/zookeeper.properties", broker: "config/server.properties" };
const MEMBER_DATA = "/zookeeper";

/** Where a member's log and its snapshots lie, below its server's directory. */
export const MEMBER_FILES = `${MEMBER_DATA}/version-2`;

/** A learner gets all it lacks as transactions, never as a snapshot: every member's log tells its whole history. */
const MEMBER_SETTINGS = { snapshotSizeFactor: 0, tickTime: 500, initLimit: 20, syncLimit: 6, maxClientCnxns: 0, "autopurge.purgeInterval": 0, "4lw.commands.whitelist": "*" };
/** Times are short so that a round of faults goes through every transition. */
const BROKER_SETTINGS = {
  "zookeeper.session.timeout.ms": 4000,
  "replica.lag.time.max.ms": 3000,
  "replica.socket.timeout.ms": 3000,
  "request.timeout.ms": 3000,
  "controller.socket.timeout.ms": 3000,
  "default.replication.factor": 3,
  "min.insync.replicas": 2,
  "offsets.topic.replication.factor": 3,
  "offsets.topic.num.partitions": 3,
  "transaction.state.log.replication.factor": 3,
  "transaction.state.log.min.isr": 2,
  "group.initial.rebalance.delay.ms": 0,
  "auto.create.topics.enable": "false",
  "leader.imbalance.check.interval.seconds": 5,
};

/** Servers as the guide sets them up, each with a ZooKeeper member and a broker as processes of their own, started by Kafka's scripts. */
export class ServerCluster {
  readonly network: ServerNetwork;
  readonly #directory = temporaryDirectory();
  readonly #processes = new Map<string, ServerProcess>();
  readonly #paused = new Set<string>();

  private constructor(network: ServerNetwork) {
    this.network = network;
    for (const server of this.servers) this.#layOut(server);
  }

  static async start(servers: number): Promise<ServerCluster> {
    const cluster = new ServerCluster(await ServerNetwork.create(servers));
    for (const server of cluster.servers) for (const half of HALVES) cluster.start(server, half);
    return cluster;
  }

  /** By number, from 1 on: broker.id and the content of myid. */
  get servers(): readonly number[] {
    return this.network.addresses.map((_, index) => index + 1);
  }

  get bootstrap(): string {
    return this.network.addresses.map((address) => `${address}:${BROKER_PORT}`).join(",");
  }

  get zookeeperConnect(): string {
    return this.network.addresses.map((address) => `${address}:${CLIENT_PORT}`).join(",");
  }

  files(server: number): StoredFiles {
    return filesOfDirectory(`server ${server}`, this.#root(server));
  }

  isRunning(server: number, half: Half): boolean {
    return this.#processes.get(`${server} ${half}`)?.running === true;
  }

  start(server: number, half: Half): void {
    if (this.isRunning(server, half)) return;
    const [command, ...args] = [...this.network.on(server), join(packageRoot, "bin", SCRIPTS[half]), join(this.#root(server), FILES[half])];
    const said = createWriteStream(join(this.#root(server), `${half}.out`), { flags: "a" });
    this.#processes.set(`${server} ${half}`, new ServerProcess(command, args, { onLine: (line) => said.write(`${line}\n`) }));
  }

  /** SIGKILL, to one that is paused too. */
  async kill(server: number, half: Half): Promise<void> {
    this.#paused.delete(`${server} ${half}`);
    await this.#processes.get(`${server} ${half}`)?.stop("SIGKILL");
  }

  /** SIGTERM, and its end. */
  async stop(server: number, half: Half): Promise<void> {
    this.resume(server, half);
    await this.#processes.get(`${server} ${half}`)?.stop();
  }

  /** SIGSTOP. */
  pause(server: number, half: Half): void {
    if (!this.isRunning(server, half)) return;
    this.#paused.add(`${server} ${half}`);
    this.#processes.get(`${server} ${half}`)?.child.kill("SIGSTOP");
  }

  resume(server: number, half: Half): void {
    if (this.#paused.delete(`${server} ${half}`)) this.#processes.get(`${server} ${half}`)?.child.kill("SIGCONT");
  }

  /** Everything runs and everybody reaches everybody. */
  async heal(): Promise<void> {
    await this.network.heal();
    for (const server of this.servers) {
      for (const half of HALVES) {
        this.resume(server, half);
        this.start(server, half);
      }
    }
  }

  /** The last lines of every process, for a failure's message. */
  lastWords(lines: number): string {
    return [...this.#processes].map(([name, { output }]) => `--- ${name}\n${output.split("\n").slice(-lines).join("\n")}`).join("\n");
  }

  /** `keeps`: everything but the files goes. */
  async remove({ keeps = false } = {}): Promise<void> {
    for (const server of this.servers) for (const half of HALVES) await this.kill(server, half);
    await this.network.remove();
    if (keeps) console.log(`the servers' files are left in ${this.#directory.path}`);
    else this.#directory.remove();
  }

  #root(server: number): string {
    return join(this.#directory.path, `server-${server}`);
  }

  #layOut(server: number): void {
    const { addresses } = this.network;
    const root = this.#root(server);
    for (const directory of ["config", MEMBER_DATA, LOG_DIRECTORY]) mkdirSync(join(root, directory), { recursive: true });
    writeFileSync(join(root, MEMBER_DATA, "myid"), `${server}\n`);
    const ensemble = Object.fromEntries(addresses.map((address, index) => [`server.${index + 1}`, `${address}:2888:3888`]));
    writeFileSync(join(root, FILES.member), properties({ dataDir: join(root, MEMBER_DATA), clientPort: CLIENT_PORT, ...MEMBER_SETTINGS, ...ensemble }));
    const listener = `PLAINTEXT://${addresses[server - 1]}:${BROKER_PORT}`;
    writeFileSync(join(root, FILES.broker), properties({ "broker.id": server, "listeners": listener, "log.dirs": join(root, LOG_DIRECTORY), "zookeeper.connect": this.zookeeperConnect, ...BROKER_SETTINGS }));
  }
}

function properties(settings: Readonly<Record<string, string | number>>): string {
  return Object.entries(settings)
    .map(([key, value]) => `${key}=${value}\n`)
    .join("");
}
