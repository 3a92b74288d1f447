import { describe, expect, test } from "vitest";
import { ErrorCode } from "../../protocol/error-codes.ts";
import type { CommitRequest, FetchedOffset } from "../../coordinators/group/types.ts";
import type { GroupCoordinator } from "../../coordinators/group/group-coordinator.ts";
import { offsetCommit } from "../../protocol/messages/offset-commit.ts";
import { offsetDelete } from "../../protocol/messages/offset-delete.ts";
import { offsetFetch } from "../../protocol/messages/offset-fetch.ts";
import { metadataOf, Served } from "../testing/served.ts";
import { offsetCommitRoute } from "./offset-commit.ts";
import { offsetDeleteRoute } from "./offset-delete.ts";
import { offsetFetchRoute } from "./offset-fetch.ts";

class FakeGroups implements Pick<GroupCoordinator, "commit" | "fetchOffsets" | "deleteOffsets"> {
  readonly asked: unknown[] = [];
  error: ErrorCode = ErrorCode.NONE;
  offsets: FetchedOffset[] = [];

  /** Each odd partition is refused. */
  commit(request: CommitRequest): Promise<readonly ErrorCode[]> {
    this.asked.push(request);
    return Promise.resolve(request.partitions.map(({ partition }) => (partition % 2 === 0 ? ErrorCode.NONE : ErrorCode.OFFSET_METADATA_TOO_LARGE)));
  }

  fetchOffsets(...request: Parameters<GroupCoordinator["fetchOffsets"]>): ReturnType<GroupCoordinator["fetchOffsets"]> {
    this.asked.push(request);
    return { error: this.error, offsets: this.offsets };
  }

  deleteOffsets(groupId: string, partitions: Parameters<GroupCoordinator["deleteOffsets"]>[1]): ReturnType<GroupCoordinator["deleteOffsets"]> {
    this.asked.push([groupId, partitions]);
    return { error: this.error, partitions: partitions.map(({ partition }) => (partition === 0 ? ErrorCode.NONE : ErrorCode.GROUP_SUBSCRIBED_TO_TOPIC)) };
  }
}

async function stage(): Promise<{ groups: FakeGroups; served: Served }> {
  const groups = new FakeGroups();
  const metadata = metadataOf([{ id: 1 }], { t: [1, 1], u: [1] });
  const zookeeper = { run: () => Promise.reject(new Error("ZooKeeper has no part in this")) };
  const routes = [offsetCommitRoute({ groups, metadata, zookeeper, offsetMetadataMax: 10 }), offsetFetchRoute({ groups, metadata, zookeeper }), offsetDeleteRoute({ groups, metadata })];
  return { groups, served: await Served.start(routes) };
}

const versions = (first: number, last: number): number[] => Array.from({ length: last - first + 1 }, (_, index) => first + index);

describe("OffsetCommit", () => {
  const partition = { partitionIndex: 0, committedOffset: 40, committedLeaderEpoch: 3, commitTimestamp: 77, committedMetadata: "note" };
  const request = { groupId: "g", generationIdOrMemberEpoch: 4, memberId: "m-1", groupInstanceId: "i", retentionTimeMs: 900, topics: [{ name: "t", partitions: [partition, { ...partition, partitionIndex: 1 }] }] };

  test.each(versions(1, 9))("version %i: what is committed goes to the coordinator, each partition's error comes back", async (version) => {
    const { groups, served } = await stage();
    const answer = await served.ask(offsetCommit, version, request);
    const committed = { topic: "t", offset: 40, leaderEpoch: version >= 6 ? 3 : -1, metadata: "note", commitWallMs: version === 1 ? 77 : undefined };
    expect(groups.asked).toEqual([
      {
        groupId: "g",
        memberId: "m-1",
        instanceId: version >= 7 ? "i" : null,
        generation: 4,
        retentionMs: version >= 2 && version <= 4 ? 900 : undefined,
        partitions: [{ ...committed, partition: 0 }, { ...committed, partition: 1 }],
      },
    ]);
    expect(answer).toEqual({ throttleTimeMs: 0, topics: [{ name: "t", partitions: [{ partitionIndex: 0, errorCode: 0 }, { partitionIndex: 1, errorCode: ErrorCode.OFFSET_METADATA_TOO_LARGE }] }] });
  });

  test("no note is an empty one; a time and a retention of -1 are none", async () => {
    const { groups, served } = await stage();
    const plain = { partitionIndex: 0, committedOffset: 40, committedMetadata: null };
    await served.ask(offsetCommit, 1, { groupId: "g", topics: [{ name: "t", partitions: [plain] }] });
    await served.ask(offsetCommit, 2, { groupId: "g", topics: [{ name: "t", partitions: [plain] }] });
    expect(groups.asked).toMatchObject([
      { generation: -1, memberId: "", retentionMs: undefined, partitions: [{ metadata: "", commitWallMs: undefined }] },
      { retentionMs: undefined, partitions: [{ metadata: "", commitWallMs: undefined }] },
    ]);
  });

  test("the longest retention there is does not harm the connection", async () => {
    const { groups, served } = await stage();
    const topics = [{ name: "t", partitions: [{ ...partition, commitTimestamp: 2 ** 63 }] }];
    await served.ask(offsetCommit, 1, { groupId: "g", topics });
    await served.ask(offsetCommit, 2, { ...request, retentionTimeMs: 2 ** 63 });
    expect(groups.asked).toMatchObject([{ partitions: [{ commitWallMs: 2 ** 63 }] }, { retentionMs: 2 ** 63 }]);
  });

  test("a partition that does not exist is its own affair; where none is left the coordinator is not asked", async () => {
    const { groups, served } = await stage();
    const missing = [{ ...partition, partitionIndex: 2 }, { ...partition, partitionIndex: -1 }];
    const mixed = { ...request, topics: [{ name: "no", partitions: [partition] }, { name: "u", partitions: [partition] }, { name: "t", partitions: missing }] };
    expect(await served.ask(offsetCommit, 9, mixed)).toMatchObject({
      topics: [
        { name: "no", partitions: [{ errorCode: ErrorCode.UNKNOWN_TOPIC_OR_PARTITION }] },
        { name: "u", partitions: [{ errorCode: 0 }] },
        { name: "t", partitions: [{ partitionIndex: 2, errorCode: ErrorCode.UNKNOWN_TOPIC_OR_PARTITION }, { partitionIndex: -1, errorCode: ErrorCode.UNKNOWN_TOPIC_OR_PARTITION }] },
      ],
    });
    expect(groups.asked).toMatchObject([{ partitions: [{ topic: "u", partition: 0 }] }]);
    for (const version of [0, 1, 9]) {
      expect(await served.ask(offsetCommit, version, { ...request, topics: [{ name: "t", partitions: missing.slice(0, 1) }] })).toMatchObject({ topics: [{ partitions: [{ errorCode: ErrorCode.UNKNOWN_TOPIC_OR_PARTITION }] }] });
      expect(await served.ask(offsetCommit, version, { ...request, topics: [] })).toMatchObject({ topics: [] });
    }
    expect(groups.asked.length).toBe(1);
  });

  test("of a partition that is named twice the last offset goes to the coordinator, once", async () => {
    const { groups, served } = await stage();
    const twice = { ...request, topics: [{ name: "t", partitions: [partition] }, { name: "u", partitions: [partition] }, { name: "t", partitions: [{ ...partition, committedOffset: 41 }] }] };
    await served.ask(offsetCommit, 9, twice);
    expect(groups.asked).toMatchObject([{ partitions: [{ topic: "t", offset: 41 }, { topic: "u", offset: 40 }] }]);
  });
});

describe("OffsetFetch", () => {
  const offsets: FetchedOffset[] = [
    { topic: "t", partition: 0, offset: 40, leaderEpoch: 3, metadata: "note", error: ErrorCode.NONE },
    { topic: "u", partition: 0, offset: -1, leaderEpoch: -1, metadata: "", error: ErrorCode.UNSTABLE_OFFSET_COMMIT },
    { topic: "t", partition: 1, offset: 41, leaderEpoch: -1, metadata: "", error: ErrorCode.NONE },
  ];
  const topics = [{ name: "t", partitionIndexes: [0, 1] }, { name: "u", partitionIndexes: [0] }];
  const wanted = [{ topic: "t", partitions: [0, 1] }, { topic: "u", partitions: [0] }];
  const told = (epoch: number) => [
    {
      name: "t",
      partitions: [
        { partitionIndex: 0, committedOffset: 40, committedLeaderEpoch: epoch, metadata: "note", errorCode: 0 },
        { partitionIndex: 1, committedOffset: 41, committedLeaderEpoch: -1, metadata: "", errorCode: 0 },
      ],
    },
    { name: "u", partitions: [{ partitionIndex: 0, committedOffset: -1, committedLeaderEpoch: -1, metadata: "", errorCode: ErrorCode.UNSTABLE_OFFSET_COMMIT }] },
  ];

  test.each(versions(1, 7))("version %i: one group, its topics on top", async (version) => {
    const { groups, served } = await stage();
    groups.offsets = offsets;
    const answer = await served.ask(offsetFetch, version, { groupId: "g", topics, groups: [], requireStable: true });
    expect(groups.asked).toEqual([["g", wanted, version >= 7]]);
    expect(answer).toEqual({ throttleTimeMs: 0, topics: told(version >= 5 ? 3 : -1), errorCode: 0, groups: [] });
  });

  test.each(versions(2, 7))("version %i: without topics all offsets are meant, with an empty list none", async (version) => {
    const { groups, served } = await stage();
    await served.ask(offsetFetch, version, { groupId: "g", topics: null, groups: [] });
    await served.ask(offsetFetch, version, { groupId: "g", topics: [], groups: [] });
    expect(groups.asked).toEqual([["g", null, false], ["g", [], false]]);
  });

  test.each([8, 9])("version %i: many groups, each with its own topics", async (version) => {
    const { groups, served } = await stage();
    groups.offsets = offsets;
    const answer = await served.ask(offsetFetch, version, { groupId: "", topics: null, groups: [{ groupId: "g", memberId: "m", memberEpoch: 5, topics }, { groupId: "h", topics: null }], requireStable: true });
    expect(groups.asked).toEqual([["g", wanted, true], ["h", null, true]]);
    expect(answer).toEqual({ throttleTimeMs: 0, topics: [], errorCode: 0, groups: [{ groupId: "g", topics: told(3), errorCode: 0 }, { groupId: "h", topics: told(3), errorCode: 0 }] });
  });

  test("a group's error: with each partition in version 1, on top from 2, with its group from 8", async () => {
    const { groups, served } = await stage();
    groups.error = ErrorCode.NOT_COORDINATOR;
    const failed = (partitionIndex: number) => ({ partitionIndex, committedOffset: -1, committedLeaderEpoch: -1, metadata: "", errorCode: ErrorCode.NOT_COORDINATOR });
    expect(await served.ask(offsetFetch, 1, { groupId: "g", topics, groups: [] })).toEqual({
      throttleTimeMs: 0,
      topics: [{ name: "t", partitions: [failed(0), failed(1)] }, { name: "u", partitions: [failed(0)] }],
      errorCode: 0,
      groups: [],
    });
    for (const version of versions(2, 7)) {
      expect(await served.ask(offsetFetch, version, { groupId: "g", topics, groups: [] })).toEqual({ throttleTimeMs: 0, topics: [], errorCode: ErrorCode.NOT_COORDINATOR, groups: [] });
    }
    for (const version of [8, 9]) {
      expect(await served.ask(offsetFetch, version, { groupId: "", topics: null, groups: [{ groupId: "g", topics }] })).toMatchObject({ errorCode: 0, groups: [{ groupId: "g", topics: [], errorCode: ErrorCode.NOT_COORDINATOR }] });
    }
  });
});

describe("OffsetDelete", () => {
  const topics = [{ name: "t", partitions: [{ partitionIndex: 0 }, { partitionIndex: 1 }, { partitionIndex: 2 }, { partitionIndex: 0 }] }, { name: "no", partitions: [{ partitionIndex: 0 }] }];

  test("each partition has its own error, one that does not exist too", async () => {
    const { groups, served } = await stage();
    expect(await served.ask(offsetDelete, 0, { groupId: "g", topics })).toEqual({
      errorCode: 0,
      throttleTimeMs: 0,
      topics: [
        {
          name: "t",
          partitions: [
            { partitionIndex: 0, errorCode: 0 },
            { partitionIndex: 1, errorCode: ErrorCode.GROUP_SUBSCRIBED_TO_TOPIC },
            { partitionIndex: 2, errorCode: ErrorCode.UNKNOWN_TOPIC_OR_PARTITION },
            { partitionIndex: 0, errorCode: 0 },
          ],
        },
        { name: "no", partitions: [{ partitionIndex: 0, errorCode: ErrorCode.UNKNOWN_TOPIC_OR_PARTITION }] },
      ],
    });
    expect(groups.asked).toEqual([["g", [{ topic: "t", partition: 0 }, { topic: "t", partition: 1 }]]]);
  });

  test("the group's error stands alone, though no partition exists", async () => {
    const { groups, served } = await stage();
    groups.error = ErrorCode.GROUP_ID_NOT_FOUND;
    expect(await served.ask(offsetDelete, 0, { groupId: "g", topics: topics.slice(1) })).toEqual({ errorCode: ErrorCode.GROUP_ID_NOT_FOUND, throttleTimeMs: 0, topics: [] });
  });
});
