import type { Decoded, Input } from "../../src/codec/schema.ts";
import type { Answer } from "../../src/kafka/client/api-negotiation.ts";
import { KafkaClient, type KafkaClientOptions, type SendOptions } from "../../src/kafka/client/kafka-client.ts";
import { partitionName } from "../../src/kafka/log/names.ts";
import type { Api } from "../../src/kafka/protocol/api.ts";
import { decodeAssignment } from "../../src/kafka/protocol/consumer-protocol.ts";
import { ErrorCode } from "../../src/kafka/protocol/error-codes.ts";
import { deleteGroups } from "../../src/kafka/protocol/messages/delete-groups.ts";
import { heartbeat } from "../../src/kafka/protocol/messages/heartbeat.ts";
import { joinGroup } from "../../src/kafka/protocol/messages/join-group.ts";
import { leaveGroup } from "../../src/kafka/protocol/messages/leave-group.ts";
import { offsetCommit } from "../../src/kafka/protocol/messages/offset-commit.ts";
import { offsetDelete } from "../../src/kafka/protocol/messages/offset-delete.ts";
import { offsetFetch } from "../../src/kafka/protocol/messages/offset-fetch.ts";
import { syncGroup } from "../../src/kafka/protocol/messages/sync-group.ts";

/** One question to a coordinator, and what became of it. Places count the beginnings and ends of all, in their order. */
interface Asked {
  readonly group: string;
  readonly version: number;
  readonly broker: number;
  readonly begun: number;
  /** Infinity: no answer came. */
  ended: number;
  /**
   * The broker coordinated the group from the beginning to the end, in one epoch, and knew what its log says; what others
   * say may be out of date, and who still loads answers every heartbeat with NONE (GroupCoordinator.handleHeartbeat).
   */
  owned: boolean;
  /** That epoch. */
  epoch: number | undefined;
  /** The worst error; undefined: no answer came. */
  code: number | undefined;
}

interface AskedByMember extends Asked {
  readonly memberId: string;
  readonly instanceId: string | null;
}

export interface JoinSeen extends AskedByMember {
  readonly kind: "join";
  given: { readonly memberId: string; readonly generation: number; readonly protocol: string; readonly leader: string } | undefined;
}

export interface SyncSeen extends AskedByMember {
  readonly kind: "sync";
  readonly generation: number;
  /** What a leader hands out: names of partitions by member id. */
  readonly shared: ReadonlyMap<string, readonly string[]> | undefined;
  assigned: readonly string[] | undefined;
}

export interface HeartbeatSeen extends AskedByMember {
  readonly kind: "heartbeat";
  readonly generation: number;
}

export interface LeaveSeen extends Asked {
  readonly kind: "leave";
}

/** Commits of a partition are numbered in the order in which they are sent; the number is the metadata. */
export interface NumberedOffset {
  readonly name: string;
  readonly offset: number;
  readonly number: number;
}

export interface CommitSeen extends AskedByMember {
  readonly kind: "commit";
  readonly generation: number;
  readonly offsets: readonly NumberedOffset[];
  /** In the order of `offsets`. */
  codes: readonly number[];
}

export interface OffsetsSeen extends Asked {
  readonly kind: "offsets";
  found: readonly NumberedOffset[];
}

export interface DeletionSeen extends Asked {
  readonly kind: "deletion";
  /** Null: all of the group's. */
  readonly names: readonly string[] | null;
}

export type Seen = JoinSeen | SyncSeen | HeartbeatSeen | LeaveSeen | CommitSeen | OffsetsSeen | DeletionSeen;

/** Who coordinates a group. */
export interface Owner {
  readonly broker: number;
  /** Of its partition's leaders. */
  readonly epoch: number;
  /** It has read all that its log says. */
  readonly loaded: boolean;
}

type OwnerOf = (group: string) => Owner | undefined;

/** What all clients together asked of coordinators and were answered, in the order in which it happened. */
export class GroupHistory {
  readonly seen: Seen[] = [];
  /** Answers by API and error code. */
  readonly answers = new Map<string, number>();
  readonly #ownerOf: OwnerOf;
  #place = 0;

  constructor(ownerOf: OwnerOf) {
    this.#ownerOf = ownerOf;
  }

  /** What is to be told of the answer; undefined where nobody wants to know. */
  begin(api: Api, version: number, request: unknown, broker: number): ((response: unknown) => void) | undefined {
    const [seen, answered] = this.#describe(api, version, request, broker) ?? [];
    if (seen === undefined || answered === undefined) return undefined;
    const owner = this.#ownerOf(seen.group);
    this.seen.push(seen);
    return (response) => {
      const code = answered(response);
      const now = this.#ownerOf(seen.group);
      seen.code = code;
      seen.ended = this.#place++;
      seen.epoch = now?.epoch;
      seen.owned = owner?.loaded === true && now?.epoch === owner.epoch && owner.broker === broker && now.broker === broker;
      const name = `${seen.kind} ${code}`;
      this.answers.set(name, (this.answers.get(name) ?? 0) + 1);
    };
  }

  /** Whether nobody was told that this commit of a group and partition, by their names, was stored. */
  isUnknown(groupAndPartition: string, number: number): boolean {
    return this.seen.some((one) => one.kind === "commit" && one.offsets.some((offset, index) => offset.number === number && `${one.group} ${offset.name}` === groupAndPartition && one.codes[index] !== ErrorCode.NONE));
  }

  /** The question, and what reads the answer into it and gives the worst error code. */
  #describe(api: Api, version: number, asked: unknown, broker: number): readonly [Seen, (answer: unknown) => number] | undefined {
    const common = (group: string): Asked => ({ group, version, broker, begun: this.#place++, ended: Infinity, owned: false, epoch: undefined, code: undefined });
    switch (api.key) {
      case joinGroup.key: {
        const { groupId, memberId, groupInstanceId } = asked as Input<typeof joinGroup.request>;
        const seen: JoinSeen = { kind: "join", ...common(groupId), memberId, instanceId: groupInstanceId ?? null, given: undefined };
        return [seen, (answer) => {
          const { errorCode, memberId: given, generationId: generation, protocolName, leader } = answer as Decoded<typeof joinGroup.response>;
          seen.given = { memberId: given, generation, protocol: protocolName ?? "", leader };
          return errorCode;
        }];
      }
      case syncGroup.key: {
        const { groupId, memberId, groupInstanceId, generationId: generation, assignments } = asked as Input<typeof syncGroup.request>;
        const shared = assignments.length === 0 ? undefined : new Map(assignments.map(({ memberId: to, assignment }) => [to, partitionsIn(assignment)]));
        const seen: SyncSeen = { kind: "sync", ...common(groupId), memberId, instanceId: groupInstanceId ?? null, generation, shared, assigned: undefined };
        return [seen, (answer) => {
          const { errorCode, assignment } = answer as Decoded<typeof syncGroup.response>;
          seen.assigned = partitionsIn(assignment);
          return errorCode;
        }];
      }
      case heartbeat.key: {
        const { groupId, memberId, groupInstanceId, generationId: generation } = asked as Input<typeof heartbeat.request>;
        return [{ kind: "heartbeat", ...common(groupId), memberId, instanceId: groupInstanceId ?? null, generation }, (answer) => (answer as Decoded<typeof heartbeat.response>).errorCode];
      }
      case leaveGroup.key: {
        const { groupId } = asked as Input<typeof leaveGroup.request>;
        return [{ kind: "leave", ...common(groupId) }, (answer) => {
          const { errorCode, members } = answer as Decoded<typeof leaveGroup.response>;
          return worst([errorCode, ...members.map((member) => member.errorCode)]);
        }];
      }
      case offsetCommit.key: {
        const { groupId, memberId = "", groupInstanceId = null, generationIdOrMemberEpoch: generation = -1, topics } = asked as Input<typeof offsetCommit.request>;
        const offsets = topics.flatMap(({ name, partitions }) => partitions.map(({ partitionIndex, committedOffset: offset, committedMetadata }) => ({ name: partitionName(name, partitionIndex), offset, number: numberIn(committedMetadata) })));
        const seen: CommitSeen = { kind: "commit", ...common(groupId), memberId, instanceId: groupInstanceId, generation, offsets, codes: [] };
        return [seen, (answer) => {
          const told = new Map((answer as Decoded<typeof offsetCommit.response>).topics.flatMap(({ name, partitions }) => partitions.map(({ partitionIndex, errorCode }) => [partitionName(name, partitionIndex), errorCode] as const)));
          seen.codes = offsets.map(({ name }) => told.get(name) ?? ErrorCode.UNKNOWN_SERVER_ERROR);
          return worst(seen.codes);
        }];
      }
      case offsetFetch.key: {
        const { groupId, groups } = asked as Input<typeof offsetFetch.request>;
        const seen: OffsetsSeen = { kind: "offsets", ...common(groups[0]?.groupId ?? groupId), found: [] };
        return [seen, (answer) => {
          const response = answer as Decoded<typeof offsetFetch.response>;
          const told = response.groups[0] ?? response;
          seen.found = told.topics.flatMap(({ name, partitions }) => partitions.map(({ partitionIndex, committedOffset: offset, metadata }) => ({ name: partitionName(name, partitionIndex), offset, number: numberIn(metadata) })));
          return worst([told.errorCode, ...told.topics.flatMap(({ partitions }) => partitions.map(({ errorCode }) => errorCode))]);
        }];
      }
      case deleteGroups.key: {
        const { groupsNames } = asked as Input<typeof deleteGroups.request>;
        return [{ kind: "deletion", ...common(groupsNames[0] ?? ""), names: null }, (answer) => worst((answer as Decoded<typeof deleteGroups.response>).results.map(({ errorCode }) => errorCode))];
      }
      case offsetDelete.key: {
        const { groupId, topics } = asked as Input<typeof offsetDelete.request>;
        const names = topics.flatMap(({ name, partitions }) => partitions.map(({ partitionIndex }) => partitionName(name, partitionIndex)));
        return [{ kind: "deletion", ...common(groupId), names }, (answer) => {
          const { errorCode, topics: told } = answer as Decoded<typeof offsetDelete.response>;
          return worst([errorCode, ...told.flatMap(({ partitions }) => partitions.map((partition) => partition.errorCode))]);
        }];
      }
      default:
        return undefined;
    }
  }
}

/** A client whose questions to coordinators are written down. */
export class TappedClient extends KafkaClient {
  readonly #history: GroupHistory;

  constructor(options: KafkaClientOptions, history: GroupHistory) {
    super(options);
    this.#history = history;
  }

  override async send<A extends Api>(to: number | "any" | "controller", api: A, request: (version: number) => Input<A["request"]>, options?: SendOptions): Promise<Answer<A>> {
    if (typeof to !== "number") return super.send(to, api, request, options);
    let answered: ((response: unknown) => void) | undefined;
    const tapped = (version: number): Input<A["request"]> => {
      const asked = request(version);
      answered = this.#history.begin(api, version, asked, to);
      return asked;
    };
    const answer = await super.send(to, api, tapped, options);
    answered?.(answer.response);
    return answer;
  }
}

function partitionsIn(assignment: Buffer): string[] {
  const decoded = assignment.length === 0 ? undefined : decodeAssignment(assignment);
  return (decoded?.assignedPartitions ?? []).flatMap(({ topic, partitions }) => partitions.map((partition) => partitionName(topic, partition))).toSorted();
}

function numberIn(metadata: string | null): number {
  return metadata === null || metadata === "" ? -1 : Number(metadata);
}

function worst(codes: readonly number[]): number {
  return codes.find((code) => code !== ErrorCode.NONE) ?? ErrorCode.NONE;
}
