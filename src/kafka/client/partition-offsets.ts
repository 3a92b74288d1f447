import { ErrorCode } from "../protocol/error-codes.ts";
import { listOffsets } from "../protocol/messages/list-offsets.ts";
import { perTopic } from "./group-offsets.ts";
import { isLeaderMoving, type KafkaClient, type TopicPartition } from "./kafka-client.ts";

/** A number: of the first record whose timestamp, in milliseconds since the epoch, is not before it. */
export type OffsetPlace = "earliest" | "latest" | number;

export interface OffsetQuestion extends TopicPartition {
  readonly at: OffsetPlace;
}

export interface PartitionEnd extends TopicPartition {
  /** NETWORK_EXCEPTION: the leader could not be asked. */
  readonly code: number;
  /** -1: there is no such record. */
  readonly offset: number;
  readonly timestamp: number;
  readonly leaderEpoch: number;
}

export interface OffsetOptions {
  /** "latest" is then the last stable offset. */
  readonly readCommitted?: boolean;
  readonly retryTimeoutMs?: number | undefined;
}

const LATEST = -1;
const EARLIEST = -2;
/** From here on an answer is one offset, with its timestamp. */
const ONE_OFFSET = 1;

/**
 * Answers in the order of `questions`, one request a leader and round; what a moving leader leaves open is asked again
 * for `retryTimeoutMs`. Rejects where no broker can be reached at all.
 */
export async function partitionOffsets(client: KafkaClient, questions: readonly OffsetQuestion[], { readCommitted = false, retryTimeoutMs }: OffsetOptions = {}): Promise<PartitionEnd[]> {
  const answers = new Map<OffsetQuestion, PartitionEnd>();
  let open = questions;
  const round = async (): Promise<void> => {
    if (open.length > 0) await client.metadata([...new Set(open.map(({ topic }) => topic))]);
    const perLeader = new Map<number | undefined, OffsetQuestion[]>();
    for (const question of open) {
      const leader = client.partition(question)?.leader;
      const asked = perLeader.get(leader) ?? [];
      perLeader.set(leader, asked);
      asked.push(question);
    }
    await Promise.all(
      [...perLeader].map(async ([leader, asked]) => {
        const told = await askLeader(client, leader, asked, readCommitted);
        for (const [index, answer] of told.entries()) answers.set(asked[index] as OffsetQuestion, answer);
      }),
    );
    open = open.filter((question) => isOpen(answers.get(question)?.code ?? ErrorCode.NONE));
  };
  await client.retry({ again: () => open.length > 0, ...(retryTimeoutMs !== undefined && { retryTimeoutMs }) }, round);
  return questions.map((question) => answers.get(question) ?? failed(question, ErrorCode.NETWORK_EXCEPTION));
}

async function askLeader(client: KafkaClient, leader: number | undefined, asked: readonly OffsetQuestion[], readCommitted: boolean): Promise<PartitionEnd[]> {
  if (leader === undefined) return asked.map((question) => failed(question, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION));
  if (leader < 0) return asked.map((question) => failed(question, ErrorCode.LEADER_NOT_AVAILABLE));
  const topics = perTopic(asked, ({ topic, partition, at }) => ({
    partitionIndex: partition,
    currentLeaderEpoch: client.partition({ topic, partition })?.leaderEpoch ?? -1,
    timestamp: at === "earliest" ? EARLIEST : at === "latest" ? LATEST : at,
  }));
  try {
    const { response } = await client.send(leader, listOffsets, () => ({ replicaId: -1, isolationLevel: readCommitted ? 1 : 0, topics }), { versions: { first: ONE_OFFSET } });
    const told = new Map(response.topics.flatMap(({ name, partitions }) => partitions.map((partition) => [`${name}-${partition.partitionIndex}`, partition] as const)));
    return asked.map((question) => {
      const answer = told.get(`${question.topic}-${question.partition}`);
      if (answer === undefined) return failed(question, ErrorCode.UNKNOWN_SERVER_ERROR);
      const { errorCode: code, offset, timestamp, leaderEpoch } = answer;
      return { topic: question.topic, partition: question.partition, code, offset, timestamp, leaderEpoch };
    });
  } catch (error) {
    if (!client.isPassing(error)) throw error;
    return asked.map((question) => failed(question, ErrorCode.NETWORK_EXCEPTION));
  }
}

function isOpen(code: number): boolean {
  return isLeaderMoving(code) || code === ErrorCode.NETWORK_EXCEPTION;
}

function failed({ topic, partition }: TopicPartition, code: number): PartitionEnd {
  return { topic, partition, code, offset: -1, timestamp: -1, leaderEpoch: -1 };
}
