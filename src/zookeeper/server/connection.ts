import { Reader } from "../../codec/reader.ts";
import type { Connection } from "../../host/net.ts";
import type { BufferPool } from "../../lib/buffer-pool.ts";
import { FrameDecoder } from "../../lib/frames.ts";
import { decodeConnectRequest, type ConnectRequest } from "../protocol/connect.ts";
import { NO_SESSION, type SessionId } from "../protocol/ids.ts";
import { requestHeader, type Id } from "../protocol/records.ts";
import type { WatcherId } from "../tree/watches.ts";
import type { Expiring } from "./expiry-queue.ts";
import { isFourLetterWord } from "./four-letter-words.ts";
import { ConnectionStats } from "./stats.ts";

/** What a connection tells its server. */
export interface ConnectionListener {
  /** Bytes have come in or gone out. */
  active(connection: ClientConnection): void;
  /** One whole message has come in. */
  received(connection: ClientConnection): void;
  sent(connection: ClientConnection): void;
  /** The connection waits, and reads on after `proceed`. */
  connect(connection: ClientConnection, request: ConnectRequest): void;
  request(connection: ClientConnection, xid: number, type: number, body: Buffer): void;
  /** `argument`: the eight bytes that follow stmk. The connection ends after the answer. */
  command(connection: ClientConnection, word: string, argument: Buffer | undefined): void;
  /** What it sent can't be read on, and it is being closed. */
  refused(connection: ClientConnection, what: string): void;
  /** Once, and last. */
  closed(connection: ClientConnection): void;
}

/** Why a connection's input waits. */
export const Hold = { handshake: 1, throttled: 2, output: 4 } as const;
export type Hold = (typeof Hold)[keyof typeof Hold];

/** A client that leaves so much unread is not read from either. */
const UNREAD_BYTES_MAX = 4 * 1024 * 1024;
const WORD_BYTES = 4;
/** What stmk takes: the mask as a long. */
const ARGUMENT_BYTES = 8;

/**
 * `word`: its first four bytes may be a four-letter word · `connect`: a ConnectRequest is to come ·
 * `session`: requests · `command`: a four-letter word is being answered.
 */
type Phase = "word" | "argument" | "connect" | "session" | "command" | "closed";

/**
 * A client's socket: first bytes, frames, the order of what came in while it was held back, and the bytes that go
 * out. What the messages mean is the server's business. Source: NIOServerCnxn.
 */
export class ClientConnection implements Expiring {
  readonly id: WatcherId;
  readonly stats = new ConnectionStats();
  /** ms since the Unix epoch. */
  readonly establishedMs: number;
  expiresAt: number | undefined = undefined;
  session: SessionId = NO_SESSION;
  /** How long it may be idle: the session's timeout, once there is one. */
  timeoutMs: number;
  /** False where the ConnectRequest had no such byte: the response must not have it either. */
  knowsReadOnly = false;
  /** Set once it has asked for watches that stay. */
  watchesPersistently = false;
  /** Requests of this connection that are not answered. */
  outstanding = 0;
  readonly #socket: Connection;
  readonly #listener: ConnectionListener;
  readonly #frameBytesMax: number;
  readonly #decoder: FrameDecoder;
  #ids: readonly Id[];
  #phase: Phase = "word";
  /** The start of a four-letter word, or of a length, that came in pieces. */
  #first: Buffer = Buffer.alloc(0);
  #holds = 0;
  /** Frames that came in while something held the input back. */
  #waiting: Buffer[] = [];

  constructor(socket: Connection, listener: ConnectionListener, options: { readonly id: WatcherId; readonly buffers: BufferPool; readonly frameBytesMax: number; readonly timeoutMs: number; readonly wallMs: number }) {
    this.#socket = socket;
    this.#listener = listener;
    this.#frameBytesMax = options.frameBytesMax;
    this.#decoder = new FrameDecoder({ frameBytesMax: options.frameBytesMax, buffers: options.buffers });
    this.#ids = [{ scheme: "ip", id: socket.remoteHost }];
    this.id = options.id;
    this.timeoutMs = options.timeoutMs;
    this.establishedMs = options.wallMs;
  }

  start(): void {
    this.#socket.start({
      data: (chunk) => this.#receive(chunk),
      chunksAreLent: true,
      drain: () => this.release(Hold.output),
      // A word may come with the end of the stream right behind it.
      end: () => this.#phase !== "command" && this.end(),
      close: () => this.#over(),
    });
  }

  get remoteHost(): string {
    return this.#socket.remoteHost;
  }

  get remotePort(): number {
    return this.#socket.remotePort;
  }

  get open(): boolean {
    return this.#phase !== "closed";
  }

  /** Whether its input is being read. */
  get reading(): boolean {
    return this.#holds === 0;
  }

  /** Whether output waits for the client. */
  get writing(): boolean {
    return this.#socket.bufferedBytes > 0;
  }

  /** Who the client is: its address first, then what it has shown since. The list never changes, another takes its place. */
  get ids(): readonly Id[] {
    return this.#ids;
  }

  addId(id: Id): void {
    if (!this.#ids.some((held) => held.scheme === id.scheme && held.id === id.id)) this.#ids = [...this.#ids, id];
  }

  /** One message. */
  send(chunks: readonly Buffer[]): void {
    if (this.#phase === "closed") return;
    this.stats.packetsSent += 1;
    this.#listener.sent(this);
    this.#listener.active(this);
    for (const chunk of chunks) this.#socket.write(chunk);
    if (this.#socket.bufferedBytes > UNREAD_BYTES_MAX) this.hold(Hold.output);
  }

  /** What is sent goes out, then the connection closes; nothing more is read. */
  end(lastWords?: string): void {
    if (this.#phase === "closed") return;
    if (lastWords !== undefined) this.#socket.write(Buffer.from(lastWords));
    this.#socket.end();
    this.#over();
  }

  /** Closes at once what can't be read on. */
  refuse(what: string): void {
    if (this.#phase === "closed") return;
    this.#listener.refused(this, what);
    this.destroy();
  }

  /** Closes at once. */
  destroy(): void {
    this.#socket.destroy();
    this.#over();
  }

  hold(reason: Hold): void {
    if (this.#holds === 0) this.#socket.pause();
    this.#holds |= reason;
  }

  /** The last hold to go lets in what has waited. */
  release(reason: Hold): void {
    if ((this.#holds & reason) === 0) return;
    this.#holds &= ~reason;
    if (this.#holds !== 0 || this.#phase === "closed") return;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const frame of waiting) this.#frame(frame);
    if (this.reading) this.#socket.resume();
  }

  #over(): void {
    if (this.#phase === "closed") return;
    this.#phase = "closed";
    this.#waiting = [];
    this.#listener.closed(this);
  }

  #receive(chunk: Buffer): void {
    if (this.#phase === "closed" || this.#phase === "command") return;
    this.#listener.active(this);
    const frames = this.#phase === "word" || this.#phase === "argument" ? this.#takeFirst(chunk) : chunk;
    if (frames !== undefined && !this.#decoder.push(frames, (frame) => this.#frame(frame))) this.refuse(`a message of ${this.#decoder.refusedLength} bytes, where jute.maxbuffer is ${this.#frameBytesMax}`);
  }

  /** Undefined while it is not clear, or once it is clear, that these are no frames. */
  #takeFirst(chunk: Buffer): Buffer | undefined {
    const first = Buffer.concat([this.#first, chunk]);
    this.#first = first;
    if (first.length < WORD_BYTES) return undefined;
    const word = first.toString("latin1", 0, WORD_BYTES);
    if (isFourLetterWord(word)) {
      this.#takeCommand(word, first);
      return undefined;
    }
    this.#first = Buffer.alloc(0);
    this.#phase = "connect";
    return first;
  }

  #takeCommand(word: string, first: Buffer): void {
    const takesArgument = word === "stmk";
    if (takesArgument && first.length < WORD_BYTES + ARGUMENT_BYTES) {
      this.#phase = "argument";
      return;
    }
    this.#phase = "command";
    this.stats.packetsReceived += 1;
    this.#listener.received(this);
    this.#listener.command(this, word, takesArgument ? first.subarray(WORD_BYTES, WORD_BYTES + ARGUMENT_BYTES) : undefined);
  }

  #frame(frame: Buffer): void {
    if (this.#holds !== 0) {
      this.#waiting.push(frame);
      return;
    }
    if (this.#phase === "connect") this.#connect(frame);
    else if (this.#phase === "session") this.#request(frame);
  }

  #connect(frame: Buffer): void {
    const request = decodeConnectRequest(frame);
    if (request === undefined) {
      this.refuse("a connect request that can't be read");
      return;
    }
    this.#phase = "session";
    this.#count();
    this.hold(Hold.handshake);
    this.#listener.connect(this, request);
  }

  #request(frame: Buffer): void {
    const reader = new Reader(frame);
    const { xid, type } = requestHeader.read(reader);
    if (reader.bad) {
      this.refuse("a request header that can't be read");
      return;
    }
    this.#count();
    this.#listener.request(this, xid, type, frame.subarray(reader.position));
  }

  #count(): void {
    this.stats.packetsReceived += 1;
    this.#listener.received(this);
  }
}
