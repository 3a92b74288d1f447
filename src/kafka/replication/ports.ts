import type { Decoded, Input } from "../../codec/schema.ts";
import type { PartitionLog } from "../log/log.ts";
import type { WriteDone } from "../log/write-queue.ts";
import type { Api } from "../protocol/api.ts";
import type { ErrorCode } from "../protocol/error-codes.ts";
import type { Refusal } from "../records/validate.ts";

/** Where the parts of replication meet: partitions, the fetchers that follow leaders, and the way to the controller. */

/** What changed for whoever watches a partition. `role`: leader, epoch or availability; `followerStart`: a follower's log start. */
export type PartitionChange = "end" | "highWatermark" | "logStart" | "followerStart" | "role";

/** What a leader answered for one partition. */
export interface FollowerData {
  readonly records: Buffer;
  readonly highWatermark: number;
  readonly logStartOffset: number;
}

/** `restart`: the log is empty and the first batch begins at `at`, below its end: call `restartAt`, then append again. */
export type FollowerAppended = { readonly kind: "appended" } | { readonly kind: "nothing" } | { readonly kind: "restart"; readonly at: number } | Refusal;

/** A replica that follows; `epoch` must be the one in force, else it is refused (NOT_LEADER_OR_FOLLOWER). Partition implements it. */
export interface FollowedReplica {
  readonly topic: string;
  readonly partition: number;
  readonly log: Pick<PartitionLog, "startOffset" | "endOffset" | "highWatermark" | "latestEpoch" | "endOffsetForEpoch">;
  /** `onWritten` is called once, and only after "appended". */
  appendAsFollower(epoch: number, data: FollowerData, onWritten: WriteDone): FollowerAppended;
  /** Durable when it resolves; rejects where the log can't be used. */
  truncate(epoch: number, offset: number): Promise<void>;
  restartAt(epoch: number, offset: number): Promise<void>;
  watch(wake: (change: PartitionChange) => void): () => void;
}

/** The fetchers of a broker. */
export interface Followers {
  follow(leader: number, replicas: readonly { readonly replica: FollowedReplica; readonly leaderEpoch: number }[]): void;
  /** `topic-partition`. Resolves when no truncation or append of them is under way; from the call on none begins. */
  unfollow(names: Iterable<string>): Promise<void>;
  closeIdle(): void;
  close(): Promise<void>;
}

/** One change of an ISR that a leader asks the controller for; compared by identity. */
export interface IsrProposal {
  readonly leaderEpoch: number;
  readonly isr: readonly number[];
  readonly zkVersion: number;
}

export type IsrAnswer =
  | { readonly kind: "error"; readonly error: ErrorCode }
  | { readonly kind: "state"; readonly leaderEpoch: number; readonly isr: readonly number[]; readonly zkVersion: number };

/** A partition whose leader asks. */
export interface IsrSubject {
  readonly topic: string;
  readonly partition: number;
  isrDecided(proposal: IsrProposal, answer: IsrAnswer): "done" | "again";
}

export interface IsrPort {
  propose(subject: IsrSubject, proposal: IsrProposal): void;
  withdraw(subject: IsrSubject): void;
}

/** Repeats until a controller has answered; rejects only when closed. */
export interface ToController {
  send<A extends Api>(api: A, version: number, request: Input<A["request"]>, isElsewhere: (response: Decoded<A["response"]>) => boolean): Promise<Decoded<A["response"]>>;
}
