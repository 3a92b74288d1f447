import { readdir, readFile, readlink } from "node:fs/promises";
import { isIPv4, isIPv6 } from "node:net";
import { realNetwork } from "../host/real/net.ts";
import { errorCode, OperationalError, toError } from "../lib/error.ts";
import type { Listen } from "./cluster-directory.ts";
import { isEverywhere } from "./layout.ts";

export interface TakenPort extends Listen {
  /** Undefined where the system does not say, or not to this user. */
  readonly holder: PortHolder | undefined;
}

export interface PortHolder {
  readonly pid: number;
  /** Its arguments, as many as fit into a line. */
  readonly command: string;
}

/** The address at which a listen failed, of the several that a name may have. */
interface Taken {
  readonly listen: Listen;
  readonly address: string;
}

/**
 * Tries to listen at each, all at once, and gives those that somebody else has, in the order of `listens`. Throws
 * ERR_LISTEN where a port can't be opened for another reason: its number is reserved, or the address is not this machine's.
 */
export async function takenPorts(listens: readonly Listen[]): Promise<TakenPort[]> {
  const tried = await Promise.all(listens.map(tryListen));
  const taken = tried.filter((each) => each !== undefined);
  if (taken.length === 0) return [];
  const sockets = await readSockets();
  const inodes = taken.map((each) => inodesAt(sockets, each));
  const owners = await ownersOf(new Set(inodes.flat()));
  return taken.map(({ listen }, index) => ({ ...listen, holder: inodes[index]?.map((inode) => owners.get(inode)).find((owner) => owner !== undefined) }));
}

/** One sentence: which port, by whom, what to do. */
export function describeTaken(taken: TakenPort): string {
  const holder = taken.holder === undefined ? "another process" : `process ${taken.holder.pid} (${taken.holder.command})`;
  return `port ${taken.port} is taken by ${holder}: free it, or choose another with ${taken.flag}`;
}

async function tryListen(listen: Listen): Promise<Taken | undefined> {
  const { flag, host, port } = listen;
  try {
    const listener = await realNetwork.listen({ host, port }, (connection) => connection.destroy());
    await listener.close();
    return undefined;
  } catch (thrown) {
    const error = toError(thrown);
    const code = errorCode(error);
    if (code === "EADDRINUSE") return { listen, address: "address" in error && typeof error.address === "string" ? error.address : host };
    // A machine without IPv6 has nobody on its addresses either.
    if (code === "EAFNOSUPPORT" && host === "::") return undefined;
    const remedy = code === "EACCES" ? `this user may not open it: choose another with ${flag}` : `choose another host with --host`;
    throw new OperationalError("ERR_LISTEN", `port ${port} of ${host} can't be opened (${error.message}): ${remedy}`, { cause: error });
  }
}

/** A TCP socket of this machine, as Linux lists it. */
export interface TcpSocket {
  readonly address: string;
  readonly port: number;
  readonly listening: boolean;
  readonly inode: number;
}

async function readSockets(): Promise<TcpSocket[]> {
  if (process.platform !== "linux") return [];
  const texts = await Promise.all(["/proc/net/tcp", "/proc/net/tcp6"].map((path) => readFile(path, "latin1").catch(() => "")));
  return texts.flatMap(parseSockets);
}

const LISTEN_STATE = "0A";

/** /proc/net/tcp or tcp6: one socket a line, addresses in hexadecimal, each 32 bits in the machine's byte order. Source: proc(5). */
export function parseSockets(text: string): TcpSocket[] {
  return text.split("\n").flatMap((line): TcpSocket[] => {
    const [, local = "", , state, , , , , , inode] = line.trim().split(/\s+/);
    const match = /^([0-9A-F]{8}|[0-9A-F]{32}):([0-9A-F]{4})$/.exec(local);
    if (match?.[1] === undefined || match[2] === undefined) return [];
    return [{ address: readAddress(match[1]), port: Number.parseInt(match[2], 16), listening: state === LISTEN_STATE, inode: Number(inode) }];
  });
}

function readAddress(hex: string): string {
  const bytes = Buffer.from(hex, "hex");
  if (littleEndian) bytes.swap32();
  if (bytes.length === 4) return bytes.join(".");
  const mapped = bytes.subarray(0, 12).equals(mappedPrefix);
  return mapped ? bytes.subarray(12).join(".") : plainIpv6(bytes.toString("hex").replace(/(.{4})(?!$)/g, "$1:"));
}

const littleEndian = new Uint8Array(Uint32Array.of(1).buffer)[0] === 1;
const mappedPrefix = Buffer.from("00000000000000000000ffff", "hex");

/** The shortest form, by which two spellings of an address are one. */
function plainIpv6(address: string): string {
  return new URL(`http://[${address}]`).hostname.slice(1, -1);
}

/** Sockets that stand in the way there: listening ones first, since a connection has its local port too. */
function inodesAt(sockets: readonly TcpSocket[], { listen, address }: Taken): number[] {
  const own = isIPv4(address) || !isIPv6(address) ? address : plainIpv6(address);
  const inWay = sockets.filter((socket) => socket.port === listen.port && socket.inode !== 0 && (socket.address === own || isEverywhere(socket.address) || isEverywhere(own)));
  return inWay.toSorted((a, b) => Number(b.listening) - Number(a.listening)).map((socket) => socket.inode);
}

/** By the inodes of their sockets. Processes of other users don't show theirs. */
async function ownersOf(inodes: ReadonlySet<number>): Promise<ReadonlyMap<number, PortHolder>> {
  const owners = new Map<number, PortHolder>();
  if (inodes.size === 0) return owners;
  const pids = (await readdir("/proc").catch(() => [])).filter((name) => /^[0-9]+$/.test(name));
  for (const pid of pids) {
    for (const inode of await socketsOf(pid)) {
      if (inodes.has(inode) && !owners.has(inode)) owners.set(inode, { pid: Number(pid), command: await commandOf(pid) });
    }
  }
  return owners;
}

async function socketsOf(pid: string): Promise<number[]> {
  const directory = `/proc/${pid}/fd`;
  const links = await Promise.all((await readdir(directory).catch(() => [])).map((fd) => readlink(`${directory}/${fd}`).catch(() => "")));
  return links.flatMap((link) => /^socket:\[([0-9]+)\]$/.exec(link)?.[1] ?? []).map(Number);
}

/** A broker of Apache's is started with some thousands of letters. */
const COMMAND_LENGTH_MAX = 80;

async function commandOf(pid: string): Promise<string> {
  const text = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
  const name = text === "" ? await readFile(`/proc/${pid}/comm`, "utf8").catch(() => "") : text;
  // A process chooses these letters itself: none of them may act on the terminal.
  const line = name.replace(/[\p{Cc}\s]+/gu, " ").trim();
  if (line === "") return "whose command is not shown";
  return line.length <= COMMAND_LENGTH_MAX ? line : `${line.slice(0, COMMAND_LENGTH_MAX - 1)}…`;
}
