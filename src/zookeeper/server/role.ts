import type { SessionId, Zxid } from "../protocol/ids.ts";
import type { Transaction } from "../protocol/transactions.ts";
import type { Applied } from "../tree/apply.ts";
import type { WriteRequest } from "../tree/operations.ts";
import type { DataTree } from "../tree/tree.ts";

/** What srvr and mntr call the member. */
export type ServerMode = "standalone" | "leader" | "follower" | "observer" | "read-only";

/** Stands for this member in `Origin.owner`: its own clients' sessions. */
export const THIS_MEMBER: unique symbol = Symbol("this member");

/** The order of all changes, as it comes out of a role. */
export interface Commits {
  /** Each committed transaction, once, in zxid order; whoever waits for it is answered. */
  commit(transaction: Transaction): void;
  /** The longest waiting sync: what was proposed before it has been committed. */
  synced(): void;
}

/** How a primary's transactions become an order on disks, before they are committed. */
export interface Order {
  /** They come back through `commits`, as do syncs. */
  begin(commits: Commits): void;
  /** Nothing comes back any more. */
  end(): void;
  /** The next transaction. */
  propose(transaction: Transaction): void;
  /** Answered by `synced` once what was proposed before it is committed. */
  sync(): void;
}

/**
 * What a member is to its clients while it serves: how writes find their order, and who knows which sessions are
 * alive. Standalone prepares, logs and commits by itself; a leader puts a quorum between logging and commit; a
 * learner hands writes to its leader, and only hears what is committed.
 */
export interface Role {
  readonly mode: ServerMode;
  readonly tree: DataTree;
  /** Requests that may be under way before clients have to wait. */
  readonly outstandingMax: number;
  /** A client that has seen a later transaction has seen it elsewhere: this member lags behind that one. */
  readonly latestZxid: Zxid;
  start(commits: Commits): void;
  /** Nothing is committed any more, nor touched. */
  stop(): void;

  /** A new session's id: known from here on, open once its createSession is committed. */
  newSession(timeoutMs: number): SessionId;
  /** False: the session is unknown or about to go, and its request is dropped. */
  touch(session: SessionId, timeoutMs: number): boolean;
  /** A client has come back with the right password; `settle` hears, now or later, whether its session lives. */
  revalidate(session: SessionId, timeoutMs: number, settle: (alive: boolean) => void): void;

  /** It comes back through `commit`, as a transaction with the same session and cxid. */
  submit(request: WriteRequest): void;
  /** It comes back through `synced`, in the order of these calls. */
  sync(request: WriteRequest): void;
  /** A committed transaction takes effect on the tree, and on whatever the role keeps beside it. */
  apply(transaction: Transaction): Applied;

  /** What the four-letter word dump says of sessions. */
  describeSessions(): readonly string[];
  /** What mntr adds, without the prefix zk_. */
  monitored(): Readonly<Record<string, number>>;
}
