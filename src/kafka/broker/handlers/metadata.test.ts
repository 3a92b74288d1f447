import { describe, expect, test } from "vitest";
import { ErrorCode } from "../../protocol/error-codes.ts";
import { metadata } from "../../protocol/messages/metadata.ts";
import type { TopicIds } from "../topic-ids.ts";
import { metadataOf, Served, tell } from "../testing/served.ts";
import { metadataRoute } from "./metadata.ts";

const OFFSETS = "__consumer_offsets";
const TRANSACTIONS = "__transaction_state";
const BROKERS = [{ id: 1 }];

async function stage(autoCreateTopics: boolean) {
  const cache = metadataOf(BROKERS, {});
  const made: string[] = [];
  const offsetsTopic = { answer: ErrorCode.LEADER_NOT_AVAILABLE as ErrorCode, asked: 0 };
  const routes = [
    metadataRoute({
      clusterId: "c",
      metadata: cache,
      topicIds: { idOf: () => Promise.resolve(undefined), find: () => Promise.resolve(undefined) } as unknown as TopicIds,
      autoCreateTopics,
      createTopic: (topic) => {
        made.push(topic);
        return Promise.resolve(ErrorCode.NONE);
      },
      offsetsTopic: {
        ensure: () => {
          offsetsTopic.asked++;
          return Promise.resolve(offsetsTopic.answer);
        },
      },
    }),
  ];
  const served = await Served.start(routes);
  const ask = async (version: number, topics: readonly string[] | null, allowAutoTopicCreation = true) => {
    const answer = await served.ask(metadata, version, {
      topics: topics?.map((name) => ({ name })) ?? null,
      allowAutoTopicCreation,
      includeClusterAuthorizedOperations: false,
      includeTopicAuthorizedOperations: false,
    });
    return answer.topics.map(({ name, errorCode, isInternal, partitions }) => ({ name, errorCode, isInternal, partitions: partitions.length }));
  };
  return { cache, made, offsetsTopic, ask };
}

describe("the topic of groups", () => {
  test.each([
    [true, true],
    [true, false],
    [false, true],
    [false, false],
  ])("is made when it is named, with auto.create.topics.enable=%s and %s from the client", async (enabled, allowed) => {
    const { ask, offsetsTopic, made } = await stage(enabled);
    for (const version of [0, 1, 4, 9, 12]) {
      expect(await ask(version, [OFFSETS], allowed)).toEqual([{ name: OFFSETS, errorCode: ErrorCode.LEADER_NOT_AVAILABLE, isInternal: version > 0, partitions: 0 }]);
    }
    expect([offsetsTopic.asked, made]).toEqual([5, []]);
  });

  test("is INVALID_REPLICATION_FACTOR with too few brokers", async () => {
    const { ask, offsetsTopic } = await stage(true);
    offsetsTopic.answer = ErrorCode.INVALID_REPLICATION_FACTOR;
    expect(await ask(9, [OFFSETS])).toEqual([{ name: OFFSETS, errorCode: ErrorCode.INVALID_REPLICATION_FACTOR, isInternal: true, partitions: 0 }]);
  });

  test("is not made for those who ask for all topics, and is shown with them once it is there", async () => {
    const { ask, cache, offsetsTopic } = await stage(true);
    expect(await ask(9, null)).toEqual([]);
    expect(await ask(0, [])).toEqual([]);
    tell(cache, BROKERS, { [OFFSETS]: [1, 1] });
    const there = [{ name: OFFSETS, errorCode: 0, isInternal: true, partitions: 2 }];
    expect([await ask(9, null), await ask(9, [OFFSETS])]).toEqual([there, there]);
    expect(offsetsTopic.asked).toBe(0);
  });
});

test("the topic of transactions is not made, and others only where both sides want it", async () => {
  const { ask, made } = await stage(true);
  expect(await ask(9, [TRANSACTIONS])).toEqual([{ name: TRANSACTIONS, errorCode: ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, isInternal: true, partitions: 0 }]);
  expect(await ask(9, ["t"], false)).toEqual([{ name: "t", errorCode: ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, isInternal: false, partitions: 0 }]);
  expect(made).toEqual([]);
  expect(await ask(9, ["t"])).toEqual([{ name: "t", errorCode: ErrorCode.LEADER_NOT_AVAILABLE, isInternal: false, partitions: 0 }]);
  expect(made).toEqual(["t"]);
  const disabled = await stage(false);
  expect(await disabled.ask(9, ["t"])).toMatchObject([{ errorCode: ErrorCode.UNKNOWN_TOPIC_OR_PARTITION }]);
});
