import type { Host } from "../../host/host.ts";
import { must } from "../../lib/assert.ts";
import type { SessionId, Zxid } from "../protocol/ids.ts";
import type { Transaction } from "../protocol/transactions.ts";
import type { History } from "../quorum/zab/history.ts";
import { Leader, type LeaderDriverOptions, type LeaderListener } from "../quorum/zab/leader.ts";
import type { LearnerId } from "../quorum/zab/leader-core.ts";
import type { ForwardedRequest, Touch } from "../quorum/zab/packets.ts";
import { Primary, type PrimaryOptions } from "./primary.ts";
import type { Commits, Order } from "./role.ts";
import type { ClientServer } from "./server.ts";

export interface LeaderTermOptions {
  readonly server: ClientServer;
  readonly history: History;
  readonly leader: LeaderDriverOptions;
  readonly primary: Pick<PrimaryOptions, "config" | "shares" | "sessionIds">;
  /** Clients are served from here on. */
  established(epoch: number): void;
}

/** One term as a leader, from the election to the next: a quorum's order behind a primary. Source: LeaderZooKeeperServer. */
export class LeaderTerm implements LeaderListener, Order {
  readonly #host: Host;
  readonly #options: LeaderTermOptions;
  readonly #leader: Leader;
  readonly #proposalSizes = { last: -1, min: -1, max: -1 };
  #primary: Primary | undefined;
  #commits: Commits | undefined;

  constructor(host: Host, options: LeaderTermOptions) {
    this.#host = host;
    this.#options = options;
    this.#leader = new Leader(host, options.history, options.leader, this);
  }

  /** Until the term is over: why it is. */
  run(): Promise<string> {
    return this.#leader.lead();
  }

  close(): void {
    this.#leader.close();
  }

  established(epoch: number, lastZxid: Zxid): void {
    const { server, history, primary } = this.#options;
    this.#primary = new Primary(this.#host, {
      ...primary,
      mode: "leader",
      database: history.database,
      policy: server.policy,
      lastZxid,
      order: this,
      monitored: () => this.#monitored(),
    });
    server.serve(this.#primary);
    this.#options.established(epoch);
  }

  begin(commits: Commits): void {
    this.#commits = commits;
  }

  end(): void {
    this.#commits = undefined;
  }

  propose(transaction: Transaction): void {
    this.#options.server.stats.proposals += 1;
    const sizes = this.#proposalSizes;
    const bytes = transaction.payload.length;
    sizes.last = bytes;
    sizes.min = sizes.min < 0 ? bytes : Math.min(sizes.min, bytes);
    sizes.max = Math.max(sizes.max, bytes);
    this.#leader.propose(transaction);
  }

  sync(): void {
    this.#leader.sync();
  }

  commit(transaction: Transaction): void {
    must(this.#commits, "whoever serves while the leader commits").commit(transaction);
  }

  synced(): void {
    this.#commits?.synced();
  }

  touched(touched: readonly Touch[]): void {
    for (const { sessionId, timeOut } of touched) this.#primary?.touch(sessionId, timeOut);
  }

  revalidate(learner: LearnerId, sessionId: SessionId, timeoutMs: number): boolean {
    return must(this.#primary, "the established leader's primary").takeOver(sessionId, timeoutMs, learner);
  }

  request(learner: LearnerId, request: ForwardedRequest): void {
    const { sessionId, cxid, type, body, ids } = request;
    must(this.#primary, "the established leader's primary").submit({ sessionId, cxid, type, body, ids: ids ?? [], owner: learner });
  }

  ended(): void {
    this.#options.server.leave();
    this.#primary = undefined;
  }

  #monitored(): Readonly<Record<string, number>> {
    const { connected, following, waitingSyncs } = this.#leader.learners;
    const { last, min, max } = this.#proposalSizes;
    return { followers: connected, synced_followers: following, pending_syncs: waitingSyncs, last_proposal_size: last, max_proposal_size: max, min_proposal_size: min };
  }
}
