import type { LogFields } from "../../../host/log.ts";
import type { ErrorCode } from "../../protocol/error-codes.ts";

/** What goes into the group coordinator's core and what comes out of it. Nothing here knows bytes on a wire or a disk. */

/** The time of an input: `ms` is monotonic and decides deadlines, `wallMs` goes into records and decides expiry. */
export interface Now {
  readonly ms: number;
  readonly wallMs: number;
}

/** A way to assign that a member can take part in, in the order of its preference; `metadata` is the member's own. */
export interface GroupProtocol {
  readonly name: string;
  readonly metadata: Buffer;
}

export interface JoinRequest {
  readonly groupId: string;
  /** "" for a member that has no id yet. */
  readonly memberId: string;
  /** Set by static members (KIP-345). */
  readonly instanceId: string | null;
  readonly clientId: string;
  readonly clientHost: string;
  readonly rebalanceTimeoutMs: number;
  readonly sessionTimeoutMs: number;
  readonly protocolType: string;
  readonly protocols: readonly GroupProtocol[];
  /** A dynamic member without an id gets one first and joins with it (KIP-394). */
  readonly requireKnownMemberId: boolean;
  /** The client knows `skipAssignment` (KIP-814). */
  readonly supportsSkipping: boolean;
  /** Why it joins, in the client's words (KIP-800). */
  readonly reason: string | null;
  /** What makes a new member's id unique. */
  readonly memberSuffix: string;
}

export interface JoinResult {
  readonly error: ErrorCode;
  readonly memberId: string;
  readonly generation: number;
  readonly protocolType: string | null;
  readonly protocolName: string | null;
  readonly leaderId: string;
  readonly skipAssignment: boolean;
  /** The leader's only: all members, with their metadata for the chosen protocol. */
  readonly members: readonly { readonly memberId: string; readonly instanceId: string | null; readonly metadata: Buffer }[];
}

/** A member as its own requests name it. `generation` -1: no member of a group. */
export interface MemberRef {
  readonly groupId: string;
  readonly memberId: string;
  readonly instanceId: string | null;
  readonly generation: number;
}

export interface SyncRequest extends MemberRef {
  /** Null where the client does not say. */
  readonly protocolType: string | null;
  readonly protocolName: string | null;
  /** The leader's only. */
  readonly assignments: readonly { readonly memberId: string; readonly assignment: Buffer }[];
}

export interface SyncResult {
  readonly error: ErrorCode;
  readonly protocolType: string | null;
  readonly protocolName: string | null;
  readonly assignment: Buffer;
}

export interface TopicPartition {
  readonly topic: string;
  readonly partition: number;
}

export interface CommitPartition extends TopicPartition {
  readonly offset: number;
  readonly leaderEpoch: number;
  readonly metadata: string;
  /** Undefined: now. */
  readonly commitWallMs: number | undefined;
}

export interface CommitRequest extends MemberRef {
  /** Undefined: as long as the broker's offsets.retention.minutes says. */
  readonly retentionMs: number | undefined;
  readonly partitions: readonly CommitPartition[];
}

export interface FetchedOffset extends TopicPartition {
  /** -1 where nothing is committed. */
  readonly offset: number;
  readonly leaderEpoch: number;
  readonly metadata: string;
  readonly error: ErrorCode;
}

export interface CommittedOffset {
  readonly offset: number;
  /** The leader epoch of the record before, as the client committed it; -1 where it did not say. */
  readonly leaderEpoch: number;
  readonly metadata: string;
  readonly commitWallMs: number;
  /** Only where the client asked for a retention of its own (OffsetCommit 2 to 4). */
  readonly expireWallMs: number | undefined;
}

export interface StoredMember {
  readonly memberId: string;
  readonly instanceId: string | null;
  readonly clientId: string;
  readonly clientHost: string;
  readonly rebalanceTimeoutMs: number;
  readonly sessionTimeoutMs: number;
  /** The member's metadata for the chosen protocol. */
  readonly subscription: Buffer;
  readonly assignment: Buffer;
}

export interface StoredGroup {
  /** "" where the group has none: offsets were committed without members. */
  readonly protocolType: string;
  readonly generation: number;
  readonly protocolName: string | null;
  readonly leaderId: string | null;
  /** Since when the group is in its state; undefined in old records. */
  readonly stateWallMs: number | undefined;
  readonly members: readonly StoredMember[];
}

/** A record of `__consumer_offsets`; a null value is a tombstone. */
export type StoredRecord =
  | { readonly kind: "group"; readonly groupId: string; readonly value: StoredGroup | null }
  | { readonly kind: "offset"; readonly groupId: string; readonly topic: string; readonly partition: number; readonly value: CommittedOffset | null };

export interface LoadedOffset extends TopicPartition {
  readonly committed: CommittedOffset;
  /** Base offset of the batch that holds it. */
  readonly appendedOffset: number;
}

/** A group as its log tells it. */
export interface LoadedGroup {
  readonly groupId: string;
  /** Undefined: only offsets were found. */
  readonly group: StoredGroup | undefined;
  readonly offsets: readonly LoadedOffset[];
  /** Offsets of transactions that are still open. */
  readonly transactional: readonly (LoadedOffset & { readonly producerId: number })[];
}

/** What the core asks its driver to do, in order. A ticket stands for a request that waits, a token for an append. */
export type GroupEffect =
  | { readonly kind: "joined"; readonly ticket: number; readonly result: JoinResult }
  | { readonly kind: "synced"; readonly ticket: number; readonly result: SyncResult }
  /** `errors` in the order of the request's partitions. */
  | { readonly kind: "committed"; readonly ticket: number; readonly errors: readonly ErrorCode[] }
  /** The same member asked again over another connection: nothing true can be said to this one. */
  | { readonly kind: "superseded"; readonly ticket: number }
  /** `acks` "none" and token 0: nobody waits. */
  | { readonly kind: "append"; readonly partition: number; readonly records: readonly StoredRecord[]; readonly acks: "required" | "none"; readonly token: number }
  | { readonly kind: "log"; readonly level: "info" | "warn" | "error"; readonly message: string; readonly fields: LogFields };
