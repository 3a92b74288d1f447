import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { apacheKafkaClassPath } from "./apache-kafka.ts";
import { debianZooKeeperClassPath, fourLetterWord, hasDebianZooKeeper } from "./apache-zookeeper.ts";
import { eventually, freePort, ServerProcess, temporaryDirectory } from "./processes.ts";

/** Who runs on a member's directory: ours from dist/, or one of Apache's. */
export type MemberKind = "odradek" | "apache-3.5.9" | "apache-3.8.0";

export type MemberMode = "leader" | "follower" | "observer" | "standalone" | "not serving";

/** How a learner came to its leader's state. */
export type Synchronization = "DIFF" | "TRUNC" | "SNAP";

interface MemberPlace {
  readonly id: number;
  readonly kind: MemberKind;
  readonly observes: boolean;
  readonly port: number;
  readonly dataDir: string;
  readonly config: string;
}

const VOTERS = 3;
const SCRIPT = resolve(import.meta.dirname, "../../bin/zookeeper-server-start.sh");
const LEADER_LOGGER = "org.apache.zookeeper.server.quorum.LearnerHandler";
const JAVA_OPTIONS = ["-Xmx128m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Dzookeeper.jmx.log4j.disable=true", `-Dorg.slf4j.simpleLogger.log.${LEADER_LOGGER}=debug`];

/** A tick of half a second: a leader or follower that falls silent is given up after 2.5 s. */
const SETTINGS = { "tickTime": 500, "initLimit": 10, "syncLimit": 5, "4lw.commands.whitelist": "*", "admin.enableServer": "false", "maxClientCnxns": 0, "preAllocSize": 64 };

/** The class path of a kind; undefined, after a loud line, where this machine can't have it. Ours needs none. */
export async function classPathOf(kind: MemberKind): Promise<string | undefined> {
  if (kind === "odradek") return "";
  // Kafka 2.7.1 brings ZooKeeper 3.5.9 along.
  if (kind === "apache-3.5.9") return apacheKafkaClassPath("2.7.1");
  if (!hasDebianZooKeeper) console.warn("SKIPPED what needs Apache ZooKeeper 3.8.0: no /usr/share/java/zookeeper.jar (apt-get install zookeeper)");
  return hasDebianZooKeeper ? debianZooKeeperClassPath : undefined;
}

/** One member: a process that comes and goes, on a directory and ports that stay. */
export class EnsembleMember {
  readonly id: number;
  readonly port: number;
  readonly dataDir: string;
  readonly #config: string;
  #kind: MemberKind;
  #process: ServerProcess | undefined;
  #paused = false;

  constructor({ id, kind, port, dataDir, config }: MemberPlace) {
    this.id = id;
    this.#kind = kind;
    this.port = port;
    this.dataDir = dataDir;
    this.#config = config;
  }

  get kind(): MemberKind {
    return this.#kind;
  }

  get name(): string {
    return `member ${this.id} (${this.kind})`;
  }

  /** Whether it is to run: from `start` on until it is killed or stopped. */
  get started(): boolean {
    return this.#process !== undefined;
  }

  get paused(): boolean {
    return this.#paused;
  }

  /** What the process has printed since its start. */
  get output(): string {
    return this.#process?.output ?? "";
  }

  /** Starts the process, and does not wait until it serves. */
  async start(): Promise<void> {
    const classPath = await classPathOf(this.kind);
    if (this.kind !== "odradek") this.#removeEmptyLogs();
    this.#process =
      this.kind === "odradek"
        ? new ServerProcess(SCRIPT, [this.#config])
        : new ServerProcess("java", [...JAVA_OPTIONS, "-cp", classPath ?? "", "org.apache.zookeeper.server.quorum.QuorumPeerMain", this.#config]);
    this.#paused = false;
  }

  /** Resolves with the exit code; null after a signal that it does not handle. */
  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<number | null> {
    const stopping = this.#process;
    this.#process = undefined;
    return (await stopping?.stop(signal)) ?? null;
  }

  async kill(): Promise<void> {
    await this.stop("SIGKILL");
  }

  /** It keeps its sockets and does nothing. */
  pause(): void {
    this.#process?.child.kill("SIGSTOP");
    this.#paused = true;
  }

  resume(): void {
    this.#process?.child.kill("SIGCONT");
    this.#paused = false;
  }

  /** Apache's server does not start with one, which is what a kill may leave that comes between a log's making and its first bytes. */
  #removeEmptyLogs(): void {
    const directory = join(this.dataDir, "version-2");
    if (!existsSync(directory)) return;
    for (const name of readdirSync(directory)) if (name.startsWith("log.") && statSync(join(directory, name)).size === 0) rmSync(join(directory, name));
  }

  /** Another implementation on the same directory, from the next start on. */
  become(kind: MemberKind): void {
    this.#kind = kind;
  }

  async mode(): Promise<MemberMode> {
    const answer = await fourLetterWord(this.port, "srvr");
    if (this.#process?.running === false && !this.#paused) throw new Error(`${this.name} has ended:\n${this.output}`);
    return (/Mode: (leader|follower|observer|standalone)/.exec(answer)?.[1] as MemberMode | undefined) ?? "not serving";
  }

  /** Whether this text is in one of its transaction logs. */
  logs(text: string): boolean {
    const directory = join(this.dataDir, "version-2");
    return readdirSync(directory).some((name) => name.startsWith("log.") && readFileSync(join(directory, name)).includes(text));
  }

  /** As a new machine that has only got its number. */
  wipe(): void {
    rmSync(join(this.dataDir, "version-2"), { recursive: true });
  }
}

/** Members on this machine, each a process of its own. */
export class ZooKeeperEnsemble {
  readonly members: readonly EnsembleMember[];
  readonly #directory: ReturnType<typeof temporaryDirectory>;

  private constructor(members: readonly EnsembleMember[], directory: ReturnType<typeof temporaryDirectory>) {
    this.members = members;
    this.#directory = directory;
  }

  /** Members from 1 on, of which three vote and more observe. Makes their directories and files; nothing runs yet. */
  static async plan(kinds: readonly MemberKind[], settings: Readonly<Record<string, string | number>> = {}): Promise<ZooKeeperEnsemble> {
    const directory = temporaryDirectory();
    const places: MemberPlace[] = [];
    let servers = "";
    for (const [index, kind] of kinds.entries()) {
      const id = index + 1;
      const observes = id > VOTERS;
      servers += `server.${id}=127.0.0.1:${await freePort()}:${await freePort()}${observes ? ":observer" : ""}\n`;
      places.push({ id, kind, observes, port: await freePort(), dataDir: join(directory.path, String(id), "data"), config: join(directory.path, String(id), "zoo.cfg") });
    }
    const members = places.map((place) => {
      mkdirSync(place.dataDir, { recursive: true });
      writeFileSync(join(place.dataDir, "myid"), `${place.id}\n`);
      const lines = Object.entries({ dataDir: place.dataDir, clientPort: place.port, ...(place.observes ? { peerType: "observer" } : {}), ...SETTINGS, ...settings });
      writeFileSync(place.config, `${lines.map(([key, value]) => `${key}=${value}\n`).join("")}${servers}`);
      return new EnsembleMember(place);
    });
    return new ZooKeeperEnsemble(members, directory);
  }

  /** `host:port,…` of these members, or of all. */
  connect(...ids: readonly number[]): string {
    return (ids.length === 0 ? this.members : ids.map((id) => this.member(id))).map(({ port }) => `127.0.0.1:${port}`).join(",");
  }

  member(id: number): EnsembleMember {
    const found = this.members.find((member) => member.id === id);
    if (found === undefined) throw new RangeError(`no member ${id}`);
    return found;
  }

  get #running(): readonly EnsembleMember[] {
    return this.members.filter((member) => member.started && !member.paused);
  }

  /** Starts these members, or all that do not run, and waits until everyone who runs serves. */
  async start(...ids: readonly number[]): Promise<void> {
    for (const member of ids.length === 0 ? this.members : ids.map((id) => this.member(id))) if (!member.started) await member.start();
    await this.serving();
  }

  /** Waits until there is one leader, and every running member serves. */
  async serving(): Promise<void> {
    await this.eventually("one leader, and all who run serve", async () => {
      const running = this.#running;
      const modes = await Promise.all(running.map((member) => member.mode()));
      return !modes.includes("not serving") && modes.filter((mode) => mode === "leader").length === 1;
    });
  }

  /** Waits until every running member has applied the same transactions. */
  async settled(): Promise<void> {
    await this.eventually("everyone has the same last transaction", async () => {
      const answers = await Promise.all(this.#running.map((member) => fourLetterWord(member.port, "srvr")));
      const zxids = answers.map((answer) => /Zxid: (0x[0-9a-f]+)/.exec(answer)?.[1]);
      return zxids[0] !== undefined && zxids.every((zxid) => zxid === zxids[0]);
    });
  }

  /** The one who leads, as soon as there is one. */
  leader(): Promise<EnsembleMember> {
    return this.eventually("a leader", async () => {
      const running = this.#running;
      const modes = await Promise.all(running.map((member) => member.mode()));
      return running.find((_member, index) => modes[index] === "leader");
    });
  }

  /**
   * Moves the leadership, by killing leaders, to a voter that wins when it and another one have the same
   * transactions: not to the one with the lowest id. Everyone runs afterwards.
   */
  async ledBy(id: number): Promise<void> {
    await this.start();
    for (let kills = 0; kills < this.members.length; kills++) {
      const leader = await this.leader();
      if (leader.id === id) return;
      await leader.kill();
      await this.leader();
      await this.start();
    }
    throw new Error(`member ${id} does not get to lead`);
  }

  /**
   * How a learner came to its leader's state since its last start. Apache's side tells, so one of the two is Apache's.
   */
  synchronization(learner: EnsembleMember, leader: EnsembleMember): Synchronization | undefined {
    const told = learner.kind === "odradek" ? toldByLeader(leader.output, learner.id) : learner.output;
    const kinds: readonly (readonly [Synchronization, RegExp])[] = [
      ["DIFF", /Getting a diff from (?:the )?leader|Sending DIFF zxid/g],
      ["SNAP", /Getting a snapshot from (?:the )?leader|Sending snapshot last zxid/g],
      ["TRUNC", /Truncating log to get in sync with (?:the )?leader|Sending TRUNC (?:to|zxid)/g],
    ];
    const last = kinds.map(([kind, pattern]) => ({ kind, at: [...told.matchAll(pattern)].at(-1)?.index ?? -1 })).toSorted((a, b) => b.at - a.at)[0];
    return last === undefined || last.at < 0 ? undefined : last.kind;
  }

  /** As `eventually`, and where it fails with what the members printed last. */
  async eventually<T>(what: string, condition: () => Promise<T | undefined | false> | T | undefined | false): Promise<T> {
    try {
      return await eventually(what, condition);
    } catch (error) {
      const said = this.members.map((member) => `--- ${member.name}${member.started ? "" : ", not running"}\n${member.output.split("\n").slice(-40).join("\n")}`);
      throw new Error(`${String(error)}\n${said.join("\n")}`, { cause: error });
    }
  }

  /** Ends everything and removes the data. */
  async close(): Promise<void> {
    await Promise.all(this.members.map((member) => member.kill()));
    this.#directory.remove();
  }
}

/** What the thread of a leader that serves this learner has printed since the learner's last coming. */
function toldByLeader(output: string, learner: number): string {
  const lines = output.split("\n");
  const from = lines.findLastIndex((line) => line.includes(`Synchronizing with Follower sid: ${learner} `) || line.includes(`Synchronizing with Learner sid: ${learner} `));
  const thread = /^\[[^\]]*\]/.exec(lines[from] ?? "")?.[0];
  return thread === undefined ? "" : lines.slice(from).filter((line) => line.startsWith(thread)).join("\n");
}
