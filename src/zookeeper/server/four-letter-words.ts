import type { Disk } from "../../host/disk.ts";
import { must } from "../../lib/assert.ts";
import { formatEnsemble } from "../config/ensemble.ts";
import { NO_SESSION, toHex } from "../protocol/ids.ts";
import type { WatcherId, WatchTable } from "../tree/watches.ts";
import type { ClientConnection } from "./connection.ts";
import { describeBuckets } from "./expiry-queue.ts";
import type { Role } from "./role.ts";
import type { ClientServer, ServerConfig } from "./server.ts";
import { SERVER_VERSION } from "./version.ts";

/**
 * The four-letter words: an administrator's questions, as the first four bytes of a connection. Each answer is text,
 * then the connection closes. Sources: server/command/*.java (3.5.9). Left out: what only a JVM could tell (most of
 * envi), and the counts of file descriptors in mntr.
 */
interface Command {
  answer(server: ClientServer, argument: Buffer | undefined): string | Promise<string>;
}

/** One that needs a serving member. */
interface ServingCommand {
  answerServing(server: ClientServer, role: Role): string | Promise<string>;
}

const NOT_SERVING = "This ZooKeeper instance is not currently serving requests\n";

const COMMANDS: Readonly<Record<string, Command | ServingCommand>> = {
  ruok: { answer: () => "imok" },
  isro: { answer: ({ role }) => (role === undefined ? "null" : role.mode === "read-only" ? "ro" : "rw") },
  envi: { answer: ({ host }) => lines("Environment:", `zookeeper.version=${SERVER_VERSION}`, `host.name=${host.hostName}`) },
  gtmk: { answer: (server) => String(server.traceMask) },
  stmk: {
    answer: (server, argument) => {
      server.traceMask = argument?.readBigInt64BE(0) ?? server.traceMask;
      return String(server.traceMask);
    },
  },
  srvr: { answerServing: (server, role) => versionLines(role) + serverLines(server, role) },
  stat: {
    answerServing: (server, role) => versionLines(role) + lines("Clients:", ...Array.from(server.connections().values(), shortConnection), "") + serverLines(server, role),
  },
  cons: { answerServing: (server) => lines(...Array.from(server.connections().values(), longConnection), "") },
  mntr: { answerServing: (server, role) => lines(...Object.entries(monitored(server, role)).map(([key, value]) => `zk_${key}\t${value}`)) },
  conf: { answerServing: configuration },
  dirs: {
    answerServing: async ({ host, config }) => {
      const { snapshots, logs } = await directorySizes(host.disk, config);
      return lines(`datadir_size: ${logs}`, `logdir_size: ${snapshots}`);
    },
  },
  dump: { answerServing: dump },
  wchs: {
    answerServing: (_server, { tree }) => {
      const { data } = tree.watches;
      return lines(`${data.watcherCount} connections watching ${data.pathCount} paths`, `Total watches:${data.size}`);
    },
  },
  wchc: { answerServing: (server, { tree }) => lines(...watchesByConnection(server, tree.watches.data), "") },
  wchp: { answerServing: (server, { tree }) => lines(...watchesByPath(server, tree.watches.data), "") },
  crst: {
    answerServing: (server) => {
      for (const connection of server.connections().values()) connection.stats.reset();
      return lines("Connection stats reset.");
    },
  },
  srst: {
    answerServing: (server) => {
      server.stats.reset();
      return lines("Server stats reset.");
    },
  },
};

export function isFourLetterWord(word: string): boolean {
  return Object.hasOwn(COMMANDS, word);
}

export function answerCommand(server: ClientServer, word: string, argument: Buffer | undefined): string | Promise<string> {
  const command = COMMANDS[word];
  if (command === undefined || !isAllowed(server.config, word)) return `${word} is not executed because it is not in the whitelist.\n`;
  if ("answer" in command) return command.answer(server, argument);
  const { role } = server;
  return role === undefined ? NOT_SERVING : command.answerServing(server, role);
}

/** `4lw.commands.whitelist` names those that are answered; `*` means all. Clients look for read-only members with isro. */
function isAllowed({ "4lwCommandsWhitelist": allowed, readonlymodeEnabled }: ServerConfig, word: string): boolean {
  return allowed.includes("*") || allowed.includes(word) || (word === "isro" && readonlymodeEnabled);
}

function lines(...text: readonly string[]): string {
  return text.map((line) => `${line}\n`).join("");
}

function versionLines(role: Role): string {
  return lines(`Zookeeper version: ${SERVER_VERSION}`, ...(role.mode === "read-only" ? ["READ-ONLY mode; serving only read-only clients"] : []));
}

function serverLines(server: ClientServer, role: Role): string {
  const { latency, packetsReceived, packetsSent } = server.stats;
  return lines(
    `Latency min/avg/max: ${latency.min}/${latency.average}/${latency.max}`,
    `Received: ${packetsReceived}`,
    `Sent: ${packetsSent}`,
    `Connections: ${server.connections().size}`,
    `Outstanding: ${server.outstandingRequests}`,
    `Zxid: 0x${toHex(role.tree.lastZxid)}`,
    `Mode: ${role.mode}`,
    `Node count: ${role.tree.nodeCount}`,
    ...proposalSizes(role),
  );
}

function proposalSizes(role: Role): string[] {
  const { last_proposal_size: last, min_proposal_size: min, max_proposal_size: max } = role.monitored();
  return last === undefined ? [] : [`Proposal sizes last/min/max: ${last}/${min}/${max}`];
}

function monitored(server: ClientServer, role: Role): Readonly<Record<string, string | number>> {
  const { latency, packetsReceived, packetsSent } = server.stats;
  const { mode, tree } = role;
  return {
    version: SERVER_VERSION,
    avg_latency: latency.average,
    max_latency: latency.max,
    min_latency: latency.min,
    packets_received: packetsReceived,
    packets_sent: packetsSent,
    num_alive_connections: server.connections().size,
    outstanding_requests: server.outstandingRequests,
    server_state: mode,
    znode_count: tree.nodeCount,
    watch_count: tree.watches.data.size + tree.watches.child.size,
    ephemerals_count: tree.ephemeralCount,
    approximate_data_size: tree.approximateDataSize,
    ...role.monitored(),
  };
}

function shortConnection(connection: ClientConnection): string {
  return `${describeConnection(connection)})`;
}

/** Interest as Java's selector has it: 1 reads, 4 writes. */
function describeConnection(connection: ClientConnection): string {
  const { remoteHost, remotePort, reading, writing, outstanding, stats } = connection;
  const interest = (reading ? 1 : 0) | (writing ? 4 : 0);
  return ` /${remoteHost}:${remotePort}[${interest}](queued=${outstanding},recved=${stats.packetsReceived},sent=${stats.packetsSent}`;
}

function longConnection(connection: ClientConnection): string {
  const { session, stats, establishedMs, timeoutMs } = connection;
  const { latency } = stats;
  if (session === NO_SESSION) return shortConnection(connection);
  const details = [
    `sid=0x${toHex(session)}`,
    `lop=${stats.lastOperation}`,
    `est=${establishedMs}`,
    `to=${timeoutMs}`,
    ...(stats.lastCxid >= 0 ? [`lcxid=0x${toHex(stats.lastCxid)}`] : []),
    `lzxid=0x${toHex(stats.lastZxid)}`,
    `lresp=${stats.lastResponseAt}`,
    `llat=${stats.lastLatency}`,
    `minlat=${latency.min}`,
    `avglat=${latency.average}`,
    `maxlat=${latency.max}`,
  ];
  return `${describeConnection(connection)},${details.join(",")})`;
}

async function configuration({ config, host, port }: ClientServer, role: Role): Promise<string> {
  const { snapshots, logs } = await directorySizes(host.disk, config);
  return lines(
    `clientPort=${port ?? -1}`,
    "secureClientPort=-1",
    `dataDir=${config.dataDir}/version-2`,
    `dataDirSize=${logs}`,
    `dataLogDir=${config.dataLogDir}/version-2`,
    `dataLogSize=${snapshots}`,
    `tickTime=${config.tickTime}`,
    `maxClientCnxns=${config.maxClientCnxns}`,
    `minSessionTimeout=${config.minSessionTimeout}`,
    `maxSessionTimeout=${config.maxSessionTimeout}`,
    `serverId=${role.mode === "standalone" ? 0 : (config.myId ?? 0)}`,
  ) + (role.mode === "standalone" ? "" : membership(config));
}

/** Source: QuorumZooKeeperServer.dumpConf. */
function membership({ initLimit, syncLimit, electionAlg, ensemble, self }: ServerConfig): string {
  const { electionPort, quorumPort, role } = must(self, "a member of an ensemble has a line in it");
  const own = [`initLimit=${initLimit}`, `syncLimit=${syncLimit}`, `electionAlg=${electionAlg}`, `electionPort=${electionPort}`, `quorumPort=${quorumPort}`, `peerType=${role === "observer" ? 1 : 0}`];
  return lines(...own, "membership: ") + formatEnsemble(ensemble);
}

/** In bytes. Apache's 3.5.9 shows each under the other's name, and so do we. */
async function directorySizes(disk: Disk, directories: { readonly dataDir: string; readonly dataLogDir: string }): Promise<{ readonly snapshots: number; readonly logs: number }> {
  return { snapshots: await directorySize(disk, `${directories.dataDir}/version-2`), logs: await directorySize(disk, `${directories.dataLogDir}/version-2`) };
}

async function directorySize(disk: Disk, path: string): Promise<number> {
  let size = 0;
  for (const { name } of await disk.readDirectory(path)) size += (await disk.stat(`${path}/${name}`))?.size ?? 0;
  return size;
}

function dump(server: ClientServer, role: Role): string {
  const { tree } = role;
  const owners = tree.ephemeralOwners();
  return lines(
    "SessionTracker dump:",
    ...role.describeSessions(),
    "ephemeral nodes dump:",
    `Sessions with Ephemerals (${owners.length}):`,
    ...owners.flatMap((session) => [`0x${toHex(session)}:`, ...tree.ephemeralsOf(session).map((path) => `\t${path}`)]),
    "Connections dump:",
    ...describeBuckets("Connections", server.host.clock, server.idleConnections(), ({ remoteHost, remotePort, session }) => `ip: /${remoteHost}:${remotePort} sessionId: 0x${toHex(session)}`),
  );
}

function watchesByConnection(server: ClientServer, watches: WatchTable): string[] {
  return Array.from(watches.watchers()).flatMap(([watcher, paths]) => [sessionOf(server, watcher), ...Array.from(paths, (path) => `\t${path}`)]);
}

function watchesByPath(server: ClientServer, watches: WatchTable): string[] {
  return Array.from(watches.paths()).flatMap(([path, watchers]) => [path, ...Array.from(watchers, (watcher) => `\t${sessionOf(server, watcher)}`)]);
}

function sessionOf(server: ClientServer, watcher: WatcherId): string {
  return `0x${toHex(server.connections().get(watcher)?.session ?? NO_SESSION)}`;
}
