import { array, bool, int16, int32, list, message, string } from "../../../codec/notation.ts";
import { api } from "../api.ts";
import { leaderEpoch, offset } from "../ids.ts";

export const offsetFetchRequest = message("OffsetFetchRequest", { versions: "0-9", flexible: "6+" }, {
  groupId: string("0-7"),
  topics: array("0-7", "OffsetFetchRequestTopic", {
    name: string("0-7"),
    partitionIndexes: list("0-7", int32),
  }, { nullable: "2-7" }),
  groups: array("8+", "OffsetFetchRequestGroup", {
    groupId: string("8+"),
    memberId: string("9+", { nullable: "9+", default: null }),
    memberEpoch: int32("9+", { default: -1 }),
    topics: array("8+", "OffsetFetchRequestTopics", {
      name: string("8+"),
      partitionIndexes: list("8+", int32),
    }, { nullable: "8+" }),
  }),
  requireStable: bool("7+", { default: false }),
});

export const offsetFetchResponse = message("OffsetFetchResponse", { versions: "0-9", flexible: "6+" }, {
  throttleTimeMs: int32("3+", { default: 0 }),
  topics: array("0-7", "OffsetFetchResponseTopic", {
    name: string("0-7"),
    partitions: array("0-7", "OffsetFetchResponsePartition", {
      partitionIndex: int32("0-7"),
      committedOffset: offset("0-7"),
      committedLeaderEpoch: leaderEpoch("5-7", { default: -1 }),
      metadata: string("0-7", { nullable: "0-7" }),
      errorCode: int16("0-7"),
    }),
  }),
  errorCode: int16("2-7", { default: 0 }),
  groups: array("8+", "OffsetFetchResponseGroup", {
    groupId: string("8+"),
    topics: array("8+", "OffsetFetchResponseTopics", {
      name: string("8+"),
      partitions: array("8+", "OffsetFetchResponsePartitions", {
        partitionIndex: int32("8+"),
        committedOffset: offset("8+"),
        committedLeaderEpoch: leaderEpoch("8+", { default: -1 }),
        metadata: string("8+", { nullable: "8+" }),
        errorCode: int16("8+"),
      }),
    }),
    errorCode: int16("8+", { default: 0 }),
  }),
});

export const offsetFetch = api({ key: 9, name: "OffsetFetch", request: offsetFetchRequest, response: offsetFetchResponse });
