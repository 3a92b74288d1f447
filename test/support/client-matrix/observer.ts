import type { Api } from "../../../src/kafka/protocol/api.ts";
import type { Decoded, Input } from "../../../src/codec/schema.ts";
import { describeGroups } from "../../../src/kafka/protocol/messages/describe-groups.ts";
import { findCoordinator } from "../../../src/kafka/protocol/messages/find-coordinator.ts";
import { listOffsets } from "../../../src/kafka/protocol/messages/list-offsets.ts";
import { offsetCommit } from "../../../src/kafka/protocol/messages/offset-commit.ts";
import { offsetFetch } from "../../../src/kafka/protocol/messages/offset-fetch.ts";
import type { BrokerAt, BrokersView } from "../brokers-view.ts";
import { eventually } from "../processes.ts";

/** While a topic or a coordinator is only just being made, or moves. */
const RETRIABLE = new Set([3, 5, 6, 14, 15, 16]);

/** What the judge sees of groups and topics over the wire, with none of the clients that it judges, in versions that Apache Kafka 2.7.1 serves too. */
export class Observer<B extends BrokerAt = BrokerAt> {
  readonly #cluster: BrokersView<B>;

  constructor(cluster: BrokersView<B>) {
    this.#cluster = cluster;
  }

  /** The broker that coordinates this group; makes the offsets topic if it is the first to ask. */
  async coordinator(group: string): Promise<B> {
    let last = "";
    const found = async (): Promise<B | undefined> => {
      for (const broker of this.#cluster.others()) {
        const answer = await this.#ask(broker, findCoordinator, 3, { key: group, keyType: 0, coordinatorKeys: [] }).catch((error: unknown) => String(error));
        last = typeof answer === "string" ? answer : `error ${answer.errorCode}`;
        if (typeof answer !== "string" && answer.errorCode === 0) return this.#cluster.brokers.find(({ id, running }) => id === answer.nodeId && running);
      }
      return undefined;
    };
    return eventually(`a coordinator for ${group}`, found).catch((error: unknown) => {
      throw new Error(`${String(error)}; last: ${last}`);
    });
  }

  /** By partition, without those that nothing is stored for. */
  async committed(group: string, topic: string, partitions: number): Promise<Map<number, number>> {
    const request = { groupId: group, topics: [{ name: topic, partitionIndexes: range(partitions) }], groups: [] };
    const answer = await this.#retried(`the offsets of ${group}`, () => this.coordinator(group), offsetFetch, 5, request, (response) => response.errorCode);
    const stored = answer.topics[0]?.partitions.filter(({ committedOffset }) => committedOffset >= 0) ?? [];
    return new Map(stored.toSorted((a, b) => a.partitionIndex - b.partitionIndex).map(({ partitionIndex, committedOffset }) => [partitionIndex, committedOffset]));
  }

  /** As a client without a group's membership does. */
  async commit(group: string, topic: string, offsets: ReadonlyMap<number, number>): Promise<void> {
    const partitions = [...offsets].map(([partitionIndex, committedOffset]) => ({ partitionIndex, committedOffset, committedMetadata: "" }));
    const request = { groupId: group, topics: [{ name: topic, partitions }] };
    await this.#retried(`a commit for ${group}`, () => this.coordinator(group), offsetCommit, 2, request, (response) => response.topics[0]?.partitions[0]?.errorCode ?? 0);
  }

  /** The group's state, and its members' client ids. */
  async group(group: string): Promise<{ readonly state: string; readonly members: readonly string[] }> {
    const answer = await this.#retried(`what ${group} is`, () => this.coordinator(group), describeGroups, 4, { groups: [group], includeAuthorizedOperations: false }, (response) => response.groups[0]?.errorCode ?? 0);
    const { groupState, members } = answer.groups[0] ?? { groupState: "", members: [] };
    return { state: groupState, members: members.map(({ clientId }) => clientId) };
  }

  /** Where each partition ends for consumers. */
  async ends(topic: string, partitions: number): Promise<Map<number, number>> {
    const ends = new Map<number, number>();
    for (const partition of range(partitions)) {
      const leader = async (): Promise<B> => {
        const asked = this.#cluster.others()[0];
        const layout = asked === undefined ? [] : await this.#cluster.layout(asked, topic);
        return this.#cluster.broker(layout[partition]?.leader ?? -1);
      };
      const request = { replicaId: -1, isolationLevel: 0, topics: [{ name: topic, partitions: [{ partitionIndex: partition, currentLeaderEpoch: -1, timestamp: -1 }] }] };
      const answer = await this.#retried(`the end of ${topic}-${partition}`, leader, listOffsets, 5, request, (response) => response.topics[0]?.partitions[0]?.errorCode ?? 0);
      ends.set(partition, answer.topics[0]?.partitions[0]?.offset ?? -1);
    }
    return ends;
  }

  async #retried<A extends Api>(what: string, to: () => Promise<B>, api: A, version: number, request: Input<A["request"]>, errorOf: (response: Decoded<A["response"]>) => number): Promise<Decoded<A["response"]>> {
    let last = "";
    const answered = async (): Promise<Decoded<A["response"]> | undefined> => {
      try {
        const response = await this.#ask(await to(), api, version, request);
        const error = errorOf(response);
        if (error === 0) return response;
        last = `error ${error}`;
        if (!RETRIABLE.has(error)) throw new Fatal(`${what}: error ${error}`);
      } catch (error) {
        if (error instanceof Fatal) throw error;
        last = String(error);
      }
      return undefined;
    };
    return eventually(what, answered).catch((error: unknown) => {
      throw new Error(`${String(error)}; last: ${last}`, { cause: error });
    });
  }

  async #ask<A extends Api>(broker: B, api: A, version: number, request: Input<A["request"]>): Promise<Decoded<A["response"]>> {
    const connection = await this.#cluster.connect(broker);
    try {
      return await connection.send(api, version, request);
    } finally {
      connection.close();
    }
  }
}

class Fatal extends Error {}

function range(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index);
}
