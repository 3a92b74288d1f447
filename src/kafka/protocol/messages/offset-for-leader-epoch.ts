import { array, int16, int32, message, string } from "../../../codec/notation.ts";
import { api } from "../api.ts";
import { brokerId, leaderEpoch, offset } from "../ids.ts";

export const offsetForLeaderEpochRequest = message("OffsetForLeaderEpochRequest", { versions: "0-4", flexible: "4+" }, {
  replicaId: brokerId("3+", { default: -2 }),
  topics: array("0+", "OffsetForLeaderTopic", {
    topic: string("0+"),
    partitions: array("0+", "OffsetForLeaderPartition", {
      partition: int32("0+"),
      currentLeaderEpoch: leaderEpoch("2+", { default: -1 }),
      leaderEpoch: leaderEpoch("0+"),
    }),
  }),
});

export const offsetForLeaderEpochResponse = message("OffsetForLeaderEpochResponse", { versions: "0-4", flexible: "4+" }, {
  throttleTimeMs: int32("2+", { default: 0 }),
  topics: array("0+", "OffsetForLeaderTopicResult", {
    topic: string("0+"),
    partitions: array("0+", "EpochEndOffset", {
      errorCode: int16("0+"),
      partition: int32("0+"),
      leaderEpoch: leaderEpoch("1+", { default: -1 }),
      endOffset: offset("0+", { default: -1 }),
    }),
  }),
});

export const offsetForLeaderEpoch = api({ key: 23, name: "OffsetForLeaderEpoch", request: offsetForLeaderEpochRequest, response: offsetForLeaderEpochResponse });
