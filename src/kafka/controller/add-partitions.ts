import { ErrorCode } from "../protocol/error-codes.ts";
import { paths } from "../znodes/paths.ts";
import { askOne, expectCode, getData, setData, ZkCode, type Step } from "../znodes/requests.ts";
import { must } from "../../lib/assert.ts";
import { assign, decodeTopic, encodeTopic, isBeingReassigned, type TopicZnode } from "../znodes/topic.ts";
import { growthStart, placeReplicas, type Candidate } from "./assignment.ts";
import { partitionsMax, placementErrors, tooLarge, topicBytesMax } from "./create-topics.ts";

/** One entry of CreatePartitions. */
export interface PartitionsToAdd {
  readonly name: string;
  /** Of partitions, with those that there are. */
  readonly count: number;
  /** One for each new partition; null: they are placed. */
  readonly assignments: readonly { readonly brokerIds: readonly number[] }[] | null;
}

export type Growth = { readonly kind: "refused"; readonly errorCode: ErrorCode; readonly message: string } | { readonly kind: "grown"; readonly znode: TopicZnode };

/**
 * Adds partitions to a topic; the controller, which watches the topic, does the rest. `brokers`: the live ones, ascending by id.
 * Source: AdminManager.createPartitions, AdminZkClient.createNewPartitionsAssignment.
 */
export function* addPartitions(asked: PartitionsToAdd, { brokers, validateOnly }: { readonly brokers: readonly Candidate[]; readonly validateOnly: boolean }): Step<Growth> {
  for (let written: Buffer | undefined; ; ) {
    const read = getData(paths.topic(asked.name));
    const found = expectCode(read, yield* askOne(read), ZkCode.NO_NODE);
    if (found.code === ZkCode.NO_NODE) return refuse(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, `there is no topic ${asked.name}`);
    const znode = decodeTopic(asked.name, found.data);
    // A write of ours whose reply was lost.
    if (written !== undefined && found.data?.equals(written) === true) return { kind: "grown", znode };
    const growth = grow(znode, asked, brokers);
    if (growth.kind === "refused" || validateOnly) return growth;
    written = encodeTopic(growth.znode);
    const write = setData(paths.topic(asked.name), written, must(found.stat, "stat of the topic").version);
    if (expectCode(write, yield* askOne(write), ZkCode.BAD_VERSION, ZkCode.NO_NODE).code === ZkCode.OK) return growth;
  }
}

function grow(znode: TopicZnode, { name, count, assignments }: PartitionsToAdd, brokers: readonly Candidate[]): Growth {
  const { partitions } = znode;
  if ([...partitions.values()].some(isBeingReassigned)) return refuse(ErrorCode.REASSIGNMENT_IN_PROGRESS, `partitions of ${name} are being reassigned`);
  if (partitions.size === 0) return refuse(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, `there is no topic ${name}`);
  if (count < partitions.size) return refuse(ErrorCode.INVALID_PARTITIONS, `${name} has ${partitions.size} partitions, and can't have fewer, such as ${count}`);
  if (count === partitions.size) return refuse(ErrorCode.INVALID_PARTITIONS, `${name} has ${count} partitions already`);
  if (count > partitionsMax) return refuse(ErrorCode.INVALID_PARTITIONS, tooLarge);
  const first = partitions.get(0)?.replicas ?? [];
  if (first[0] === undefined) return refuse(ErrorCode.UNKNOWN_SERVER_ERROR, `partition 0 of ${name} has no replicas`);
  const added = count - partitions.size;
  const problem = assignments === null ? undefined : assignmentProblem(assignments, { added, replicas: first.length, brokers });
  if (problem !== undefined) return refuse(ErrorCode.INVALID_REPLICA_ASSIGNMENT, problem);
  const placed = assignments === null ? placeReplicas(brokers, added, first.length, { start: growthStart(brokers, first[0]), firstPartition: partitions.size }) : { replicas: assignments.map(({ brokerIds }) => brokerIds) };
  if ("failure" in placed) return refuse(placementErrors[placed.failure.reason], placed.failure.message);
  const grown = { ...znode, partitions: new Map([...partitions, ...placed.replicas.map((replicas, index) => [partitions.size + index, assign(replicas)] as const)]) };
  return encodeTopic(grown).length > topicBytesMax ? refuse(ErrorCode.INVALID_PARTITIONS, tooLarge) : { kind: "grown", znode: grown };
}

/** Unlike those of a new topic, the brokers must be there. */
function assignmentProblem(assignments: readonly { readonly brokerIds: readonly number[] }[], { added, replicas, brokers }: { added: number; replicas: number; brokers: readonly Candidate[] }): string | undefined {
  const lists = assignments.map(({ brokerIds }) => brokerIds);
  const unknown = [...new Set(lists.flat())].filter((id) => brokers.every((broker) => broker.id !== id));
  if (unknown.length > 0) return `there is no broker ${unknown.join(", ")}`;
  if (lists.length !== added) return `${added} partitions are added, but ${lists.length} assignments given`;
  if (lists.some((list) => new Set(list).size !== list.length)) return "a partition's replicas must be different brokers";
  return lists.some((list) => list.length !== replicas) ? `every partition needs ${replicas} replicas, as partition 0 has` : undefined;
}

function refuse(errorCode: ErrorCode, message: string): Growth {
  return { kind: "refused", errorCode, message };
}
