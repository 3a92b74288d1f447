import { juteRecord, ustring } from "../../codec/jute.ts";
import type { Writer } from "../../codec/writer.ts";
import type { Clock } from "../../host/clock.ts";
import { assertNever, must } from "../../lib/assert.ts";
import { ErrorCode } from "../protocol/errors.ts";
import type { SessionId } from "../protocol/ids.ts";
import { OpCode } from "../protocol/op-codes.ts";
import type { Id } from "../protocol/records.ts";
import type { Transaction } from "../protocol/transactions.ts";
import type { AclPolicy } from "../tree/acl.ts";
import type { Applied } from "../tree/apply.ts";
import { writeReply, type Operation, type WriteRequest } from "../tree/operations.ts";
import { Hold, type ClientConnection } from "./connection.ts";
import { beginReply, finishReply } from "./replies.ts";
import { THIS_MEMBER, type Commits, type Role } from "./role.ts";
import type { ServerStats } from "./stats.ts";

/** SyncRequest and SyncResponse: whatever the path is, it is sent back. */
const syncRecord = juteRecord("Sync", { path: ustring({ nullable: true }) });

/** A client's request on its way through the pipeline. */
export class ClientRequest implements WriteRequest {
  readonly connection: ClientConnection;
  readonly operation: Operation;
  readonly type: number;
  readonly sessionId: SessionId;
  readonly cxid: number;
  readonly body: Buffer;
  readonly ids: readonly Id[];
  readonly owner = THIS_MEMBER;
  /** ms of the monotonic clock. */
  readonly receivedAt: number;
  /** False while a write waits for its commit, or a sync for what is before it. */
  ready: boolean;
  applied: Applied | undefined = undefined;
  next: ClientRequest | undefined = undefined;

  constructor(connection: ClientConnection, operation: Operation, type: number, cxid: number, body: Buffer, receivedAt: number) {
    this.connection = connection;
    this.operation = operation;
    this.type = type;
    this.sessionId = connection.session;
    this.cxid = cxid;
    this.body = body;
    this.ids = connection.ids;
    this.receivedAt = receivedAt;
    this.ready = operation.kind === "read" || operation.kind === "ping";
  }
}

/** Requests of one session, in their order. There is one while something of the session waits. */
interface SessionQueue {
  head: ClientRequest | undefined;
  tail: ClientRequest | undefined;
}

export interface PipelineOptions {
  readonly clock: Clock;
  readonly policy: AclPolicy;
  readonly stats: ServerStats;
  readonly role: Role;
  /** A new session is open: its client may be told. */
  sessionOpened(connection: ClientConnection): void;
  /** The session is gone, whoever wanted it. */
  sessionClosed(session: SessionId): void;
}

/**
 * The way of every request while one role lasts. Writes go to the role and come back as commits; what is committed
 * is applied, fires its watches, and only then is answered. Each session's answers keep the order of its requests:
 * a read waits for the session's own writes before it, and for nobody else's.
 * Sources: FinalRequestProcessor, CommitProcessor (the order of 3.6, in which sessions don't wait for each other).
 */
export class RequestPipeline implements Commits {
  readonly #options: PipelineOptions;
  readonly #role: Role;
  readonly #queues = new Map<SessionId, SessionQueue>();
  readonly #syncs: ClientRequest[] = [];
  readonly #throttled = new Set<ClientConnection>();
  #outstanding = 0;

  constructor(options: PipelineOptions) {
    this.#options = options;
    this.#role = options.role;
  }

  /** Requests taken in and not answered. */
  get outstanding(): number {
    return this.#outstanding;
  }

  submit(request: ClientRequest): void {
    const { connection, sessionId } = request;
    this.#outstanding += 1;
    connection.outstanding += 1;
    const queue = this.#queues.get(sessionId);
    if (request.ready && queue === undefined) {
      this.#answer(request);
      return;
    }
    if (queue === undefined) this.#queues.set(sessionId, { head: request, tail: request });
    else {
      if (queue.tail !== undefined) queue.tail.next = request;
      queue.tail = request;
    }
    if (this.#outstanding > this.#role.outstandingMax) {
      this.#throttled.add(connection);
      connection.hold(Hold.throttled);
    }
    if (request.operation.kind === "write") this.#role.submit(request);
    else if (request.operation.kind === "sync") {
      this.#syncs.push(request);
      this.#role.sync(request);
    }
  }

  commit(transaction: Transaction): void {
    const { header } = transaction;
    const applied = this.#role.apply(transaction);
    this.#options.stats.commits += 1;
    const head = this.#queues.get(header.clientId)?.head;
    // Anything else is another member's, or made by a member itself: an expiry, a container's end.
    if (head !== undefined && !head.ready && head.cxid === header.cxid && (header.type === head.type || header.type === OpCode.error)) {
      head.applied = applied;
      head.ready = true;
      this.#drain(header.clientId);
    }
    if (header.type === OpCode.closeSession) this.#options.sessionClosed(header.clientId);
    this.#letIn();
  }

  synced(): void {
    const request = must(this.#syncs.shift(), "a waiting sync");
    request.ready = true;
    this.#drain(request.sessionId);
    this.#letIn();
  }

  #drain(session: SessionId): void {
    const queue = this.#queues.get(session);
    if (queue === undefined) return;
    for (let head = queue.head; head?.ready === true; head = queue.head) {
      queue.head = head.next;
      // Before the answer, which may let in further requests of the session.
      if (queue.head === undefined) this.#queues.delete(session);
      this.#answer(head);
    }
  }

  /** Those who had to wait may go on when little is under way, or nothing of their own. */
  #letIn(): void {
    for (const connection of this.#throttled) {
      if (this.#outstanding >= this.#role.outstandingMax && connection.outstanding > 0) continue;
      this.#throttled.delete(connection);
      connection.release(Hold.throttled);
    }
  }

  #answer(request: ClientRequest): void {
    const { connection, operation, type, cxid } = request;
    const { clock, stats } = this.#options;
    this.#outstanding -= 1;
    connection.outstanding -= 1;
    if (!connection.open) return;
    const { tree } = this.#role;
    const zxid = tree.lastZxid;
    const writer = beginReply(cxid, zxid);
    const err = this.#writeBody(request, writer);
    if (err === ErrorCode.sessionMoved) {
      // The client speaks through another member by now: to answer would tell it something out of date.
      connection.end();
      return;
    }
    const now = clock.monotonicMs();
    const elapsed = Math.floor(now - request.receivedAt);
    if (operation.kind === "write") stats.updateLatency.observe(now - request.receivedAt);
    else if (operation.kind === "read") stats.readLatency.observe(now - request.receivedAt);
    stats.latency.add(elapsed);
    connection.stats.answered(operation.label, cxid, zxid, now, elapsed);
    if (type === OpCode.createSession) {
      this.#options.sessionOpened(connection);
      return;
    }
    connection.send(finishReply(writer, err));
    if (type === OpCode.closeSession) connection.end();
  }

  #writeBody(request: ClientRequest, writer: Writer): ErrorCode {
    const { operation, connection, body } = request;
    const { tree } = this.#role;
    switch (operation.kind) {
      case "read":
        return operation.serve({ tree, policy: this.#options.policy, session: request.sessionId, ids: request.ids, watcher: connection.id }, body, writer);
      case "write": {
        const applied = must(request.applied, "outcome of a committed write");
        // A multi that failed says so in its body.
        const err = applied.type === OpCode.multi ? ErrorCode.ok : applied.err;
        if (err === ErrorCode.ok) writeReply(request.type, applied, tree, writer);
        return err;
      }
      case "sync": {
        const sync = syncRecord.decode(body);
        if (sync === undefined) return ErrorCode.marshallingError;
        syncRecord.write(writer, sync);
        return ErrorCode.ok;
      }
      case "ping":
      case "connection":
        return ErrorCode.ok;
      default:
        return assertNever(operation);
    }
  }
}
