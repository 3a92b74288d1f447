import type { Host } from "../../host/host.ts";
import type { MemberConfig } from "../config/member-config.ts";
import { ErrorCode } from "../protocol/errors.ts";
import { NO_SESSION, toHex, type SessionId, type Zxid } from "../protocol/ids.ts";
import { OpCode } from "../protocol/op-codes.ts";
import type { Transaction } from "../protocol/transactions.ts";
import type { Database } from "../store/database.ts";
import type { AclPolicy } from "../tree/acl.ts";
import type { Applied } from "../tree/apply.ts";
import type { WriteRequest } from "../tree/operations.ts";
import type { DataTree } from "../tree/tree.ts";
import { describeBuckets } from "./expiry-queue.ts";
import { Proposer } from "./proposer.ts";
import { Reaper } from "./reaper.ts";
import { THIS_MEMBER, type Commits, type Role } from "./role.ts";
import { SessionTracker } from "./session-tracker.ts";
import { Ticker } from "./ticker.ts";

/** In the ids of its sessions; conf says 0 all the same. */
const SERVER_ID = 1;
const NO_BODY = Buffer.alloc(0);

export type StandaloneConfig = Pick<MemberConfig, "globalOutstandingLimit" | "reconfigEnabled" | "tickTime" | "znodeContainerCheckIntervalMs" | "znodeContainerMaxPerMinute">;

/** The database as the role uses it. */
export type StandaloneDatabase = Pick<Database, "tree" | "listen" | "append" | "apply">;

/** A member by itself: what its disk has is committed. Sources: ZooKeeperServer, ZooKeeperServerMain. */
export class Standalone implements Role {
  readonly mode = "standalone";
  readonly outstandingMax: number;
  readonly #host: Host;
  readonly #database: StandaloneDatabase;
  readonly #tracker: SessionTracker;
  readonly #proposer: Proposer;
  readonly #sessionTicker: Ticker;
  readonly #reaper: Reaper;
  /** Appended to the log and not known to be durable. */
  #logged: Transaction[] = [];
  /** For each waiting sync the last transaction before it. */
  #syncs: Zxid[] = [];
  #commits: Commits | undefined;

  constructor(host: Host, options: { readonly config: StandaloneConfig; readonly database: StandaloneDatabase; readonly policy: AclPolicy }) {
    const { config, database, policy } = options;
    const { tree } = database;
    this.#host = host;
    this.#database = database;
    this.outstandingMax = config.globalOutstandingLimit;
    this.#tracker = new SessionTracker({ serverId: SERVER_ID, tickMs: config.tickTime, known: tree.sessions, wallMs: host.clock.wallMs() }, host.clock.monotonicMs());
    this.#proposer = new Proposer({
      clock: host.clock,
      tree,
      policy,
      tracker: this.#tracker,
      reconfigure: () => (config.reconfigEnabled ? ErrorCode.unimplemented : ErrorCode.reconfigDisabled),
    });
    this.#sessionTicker = new Ticker(host, config.tickTime, (now) => {
      for (const session of this.#tracker.expire(now)) this.#expire(session);
    });
    this.#reaper = new Reaper(host, {
      checkIntervalMs: config.znodeContainerCheckIntervalMs,
      maxPerMinute: config.znodeContainerMaxPerMinute,
      tree,
      remove: (path) => this.#submitOwn(OpCode.deleteContainer, NO_SESSION, Buffer.from(path)),
    });
  }

  get tree(): DataTree {
    return this.#database.tree;
  }

  start(commits: Commits): void {
    this.#commits = commits;
    this.#database.listen({ durable: (zxid) => this.#durable(zxid) });
    this.#sessionTicker.start();
    this.#reaper.start();
  }

  stop(): void {
    this.#commits = undefined;
    this.#sessionTicker.stop();
    this.#reaper.stop();
  }

  newSession(timeoutMs: number): SessionId {
    const id = this.#tracker.newId();
    this.#tracker.add(id, timeoutMs, this.#host.clock.monotonicMs());
    return id;
  }

  touch(session: SessionId, timeoutMs: number): boolean {
    return this.#tracker.touch(session, timeoutMs, this.#host.clock.monotonicMs());
  }

  revalidate(session: SessionId, timeoutMs: number, settle: (alive: boolean) => void): void {
    settle(this.touch(session, timeoutMs));
  }

  submit(request: WriteRequest): void {
    const transaction = this.#proposer.propose(request);
    this.#logged.push(transaction);
    this.#database.append(transaction);
  }

  sync(): void {
    if (this.#logged.length === 0) this.#commits?.synced();
    else this.#syncs.push(this.#proposer.lastZxid);
  }

  apply(transaction: Transaction): Applied {
    const applied = this.#database.apply(transaction);
    this.#proposer.applied(transaction);
    return applied;
  }

  describeSessions(): string[] {
    return describeBuckets("Session", this.#host.clock, this.#tracker.expiries(), (id) => `0x${toHex(id)}`);
  }

  #durable(zxid: Zxid): void {
    const end = this.#logged.findIndex((transaction) => transaction.header.zxid > zxid);
    const durable = this.#logged.splice(0, end < 0 ? this.#logged.length : end);
    for (const transaction of durable) {
      this.#commits?.commit(transaction);
      this.#settleSyncs(transaction.header.zxid);
    }
  }

  #settleSyncs(committed: Zxid): void {
    while (this.#syncs[0] !== undefined && this.#syncs[0] <= committed) {
      this.#syncs.shift();
      this.#commits?.synced();
    }
  }

  #expire(session: SessionId): void {
    this.#host.log.info("a session has expired", { session: `0x${toHex(session)}` });
    this.#submitOwn(OpCode.closeSession, session, NO_BODY);
  }

  #submitOwn(type: OpCode, sessionId: SessionId, body: Buffer): void {
    this.submit({ type, sessionId, cxid: 0, body, ids: [], owner: THIS_MEMBER });
  }
}
