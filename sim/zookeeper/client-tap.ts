import type { Host } from "../../src/host/host.ts";
import type { ConnectOptions } from "../../src/host/net.ts";
import { must } from "../../src/lib/assert.ts";
import { FrameDecoder } from "../../src/lib/frames.ts";
import { decodeConnectRequest } from "../../src/zookeeper/protocol/connect.ts";
import { NO_SESSION, ZXID_ZERO, type SessionId, type Zxid } from "../../src/zookeeper/protocol/ids.ts";
import { OpCode, Xid } from "../../src/zookeeper/protocol/op-codes.ts";
import { connectResponse, replyHeader, requestHeader, watcherEvent } from "../../src/zookeeper/protocol/records.ts";
import { TappedConnection, type Listener } from "./tapped-connection.ts";
import { Violation } from "./violation.ts";

/**
 * What clients and members said to each other, as it stood on the wire. `at` numbers everything that all clients
 * have seen, in the order in which it happened; `atMs` is the world's time.
 */
export interface Call {
  readonly at: number;
  readonly atMs: number;
  readonly xid: number;
  readonly type: number;
  readonly body: Buffer;
  readonly transcript: Transcript;
  reply: Reply | undefined;
}

export interface Reply {
  readonly kind: "reply";
  readonly at: number;
  readonly atMs: number;
  readonly zxid: Zxid;
  readonly err: number;
  readonly body: Buffer;
  readonly call: Call;
}

export interface Event {
  readonly kind: "event";
  readonly type: number;
  readonly path: string;
}

/** One connection that was accepted or refused by a member. */
export interface Transcript {
  readonly client: string;
  readonly server: string;
  /** Of the connect request. */
  readonly openedAt: number;
  readonly openedMs: number;
  /** The session that the client came with. */
  readonly asked: SessionId;
  /** The highest zxid that the client has shown. */
  readonly lastZxidSeen: Zxid;
  /** NO_SESSION until it was accepted. */
  session: SessionId;
  timeoutMs: number;
  /** Told that its session is no more. */
  expired: boolean;
  readonly calls: Call[];
  /** What came from the member, in order. */
  readonly heard: (Reply | Event)[];
}

export const CLIENT_PORT = 2181;

/** Listens in on the connections of all clients. */
export class ClientTap {
  readonly transcripts: Transcript[] = [];
  readonly #seen = new Map<string, Zxid>();
  readonly #world: { readonly nowMs: number };
  #at = 0;

  constructor(world: { readonly nowMs: number }) {
    this.#world = world;
  }

  /** The host of a client, whose connections to members are written down. */
  wrap(host: Host, client: string): Host {
    const { net } = host;
    return {
      ...host,
      net: {
        listen: (options, onConnection) => net.listen(options, onConnection),
        connect: async (options: ConnectOptions) => {
          const connection = await net.connect(options);
          return options.port === CLIENT_PORT ? new TappedConnection(connection, new Recorder(this, client, options.host)) : connection;
        },
      },
    };
  }

  /** The highest zxid that this client has been shown. */
  seenBy(client: string): Zxid {
    return this.#seen.get(client) ?? ZXID_ZERO;
  }

  show(client: string, zxid: Zxid): void {
    if (zxid > this.seenBy(client)) this.#seen.set(client, zxid);
  }

  /** On the last connection of each client. */
  unanswered(): Call[] {
    const last = new Map(this.transcripts.map((transcript) => [transcript.client, transcript]));
    return [...last.values()].flatMap((transcript) => transcript.calls.filter((call) => call.reply === undefined));
  }

  get nowMs(): number {
    return this.#world.nowMs;
  }

  next(): number {
    return ++this.#at;
  }
}

/** Makes a transcript of one connection's bytes. */
class Recorder implements Listener {
  readonly #tap: ClientTap;
  readonly #client: string;
  readonly #server: string;
  readonly #sent = new FrameDecoder({ frameBytesMax: 0x7fff_ffff });
  readonly #received = new FrameDecoder({ frameBytesMax: 0x7fff_ffff });
  readonly #open: Call[] = [];
  #transcript: Transcript | undefined;
  #answered = false;

  constructor(tap: ClientTap, client: string, server: string) {
    this.#tap = tap;
    this.#client = client;
    this.#server = server;
  }

  sent(bytes: Buffer): void {
    this.#sent.push(bytes, (frame) => {
      const { nowMs } = this.#tap;
      const at = this.#tap.next();
      if (this.#transcript === undefined) {
        const request = must(decodeConnectRequest(frame), "connect request");
        this.#transcript = {
          client: this.#client,
          server: this.#server,
          openedAt: at,
          openedMs: nowMs,
          asked: request.sessionId,
          lastZxidSeen: request.lastZxidSeen,
          session: NO_SESSION,
          timeoutMs: 0,
          expired: false,
          calls: [],
          heard: [],
        };
        this.#tap.transcripts.push(this.#transcript);
        return;
      }
      const header = must(requestHeader.decode(frame), "request header");
      const call: Call = { at, atMs: nowMs, xid: header.xid, type: header.type, body: frame.subarray(8), transcript: this.#transcript, reply: undefined };
      this.#transcript.calls.push(call);
      this.#open.push(call);
    });
  }

  received(bytes: Buffer): void {
    const transcript = must(this.#transcript, "a transcript before an answer");
    const readable = this.#received.push(bytes, (frame) => this.#frame(transcript, frame));
    if (!readable) throw new Violation("framing", `${this.#server} sent a frame of ${this.#received.refusedLength} bytes to ${this.#client}`);
  }

  #frame(transcript: Transcript, frame: Buffer): void {
    if (!this.#answered) {
      this.#answered = true;
      const response = connectResponse.decode(frame);
      if (response === undefined) throw new Violation("framing", `${this.#server} answered ${this.#client}'s connect request with ${frame.toString("hex")}`);
      transcript.expired = response.timeOut <= 0;
      transcript.session = response.sessionId;
      transcript.timeoutMs = response.timeOut;
      return;
    }
    const header = replyHeader.decode(frame);
    if (header === undefined) throw new Violation("framing", `${this.#server} sent ${frame.toString("hex")} to ${this.#client}`);
    const body = frame.subarray(16);
    if (header.xid === Xid.notification) {
      const event = watcherEvent.decode(body);
      if (event === undefined) throw new Violation("framing", `${this.#server} sent the event ${body.toString("hex")} to ${this.#client}`);
      transcript.heard.push({ kind: "event", type: event.type, path: event.path });
      return;
    }
    const call = this.#take(header.xid);
    if (call === undefined) throw new Violation("fifo", `${this.#server} answered ${this.#client}'s request ${header.xid}, which is not the next one that it owes`);
    const reply: Reply = { kind: "reply", at: this.#tap.next(), atMs: this.#tap.nowMs, zxid: header.zxid, err: header.err, body, call };
    call.reply = reply;
    this.#tap.show(this.#client, header.zxid);
    transcript.heard.push(reply);
  }

  /** Answers come in the order of the requests; pings travel by themselves. */
  #take(xid: number): Call | undefined {
    const index = this.#open.findIndex((call) => (call.type === OpCode.ping) === (xid === Xid.ping));
    const call = this.#open[index];
    if (call === undefined || call.xid !== xid) return undefined;
    this.#open.splice(index, 1);
    return call;
  }
}
