import type { Input } from "../../codec/schema.ts";
import type { updateMetadataRequest } from "../protocol/messages/update-metadata.ts";
import { duringDelete } from "./request-batch.ts";

export type UpdateMetadataBody = Input<typeof updateMetadataRequest>;
type PartitionState = UpdateMetadataBody["topicStates"][number]["partitionStates"][number];

/**
 * UpdateMetadata requests to one broker, one after the other, as one that leaves the broker knowing the same: the last
 * state of each partition, and the live brokers of the last request. Source of what a broker does with them:
 * MetadataCache.scala, updateMetadata.
 */
export class MetadataUpdates {
  #last: UpdateMetadataBody;
  readonly #topics = new Map<string, Map<number, PartitionState>>();

  constructor(first: UpdateMetadataBody) {
    this.#last = first;
    this.#take(first);
  }

  /** False: nothing has changed. A partition that is deleted and made again takes two requests, or its committed offsets would survive. */
  add(body: UpdateMetadataBody): boolean {
    const revives = body.topicStates.some(({ topicName, partitionStates }) => {
      const known = this.#topics.get(topicName);
      return known !== undefined && partitionStates.some((state) => state.leader !== duringDelete && known.get(state.partitionIndex)?.leader === duringDelete);
    });
    if (revives) return false;
    this.#last = body;
    this.#take(body);
    return true;
  }

  body(): UpdateMetadataBody {
    return { ...this.#last, topicStates: [...this.#topics].map(([topicName, partitions]) => ({ topicName, partitionStates: [...partitions.values()] })) };
  }

  #take(body: UpdateMetadataBody): void {
    for (const { topicName, partitionStates } of body.topicStates) {
      const partitions = this.#topics.get(topicName) ?? new Map<number, PartitionState>();
      this.#topics.set(topicName, partitions);
      for (const state of partitionStates) partitions.set(state.partitionIndex, state);
    }
  }
}
