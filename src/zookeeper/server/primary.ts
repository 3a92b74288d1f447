import type { Host } from "../../host/host.ts";
import type { MemberConfig } from "../config/member-config.ts";
import { ErrorCode } from "../protocol/errors.ts";
import { NO_SESSION, toHex, zxid, type SessionId, type Zxid } from "../protocol/ids.ts";
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
import { THIS_MEMBER, type Commits, type Order, type Role } from "./role.ts";
import type { SessionIds } from "./session-ids.ts";
import { SessionTracker } from "./session-tracker.ts";
import { Ticker } from "./ticker.ts";

const NO_BODY = Buffer.alloc(0);

export type PrimaryConfig = Pick<MemberConfig, "globalOutstandingLimit" | "reconfigEnabled" | "tickTime" | "znodeContainerCheckIntervalMs" | "znodeContainerMaxPerMinute">;

export interface PrimaryOptions {
  readonly mode: "standalone" | "leader";
  readonly config: PrimaryConfig;
  /** How many members share globalOutstandingLimit. */
  readonly shares: number;
  readonly database: Pick<Database, "tree" | "apply">;
  readonly policy: AclPolicy;
  readonly sessionIds: SessionIds;
  /** The first transaction is the next one. */
  readonly lastZxid: Zxid;
  readonly order: Order;
  monitored(): Readonly<Record<string, number>>;
}

/**
 * The one member that decides: it makes transactions of requests, its own clients' and its learners', knows which
 * sessions are alive, and ends those that are not. Sources: ZooKeeperServer, LeaderZooKeeperServer.
 */
export class Primary implements Role {
  readonly mode: "standalone" | "leader";
  readonly outstandingMax: number;
  readonly #host: Host;
  readonly #options: PrimaryOptions;
  readonly #tracker: SessionTracker;
  readonly #proposer: Proposer;
  readonly #sessionTicker: Ticker;
  readonly #reaper: Reaper;

  constructor(host: Host, options: PrimaryOptions) {
    const { config, database, policy } = options;
    const { tree } = database;
    this.#host = host;
    this.#options = options;
    this.mode = options.mode;
    this.outstandingMax = Math.floor(config.globalOutstandingLimit / options.shares);
    this.#tracker = new SessionTracker(config.tickTime, tree.sessions, host.clock.monotonicMs());
    this.#proposer = new Proposer({
      clock: host.clock,
      tree,
      lastZxid: options.lastZxid,
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
    return this.#options.database.tree;
  }

  get latestZxid(): Zxid {
    return zxid(Math.max(this.tree.lastZxid, this.#options.lastZxid));
  }

  start(commits: Commits): void {
    this.#options.order.begin(commits);
    this.#sessionTicker.start();
    this.#reaper.start();
  }

  stop(): void {
    this.#options.order.end();
    this.#sessionTicker.stop();
    this.#reaper.stop();
  }

  newSession(timeoutMs: number): SessionId {
    const id = this.#options.sessionIds.next(this.#tracker);
    this.#tracker.add(id, timeoutMs, this.#host.clock.monotonicMs());
    return id;
  }

  touch(session: SessionId, timeoutMs: number): boolean {
    return this.#tracker.touch(session, timeoutMs, this.#host.clock.monotonicMs());
  }

  revalidate(session: SessionId, timeoutMs: number, settle: (alive: boolean) => void): void {
    settle(this.takeOver(session, timeoutMs, THIS_MEMBER));
  }

  /** False: the session is unknown or about to go. Otherwise it is `owner` through whom it speaks from now on. */
  takeOver(session: SessionId, timeoutMs: number, owner: unknown): boolean {
    const alive = this.touch(session, timeoutMs);
    if (alive) this.#tracker.setOwner(session, owner);
    return alive;
  }

  submit(request: WriteRequest): void {
    this.#options.order.propose(this.#proposer.propose(request));
  }

  sync(): void {
    this.#options.order.sync();
  }

  apply(transaction: Transaction): Applied {
    const applied = this.#options.database.apply(transaction);
    this.#proposer.applied(transaction);
    return applied;
  }

  describeSessions(): string[] {
    return describeBuckets("Session", this.#host.clock, this.#tracker.expiries(), (id) => `0x${toHex(id)}`);
  }

  monitored(): Readonly<Record<string, number>> {
    return this.#options.monitored();
  }

  #expire(session: SessionId): void {
    this.#host.log.info("a session has expired", { session: `0x${toHex(session)}` });
    this.#submitOwn(OpCode.closeSession, session, NO_BODY);
  }

  #submitOwn(type: OpCode, sessionId: SessionId, body: Buffer): void {
    this.submit({ type, sessionId, cxid: 0, body, ids: [], owner: THIS_MEMBER });
  }
}
