import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { eventually, freePort, run, ServerProcess, temporaryDirectory } from "./processes.ts";

/** Debian's package `zookeeper` (3.8.0) and what its jar needs at run time. */
const DEBIAN_JARS = ["zookeeper", "zookeeper-jute", "slf4j-api", "slf4j-simple", "netty-all", "metrics-core", "snappy-java", "commons-cli", "jline2", "jline"].map((name) => `/usr/share/java/${name}.jar`);

export const debianZooKeeperClassPath = DEBIAN_JARS.filter((jar) => existsSync(jar)).join(":");
export const hasDebianZooKeeper = existsSync("/usr/share/java/zookeeper.jar");

export interface ApacheZooKeeper {
  readonly port: number;
  readonly dataDir: string;
  stop(): Promise<void>;
  kill(): Promise<void>;
  start(): Promise<void>;
}

export interface ApacheOptions {
  readonly dataDir?: string;
  /** Of another version than Debian's. */
  readonly classPath?: string;
}

/** One standalone server on a free port. `stop` deletes its data (not a directory that it was given), `kill` keeps it for `start`. */
export async function startApacheZooKeeper(options: ApacheOptions = {}): Promise<ApacheZooKeeper> {
  const directory = temporaryDirectory();
  const port = await freePort();
  const dataDir = options.dataDir ?? join(directory.path, "data");
  mkdirSync(dataDir, { recursive: true });
  const config = join(directory.path, "zoo.cfg");
  writeFileSync(config, `dataDir=${dataDir}\nclientPort=${port}\ntickTime=500\nadmin.enableServer=false\n4lw.commands.whitelist=*\n`);
  let server: ServerProcess | undefined;
  const start = async (): Promise<void> => {
    const started = new ServerProcess("java", ["-Xmx256m", "-cp", options.classPath ?? debianZooKeeperClassPath, "org.apache.zookeeper.server.ZooKeeperServerMain", config]);
    server = started;
    await eventually(`Apache ZooKeeper answers on port ${port}`, async () => {
      if (!started.running) throw new Error(`Apache ZooKeeper ended:\n${started.output}`);
      return (await fourLetterWord(port, "srvr")).includes("Mode");
    });
  };
  await start();
  return {
    port,
    dataDir,
    start,
    kill: async () => {
      await server?.stop("SIGKILL");
    },
    stop: async () => {
      await server?.stop("SIGKILL");
      directory.remove();
    },
  };
}

/** What a server answers to a four-letter word; empty where nobody answers, as a server of Apache's in the midst of its start may not. */
export function fourLetterWord(port: number, word: string): Promise<string> {
  return new Promise((resolve) => {
    let answer = "";
    const socket = connect({ port, host: "127.0.0.1" }, () => socket.write(word));
    socket.on("data", (chunk) => (answer += chunk.toString()));
    socket.setTimeout(2000, () => socket.destroy());
    socket.on("error", () => undefined);
    socket.on("close", () => resolve(answer));
  });
}

/** The same everywhere, where other lines' numbers are a matter of the moment or the machine. */
const EXACT = /^(zk_)?(znode_count|watch_count|Node count|tickTime|m\w*Session|m\w*Cnxns|initLimit|syncLimit|electionAlg|peerType|server\.|version=|followers|synced_followers|pending_syncs)/;

/** The answer's lines, those of connections first, without what differs between two servers that say the same. */
export function comparableAnswer(answer: string): string[] {
  const text = answer.replaceAll(/-odradek-[^,]*|-[0-9a-f]{40}/g, "-<build>").replaceAll(/at \w{3} \w{3} [^:]*:[^:]*:\d\d \w+ \d+/g, "at <date>");
  const lines = text
    .split("\n")
    .filter((line) => !line.includes("file_descriptor"))
    .map((line) => (EXACT.test(line) ? line : line.replaceAll(/0x[0-9a-f]+|\d+/g, "#").replace(/=\/.*\/version/, "=<directory>/version")));
  // Into how many buckets sessions and connections fall is a matter of the moment, and connections stand in no order.
  // Apache's queue of idle connections has no lock: one that is touched as it ends stands there until its time.
  const settled = lines.filter((line, index) => !line.includes("expire at <date>") && !(line.startsWith("\tip: ") && lines.indexOf(line) < index));
  const isConnection = (line: string): boolean => line.startsWith(" /");
  return [...settled.filter(isConnection).toSorted(), ...settled.filter((line) => !isConnection(line))];
}

/** One of the classes that print files: what it printed. */
export async function printedBy(classPath: string, tool: "LogFormatter" | "persistence.TxnLogToolkit" | "SnapshotFormatter", ...args: readonly string[]): Promise<string> {
  const { stdout, stderr } = await run("java", ["-cp", classPath, `org.apache.zookeeper.server.${tool}`, ...args]);
  return stdout === "" ? stderr : stdout;
}

/** zkCli.sh's own class, one command. */
export function zkCli(port: number, ...command: readonly string[]): ReturnType<typeof run> {
  return run("java", ["-cp", debianZooKeeperClassPath, "org.apache.zookeeper.ZooKeeperMain", "-server", `127.0.0.1:${port}`, ...command]);
}
