import type { Host } from "../../host/host.ts";
import { must } from "../../lib/assert.ts";
import { makeZxid, toHex, zxid, type SessionId, type Zxid } from "../protocol/ids.ts";
import type { Transaction } from "../protocol/transactions.ts";
import type { History } from "../quorum/zab/history.ts";
import { Learner, type LearnerDriverOptions, type LearnerListener, type TermEnd } from "../quorum/zab/learner.ts";
import type { Applied } from "../tree/apply.ts";
import type { WriteRequest } from "../tree/operations.ts";
import type { DataTree } from "../tree/tree.ts";
import type { Commits, Role } from "./role.ts";
import type { ClientServer } from "./server.ts";
import type { SessionIds } from "./session-ids.ts";

export interface LearnerTermOptions {
  readonly server: ClientServer;
  readonly history: History;
  readonly learner: LearnerDriverOptions;
  /** Requests that may be under way before clients have to wait. */
  readonly outstandingMax: number;
  readonly sessionIds: SessionIds;
  /** Clients are served from here on. */
  upToDate(epoch: number): void;
}

/**
 * One term as a follower or an observer, and its role meanwhile: what is read it answers itself, the rest its leader
 * does. Sources: LearnerZooKeeperServer, LearnerSessionTracker, FollowerRequestProcessor.
 */
export class LearnerTerm implements LearnerListener, Role {
  readonly mode: "follower" | "observer";
  readonly outstandingMax: number;
  readonly #options: LearnerTermOptions;
  readonly #learner: Learner;
  /** Clients that have come back with a session, until the leader has said whether it lives. */
  readonly #revalidations = new Map<SessionId, ((alive: boolean) => void)[]>();
  #commits: Commits | undefined;
  #epochBegin: Zxid = zxid(0);

  constructor(host: Host, options: LearnerTermOptions) {
    this.#options = options;
    this.mode = options.learner.self.role === "observer" ? "observer" : "follower";
    this.outstandingMax = options.outstandingMax;
    this.#learner = new Learner(host, options.history, options.learner, this);
  }

  /** Until the term is over: why it is. */
  run(): Promise<TermEnd> {
    return this.#learner.follow();
  }

  close(): void {
    this.#learner.close();
  }

  // What the leader says.

  upToDate(epoch: number): void {
    this.#epochBegin = makeZxid(epoch, 0);
    this.#options.server.serve(this);
    this.#options.upToDate(epoch);
  }

  commit(transaction: Transaction): void {
    must(this.#commits, "whoever serves while the leader commits").commit(transaction);
  }

  synced(): void {
    this.#commits?.synced();
  }

  revalidated(sessionId: SessionId, alive: boolean): void {
    const waiting = this.#revalidations.get(sessionId);
    const settle = waiting?.shift();
    if (waiting?.length === 0) this.#revalidations.delete(sessionId);
    settle?.(alive);
  }

  ended(): void {
    this.#options.server.leave();
  }

  // What clients ask for.

  get tree(): DataTree {
    return this.#options.history.database.tree;
  }

  get latestZxid(): Zxid {
    return zxid(Math.max(this.tree.lastZxid, this.#epochBegin));
  }

  start(commits: Commits): void {
    this.#commits = commits;
  }

  stop(): void {
    this.#commits = undefined;
    this.#revalidations.clear();
  }

  newSession(): SessionId {
    return this.#options.sessionIds.next(this.tree.sessions);
  }

  touch(session: SessionId, timeoutMs: number): boolean {
    this.#learner.touch(session, timeoutMs);
    return true;
  }

  revalidate(session: SessionId, timeoutMs: number, settle: (alive: boolean) => void): void {
    const waiting = this.#revalidations.get(session);
    if (waiting === undefined) this.#revalidations.set(session, [settle]);
    else waiting.push(settle);
    this.#learner.revalidate(session, timeoutMs);
  }

  submit(request: WriteRequest): void {
    this.#learner.request(request);
  }

  sync(request: WriteRequest): void {
    this.#learner.request(request);
  }

  apply(transaction: Transaction): Applied {
    return this.#options.history.database.apply(transaction);
  }

  describeSessions(): string[] {
    const { sessions } = this.tree;
    return [`Global Sessions(${sessions.size}):`, ...Array.from(sessions, ([id, timeoutMs]) => `0x${toHex(id)}\t${timeoutMs}ms`)];
  }

  monitored(): Readonly<Record<string, number>> {
    return {};
  }
}
