import { array, int16, int32, message, string, timestamp } from "../../../codec/notation.ts";
import { api } from "../api.ts";
import { leaderEpoch, offset } from "../ids.ts";

export const offsetCommitRequest = message("OffsetCommitRequest", { versions: "0-9", flexible: "8+" }, {
  groupId: string("0+"),
  generationIdOrMemberEpoch: int32("1+", { default: -1 }),
  memberId: string("1+", { default: "" }),
  groupInstanceId: string("7+", { nullable: "7+", default: null }),
  retentionTimeMs: timestamp("2-4", { default: -1 }),
  topics: array("0+", "OffsetCommitRequestTopic", {
    name: string("0+"),
    partitions: array("0+", "OffsetCommitRequestPartition", {
      partitionIndex: int32("0+"),
      committedOffset: offset("0+"),
      committedLeaderEpoch: leaderEpoch("6+", { default: -1 }),
      commitTimestamp: timestamp("1", { default: -1 }),
      committedMetadata: string("0+", { nullable: "0+" }),
    }),
  }),
});

export const offsetCommitResponse = message("OffsetCommitResponse", { versions: "0-9", flexible: "8+" }, {
  throttleTimeMs: int32("3+", { default: 0 }),
  topics: array("0+", "OffsetCommitResponseTopic", {
    name: string("0+"),
    partitions: array("0+", "OffsetCommitResponsePartition", {
      partitionIndex: int32("0+"),
      errorCode: int16("0+"),
    }),
  }),
});

export const offsetCommit = api({ key: 8, name: "OffsetCommit", request: offsetCommitRequest, response: offsetCommitResponse });
