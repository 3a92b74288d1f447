import type { Decoded } from "../../codec/schema.ts";
import { must } from "../../lib/assert.ts";
import { ErrorCode } from "../protocol/error-codes.ts";
import { deleteGroups } from "../protocol/messages/delete-groups.ts";
import { describeGroups } from "../protocol/messages/describe-groups.ts";
import { leaveGroup } from "../protocol/messages/leave-group.ts";
import { listGroups } from "../protocol/messages/list-groups.ts";
import { offsetDelete } from "../protocol/messages/offset-delete.ts";
import { commitOffsets, fetchOffsets, perTopic, type OffsetToCommit, type PartitionOffset } from "./group-offsets.ts";
import { refusal, type KafkaClient, type TopicPartition } from "./kafka-client.ts";

export interface ListedGroup {
  readonly groupId: string;
  readonly protocolType: string;
  /** "" where the broker is too old to say. */
  readonly state: string;
  readonly coordinator: number;
}

export type DescribedGroup = Decoded<typeof describeGroups.response>["groups"][number];

/** Static members can be named in LeaveGroup from here on. */
const INSTANCE_IDS = 3;

/**
 * What people ask of groups. Every answer comes from the group's own coordinator, or, for `list`, from all brokers:
 * each knows those that it coordinates. Error codes of single groups and partitions are values; what rejects is
 * operational, or carries the name of the error code that a whole request was refused with.
 */
export class GroupAdmin {
  readonly #client: KafkaClient;

  constructor(client: KafkaClient) {
    this.#client = client;
  }

  /** Groups of all brokers that the cluster names. Rejects where one of them does not answer. */
  async list(): Promise<ListedGroup[]> {
    const client = this.#client;
    await client.metadata([]);
    const perBroker = await Promise.all(
      client.brokerIds.map(async (id) => {
        const { response } = await client.retry({ again: (answer) => answer.response.errorCode === ErrorCode.COORDINATOR_LOAD_IN_PROGRESS || answer.response.errorCode === ErrorCode.COORDINATOR_NOT_AVAILABLE }, () =>
          client.send(id, listGroups, () => ({ statesFilter: [], typesFilter: [] })),
        );
        if (response.errorCode !== ErrorCode.NONE) throw refusal(`the groups of broker ${id}`, response.errorCode);
        return response.groups.map(({ groupId, protocolType, groupState: state }): ListedGroup => ({ groupId, protocolType, state, coordinator: id }));
      }),
    );
    return perBroker.flat().toSorted((a, b) => (a.groupId < b.groupId ? -1 : 1));
  }

  /** The broker that coordinates the group. */
  async coordinator(groupId: string): Promise<{ readonly id: number; readonly host: string; readonly port: number }> {
    const id = await this.#client.retry({ again: () => false }, () => this.#client.coordinatorOf(groupId));
    const { host, port } = must(this.#client.endpointOf(id), `where broker ${id} is`);
    return { id, host, port };
  }

  /** In the order of `groupIds`; a group that nobody knows is Dead, without members. */
  describe(groupIds: readonly string[]): Promise<DescribedGroup[]> {
    return Promise.all(
      groupIds.map(async (groupId) => {
        const { response } = await this.#client.sendToCoordinator(groupId, describeGroups, () => ({ groups: [groupId], includeAuthorizedOperations: false }), ({ groups }) => groups[0]?.errorCode ?? ErrorCode.NONE);
        return must(response.groups[0], `the description of group ${groupId}`);
      }),
    );
  }

  /** Error codes in the order of `groupIds`. */
  delete(groupIds: readonly string[]): Promise<number[]> {
    return Promise.all(
      groupIds.map(async (groupId) => {
        const { response } = await this.#client.sendToCoordinator(groupId, deleteGroups, () => ({ groupsNames: [groupId] }), ({ results }) => results[0]?.errorCode ?? ErrorCode.NONE);
        return must(response.results[0], `the answer for group ${groupId}`).errorCode;
      }),
    );
  }

  /** All that the group has committed. */
  offsets(groupId: string): Promise<PartitionOffset[]> {
    return fetchOffsets(this.#client, groupId, null);
  }

  /** Sets them, of a group without members. Error codes in the order of `offsets`. */
  resetOffsets(groupId: string, offsets: readonly OffsetToCommit[]): Promise<number[]> {
    return commitOffsets(this.#client, groupId, offsets, { memberId: "", generation: -1 });
  }

  /** Error codes in the order of `partitions`. Rejects where the whole group is refused (NON_EMPTY_GROUP, GROUP_ID_NOT_FOUND, …). */
  async deleteOffsets(groupId: string, partitions: readonly TopicPartition[]): Promise<number[]> {
    const topics = perTopic(partitions, ({ partition: partitionIndex }) => ({ partitionIndex }));
    const { response } = await this.#client.sendToCoordinator(groupId, offsetDelete, () => ({ groupId, topics }), ({ errorCode }) => errorCode);
    if (response.errorCode !== ErrorCode.NONE) throw refusal(`offsets of group ${groupId} can't be deleted`, response.errorCode);
    const codes = new Map(response.topics.flatMap(({ name, partitions: told }) => told.map(({ partitionIndex, errorCode }) => [`${name}-${partitionIndex}`, errorCode] as const)));
    return partitions.map(({ topic, partition }) => must(codes.get(`${topic}-${partition}`), `the answer for ${topic}-${partition}`));
  }

  /** Takes static members out of a group. Error codes in the order of `instanceIds`. */
  async removeMembers(groupId: string, instanceIds: readonly string[]): Promise<number[]> {
    const members = instanceIds.map((groupInstanceId) => ({ memberId: "", groupInstanceId, reason: "removed by an administrator" }));
    const { response } = await this.#client.sendToCoordinator(groupId, leaveGroup, () => ({ groupId, memberId: "", members }), ({ errorCode }) => errorCode, { versions: { first: INSTANCE_IDS } });
    if (response.errorCode !== ErrorCode.NONE) throw refusal(`members of group ${groupId} can't be removed`, response.errorCode);
    return response.members.map(({ errorCode }) => errorCode);
  }
}
