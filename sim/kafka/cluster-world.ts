import type { Host } from "../../src/host/host.ts";
import type { LogFields, Logger } from "../../src/host/log.ts";
import type { NodeFailure } from "../../src/host/sim/options.ts";
import type { SimNode } from "../../src/host/sim/node.ts";
import type { World } from "../../src/host/sim/world.ts";
import { must } from "../../src/lib/assert.ts";
import { errorCode, toError } from "../../src/lib/error.ts";
import { parseProperties } from "../../src/lib/properties.ts";
import { Broker } from "../../src/kafka/broker/broker.ts";
import { readBrokerConfig } from "../../src/kafka/config/broker-config.ts";
import { readMemberConfig } from "../../src/zookeeper/config/member-config.ts";
import { QuorumMember } from "../../src/zookeeper/server/quorum-member.ts";
import { StandaloneMember } from "../../src/zookeeper/server/standalone-member.ts";
import { filesOfNode } from "../stored-files.ts";
import { Histories, type MemberDisk } from "../zookeeper/history.ts";
import { CLIENT_PORT, type ClientTap } from "../zookeeper/client-tap.ts";
import { tapQuorum, type SyncBegin } from "../zookeeper/quorum-tap.ts";
import { Violation } from "../zookeeper/violation.ts";

export interface ClusterShape {
  /** ZooKeeper members; one alone is no ensemble. */
  readonly members: number;
  readonly brokers: number;
  /** A member and a broker on each machine, in one process: there are as many members as brokers. */
  readonly whole?: boolean;
  readonly clients: number;
  /** In ZooKeeper: empty, or begins with a slash. */
  readonly chroot: string;
  /** Lines of zoo.cfg and of server.properties. */
  readonly memberSettings: readonly string[];
  readonly brokerSettings: readonly string[];
  /** By broker, from the first on; undefined: none. */
  readonly racks?: readonly (string | undefined)[];
}

/** One line that a broker has logged. */
export interface HeardLine {
  readonly broker: number;
  readonly message: string;
  readonly fields: LogFields;
}

export const BROKER_PORT = 9092;
export const LOG_DIRECTORY = "/kafka-logs";
/** By broker: memory that is given back at once, soon or hardly ever. */
const TAILS_BYTES_MAX = [1000, 30_000, 1_000_000];
const MEMBER_DATA = "/zookeeper";
const QUORUM_PORT = 2888;
/** A stop is over by then, whatever is wrong with the others. */
const STOP_MS_MAX = 90_000;
const SUPERVISOR_MS = 300;

/** ZooKeeper members, brokers and clients of one world, each on its own node, and the lives that they lead. */
export class ClusterWorld {
  readonly world: World;
  readonly shape: ClusterShape;
  readonly members: readonly SimNode[];
  /** Broker 1 is the first. */
  readonly brokers: readonly SimNode[];
  readonly clients: readonly SimNode[];
  readonly histories: Histories;
  /** Hears each line that a broker logs, debug ones left out. */
  onLine: (line: HeardLine) => void = () => undefined;
  /** Hears of each member that a leader begins to bring to its own history. */
  onSync: (begin: SyncBegin) => void = () => undefined;
  /** The member that told others of an epoch last. */
  quorumLeader: SimNode | undefined;
  readonly #tap: ClientTap | undefined;
  /** Of the last life in which it came to serve. */
  readonly #memberOf = new Map<SimNode, QuorumMember | StandaloneMember>();
  readonly #running = new Map<SimNode, { readonly life: number; readonly broker: Broker }>();
  /** Those that were told to stop, and whether they shall start again then. */
  /** Those whose disks have failed, and in which life. */
  readonly #sick = new Map<SimNode, number>();
  readonly #stopping = new Map<SimNode, { readonly life: number; startsAgain: boolean }>();

  /** `tap` listens to what brokers say to members. */
  constructor(world: World, shape: ClusterShape, tap?: ClientTap) {
    this.world = world;
    this.shape = shape;
    this.#tap = tap;
    const nodes = (prefix: string, count: number): SimNode[] => Array.from({ length: count }, (_, index) => world.addNode(`${prefix}${index + 1}`));
    const machines = shape.whole === true ? nodes("node", shape.brokers) : undefined;
    this.members = machines ?? nodes("z", shape.members);
    this.brokers = machines ?? nodes("kafka", shape.brokers);
    this.clients = nodes("client", shape.clients);
    const logs = `${MEMBER_DATA}/version-2`;
    this.histories = new Histories(this.members.map((node, index): MemberDisk => ({ id: index + 1, files: filesOfNode(node), logs, snapshots: logs })));
    for (const node of this.machines) this.#begin(node);
  }

  /** Those of members and of brokers. */
  get machines(): readonly SimNode[] {
    return [...new Set([...this.members, ...this.brokers])];
  }

  get brokerIds(): readonly number[] {
    return this.brokers.map((_, index) => index + 1);
  }

  node(brokerId: number): SimNode {
    return must(this.brokers[brokerId - 1], `broker ${brokerId}`);
  }

  /** The broker, where its present life has come so far that it serves. */
  running(brokerId: number): Broker | undefined {
    const node = this.node(brokerId);
    const running = this.#running.get(node);
    return node.up && running?.life === node.lives ? running.broker : undefined;
  }

  /** Begins the next life of a member or broker; of one that is stopping, when it has. */
  restart(node: SimNode): void {
    const stopping = this.#stopping.get(node);
    if (node.up && stopping?.life === node.lives) stopping.startsAgain = true;
    if (node.up) return;
    this.#forgetUnsynced(node);
    node.start();
    this.#begin(node);
  }

  #begin(node: SimNode): void {
    if (this.members.includes(node)) this.#startMember(node);
    if (this.brokers.includes(node)) this.#startBroker(node);
  }

  /** As SIGTERM to a broker: its process ends once it has stopped. One that has not come to serve yet ends at once. */
  terminate(brokerId: number): void {
    const node = this.node(brokerId);
    const broker = this.running(brokerId);
    const life = node.lives;
    // A process that stands still hears no signal.
    if (!node.up || node.paused || this.#stopping.get(node)?.life === life) return;
    if (broker === undefined) {
      node.kill();
      return;
    }
    const { host } = node;
    this.#stopping.set(node, { life, startsAgain: false });
    this.#stopAll(node, broker).catch((error: unknown) => host.fail(toError(error)));
  }

  /** The broker, then the member beside it, then the process. */
  async #stopAll(node: SimNode, broker: Broker): Promise<void> {
    const life = node.lives;
    await this.#stop(node, broker);
    await this.#memberOf.get(node)?.close();
    // The process may end meanwhile.
    if (node.up && node.lives === life) this.#exit(node, () => this.#stopping.get(node)?.startsAgain === true && this.restart(node));
  }

  /** All brokers stop at the same time; members that share their processes go on. */
  async stopBrokers(withinMs: number): Promise<void> {
    if (this.shape.whole !== true) {
      for (const id of this.brokerIds) this.terminate(id);
      await this.world.run({ until: () => this.brokers.every((node) => !node.up), withinMs });
      return;
    }
    const stops = this.brokerIds.map((id) => this.#stop(this.node(id), must(this.running(id), `broker ${id}`)));
    await this.world.settle(Promise.all(stops), withinMs);
    this.#running.clear();
  }

  /** Rejects, or never settles, where the process ends meanwhile. */
  async #stop(node: SimNode, broker: Broker): Promise<void> {
    const life = node.lives;
    const isOver = (): boolean => !node.up || node.lives !== life;
    const limit = this.world.after(STOP_MS_MAX, () => {
      if (!isOver()) throw new Violation("a stop ends", `${node.name} still stops after ${STOP_MS_MAX} ms`);
    });
    await broker.stop();
    limit.cancel();
  }

  /** The process ends by itself, and has cleaned up before. */
  #exit(node: SimNode, afterwards: () => void): void {
    const life = node.lives;
    const { files, listeners } = node.resources;
    // Connections of clients have been ended, and go when those answer, or with the process.
    const left = [...this.world.net.ends].filter(({ machine, localPort }) => machine.name === node.name && localPort !== BROKER_PORT);
    // A member in the same process goes with it.
    if (!this.members.includes(node) && files.length + listeners + left.length > 0) {
      throw new Violation("a stop leaves nothing open", `${node.name} has the files [${files.join()}], ${listeners} listeners and connections to [${left.map(({ peerMachine, remotePort }) => `${peerMachine.name}:${remotePort}`).join()}]`);
    }
    // In a turn of the world's own: the node must not end in its own midst.
    this.world.after(0, () => {
      if (!node.up || node.lives !== life) return;
      node.kill();
      afterwards();
    });
  }

  /** As Apache's, a broker that loses its session before it serves exits; a supervisor starts it again. */
  #startFailed(node: SimNode, error: unknown): void {
    if (errorCode(error) !== "ERR_ZOOKEEPER_SESSION") throw error;
    this.#exit(node, () => this.world.after(SUPERVISOR_MS, () => this.restart(node)));
  }

  /** The disk fails, in one of the ways that a node can't go on with: it stops, by design, and is started again when that is over. */
  sicken(node: SimNode, how: "fullDisk" | "badDisk" | "failedSync", dice: number): void {
    const { disk } = node;
    this.#sick.set(node, node.lives);
    if (how === "fullDisk") disk.options.capacityBytes = disk.files.usedBytes + 200 * dice;
    else if (how === "failedSync") disk.options.syncErrorsPerMillion = 50_000;
    else {
      disk.options.readErrorsPerMillion = 5000 * (dice % 2);
      disk.options.writeErrorsPerMillion = 10_000;
    }
  }

  /**
   * After a failed sync the machine goes off before its next process begins, whoever starts it: what stands in a page
   * cache then may never reach the disk, and a process can't know.
   */
  #forgetUnsynced(node: SimNode): void {
    if (node.disk.options.syncErrorsPerMillion > 0) node.powerLoss();
  }

  mend(node: SimNode): void {
    const { options } = node.disk;
    if (!this.#sick.has(node)) return;
    if (!node.up) this.#forgetUnsynced(node);
    options.capacityBytes = Infinity;
    options.readErrorsPerMillion = 0;
    options.writeErrorsPerMillion = 0;
    options.syncErrorsPerMillion = 0;
    this.restart(node);
  }

  /** Nothing that failed in an earlier life comes to light any more. */
  renew(node: SimNode): void {
    this.mend(node);
    if (!node.up || this.#sick.get(node) !== node.lives) return;
    node.kill();
    this.restart(node);
  }

  /** Whether the node may stop like this: its disk has failed it in this life. */
  isSick({ node: name, life, reason }: NodeFailure): boolean {
    const node = this.machines.find((machine) => machine.name === name);
    return node !== undefined && life >= (this.#sick.get(node) ?? Infinity) && isDiskError(reason);
  }

  get stopping(): boolean {
    return this.brokers.some((node) => node.up && this.#stopping.get(node)?.life === node.lives);
  }

  #startMember(node: SimNode): void {
    const { host } = node;
    const { shape, histories } = this;
    const id = this.members.indexOf(node) + 1;
    const ensemble = shape.members === 1 ? [] : this.members.map((member, index) => `server.${index + 1}=${member.name}:${QUORUM_PORT}:3888`);
    const lines = [...shape.memberSettings, `dataDir=${MEMBER_DATA}`, `clientPort=${CLIENT_PORT}`, ...ensemble];
    const files = { main: parseProperties(lines.join("\n"), "zoo.cfg"), origin: "zoo.cfg", myId: shape.members === 1 ? undefined : String(id), dynamic: undefined };
    const { config } = readMemberConfig(files);
    const tapped = tapQuorum(host, { id, quorumPort: QUORUM_PORT }, {
      epoch: () => (this.quorumLeader = node),
      sync: (begin) => {
        this.onSync(begin);
        if (begin.kind === "snap") histories.snapshotSent(begin.leader, begin.learner, begin.zxid);
      },
    });
    // A life that ends while it starts never settles; one that can't start says so by failing.
    const started = shape.members === 1 ? StandaloneMember.start(host, config) : QuorumMember.start(tapped, config);
    started.then((member) => this.#memberOf.set(node, member)).catch((error: unknown) => host.fail(toError(error)));
  }

  #startBroker(node: SimNode): void {
    const { host } = node;
    const { shape } = this;
    const life = node.lives;
    const id = this.brokers.indexOf(node) + 1;
    const rack = shape.racks?.[id - 1];
    const lines = [
      ...shape.brokerSettings,
      `broker.id=${id}`,
      `listeners=PLAINTEXT://${node.name}:${BROKER_PORT}`,
      `log.dirs=${LOG_DIRECTORY}`,
      `zookeeper.connect=${this.members.map((member) => `${member.name}:${CLIENT_PORT}`).join(",")}${shape.chroot}`,
      ...(rack === undefined ? [] : [`broker.rack=${rack}`]),
    ];
    const properties = parseProperties(lines.join("\n"), "server.properties");
    const { config } = readBrokerConfig(properties, "server.properties");
    const log = overheard(host.log, (message, fields) => this.onLine({ broker: id, message, fields: fields ?? {} }));
    const tapped = this.#tap?.wrap(host, `${node.name}/${life}`) ?? host;
    const heard: Host = { ...tapped, log };
    Broker.start({ host: heard, config, layers: { static: properties, clusterDefault: new Map(), perBroker: new Map() }, tailBytesMax: TAILS_BYTES_MAX[id % TAILS_BYTES_MAX.length] })
      .then(
        (broker) => this.#running.set(node, { life, broker }),
        (error: unknown) => this.#startFailed(node, error),
      )
      .catch((error: unknown) => host.fail(toError(error)));
  }
}

/** As members and brokers say it of the disk that all of theirs is on. */
function isDiskError(error: unknown): boolean {
  const code = errorCode(error);
  if (code === "EIO" || code === "ENOSPC" || code === "ERR_NO_LOG_DIRECTORY") return true;
  return error instanceof AggregateError ? error.errors.every(isDiskError) : error instanceof Error && error.cause !== undefined && isDiskError(error.cause);
}

function overheard(log: Logger, hear: (message: string, fields: LogFields | undefined) => void): Logger {
  const at =
    (level: "info" | "warn" | "error") =>
    (message: string, fields?: LogFields): void => {
      hear(message, fields);
      log[level](message, fields);
    };
  return { debug: (message, fields) => log.debug(message, fields), info: at("info"), warn: at("warn"), error: at("error"), child: (component) => overheard(log.child(component), hear) };
}
