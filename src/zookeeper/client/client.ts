import { Reader } from "../../codec/reader.ts";
import type { Decoded } from "../../codec/schema.ts";
import { Writer } from "../../codec/writer.ts";
import type { Timer } from "../../host/clock.ts";
import type { Host } from "../../host/host.ts";
import type { Logger } from "../../host/log.ts";
import type { Connection } from "../../host/net.ts";
import { toError } from "../../lib/error.ts";
import { FrameDecoder } from "../../lib/frames.ts";
import { TaskGroup } from "../../lib/task-group.ts";
import { PASSWORD_BYTES } from "../protocol/connect.ts";
import { ErrorCode } from "../protocol/errors.ts";
import { NO_SESSION, toHex, ZXID_ZERO, type SessionId, type Zxid } from "../protocol/ids.ts";
import { readMultiResults, writeMulti, type MultiOp, type MultiResult } from "../protocol/multi.ts";
import { CreateFlag, EventType, OpCode, Xid } from "../protocol/op-codes.ts";
import {
  authPacket,
  connectRequest,
  connectResponse,
  createRequest,
  deleteRequest,
  getACLResponse,
  getChildren2Response,
  getDataResponse,
  pathRecord,
  readRequest,
  replyHeader,
  requestHeader,
  setACLRequest,
  setDataRequest,
  setWatches,
  statResponse,
  watcherEvent,
  type AclEntry,
  type Stat,
} from "../protocol/records.ts";
import { OPEN_ACL } from "./operations.ts";
import { parseConnectString, type ConnectString, type ServerAddress } from "./connect-string.ts";
import { WatchTable, type Watcher, type WatchKind } from "./watches.ts";

export interface Session {
  readonly id: SessionId;
  readonly password: Buffer;
}

export interface ZooKeeperClientOptions {
  /** `host:port,host:port/chroot` */
  readonly connect: string;
  readonly sessionTimeoutMs: number;
  /** A session of an earlier life to go on with, where it has not expired. */
  readonly session?: Session | undefined;
  /** Requests sent and not answered; more wait in the client. Default 1000. */
  readonly requestsInFlightMax?: number;
  /** Sent on each connection. */
  readonly digest?: { readonly user: string; readonly password: string } | undefined;
}

export type SessionState = "connecting" | "connected" | "authFailed" | "closed";

export interface SessionListener {
  /** Connected, with a session of its own or the one from before (`resumed`). */
  connected?(session: Session, resumed: boolean): void;
  disconnected?(): void;
  /** The session and its ephemeral nodes are gone; a new one follows by itself. */
  expired?(): void;
}

/** Error codes are values: NoNode, NodeExists, BadVersion, … */
export type Outcome<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly code: ErrorCode };

/** What stands behind the path, and its stat. */
export interface NodeData {
  readonly data: Buffer | null;
  readonly stat: Stat;
}

export interface NodeChildren {
  readonly children: readonly string[];
  readonly stat: Stat;
}

const REQUESTS_IN_FLIGHT_MAX = 1000;
/** Longest pauses between rounds through the servers: short at first, since an ensemble that has just been started answers within moments. */
const RECONNECT_PAUSE_MS_FIRST = 30;
const RECONNECT_PAUSE_MS_MAX = 1000;
/** A reply larger than this is a stream out of step. */
const REPLY_BYTES_MAX = 0x3fff_ffff;
/** Path text of one setWatches packet, so that it stays below jute.maxbuffer. */
const SET_WATCHES_BYTES_MAX = 128 * 1024;

interface PendingRequest {
  readonly type: OpCode;
  readonly body: Buffer;
  readonly watch: { readonly path: string; readonly kind: WatchKind; readonly watcher: Watcher } | undefined;
  xid: number;
  /** False: the reply's body can't be read. */
  answer(code: ErrorCode, body: Reader): boolean;
  fail(code: ErrorCode): void;
}

/**
 * A ZooKeeper session: one connection at a time to one of the servers, another when it breaks, with the same session
 * and its watches. Requests are pipelined and answered in order. Those that were under way when a connection broke are
 * sent again on the next one, in order, as Kafka's own client does: so a create may meet the node that it made.
 * When the session expires they end with SessionExpired, and a new session begins.
 * Sources: ClientCnxn.java and ZooKeeper.java (3.5.9); kafka/zookeeper/ZooKeeperClient.scala (2.7.1).
 */
export class ZooKeeperClient {
  readonly #host: Host;
  readonly #log: Logger;
  readonly #options: ZooKeeperClientOptions;
  readonly #address: ConnectString;
  readonly #tasks: TaskGroup;
  readonly #listeners = new Set<SessionListener>();
  readonly #watches = new WatchTable();
  readonly #queue: PendingRequest[] = [];
  readonly #inFlight: PendingRequest[] = [];
  #state: SessionState = "connecting";
  #session: Session | undefined;
  #timeoutMs: number;
  #lastZxidSeen: Zxid = ZXID_ZERO;
  #xid = 0;
  #link: Link | undefined;
  #pause: { readonly timer: Timer; readonly end: () => void } | undefined;

  constructor(host: Host, options: ZooKeeperClientOptions) {
    this.#host = host;
    this.#log = host.log.child("zookeeper-client");
    this.#options = options;
    this.#address = parseConnectString(options.connect);
    this.#session = options.session;
    this.#timeoutMs = options.sessionTimeoutMs;
    this.#tasks = new TaskGroup((error) => host.fail(error));
  }

  /** Connects, and stays connected until `close`. */
  start(): void {
    this.#tasks.run(() => this.#stayConnected());
  }

  get state(): SessionState {
    return this.#state;
  }

  get session(): Session | undefined {
    return this.#session;
  }

  /** The timeout that the server granted. */
  get sessionTimeoutMs(): number {
    return this.#timeoutMs;
  }

  /** Returns the function that ends it. */
  listen(listener: SessionListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Resolves at once where it is connected; false where it was closed, or refused, instead. */
  whenConnected(): Promise<boolean> {
    if (this.#state !== "connecting") return Promise.resolve(this.#state === "connected");
    return new Promise((resolve) => {
      const settle = (connected: boolean): void => {
        stop();
        resolve(connected);
      };
      const stop = this.listen({ connected: () => settle(true), disconnected: () => this.#state !== "connecting" && settle(false) });
    });
  }

  /** Ends the session, so that its ephemeral nodes go at once. */
  async close(): Promise<void> {
    if (this.#state === "closed") return;
    if (this.#state === "connected") await this.#endSession();
    this.#stop("closed");
    await this.#tasks.settled();
  }

  /** Until the server has answered, or the connection is gone: then the session times out by itself. */
  #endSession(): Promise<void> {
    return new Promise((resolve) => {
      const settle = (): void => {
        stop();
        resolve();
      };
      const stop = this.listen({ disconnected: settle });
      this.#request(OpCode.closeSession, Buffer.alloc(0), () => true).then(settle, settle);
    });
  }

  /** Leaves without a word: the session lives on until it times out. */
  async abandon(): Promise<void> {
    this.#stop("closed");
    await this.#tasks.settled();
  }

  create(path: string, data: Buffer | null, options?: { readonly flags?: CreateFlag; readonly acl?: readonly AclEntry[] }): Promise<Outcome<string>> {
    const body = createRequest.encode({ path: this.#full(path), data, acl: options?.acl ?? OPEN_ACL, flags: options?.flags ?? CreateFlag.persistent });
    return this.#request(OpCode.create, body, (reader) => this.#relative(pathRecord.read(reader).path));
  }

  /** `version` -1 means any. */
  delete(path: string, version = -1): Promise<Outcome<void>> {
    return this.#request(OpCode.delete, deleteRequest.encode({ path: this.#full(path), version }), () => undefined);
  }

  setData(path: string, data: Buffer | null, version = -1): Promise<Outcome<Stat>> {
    return this.#request(OpCode.setData, setDataRequest.encode({ path: this.#full(path), data, version }), (reader) => statResponse.read(reader).stat);
  }

  /** A watch is set whether the node is there or not. */
  exists(path: string, watcher?: Watcher): Promise<Outcome<Stat>> {
    return this.#read(OpCode.exists, path, "exist", watcher, (reader) => statResponse.read(reader).stat);
  }

  getData(path: string, watcher?: Watcher): Promise<Outcome<NodeData>> {
    return this.#read(OpCode.getData, path, "data", watcher, (reader) => getDataResponse.read(reader));
  }

  getChildren(path: string, watcher?: Watcher): Promise<Outcome<NodeChildren>> {
    return this.#read(OpCode.getChildren2, path, "child", watcher, (reader) => getChildren2Response.read(reader));
  }

  getACL(path: string): Promise<Outcome<Decoded<typeof getACLResponse>>> {
    return this.#request(OpCode.getACL, pathRecord.encode({ path: this.#full(path) }), (reader) => getACLResponse.read(reader));
  }

  setACL(path: string, acl: readonly AclEntry[], version = -1): Promise<Outcome<Stat>> {
    return this.#request(OpCode.setACL, setACLRequest.encode({ path: this.#full(path), acl, version }), (reader) => statResponse.read(reader).stat);
  }

  /** Later reads see everything that was committed before it. */
  sync(path: string): Promise<Outcome<string>> {
    return this.#request(OpCode.sync, pathRecord.encode({ path: this.#full(path) }), (reader) => this.#relative(pathRecord.read(reader).path));
  }

  /** All or nothing. The outcome is ok where the server answered; `firstFailure` tells whether it was done. */
  multi(operations: readonly MultiOp[]): Promise<Outcome<readonly MultiResult[]>> {
    const writer = new Writer();
    writeMulti(
      writer,
      operations.map((operation) => ({ ...operation, record: { ...operation.record, path: this.#full(operation.record.path) } }) as MultiOp),
    );
    return this.#request(OpCode.multi, writer.finishBuffer(), (reader) => {
      const results = readMultiResults(reader);
      if (results === undefined) reader.fail();
      for (const result of results ?? []) {
        if (result.type === OpCode.create || result.type === OpCode.create2) result.record.path = this.#relative(result.record.path);
      }
      return results ?? [];
    });
  }

  /** Makes the chroot itself, and its parents, where they are missing. */
  async makeChroot(): Promise<Outcome<void>> {
    const names = this.#address.chroot.split("/").slice(1);
    for (let depth = 1; depth <= names.length; depth++) {
      const path = `/${names.slice(0, depth).join("/")}`;
      const body = createRequest.encode({ path, data: null, acl: OPEN_ACL, flags: CreateFlag.persistent });
      const made = await this.#request(OpCode.create, body, (reader) => pathRecord.read(reader).path);
      if (!made.ok && made.code !== ErrorCode.nodeExists) return made;
    }
    return { ok: true, value: undefined };
  }

  #full(path: string): string {
    const { chroot } = this.#address;
    if (chroot === "") return path;
    return path === "/" ? chroot : chroot + path;
  }

  #relative(path: string): string {
    const relative = path.slice(this.#address.chroot.length);
    return relative === "" ? "/" : relative;
  }

  #read<T>(type: OpCode, path: string, kind: WatchKind, watcher: Watcher | undefined, decode: (reader: Reader) => T): Promise<Outcome<T>> {
    const full = this.#full(path);
    const body = readRequest.encode({ path: full, watch: watcher !== undefined });
    return this.#request(type, body, decode, watcher === undefined ? undefined : { path: full, kind, watcher });
  }

  #request<T>(type: OpCode, body: Buffer, decode: (reader: Reader) => T, watch?: PendingRequest["watch"]): Promise<Outcome<T>> {
    return new Promise((resolve) => {
      const fail = (code: ErrorCode): void => resolve({ ok: false, code });
      if (this.#state === "closed") return fail(ErrorCode.connectionLoss);
      if (this.#state === "authFailed") return fail(ErrorCode.authFailed);
      this.#queue.push({
        type,
        body,
        watch,
        xid: 0,
        answer: (code, reader) => {
          if (code !== ErrorCode.ok) {
            fail(code);
            return true;
          }
          const value = decode(reader);
          if (reader.bad) return false;
          resolve({ ok: true, value });
          return true;
        },
        fail,
      });
      this.#sendQueued();
    });
  }

  async #stayConnected(): Promise<void> {
    const servers = shuffle(this.#address.servers, this.#host);
    let failures = 0;
    let pauseMsMax = RECONNECT_PAUSE_MS_FIRST;
    for (let attempt = 0; this.#isWanted(); attempt++) {
      if (failures >= servers.length) {
        await this.#sleep(this.#host.random.below(pauseMsMax));
        pauseMsMax = Math.min(RECONNECT_PAUSE_MS_MAX, 2 * pauseMsMax);
        failures = 0;
      }
      const server = servers[attempt % servers.length];
      if (server === undefined || !this.#isWanted()) return;
      if (await this.#serveConnection(server, servers.length)) {
        failures = 0;
        pauseMsMax = RECONNECT_PAUSE_MS_FIRST;
      } else failures += 1;
    }
  }

  #isWanted(): boolean {
    return this.#state === "connecting" || this.#state === "connected";
  }

  /** True where there was a session on this connection. Ends when the connection does. */
  async #serveConnection(server: ServerAddress, serverCount: number): Promise<boolean> {
    let connection: Connection;
    try {
      connection = await this.#host.net.connect({ ...server, timeoutMs: Math.max(100, this.#timeoutMs / serverCount) });
    } catch (error) {
      this.#log.debug(`no connection to ZooKeeper at ${server.host}:${server.port}`, { error: toError(error) });
      return false;
    }
    if (!this.#isWanted()) {
      connection.destroy();
      return false;
    }
    let established = false;
    await new Promise<void>((resolve) => {
      const link = new Link(this.#host, connection, () => this.#timeoutMs, {
        frame: (frame) => {
          if (established) return this.#receive(frame);
          established = this.#handshake(frame, link, server);
          return established;
        },
        ended: (reason) => {
          if (this.#isWanted()) this.#log.debug(`the connection to ZooKeeper at ${server.host}:${server.port} ended: ${reason}`);
          resolve();
        },
      });
      this.#link = link;
      link.start(this.#connectRequest());
    });
    this.#link = undefined;
    this.#queue.unshift(...this.#inFlight.splice(0));
    if (this.#state === "connected") {
      this.#state = "connecting";
      this.#notify((listener) => listener.disconnected?.());
    }
    return established;
  }

  #connectRequest(): Buffer {
    const writer = new Writer();
    connectRequest.write(writer, {
      protocolVersion: 0,
      lastZxidSeen: this.#lastZxidSeen,
      timeOut: this.#options.sessionTimeoutMs,
      sessionId: this.#session?.id ?? NO_SESSION,
      passwd: this.#session?.password ?? Buffer.alloc(PASSWORD_BYTES),
    });
    writer.bool(false);
    return writer.finishBuffer();
  }

  /** False ends the connection. */
  #handshake(frame: Buffer, link: Link, server: ServerAddress): boolean {
    const response = connectResponse.decode(frame);
    if (response === undefined) return false;
    if (response.timeOut <= 0) {
      this.#expire();
      return false;
    }
    link.keepAlive();
    const resumed = this.#session?.id === response.sessionId;
    this.#session = { id: response.sessionId, password: Buffer.from(response.passwd) };
    this.#timeoutMs = response.timeOut;
    this.#state = "connected";
    this.#log.info(`connected to ZooKeeper at ${server.host}:${server.port}`, { session: `0x${toHex(response.sessionId)}`, timeoutMs: response.timeOut, resumed });
    const { digest } = this.#options;
    if (digest !== undefined) link.send(packet(Xid.auth, OpCode.auth, authPacket.encode({ type: 0, scheme: "digest", auth: Buffer.from(`${digest.user}:${digest.password}`) })));
    for (const body of this.#watchPackets()) link.send(packet(Xid.setWatches, OpCode.setWatches, body));
    this.#notify((listener) => listener.connected?.(this.#session ?? { id: NO_SESSION, password: Buffer.alloc(0) }, resumed));
    this.#sendQueued();
    return true;
  }

  #watchPackets(): Buffer[] {
    const packets: Buffer[] = [];
    let [lists, size] = [{ data: [] as string[], exist: [] as string[], child: [] as string[] }, 0];
    const flush = (): void => {
      if (size > 0) packets.push(setWatches.encode({ relativeZxid: this.#lastZxidSeen, dataWatches: lists.data, existWatches: lists.exist, childWatches: lists.child }));
      [lists, size] = [{ data: [], exist: [], child: [] }, 0];
    };
    for (const kind of ["data", "exist", "child"] as const) {
      for (const path of this.#watches.paths(kind)) {
        lists[kind].push(path);
        size += path.length + 4;
        if (size >= SET_WATCHES_BYTES_MAX) flush();
      }
    }
    flush();
    return packets;
  }

  #expire(): void {
    this.#log.warn("the ZooKeeper session has expired", { session: `0x${toHex(this.#session?.id ?? NO_SESSION)}` });
    this.#session = undefined;
    this.#timeoutMs = this.#options.sessionTimeoutMs;
    this.#lastZxidSeen = ZXID_ZERO;
    this.#watches.clear();
    for (const request of [...this.#inFlight.splice(0), ...this.#queue.splice(0)]) request.fail(ErrorCode.sessionExpired);
    this.#notify((listener) => listener.expired?.());
  }

  #sendQueued(): void {
    const link = this.#link;
    if (link === undefined || this.#state !== "connected") return;
    while (this.#inFlight.length < (this.#options.requestsInFlightMax ?? REQUESTS_IN_FLIGHT_MAX)) {
      const request = this.#queue.shift();
      if (request === undefined) return;
      this.#xid = (this.#xid % 0x7fff_ffff) + 1;
      request.xid = this.#xid;
      this.#inFlight.push(request);
      link.send(packet(request.xid, request.type, request.body));
    }
  }

  /** False: the stream is out of step. */
  #receive(frame: Buffer): boolean {
    const reader = new Reader(frame);
    const header = replyHeader.read(reader);
    if (reader.bad) return false;
    if (header.xid === Xid.notification) return this.#dispatch(reader);
    if (header.zxid > 0) this.#lastZxidSeen = header.zxid;
    if (header.xid === Xid.ping || header.xid === Xid.setWatches) return true;
    if (header.xid === Xid.auth) {
      if (header.err === ErrorCode.ok) return true;
      this.#log.error("ZooKeeper refused the authentication");
      this.#stop("authFailed");
      return false;
    }
    const request = this.#inFlight[0];
    if (request === undefined || request.xid !== header.xid) return false;
    this.#inFlight.shift();
    const code = header.err as ErrorCode;
    if (request.watch !== undefined) this.#watch(request.watch, code);
    const understood = request.answer(code, reader);
    if (!understood) request.fail(ErrorCode.marshallingError);
    this.#sendQueued();
    return understood;
  }

  #watch(watch: NonNullable<PendingRequest["watch"]>, code: ErrorCode): void {
    if (code === ErrorCode.ok) this.#watches.add(watch.kind === "exist" ? "data" : watch.kind, watch.path, watch.watcher);
    else if (code === ErrorCode.noNode && watch.kind === "exist") this.#watches.add("exist", watch.path, watch.watcher);
  }

  #dispatch(reader: Reader): boolean {
    const event = watcherEvent.read(reader);
    if (reader.bad) return false;
    const type = event.type as EventType;
    const path = this.#relative(event.path);
    for (const watcher of this.#watches.take(type, event.path)) watcher({ type, path });
    return true;
  }

  #notify(tell: (listener: SessionListener) => void): void {
    for (const listener of Array.from(this.#listeners)) tell(listener);
  }

  #sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const end = (): void => {
        this.#pause = undefined;
        resolve();
      };
      this.#pause = { timer: this.#host.timers.after(ms, end), end };
    });
  }

  #stop(state: "closed" | "authFailed"): void {
    if (!this.#isWanted()) return;
    this.#state = state;
    this.#link?.end("closed from this side");
    this.#pause?.timer.cancel();
    this.#pause?.end();
    const code = state === "closed" ? ErrorCode.connectionLoss : ErrorCode.authFailed;
    for (const request of [...this.#inFlight.splice(0), ...this.#queue.splice(0)]) request.fail(code);
    this.#notify((listener) => listener.disconnected?.());
  }
}

/** Where a multi failed: the operation's place and its code. Undefined where it was done. */
export function firstFailure(results: readonly MultiResult[]): { readonly index: number; readonly code: ErrorCode } | undefined {
  for (const [index, result] of results.entries()) {
    if (result.type === OpCode.error && result.record.err !== ErrorCode.ok) return { index, code: result.record.err as ErrorCode };
  }
  return undefined;
}

function packet(xid: number, type: number, body: Buffer): Buffer {
  const writer = new Writer(body.length + 8);
  requestHeader.write(writer, { xid, type });
  writer.bytes(body);
  return writer.finishBuffer();
}

function shuffle<T>(items: readonly T[], host: Host): T[] {
  const shuffled = [...items];
  for (let last = shuffled.length - 1; last > 0; last--) {
    const other = host.random.below(last + 1);
    [shuffled[last], shuffled[other]] = [shuffled[other] as T, shuffled[last] as T];
  }
  return shuffled;
}

interface LinkHandlers {
  /** False ends the connection. */
  frame(frame: Buffer): boolean;
  ended(reason: string): void;
}

/** One connection: frames, pings when idle for a third of the timeout, and the end after two thirds of silence. */
class Link {
  readonly #host: Host;
  readonly #connection: Connection;
  readonly #timeoutMs: () => number;
  readonly #handlers: LinkHandlers;
  readonly #decoder = new FrameDecoder({ frameBytesMax: REPLY_BYTES_MAX });
  #timer: Timer | undefined;
  #heardAt: number;
  #sentAt: number;
  #pings = false;
  #over = false;

  constructor(host: Host, connection: Connection, timeoutMs: () => number, handlers: LinkHandlers) {
    this.#host = host;
    this.#connection = connection;
    this.#timeoutMs = timeoutMs;
    this.#handlers = handlers;
    this.#heardAt = host.clock.monotonicMs();
    this.#sentAt = this.#heardAt;
  }

  start(firstFrame: Buffer): void {
    this.#connection.start({
      data: (chunk) => this.#receive(chunk),
      close: (error) => this.end(error?.message ?? "closed by the server"),
    });
    this.send(firstFrame);
    this.#watchOver();
  }

  /** From here on there is a session to keep alive. */
  keepAlive(): void {
    this.#pings = true;
    this.#timer?.cancel();
    this.#watchOver();
  }

  send(frame: Buffer): void {
    const head = Buffer.allocUnsafe(4);
    head.writeInt32BE(frame.length);
    this.#connection.write(head);
    this.#connection.write(frame);
    this.#sentAt = this.#host.clock.monotonicMs();
  }

  end(reason: string): void {
    if (this.#over) return;
    this.#over = true;
    this.#timer?.cancel();
    this.#connection.destroy();
    this.#handlers.ended(reason);
  }

  #receive(chunk: Buffer): void {
    this.#heardAt = this.#host.clock.monotonicMs();
    const readable = this.#decoder.push(chunk, (frame) => {
      if (!this.#over && !this.#handlers.frame(frame)) this.end("out of step, or refused");
    });
    if (!readable) this.end(`a frame of ${this.#decoder.refusedLength} bytes`);
  }

  #watchOver(): void {
    const timeoutMs = this.#timeoutMs();
    this.#timer = this.#host.timers.after(timeoutMs / 6, () => {
      const now = this.#host.clock.monotonicMs();
      if (now - this.#heardAt >= (timeoutMs * 2) / 3) {
        this.end(`nothing heard for ${Math.round(now - this.#heardAt)} ms`);
        return;
      }
      if (this.#pings && now - this.#sentAt >= timeoutMs / 3) this.send(packet(Xid.ping, OpCode.ping, Buffer.alloc(0)));
      this.#watchOver();
    });
  }
}
