import { randomInt } from "node:crypto";
import process from "node:process";
import { run } from "../support/processes.ts";

/** Of an address on the bridge, where servers begin. */
const FIRST_SERVER = 11;

/**
 * Servers on one machine: each a network namespace with an address of its own, joined by a bridge on which this process
 * has one too. Wants Linux, root and ip(8).
 */
export class ServerNetwork {
  readonly addresses: readonly string[];
  readonly #id: string;
  readonly #net: string;
  readonly #undo = new Map<string, () => Promise<unknown>>();

  private constructor(servers: number) {
    this.#id = `odr${randomInt(10_000, 100_000)}`;
    this.#net = `10.${randomInt(64, 128)}.${randomInt(0, 256)}`;
    this.addresses = Array.from({ length: servers }, (_, index) => `${this.#net}.${FIRST_SERVER + index}`);
  }

  /** Why there can be none here; undefined where there can. */
  static async lacks(): Promise<string | undefined> {
    if (process.platform !== "linux") return "network namespaces are Linux's";
    if (process.getuid?.() !== 0) return "it wants to be root, for network namespaces";
    const name = `odr-try-${process.pid}`;
    const made = await run("ip", ["netns", "add", name]).catch((error: unknown) => ({ code: 1, stderr: String(error) }));
    if (made.code !== 0) return `ip netns add (Debian: iproute2) says: ${made.stderr.trim()}`;
    await ip("netns", "del", name);
    return undefined;
  }

  static async create(servers: number): Promise<ServerNetwork> {
    const network = new ServerNetwork(servers);
    await network.#make();
    return network;
  }

  /** What goes before a command, so that it runs on that server. The process is the command's own. */
  on(server: number): readonly [string, string] {
    return ["nsenter", `--net=/run/netns/${this.#namespace(server)}`];
  }

  /** Nothing goes to this server or comes from it, until `heal`. Nobody is told. */
  async cutOff(server: number): Promise<void> {
    await this.#once(`cut ${server}`, ["link", "set", this.#link(server), "down"], ["link", "set", this.#link(server), "up"]);
  }

  /** What `from` sends to `to` is lost; with both ways parted nothing passes between them. */
  async part(from: number, to: number): Promise<void> {
    const route = ["blackhole", `${this.addresses[to - 1]}/32`];
    const at = ["-n", this.#namespace(from), "route"];
    await this.#once(`part ${from} ${to}`, [...at, "add", ...route], [...at, "del", ...route]);
  }

  async heal(): Promise<void> {
    const undo = [...this.#undo.values()];
    this.#undo.clear();
    for (const each of undo) await each();
  }

  async remove(): Promise<void> {
    for (const server of this.addresses.keys()) await run("ip", ["netns", "del", this.#namespace(server + 1)]);
    await run("ip", ["link", "del", this.#id]);
  }

  async #make(): Promise<void> {
    await ip("link", "add", this.#id, "type", "bridge");
    await ip("addr", "add", `${this.#net}.1/24`, "dev", this.#id);
    await ip("link", "set", this.#id, "up");
    for (const [index, address] of this.addresses.entries()) {
      const [namespace, link] = [this.#namespace(index + 1), this.#link(index + 1)];
      await ip("netns", "add", namespace);
      await ip("link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", namespace);
      await ip("link", "set", link, "master", this.#id, "up");
      await ip("-n", namespace, "addr", "add", `${address}/24`, "dev", "eth0");
      await ip("-n", namespace, "link", "set", "eth0", "up");
      await ip("-n", namespace, "link", "set", "lo", "up");
    }
  }

  async #once(what: string, args: readonly string[], back: readonly string[]): Promise<void> {
    if (this.#undo.has(what)) return;
    this.#undo.set(what, () => ip(...back));
    await ip(...args);
  }

  #namespace(server: number): string {
    return `${this.#id}-${server}`;
  }

  /** Interfaces have names of 15 characters at most. */
  #link(server: number): string {
    return `${this.#id}v${server}`;
  }
}

async function ip(...args: readonly string[]): Promise<void> {
  const { code, stderr } = await run("ip", args);
  if (code !== 0) throw new Error(`ip ${args.join(" ")}: ${stderr.trim()}`);
}
