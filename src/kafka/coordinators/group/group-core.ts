import { javaAbs, javaHash } from "../../../lib/java-hash.ts";
import { ErrorCode } from "../../protocol/error-codes.ts";
import type { CommitRequest, FetchedOffset, GroupEffect, JoinRequest, LoadedGroup, MemberRef, Now, StoredMember, SyncRequest, TopicPartition } from "./types.ts";

/** The broker's settings that the coordinator keeps to. Source: GroupConfig and OffsetConfig. */
export interface GroupRules {
  readonly minSessionTimeoutMs: number;
  readonly maxSessionTimeoutMs: number;
  readonly initialRebalanceDelayMs: number;
  readonly maxSize: number;
  /** In UTF-16 units, as Java measures a string, though the setting is called offset.metadata.max.bytes. */
  readonly offsetMetadataCharsMax: number;
  readonly offsetsRetentionMs: number;
}

/** The partition of the offsets topic that keeps a group, and so its coordinator. Source: GroupMetadataManager.partitionFor. */
export function groupPartition(groupId: string, count: number): number {
  return javaAbs(javaHash(groupId)) % count;
}

interface OwnedPartition {
  state: "loading" | "owned";
  epoch: number;
}

/** The group coordinator without bytes, clock and waiting: inputs change its state and fill `effects`. */
export class GroupCore {
  readonly effects: GroupEffect[] = [];
  readonly #partitionCount: number;
  readonly #partitions = new Map<number, OwnedPartition>();

  constructor(options: { rules: GroupRules; partitionCount: number }) {
    this.#partitionCount = options.partitionCount;
  }

  loading(partition: number, epoch: number): void {
    this.#partitions.set(partition, { state: "loading", epoch });
  }

  newEpoch(partition: number, epoch: number): void {
    const owned = this.#partitions.get(partition);
    if (owned !== undefined) owned.epoch = epoch;
  }

  loaded(partition: number, epoch: number, _groups: readonly LoadedGroup[], _now: Now): void {
    const owned = this.#partitions.get(partition);
    if (owned?.state === "loading" && owned.epoch === epoch) owned.state = "owned";
  }

  unloaded(partition: number, _now: Now): void {
    this.#partitions.delete(partition);
  }

  join(request: JoinRequest, ticket: number, _now: Now): void {
    const error = this.#status(request.groupId);
    this.effects.push({ kind: "joined", ticket, result: { error, memberId: request.memberId, generation: -1, protocolType: null, protocolName: null, leaderId: "", skipAssignment: false, members: [] } });
  }

  sync(request: SyncRequest, ticket: number, _now: Now): void {
    this.effects.push({ kind: "synced", ticket, result: { error: this.#status(request.groupId), protocolType: null, protocolName: null, assignment: Buffer.alloc(0) } });
  }

  heartbeat(request: MemberRef, _now: Now): ErrorCode {
    return this.#status(request.groupId);
  }

  leave(groupId: string, _members: readonly { readonly memberId: string; readonly instanceId: string | null }[], _now: Now): { error: ErrorCode; members: readonly ErrorCode[] } {
    return { error: this.#status(groupId), members: [] };
  }

  commit(request: CommitRequest, ticket: number, _now: Now): void {
    const error = this.#status(request.groupId);
    this.effects.push({ kind: "committed", ticket, errors: request.partitions.map(() => error) });
  }

  fetchOffsets(groupId: string, _wanted: readonly { readonly topic: string; readonly partitions: readonly number[] }[] | null, _requireStable: boolean): { error: ErrorCode; offsets: readonly FetchedOffset[] } {
    return { error: this.#status(groupId), offsets: [] };
  }

  list(_states: readonly string[], _types: readonly string[]): { error: ErrorCode; groups: readonly { readonly groupId: string; readonly protocolType: string; readonly state: string }[] } {
    return { error: ErrorCode.NONE, groups: [] };
  }

  describe(groupId: string): { error: ErrorCode; state: string; protocolType: string; protocolName: string; members: readonly StoredMember[] } {
    return { error: this.#status(groupId), state: "Dead", protocolType: "", protocolName: "", members: [] };
  }

  deleteGroups(ids: readonly string[], _now: Now): readonly ErrorCode[] {
    return ids.map((id) => this.#status(id));
  }

  deleteOffsets(groupId: string, _partitions: readonly TopicPartition[], _now: Now): { error: ErrorCode; partitions: readonly ErrorCode[] } {
    return { error: this.#status(groupId), partitions: [] };
  }

  partitionsDeleted(_partitions: readonly TopicPartition[], _now: Now): void {}

  appended(_token: number, _error: ErrorCode, _baseOffset: number, _now: Now): void {}

  expireOffsets(_partition: number, _now: Now): number {
    return 0;
  }

  get ownedPartitions(): readonly number[] {
    return [...this.#partitions].filter(([, owned]) => owned.state === "owned").map(([partition]) => partition);
  }

  get nextDeadlineMs(): number | undefined {
    return undefined;
  }

  expire(_now: Now): void {}

  #status(groupId: string): ErrorCode {
    const owned = this.#partitions.get(groupPartition(groupId, this.#partitionCount));
    if (owned === undefined) return ErrorCode.NOT_COORDINATOR;
    return owned.state === "loading" ? ErrorCode.COORDINATOR_LOAD_IN_PROGRESS : ErrorCode.UNKNOWN_MEMBER_ID;
  }
}
