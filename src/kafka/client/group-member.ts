import type { Decoded } from "../../codec/schema.ts";
import { assert, must } from "../../lib/assert.ts";
import { errorCode } from "../../lib/error.ts";
import { decodeAssignment, encodeAssignment, encodeSubscription, subscribedTopics } from "../protocol/consumer-protocol.ts";
import { ErrorCode } from "../protocol/error-codes.ts";
import { heartbeat } from "../protocol/messages/heartbeat.ts";
import { joinGroup } from "../protocol/messages/join-group.ts";
import { leaveGroup } from "../protocol/messages/leave-group.ts";
import { syncGroup } from "../protocol/messages/sync-group.ts";
import type { VersionBounds } from "./api-negotiation.ts";
import { rangeAssignor, roundRobinAssignor, type Assignor } from "./assignors.ts";
import { commitOffsets, fetchOffsets, type OffsetToCommit, type PartitionOffset } from "./group-offsets.ts";
import { refusal, type KafkaClient, type TopicPartition } from "./kafka-client.ts";

export interface GroupMemberOptions {
  readonly groupId: string;
  readonly topics: readonly string[];
  /** A static member (KIP-345): the same one after a restart. */
  readonly instanceId?: string | undefined;
  readonly sessionTimeoutMs: number;
  /** How long the others may take to join once a rebalance has begun. */
  readonly rebalanceTimeoutMs: number;
  /** In the order of preference; without them range, then roundrobin. */
  readonly assignors?: readonly Assignor[];
  /** Of JoinGroup; without them the newest that the broker has. */
  readonly joinVersions?: VersionBounds;
}

/** What a member owns until it joins again. */
export interface Assignment {
  readonly generation: number;
  readonly memberId: string;
  readonly leaderId: string;
  readonly protocol: string;
  readonly partitions: readonly TopicPartition[];
}

const PROTOCOL_TYPE = "consumer";
/** Read by every client there is; later versions only add what assignors of other kinds use. */
const CONSUMER_PROTOCOL_VERSION = 0;
/** What an answer takes beyond the rebalance that it waits for. */
const JOIN_GRACE_MS = 5000;
const RETRY_MS = 100;
/** From here on LeaveGroup takes a list of members. */
const LEAVES_IN_LISTS = 3;

type JoinResponse = Decoded<typeof joinGroup.response>;

/**
 * One member of a consumer group, without a loop of its own: who owns it joins, sends heartbeats, commits and leaves.
 * Eager: what is assigned is given up before the next join. Requests to the coordinator share one connection, so that
 * those of this member stay in their order.
 */
export class GroupMember {
  readonly #client: KafkaClient;
  readonly #options: GroupMemberOptions;
  readonly #channel: string;
  #topics: readonly string[];
  #memberId = "";
  #generation = -1;

  constructor(client: KafkaClient, options: GroupMemberOptions) {
    this.#client = client;
    this.#options = options;
    this.#topics = options.topics;
    this.#channel = `group ${options.groupId}`;
  }

  get memberId(): string {
    return this.#memberId;
  }

  /** -1: of none. */
  get generation(): number {
    return this.#generation;
  }

  /** Counts from the next `join` on. */
  subscribe(topics: readonly string[]): void {
    this.#topics = topics;
  }

  /**
   * Joins and waits for the assignment, as often as it takes. Rejects with the error code's name where another attempt
   * would end no better: FENCED_INSTANCE_ID, GROUP_MAX_SIZE_REACHED, INCONSISTENT_GROUP_PROTOCOL, INVALID_…
   */
  async join(): Promise<Assignment> {
    for (;;) {
      try {
        const assignment = await this.#joinOnce();
        if (assignment !== undefined) return assignment;
      } catch (error) {
        const kind = this.#client.isPassing(error) ? kindOf(error) : "final";
        if (kind === "final") throw error;
        if (kind === "failure") this.#client.forgetCoordinator(this.#options.groupId);
        await this.#client.pause(RETRY_MS);
      }
    }
  }

  /** "rejoin": a rebalance is under way, or the coordinator does not know this member any more. Rejects with FENCED_INSTANCE_ID, or where no coordinator answers. */
  async heartbeat(): Promise<"ok" | "rejoin"> {
    const { groupId } = this.#options;
    const { response } = await this.#client.sendToCoordinator(groupId, heartbeat, () => ({ groupId, generationId: this.#generation, memberId: this.#memberId, groupInstanceId: this.#options.instanceId ?? null }), ({ errorCode: code }) => code, {
      channel: this.#channel,
      versions: this.#sinceStatic(3),
      retryTimeoutMs: this.#options.sessionTimeoutMs,
    });
    return this.#outcome("a heartbeat", response.errorCode);
  }

  /** Rejects with the error code's name where a partition is refused, and without asking where it is in no generation; after REBALANCE_IN_PROGRESS, ILLEGAL_GENERATION and UNKNOWN_MEMBER_ID it has to join again. */
  async commit(offsets: readonly OffsetToCommit[]): Promise<void> {
    // A coordinator would take a commit of generation -1 for a simple consumer's, once the group is empty.
    if (this.#generation < 0) throw refusal(`a commit for group ${this.#options.groupId} by who is not in it`, ErrorCode.UNKNOWN_MEMBER_ID);
    const as = { memberId: this.#memberId, generation: this.#generation, instanceId: this.#options.instanceId };
    const errors = await commitOffsets(this.#client, this.#options.groupId, offsets, as, { channel: this.#channel, versions: this.#sinceStatic(7) });
    const [worst] = errors.filter((code) => code !== ErrorCode.NONE);
    if (worst === undefined) return;
    if (as.memberId === this.#memberId) this.#forgetWhere(worst);
    throw refusal(`a commit of group ${this.#options.groupId}`, worst);
  }

  /** Of the given partitions, -1 where nothing is committed. */
  committed(partitions: readonly TopicPartition[]): Promise<PartitionOffset[]> {
    return fetchOffsets(this.#client, this.#options.groupId, partitions, { channel: this.#channel });
  }

  /** One attempt: who can't say goodbye is missed in time. A static member only stops (KIP-345). */
  async leave(): Promise<void> {
    const { groupId, instanceId } = this.#options;
    const memberId = this.#memberId;
    this.#forgetWhere(ErrorCode.UNKNOWN_MEMBER_ID);
    if (instanceId !== undefined || memberId === "") return;
    const coordinator = await this.#client.coordinatorOf(groupId);
    await this.#client.send(coordinator, leaveGroup, (version) => (version >= LEAVES_IN_LISTS ? { groupId, memberId: "", members: [{ memberId }] } : { groupId, memberId, members: [] }));
  }

  /** Undefined: again, at once. Throws what `join` tells apart. */
  async #joinOnce(): Promise<Assignment | undefined> {
    const client = this.#client;
    const { groupId, instanceId, sessionTimeoutMs, rebalanceTimeoutMs, joinVersions } = this.#options;
    const coordinator = await client.coordinatorOf(groupId);
    const topics = this.#topics;
    const metadata = encodeSubscription({ topics: [...topics] }, CONSUMER_PROTOCOL_VERSION);
    const { response } = await client.send(
      coordinator,
      joinGroup,
      () => ({
        groupId,
        sessionTimeoutMs,
        rebalanceTimeoutMs,
        memberId: this.#memberId,
        groupInstanceId: instanceId ?? null,
        protocolType: PROTOCOL_TYPE,
        protocols: this.#assignors.map(({ name }) => ({ name, metadata })),
      }),
      { channel: this.#channel, timeoutMs: rebalanceTimeoutMs + JOIN_GRACE_MS, versions: joinVersions ?? this.#sinceStatic(5) },
    );
    if (response.errorCode === ErrorCode.MEMBER_ID_REQUIRED) {
      this.#memberId = response.memberId;
      return undefined;
    }
    if (response.errorCode !== ErrorCode.NONE) throw this.#refused("a join", response.errorCode);
    this.#memberId = response.memberId;
    this.#generation = response.generationId;
    return this.#sync(coordinator, response);
  }

  async #sync(coordinator: number, joined: JoinResponse): Promise<Assignment | undefined> {
    const { groupId, instanceId } = this.#options;
    const { generationId: generation, memberId, leader: leaderId } = joined;
    const protocol = joined.protocolName ?? "";
    const assignments = leaderId === memberId && !joined.skipAssignment ? await this.#assign(protocol, joined.members) : [];
    const { response } = await this.#client.send(
      coordinator,
      syncGroup,
      () => ({ groupId, generationId: generation, memberId, groupInstanceId: instanceId ?? null, protocolType: PROTOCOL_TYPE, protocolName: protocol, assignments }),
      { channel: this.#channel, timeoutMs: this.#options.rebalanceTimeoutMs + JOIN_GRACE_MS, versions: this.#sinceStatic(3) },
    );
    if (response.errorCode === ErrorCode.REBALANCE_IN_PROGRESS) return undefined;
    if (response.errorCode !== ErrorCode.NONE) throw this.#refused("a sync", response.errorCode);
    // A member that the leader has left out has no bytes at all.
    const decoded = response.assignment.length === 0 ? undefined : must(decodeAssignment(response.assignment), "assignment that can be read");
    const partitions = (decoded?.assignedPartitions ?? []).flatMap(({ topic, partitions: numbers }) => numbers.map((partition) => ({ topic, partition })));
    return { generation, memberId, leaderId, protocol, partitions };
  }

  async #assign(protocol: string, members: JoinResponse["members"]): Promise<{ memberId: string; assignment: Buffer }[]> {
    const assignor = this.#assignors.find(({ name }) => name === protocol);
    assert(assignor !== undefined, `the coordinator chose ${protocol}, which this member does not have`);
    const subscribers = members.map(({ memberId, groupInstanceId: instanceId, metadata }) => ({ memberId, instanceId, topics: subscribedTopics(metadata) ?? [] }));
    const topics = [...new Set(subscribers.flatMap((member) => member.topics))];
    const { topics: told } = await this.#client.metadata(topics);
    const partitions = new Map(told.map(({ name, partitions: all }) => [name ?? "", all.map(({ partitionIndex }) => partitionIndex).toSorted((a, b) => a - b)]));
    return [...assignor.assign(subscribers, partitions)].map(([memberId, assigned]) => ({ memberId, assignment: encodeAssignment({ assignedPartitions: byTopic(assigned) }, CONSUMER_PROTOCOL_VERSION) }));
  }

  get #assignors(): readonly Assignor[] {
    return this.#options.assignors ?? DEFAULT_ASSIGNORS;
  }

  #outcome(what: string, code: number): "ok" | "rejoin" {
    if (code === ErrorCode.NONE) return "ok";
    if (!REJOIN.has(code)) throw refusal(`${what} of group ${this.#options.groupId}`, code);
    this.#forgetWhere(code);
    return "rejoin";
  }

  #refused(what: string, code: number): Error {
    this.#forgetWhere(code);
    this.#client.heardFromCoordinator(this.#options.groupId, code);
    return refusal(`${what} of group ${this.#options.groupId}`, code);
  }

  /** What the code says that is over: the generation, or the member. */
  #forgetWhere(code: number): void {
    if (code === ErrorCode.UNKNOWN_MEMBER_ID || code === ErrorCode.ILLEGAL_GENERATION) this.#generation = -1;
    if (code === ErrorCode.UNKNOWN_MEMBER_ID) this.#memberId = "";
  }

  /** An instance id can only be told from this version on. */
  #sinceStatic(first: number): VersionBounds {
    return this.#options.instanceId === undefined ? {} : { first };
  }
}

const DEFAULT_ASSIGNORS: readonly Assignor[] = [rangeAssignor, roundRobinAssignor];

const REJOIN = new Set<number>([ErrorCode.REBALANCE_IN_PROGRESS, ErrorCode.ILLEGAL_GENERATION, ErrorCode.UNKNOWN_MEMBER_ID]);

/** Those after which the next join may end well. */
const JOIN_AGAIN: ReadonlySet<string> = new Set(["COORDINATOR_LOAD_IN_PROGRESS", "COORDINATOR_NOT_AVAILABLE", "NOT_COORDINATOR", "UNKNOWN_MEMBER_ID", "ILLEGAL_GENERATION", "REBALANCE_IN_PROGRESS"]);
/** Names of error codes that stand for failures of the way to a broker too. */
const FAILURES: ReadonlySet<string> = new Set(["REQUEST_TIMED_OUT", "BROKER_NOT_AVAILABLE"]);

function kindOf(error: unknown): "again" | "failure" | "final" {
  const code = errorCode(error) ?? "";
  if (JOIN_AGAIN.has(code)) return "again";
  return FAILURES.has(code) || !(code in ErrorCode) ? "failure" : "final";
}

function byTopic(partitions: readonly TopicPartition[]): { topic: string; partitions: number[] }[] {
  const topics = new Map<string, number[]>();
  for (const { topic, partition } of partitions) {
    const numbers = topics.get(topic) ?? [];
    topics.set(topic, numbers);
    numbers.push(partition);
  }
  return [...topics].map(([topic, numbers]) => ({ topic, partitions: numbers }));
}
