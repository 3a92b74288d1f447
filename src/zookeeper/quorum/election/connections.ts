import type { Timer } from "../../../host/clock.ts";
import type { Host } from "../../../host/host.ts";
import type { Connection, Listener } from "../../../host/net.ts";
import { toError } from "../../../lib/error.ts";
import { FrameDecoder } from "../../../lib/frames.ts";
import { TaskGroup } from "../../../lib/task-group.ts";
import type { Address } from "../../config/ensemble.ts";
import { decodeInitialMessage, encodeInitialMessage, FRAME_BYTES_MAX, type InitialMessage } from "./notification.ts";

/**
 * One connection for each pair of members, opened by the one with the larger id. The smaller may dial too: it says
 * who it is and hangs up, and the larger dials back. Source: server/quorum/QuorumCnxManager.java.
 *
 * A message to a peer waits in one slot, where a newer one replaces it. A connection that begins with nothing in the
 * slot begins with the message that was sent last, which may have been lost with the connection before. Nothing
 * connects anew by itself: that is for the next `send`, or for `connectAll`.
 */

export interface ConnectionsOptions {
  readonly host: Pick<Host, "net" | "timers" | "log" | "fail">;
  readonly id: number;
  /** Where this member takes election connections, as its peers are told. */
  readonly address: Address;
  /** Undefined: on every address. */
  readonly listenHost: string | undefined;
  /** Looked up for each dial. Undefined: not a member. */
  readonly addressOf: (id: number) => Address | undefined;
  readonly connectTimeoutMs: number;
  /** How long a caller may take to say who it is. */
  readonly handshakeTimeoutMs: number;
  /** How often opening the port is tried; 0 means without end. */
  readonly bindTries: number;
  /** A message without its length. The buffer is valid during the call. */
  readonly onMessage: (from: number, message: Buffer) => void;
}

const BIND_RETRY_MS = 1000;
/** Callers that have not said who they are. */
const CALLERS_MAX = 256;
/** Peers, most of which must then be strangers. */
const PEERS_MAX = 1024;

interface Peer {
  readonly id: number;
  link: Link | undefined;
  dialling: boolean;
  /** Waits for a connection, or for room in it. */
  queued: Buffer | undefined;
  last: Buffer | undefined;
}

interface Link {
  readonly connection: Connection;
  readonly decoder: FrameDecoder;
  /** Undefined until the other end has said who it is. */
  peer: Peer | undefined;
  /** What it has said until then. */
  greeting: Buffer;
  timer: Timer | undefined;
  /** It has given this member's own id, and is left alone until its time is over. */
  ignored: boolean;
  /** The system takes no more for now. */
  full: boolean;
  dropped: boolean;
}

export class Connections {
  readonly #options: ConnectionsOptions;
  readonly #initialMessage: Buffer;
  readonly #peers = new Map<number, Peer>();
  readonly #callers = new Set<Link>();
  readonly #dials: TaskGroup;
  #nextAnonymousId = -1;
  #listener: Listener | undefined;
  #bindTimer: { readonly timer: Timer; wake(): void } | undefined;
  #closed = false;

  constructor(options: ConnectionsOptions) {
    this.#options = options;
    this.#initialMessage = encodeInitialMessage(options.id, options.address);
    this.#dials = new TaskGroup((error) => options.host.fail(error));
  }

  /** Opens the election port. Rejects with EADDRINUSE, EADDRNOTAVAIL, EACCES, … when that many tries have failed. */
  async listen(): Promise<void> {
    const { host, listenHost, address, bindTries } = this.#options;
    for (let tries = 1; !this.#closed; tries++) {
      try {
        const listener = await host.net.listen({ host: listenHost, port: address.port }, (connection) => this.#accept(connection));
        if (this.#closed) await listener.close();
        else this.#listener = listener;
        return;
      } catch (error) {
        if (tries === bindTries) throw error;
        host.log.warn("the election port can't be opened; trying again", { port: address.port, error });
      }
      await this.#waitToBind();
    }
  }

  /** `frame` is a message with its length before it, and must not be changed any more. */
  send(to: number, frame: Buffer): void {
    const peer = this.#peer(to);
    if (this.#closed || peer === undefined) return;
    peer.queued = frame;
    if (peer.link === undefined) this.#dial(peer, this.#options.addressOf(to));
    else this.#flush(peer, peer.link);
  }

  /** Dials every peer that there is no connection to. */
  connectAll(): void {
    for (const peer of this.#peers.values()) this.#dial(peer, this.#options.addressOf(peer.id));
  }

  /** Whether some peer has taken all that was sent to it. */
  get delivered(): boolean {
    for (const { queued, last, link } of this.#peers.values()) if (queued === undefined && (last !== undefined || link !== undefined)) return true;
    return false;
  }

  /** Those that there is a connection to, in no order. */
  get connected(): number[] {
    return [...this.#peers.values()].filter(({ link }) => link !== undefined).map(({ id }) => id);
  }

  /** Nothing is sent or heard any more. A dial under way ends by itself, without effect. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#bindTimer?.timer.cancel();
    this.#bindTimer?.wake();
    for (const link of this.#callers) this.#drop(link);
    for (const { link } of this.#peers.values()) if (link !== undefined) this.#drop(link);
    await this.#listener?.close();
  }

  #waitToBind(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#closed) resolve();
      else this.#bindTimer = { timer: this.#options.host.timers.after(BIND_RETRY_MS, resolve), wake: resolve };
    });
  }

  #peer(id: number): Peer | undefined {
    const known = this.#peers.get(id);
    if (known !== undefined || this.#peers.size >= PEERS_MAX) return known;
    const peer: Peer = { id, link: undefined, dialling: false, queued: undefined, last: undefined };
    this.#peers.set(id, peer);
    return peer;
  }

  /** Nothing is kept of somebody who is no member and has gone. */
  #forgetStranger(peer: Peer): void {
    if (peer.link === undefined && !peer.dialling && this.#options.addressOf(peer.id) === undefined) this.#peers.delete(peer.id);
  }

  #dial(peer: Peer, address: Address | undefined): void {
    if (this.#closed || peer.link !== undefined || peer.dialling) return;
    if (address === undefined) {
      this.#options.host.log.warn("there is no address to dial", { peer: peer.id });
      this.#forgetStranger(peer);
      return;
    }
    peer.dialling = true;
    this.#dials.run(async () => {
      const { host, connectTimeoutMs } = this.#options;
      let connection: Connection | undefined;
      try {
        connection = await host.net.connect({ ...address, timeoutMs: connectTimeoutMs });
      } catch (error) {
        if (!this.#closed) host.log.warn("a member's election port can't be reached", { peer: peer.id, ...address, reason: toError(error).message });
      }
      peer.dialling = false;
      if (connection !== undefined) this.#dialled(peer, connection);
      this.#forgetStranger(peer);
    });
  }

  #dialled(peer: Peer, connection: Connection): void {
    // A link that came meanwhile is the larger one's own: it would take it down if it heard the dialler's name now.
    if (this.#closed || peer.link !== undefined) {
      connection.destroy();
    } else if (peer.id > this.#options.id) {
      connection.start({ data: () => undefined, close: () => undefined });
      connection.write(this.#initialMessage);
      connection.end();
    } else {
      const link = this.#link(connection);
      connection.write(this.#initialMessage);
      this.#adopt(peer, link);
    }
  }

  #accept(connection: Connection): void {
    if (this.#closed || this.#callers.size >= CALLERS_MAX) {
      connection.destroy();
      return;
    }
    const link = this.#link(connection);
    link.timer = this.#options.host.timers.after(this.#options.handshakeTimeoutMs, () => this.#drop(link));
    this.#callers.add(link);
  }

  #link(connection: Connection): Link {
    const decoder = new FrameDecoder({ frameBytesMax: FRAME_BYTES_MAX });
    const link: Link = { connection, decoder, peer: undefined, greeting: Buffer.alloc(0), timer: undefined, ignored: false, full: false, dropped: false };
    connection.start({
      data: (chunk) => this.#received(link, chunk),
      drain: () => {
        link.full = false;
        if (link.peer !== undefined) this.#flush(link.peer, link);
      },
      close: () => this.#drop(link),
    });
    return link;
  }

  #received(link: Link, chunk: Buffer): void {
    if (link.dropped) return;
    if (link.peer !== undefined) {
      this.#readFrames(link, link.peer, chunk);
      return;
    }
    if (link.ignored) return;
    link.greeting = Buffer.concat([link.greeting, chunk]);
    const message = decodeInitialMessage(link.greeting);
    if (message.kind === "incomplete") return;
    if (message.kind === "malformed") {
      this.#options.host.log.warn("a caller on the election port is no member", { from: link.connection.remoteHost, why: message.why });
      this.#drop(link);
      return;
    }
    this.#identified(link, message);
  }

  #identified(link: Link, { id: given, address, bytes }: Extract<InitialMessage, { kind: "complete" }>): void {
    const { host, id: ownId, addressOf } = this.#options;
    const id = given ?? this.#nextAnonymousId--;
    const rest = link.greeting.subarray(bytes);
    link.greeting = Buffer.alloc(0);
    if (id === ownId) {
      host.log.warn("a caller on the election port has this member's own id: is myid the same on two machines?", { from: link.connection.remoteHost });
      link.ignored = true;
      return;
    }
    if (id < ownId) {
      this.#drop(link);
      // Whoever dials has no connection, whatever this end believes.
      const stale = this.#peers.get(id)?.link;
      if (stale !== undefined) this.#drop(stale);
    }
    const peer = this.#peer(id);
    if (peer === undefined) {
      this.#drop(link);
    } else if (id < ownId) {
      this.#dial(peer, address ?? addressOf(id));
    } else {
      this.#adopt(peer, link);
      if (rest.length > 0) this.#readFrames(link, peer, rest);
    }
  }

  #readFrames(link: Link, peer: Peer, chunk: Buffer): void {
    const wellFormed = link.decoder.push(chunk, (frame) => {
      if (link.dropped) return;
      if (frame.length > 0) this.#options.onMessage(peer.id, frame);
      else this.#refuse(link, peer, 0);
    });
    if (!wellFormed) this.#refuse(link, peer, link.decoder.refusedLength);
  }

  #refuse(link: Link, peer: Peer, length: number | undefined): void {
    this.#options.host.log.warn("a message on the election port has an impossible length", { peer: peer.id, length });
    this.#drop(link);
  }

  #adopt(peer: Peer, link: Link): void {
    const before = peer.link;
    peer.link = link;
    link.peer = peer;
    link.timer?.cancel();
    this.#callers.delete(link);
    if (before !== undefined) this.#drop(before);
    if (peer.queued === undefined && peer.last !== undefined) link.full = !link.connection.write(peer.last);
    this.#flush(peer, link);
  }

  #flush(peer: Peer, link: Link): void {
    if (peer.queued === undefined || link.full) return;
    peer.last = peer.queued;
    peer.queued = undefined;
    link.full = !link.connection.write(peer.last);
  }

  #drop(link: Link): void {
    if (link.dropped) return;
    link.dropped = true;
    link.timer?.cancel();
    this.#callers.delete(link);
    link.connection.destroy();
    const { peer } = link;
    if (peer?.link !== link) return;
    peer.link = undefined;
    this.#forgetStranger(peer);
  }
}
