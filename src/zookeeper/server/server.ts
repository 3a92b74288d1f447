import type { Host } from "../../host/host.ts";
import type { Logger } from "../../host/log.ts";
import type { Connection, Listener } from "../../host/net.ts";
import { errorCode } from "../../lib/error.ts";
import { TaskGroup } from "../../lib/task-group.ts";
import type { MemberConfig } from "../config/member-config.ts";
import { juteLimits } from "../jute/limits.ts";
import { INVALID_SESSION, isPasswordOf, sessionPassword, type ConnectRequest } from "../protocol/connect.ts";
import { ErrorCode } from "../protocol/errors.ts";
import { NO_SESSION, NO_ZXID, toHex, ZXID_ZERO, type SessionId } from "../protocol/ids.ts";
import { OpCode, Perms } from "../protocol/op-codes.ts";
import { authPacket, saslToken } from "../protocol/records.ts";
import { BUILT_IN_PROVIDERS, permits, type AclPolicy } from "../tree/acl.ts";
import { clientOperation, createSessionOperation } from "../tree/operations.ts";
import type { QuotaNumbers } from "../tree/quota.ts";
import type { TreeListener } from "../tree/tree.ts";
import type { WatchEvent, WatcherId } from "../tree/watches.ts";
import { authenticate } from "./authentication.ts";
import { ClientConnection, Hold, type ConnectionListener } from "./connection.ts";
import { ExpiryQueue } from "./expiry-queue.ts";
import { answerCommand } from "./four-letter-words.ts";
import { ClientRequest, RequestPipeline } from "./pipeline.ts";
import { beginReply, connectReply, finishReply, notification, plainReply } from "./replies.ts";
import type { Role } from "./role.ts";
import { ServerStats } from "./stats.ts";
import { Ticker } from "./ticker.ts";

/** The settings that the server of clients goes by. */
export type ServerConfig = Pick<
  MemberConfig,
  | "4lwCommandsWhitelist"
  | "DigestAuthenticationProviderSuperDigest"
  | "clientAddress"
  | "dataDir"
  | "dataLogDir"
  | "electionAlg"
  | "ensemble"
  | "initLimit"
  | "juteMaxbuffer"
  | "maxClientCnxns"
  | "maxSessionTimeout"
  | "minSessionTimeout"
  | "myId"
  | "nioSessionlessCnxnTimeout"
  | "readonlymodeEnabled"
  | "self"
  | "skipACL"
  | "syncLimit"
  | "tickTime"
>;

/** One role and the pipeline that lasts as long. */
interface Serving {
  readonly role: Role;
  readonly pipeline: RequestPipeline;
}

/**
 * The member as its clients see it: connections, sessions on them, watch events, four-letter words. What is asked
 * goes through the pipeline of the role that the member has at the time; while it has none, clients are sent away.
 * Sources: NIOServerCnxnFactory, ZooKeeperServer.
 */
export class ClientServer implements ConnectionListener, TreeListener {
  readonly config: ServerConfig;
  readonly host: Host;
  readonly policy: AclPolicy;
  readonly stats = new ServerStats();
  /** ms of the monotonic clock, since this member runs and since it has its role. */
  readonly startedAt: number;
  roleSince = 0;
  /** What gtmk shows and stmk sets; nothing else looks at it. Source: ZooTrace. */
  traceMask = 0x132n;
  readonly #log: Logger;
  readonly #tasks: TaskGroup;
  readonly #connections = new Map<WatcherId, ClientConnection>();
  readonly #sessions = new Map<SessionId, ClientConnection>();
  readonly #connectionsByHost = new Map<string, number>();
  readonly #idle: ExpiryQueue<ClientConnection>;
  readonly #idleTicker: Ticker;
  #listener: Listener | undefined;
  #serving: Serving | undefined;
  #lastConnectionId = 0;
  /** The event told last, and its frame: one event goes to many. */
  #lastEvent: WatchEvent | undefined;
  #lastNotification: Buffer[] = [];

  constructor(host: Host, config: ServerConfig) {
    this.host = host;
    this.config = config;
    this.startedAt = host.clock.monotonicMs();
    this.#log = host.log.child("zookeeper-server");
    this.policy = { skipAcl: config.skipACL, providers: BUILT_IN_PROVIDERS };
    this.#tasks = new TaskGroup((error) => host.fail(error));
    this.#idle = new ExpiryQueue(config.nioSessionlessCnxnTimeout);
    this.#idleTicker = new Ticker(host, config.nioSessionlessCnxnTimeout, (now) => {
      for (const connection of this.#idle.takeDue(now)) connection.destroy();
    });
  }

  /** Where clients find it; undefined before `listen`. */
  get port(): number | undefined {
    return this.#listener?.port;
  }

  get role(): Role | undefined {
    return this.#serving?.role;
  }

  get outstandingRequests(): number {
    return this.#serving?.pipeline.outstanding ?? 0;
  }

  connections(): ReadonlyMap<WatcherId, ClientConnection> {
    return this.#connections;
  }

  /** By the time at which they are closed for silence. */
  idleConnections(): ReturnType<ExpiryQueue<ClientConnection>["buckets"]> {
    return this.#idle.buckets();
  }

  /** Rejects with EADDRINUSE and its like. */
  async listen(address: { readonly host: string; readonly port: number }): Promise<void> {
    this.#listener = await this.host.net.listen(address, (socket) => this.#accept(socket));
    this.#idleTicker.start();
  }

  /** From here on clients get sessions. */
  serve(role: Role): void {
    const pipeline = new RequestPipeline({
      clock: this.host.clock,
      policy: this.policy,
      stats: this.stats,
      role,
      sessionOpened: (connection) => this.#welcome(connection),
      sessionClosed: (session) => this.#sessions.get(session)?.end(),
    });
    this.#serving = { role, pipeline };
    this.roleSince = this.host.clock.monotonicMs();
    role.start(pipeline);
  }

  /** Clients are sent away: they find another member, or wait until this one has a role again. */
  leave(): void {
    const serving = this.#serving;
    if (serving === undefined) return;
    for (const connection of Array.from(this.#connections.values())) connection.end();
    serving.role.stop();
    this.#serving = undefined;
  }

  async close(): Promise<void> {
    this.#idleTicker.stop();
    await this.#listener?.close();
    this.leave();
    for (const connection of Array.from(this.#connections.values())) connection.end();
    await this.#tasks.settled();
  }

  #accept(socket: Connection): void {
    const { maxClientCnxns, juteMaxbuffer, nioSessionlessCnxnTimeout } = this.config;
    const fromHost = this.#connectionsByHost.get(socket.remoteHost) ?? 0;
    if (maxClientCnxns > 0 && fromHost >= maxClientCnxns) {
      this.stats.connectionsRejected += 1;
      this.#log.warn(`too many connections from ${socket.remoteHost}: maxClientCnxns allows ${maxClientCnxns}`);
      socket.reset();
      return;
    }
    this.#lastConnectionId += 1;
    this.stats.connectionsAccepted += 1;
    const connection = new ClientConnection(socket, this, {
      id: this.#lastConnectionId,
      buffers: this.host.buffers,
      frameBytesMax: juteLimits(juteMaxbuffer).frameBytesMax,
      timeoutMs: nioSessionlessCnxnTimeout,
      wallMs: this.host.clock.wallMs(),
    });
    this.#connections.set(connection.id, connection);
    this.#connectionsByHost.set(socket.remoteHost, fromHost + 1);
    this.active(connection);
    connection.start();
  }

  active(connection: ClientConnection): void {
    this.#idle.touch(connection, connection.timeoutMs, this.host.clock.monotonicMs());
  }

  received(): void {
    this.stats.packetsReceived += 1;
  }

  sent(): void {
    this.stats.packetsSent += 1;
  }

  refused(connection: ClientConnection, what: string): void {
    this.#log.warn(`closing a connection that sent ${what}`, { from: `${connection.remoteHost}:${connection.remotePort}`, session: `0x${toHex(connection.session)}` });
  }

  closed(connection: ClientConnection): void {
    const { id, remoteHost, session } = connection;
    this.#connections.delete(id);
    this.#idle.remove(connection);
    const fromHost = (this.#connectionsByHost.get(remoteHost) ?? 1) - 1;
    if (fromHost === 0) this.#connectionsByHost.delete(remoteHost);
    else this.#connectionsByHost.set(remoteHost, fromHost);
    if (this.#sessions.get(session) === connection) this.#sessions.delete(session);
    this.#serving?.role.tree.watches.removeWatcher(id);
  }

  command(connection: ClientConnection, word: string, argument: Buffer | undefined): void {
    this.#tasks.run(async () => {
      try {
        connection.end(await answerCommand(this, word, argument));
      } catch (error) {
        // A directory could not be read; the member itself is none the worse for it.
        if (errorCode(error) === undefined) throw error;
        this.#log.warn(`the four-letter word ${word} could not be answered`, { error });
        connection.destroy();
      }
    });
  }

  connect(connection: ClientConnection, request: ConnectRequest): void {
    const serving = this.#serving;
    if (serving === undefined) {
      connection.destroy();
      return;
    }
    const { role, pipeline } = serving;
    if (request.lastZxidSeen > role.latestZxid) {
      // Closed without a word: any answer would end the session in the client's eyes.
      this.#log.info(`${connection.remoteHost} has seen zxid 0x${toHex(request.lastZxidSeen)}, this member only 0x${toHex(role.latestZxid)}: it has to try another one`);
      connection.destroy();
      return;
    }
    connection.knowsReadOnly = request.readOnly !== undefined;
    connection.timeoutMs = Math.min(Math.max(request.timeOut, this.config.minSessionTimeout), this.config.maxSessionTimeout);
    this.active(connection);
    if (request.sessionId === NO_SESSION) {
      this.#bind(connection, role.newSession(connection.timeoutMs));
      const body = Buffer.alloc(4);
      body.writeInt32BE(connection.timeoutMs);
      pipeline.submit(new ClientRequest(connection, createSessionOperation, OpCode.createSession, 0, body, this.host.clock.monotonicMs()));
      return;
    }
    this.#sessions.get(request.sessionId)?.destroy();
    this.#bind(connection, request.sessionId);
    if (!isPasswordOf(request.sessionId, request.passwd)) {
      this.#sendAway(connection);
      return;
    }
    role.revalidate(request.sessionId, connection.timeoutMs, (alive) => (alive ? this.#welcome(connection) : this.#sendAway(connection)));
  }

  request(connection: ClientConnection, xid: number, type: number, body: Buffer): void {
    const serving = this.#serving;
    if (serving === undefined) {
      connection.destroy();
      return;
    }
    if (type === OpCode.auth) {
      this.#authenticate(connection, xid, body);
      return;
    }
    if (type === OpCode.sasl) {
      this.#answerSasl(connection, xid, body);
      return;
    }
    // No answer: the client will soon hear that the session is over.
    if (!serving.role.touch(connection.session, connection.timeoutMs)) return;
    const operation = clientOperation(type);
    if (operation === undefined) {
      this.refused(connection, `a request of type ${type}, which this member does not serve`);
      connection.send(plainReply(xid, NO_ZXID, ErrorCode.unimplemented));
      connection.end();
      return;
    }
    if (type === OpCode.addWatch || type === OpCode.setWatches2) connection.watchesPersistently = true;
    serving.pipeline.submit(new ClientRequest(connection, operation, type, xid, body, this.host.clock.monotonicMs()));
  }

  /**
   * To those with persistent watches only what they may read, as since 3.9.2: one of them sees the names of all that
   * lies below. One-shot watches tell of any node, as 3.5.9's do.
   */
  watchEvent(watcher: WatcherId, event: WatchEvent): void {
    const connection = this.#connections.get(watcher);
    if (connection === undefined) return;
    if (connection.watchesPersistently && !permits(this.policy, event.acl, Perms.read, connection.ids)) return;
    if (event !== this.#lastEvent) {
      this.#lastEvent = event;
      this.#lastNotification = notification(event);
    }
    connection.send(this.#lastNotification);
  }

  quotaExceeded(path: string, used: QuotaNumbers, limit: QuotaNumbers): void {
    this.#log.warn(`quota exceeded below ${path}`, { used, limit });
  }

  #bind(connection: ClientConnection, session: SessionId): void {
    connection.session = session;
    this.#sessions.set(session, connection);
  }

  #welcome(connection: ClientConnection): void {
    if (!connection.open) return;
    const { session, timeoutMs } = connection;
    connection.send(connectReply({ protocolVersion: 0, timeOut: timeoutMs, sessionId: session, passwd: sessionPassword(session) }, connection.knowsReadOnly ? false : undefined));
    connection.release(Hold.handshake);
  }

  #sendAway(connection: ClientConnection): void {
    connection.send(connectReply(INVALID_SESSION, connection.knowsReadOnly ? false : undefined));
    connection.end();
  }

  #authenticate(connection: ClientConnection, xid: number, body: Buffer): void {
    const packet = authPacket.decode(body);
    if (packet === undefined) {
      connection.refuse("an auth packet that can't be read");
      return;
    }
    const shown = authenticate({ scheme: packet.scheme, auth: packet.auth, remoteHost: connection.remoteHost, superDigest: this.config.DigestAuthenticationProviderSuperDigest });
    if (typeof shown === "number") {
      connection.send(plainReply(xid, ZXID_ZERO, shown));
      connection.end();
      return;
    }
    for (const id of shown) connection.addId(id);
    connection.send(plainReply(xid, ZXID_ZERO, ErrorCode.ok));
  }

  /** Without a login configured Apache's server answers with no token, which the client takes for a refusal. */
  #answerSasl(connection: ClientConnection, xid: number, body: Buffer): void {
    if (saslToken.decode(body) === undefined) {
      connection.refuse("a SASL token that can't be read");
      return;
    }
    const writer = beginReply(xid, ZXID_ZERO);
    saslToken.write(writer, { token: null });
    connection.send(finishReply(writer, ErrorCode.ok));
  }
}
