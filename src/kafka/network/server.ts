import { Reader } from "../../codec/reader.ts";
import type { Input } from "../../codec/schema.ts";
import type { Host } from "../../host/host.ts";
import type { Logger } from "../../host/log.ts";
import type { Connection, Listener } from "../../host/net.ts";
import type { Timer } from "../../host/clock.ts";
import { AssertionFailure, must } from "../../lib/assert.ts";
import { toError } from "../../lib/error.ts";
import { FrameDecoder } from "../../lib/frames.ts";
import { encodeFrame } from "../protocol/frame.ts";
import { requestHeader, requestHeaderVersion, responseHeader, responseHeaderVersion } from "../protocol/header.ts";
import { closeConnection, noResponse, type Reply, type RequestContext, type Route } from "./request.ts";
import type { ConnectionQuotas } from "./connection-quotas.ts";
import { RequestMetrics, type ApiMetrics } from "./request-metrics.ts";
import type { Api } from "../protocol/api.ts";

/** Frames that a connection may hold undone before its socket is paused. */
const PENDING_FRAMES_MAX = 100;
/** Bytes of such frames, likewise. */
const PENDING_BYTES_MAX = 16 * 1024 * 1024;
/** Unsent bytes of responses at which a connection takes no further request. */
const UNSENT_BYTES_MAX = 16 * 1024 * 1024;

export interface ServerOptions {
  readonly listenerName: string;
  readonly host: string | undefined;
  readonly port: number;
  /** socket.request.max.bytes */
  readonly requestBytesMax: number;
  /** connections.max.idle.ms; 0 or less: never. */
  readonly idleMsMax: number;
  /** Of all listeners together; undefined: no address has a limit of its own. */
  readonly quotas?: ConnectionQuotas;
  /** max.connections */
  readonly connectionsMax: number;
}

/**
 * One listener: frames to requests, replies to frames. Requests of a connection are handled one at a time and
 * answered in order, as Kafka does by muting the channel (SocketServer.scala, KafkaChannel.java), but for a run of
 * pipelined ones, which are begun at once and still answered in order.
 */
export class Server {
  readonly #host: Host;
  readonly #log: Logger;
  readonly #options: ServerOptions;
  readonly #routes: ReadonlyMap<number, Route>;
  readonly #metrics: RequestMetrics;
  readonly #connections = new Set<ServerConnection>();
  #listener: Listener | undefined;
  #idleTimer: Timer | undefined;
  #connectionCount = 0;
  #processing = false;

  constructor(host: Host, options: ServerOptions, routes: readonly Route[], metrics = new RequestMetrics()) {
    this.#host = host;
    this.#log = host.log.child("network");
    this.#options = options;
    this.#routes = new Map(routes.map((route) => [route.api.key, route]));
    this.#metrics = metrics;
  }

  get connectionCount(): number {
    return this.#connections.size;
  }

  get port(): number {
    return this.#listener?.port ?? this.#options.port;
  }

  /** Binds the port; connections wait until `process`. */
  async bind(): Promise<void> {
    this.#listener = await this.#host.net.listen({ host: this.#options.host, port: this.#options.port }, (connection) => this.#accept(connection));
    this.#scheduleIdleCheck();
  }

  /** Begins to read requests. */
  process(): void {
    this.#processing = true;
    for (const connection of this.#connections) connection.begin();
  }

  async close(): Promise<void> {
    this.#idleTimer?.cancel();
    await this.#listener?.close();
    for (const connection of this.#connections) connection.close();
  }

  #accept(connection: Connection): void {
    const { quotas, connectionsMax } = this.#options;
    const { remoteHost } = connection;
    if (this.#connections.size >= connectionsMax || quotas?.take(remoteHost) === false) {
      this.#log.info("too many connections, closing the newest", { from: remoteHost, open: this.#connections.size, openFromThere: quotas?.countOf(remoteHost) });
      connection.destroy();
      return;
    }
    const number = this.#connectionCount++;
    const id = `${connection.localHost}:${connection.localPort}-${connection.remoteHost}:${connection.remotePort}-${number}`;
    const served = new ServerConnection({
      host: this.#host,
      log: this.#log,
      connection,
      id,
      number,
      listenerName: this.#options.listenerName,
      requestBytesMax: this.#options.requestBytesMax,
      routes: this.#routes,
      metrics: this.#metrics,
      onClose: () => {
        this.#connections.delete(served);
        quotas?.giveBack(remoteHost);
      },
    });
    this.#connections.add(served);
    served.start();
    if (this.#processing) served.begin();
  }

  #scheduleIdleCheck(): void {
    const { idleMsMax } = this.#options;
    if (idleMsMax <= 0) return;
    this.#idleTimer = this.#host.timers.after(Math.max(1000, idleMsMax / 4), () => {
      const now = this.#host.clock.monotonicMs();
      for (const connection of this.#connections) if (connection.idleSince + idleMsMax < now) connection.close();
      this.#scheduleIdleCheck();
    });
  }
}

interface ConnectionOptions {
  readonly host: Host;
  readonly log: Logger;
  readonly connection: Connection;
  readonly id: string;
  readonly number: number;
  readonly listenerName: string;
  readonly requestBytesMax: number;
  readonly routes: ReadonlyMap<number, Route>;
  readonly metrics: RequestMetrics;
  readonly onClose: () => void;
}

/** A request that has been begun; `chunks` is set once its reply may be sent. Times in ms of the monotonic clock. */
class Slot {
  readonly route: Route;
  readonly version: number;
  readonly pipelined: boolean;
  readonly metrics: ApiMetrics;
  chunks: readonly Buffer[] | typeof closeConnection | undefined = undefined;
  /** Called when the last of them has left. */
  left: (() => void) | undefined;
  readonly receivedMs: number;
  readonly begunMs: number;
  /** The handler has returned: an answer, or a promise of one. */
  handledMs: number;
  /** The answer is there. */
  completedMs = 0;

  constructor(route: Route, version: number, metrics: ApiMetrics, receivedMs: number, begunMs: number) {
    this.route = route;
    this.version = version;
    this.pipelined = version >= route.pipelinedFrom;
    this.metrics = metrics;
    this.receivedMs = receivedMs;
    this.begunMs = begunMs;
    this.handledMs = begunMs;
  }
}

class ServerConnection {
  readonly #options: ConnectionOptions;
  readonly #decoder: FrameDecoder;
  /** Received and not begun, oldest first. */
  readonly #pending: Buffer[] = [];
  /** When each of them came. */
  readonly #pendingSince: number[] = [];
  #pendingBytes = 0;
  /** Begun and not answered, oldest first. */
  readonly #slots: Slot[] = [];
  #begun = false;
  /** Takes no further request; closes when those that were begun are answered. */
  #ended = false;
  #paused = false;
  #advancing = false;
  /** When something came in, was answered or went out last. */
  idleSince: number;

  constructor(options: ConnectionOptions) {
    this.#options = options;
    this.#decoder = new FrameDecoder({ frameBytesMax: options.requestBytesMax, buffers: options.host.buffers });
    this.idleSince = options.host.clock.monotonicMs();
  }

  start(): void {
    this.#options.connection.start({
      data: (chunk) => this.#receive(chunk),
      chunksAreLent: true,
      drain: () => {
        this.idleSince = this.#options.host.clock.monotonicMs();
        this.#advance();
      },
      close: () => {
        this.#ended = true;
        this.#dropPending();
        this.#options.onClose();
      },
    });
  }

  begin(): void {
    this.#begun = true;
    this.#advance();
  }

  close(): void {
    this.#end();
  }

  #receive(chunk: Buffer): void {
    if (this.#ended) return;
    this.idleSince = this.#options.host.clock.monotonicMs();
    const readable = this.#decoder.push(chunk, (frame) => {
      this.#pending.push(frame);
      this.#pendingSince.push(this.idleSince);
      this.#pendingBytes += frame.length;
    });
    this.#advance();
    if (!readable) this.#refuse(`a request of ${this.#decoder.refusedLength} bytes, where socket.request.max.bytes is ${this.#options.requestBytesMax}`);
  }

  /** Begins what may be begun, sends what may be sent, and pauses the socket while too much is undone. */
  #advance(): void {
    if (this.#advancing) return;
    this.#advancing = true;
    while (this.#begun && this.#pending.length > 0 && !this.#ended && this.#mayBegin()) {
      const frame = must(this.#pending.shift(), "a pending frame");
      this.#pendingBytes -= frame.length;
      if (!this.#handle(frame, must(this.#pendingSince.shift(), "its time"))) break;
    }
    this.#advancing = false;
    const full = this.#pending.length >= PENDING_FRAMES_MAX || this.#pendingBytes > PENDING_BYTES_MAX || this.#options.connection.bufferedBytes > UNSENT_BYTES_MAX;
    if (full === this.#paused) return;
    this.#paused = full;
    if (full) this.#options.connection.pause();
    else this.#options.connection.resume();
  }

  #mayBegin(): boolean {
    if (this.#options.connection.bufferedBytes > UNSENT_BYTES_MAX) return false;
    if (this.#slots.length === 0) return true;
    const frame = this.#pending[0];
    if (frame === undefined || frame.length < 4 || this.#slots.length >= PENDING_FRAMES_MAX) return false;
    const route = this.#options.routes.get(frame.readInt16BE(0));
    return route !== undefined && frame.readInt16BE(2) >= route.pipelinedFrom && this.#slots.every((slot) => slot.pipelined);
  }

  /** False: the connection is being closed. */
  #handle(frame: Buffer, receivedMs: number): boolean {
    const { clock } = this.#options.host;
    const begunMs = clock.monotonicMs();
    const reader = new Reader(frame);
    const apiKey = reader.int16();
    const version = reader.int16();
    reader.position = 0;
    const route = this.#options.routes.get(apiKey);
    if (route === undefined) return this.#refuse(`API key ${apiKey}, which this broker does not serve`);
    const { api, versions } = route;
    const supported = version >= versions.first && version <= versions.last;
    if (!supported && api.key !== API_VERSIONS) return this.#refuse(`${api.name} version ${version}, where ${versions.first} to ${versions.last} are served`);
    const header = requestHeader.read(reader, supported ? requestHeaderVersion(api, version) : 2);
    if (reader.bad) return this.#refuse(`a header that can't be read (${api.name} version ${version})`);
    const body = supported ? api.request.read(reader, version) : undefined;
    if (reader.bad) return this.#refuse(`a body that can't be read (${api.name} version ${version})`);

    const context: RequestContext = {
      listenerName: this.#options.listenerName,
      clientHost: this.#options.connection.remoteHost,
      clientId: header.clientId,
      apiVersion: version,
      connectionId: this.#options.id,
      connectionNumber: this.#options.number,
    };
    const metrics = this.#options.metrics.of(api, body === undefined ? undefined : route.purposeOf?.(body));
    const slot = new Slot(route, version, metrics, receivedMs, begunMs);
    const answered = (reply: Reply<Api>, completedMs: number): void => this.#complete(slot, frame, header.correlationId, supported ? version : 0, reply, completedMs);
    this.#slots.push(slot);
    try {
      // ApiVersions in a version of the future is answered, body unread, in version 0 (KIP-511).
      const reply = route.handle(body ?? {}, context);
      slot.handledMs = clock.monotonicMs();
      if (reply instanceof Promise) {
        reply.then((value) => answered(value, clock.monotonicMs())).catch((error: unknown) => this.#fail(api, toError(error)));
      } else {
        answered(reply, slot.handledMs);
      }
    } catch (error) {
      this.#fail(api, toError(error));
    }
    return !this.#ended;
  }

  #complete(slot: Slot, frame: Buffer, correlationId: number, version: number, reply: Reply<Api>, completedMs: number): void {
    slot.completedMs = completedMs;
    this.idleSince = completedMs;
    const { route } = slot;
    if (route.returnsFrame) this.#options.host.buffers.release(frame);
    if (route.returns !== undefined && typeof reply !== "symbol") slot.left = () => route.returns?.(reply, version);
    slot.chunks = reply === noResponse ? [] : reply === closeConnection ? reply : encodeResponse(route.api, version, correlationId, reply);
    const { host, connection } = this.#options;
    // What waits behind another has been encoded before.
    let sendingMs = completedMs;
    for (let first = this.#slots[0]; first?.chunks !== undefined; first = this.#slots[0]) {
      this.#slots.shift();
      if (first.chunks === closeConnection) {
        this.#end();
        return;
      }
      for (const [index, chunk] of first.chunks.entries()) connection.write(chunk, index === first.chunks.length - 1 ? first.left : undefined);
      const sentMs = host.clock.monotonicMs();
      first.metrics.answered(first, sendingMs, sentMs);
      sendingMs = sentMs;
    }
    if (this.#ended && this.#slots.length === 0) this.#options.connection.end();
    this.#advance();
  }

  /** What a handler did not foresee. A broken invariant stops the node, anything else only this connection. */
  #fail(api: Api, error: Error): void {
    if (error instanceof AssertionFailure) this.#options.host.fail(error);
    this.#options.log.error("a request failed, closing its connection", { api: api.name, connection: this.#options.id, error });
    this.#ended = true;
    this.#options.connection.destroy();
  }

  #refuse(what: string): false {
    if (!this.#ended) this.#options.log.warn(`closing a connection that sent ${what}`, { connection: this.#options.id });
    this.#ended = true;
    this.#dropPending();
    if (this.#slots.length === 0) this.#options.connection.end();
    return false;
  }

  #end(): void {
    this.#ended = true;
    this.#dropPending();
    this.#slots.length = 0;
    this.#options.connection.end();
  }

  #dropPending(): void {
    this.#pending.length = 0;
    this.#pendingSince.length = 0;
  }
}

const API_VERSIONS = 18;

function encodeResponse(api: Api, version: number, correlationId: number, body: Input<Api["response"]>): readonly Buffer[] {
  return encodeFrame(
    { schema: responseHeader, version: responseHeaderVersion(api, version), value: { correlationId } },
    { schema: api.response, version, value: body },
  );
}
