import { array, int16, int32, int64, int8, list, message, string, timestamp } from "../../../codec/notation.ts";
import { api } from "../api.ts";
import { brokerId, leaderEpoch, offset } from "../ids.ts";

export const listOffsetsRequest = message("ListOffsetsRequest", { versions: "0-8", flexible: "6+" }, {
  replicaId: brokerId("0+"),
  isolationLevel: int8("2+"),
  topics: array("0+", "ListOffsetsTopic", {
    name: string("0+"),
    partitions: array("0+", "ListOffsetsPartition", {
      partitionIndex: int32("0+"),
      currentLeaderEpoch: leaderEpoch("4+", { default: -1 }),
      timestamp: timestamp("0+"),
      maxNumOffsets: int32("0", { default: 1 }),
    }),
  }),
});

export const listOffsetsResponse = message("ListOffsetsResponse", { versions: "0-8", flexible: "6+" }, {
  throttleTimeMs: int32("2+", { default: 0 }),
  topics: array("0+", "ListOffsetsTopicResponse", {
    name: string("0+"),
    partitions: array("0+", "ListOffsetsPartitionResponse", {
      partitionIndex: int32("0+"),
      errorCode: int16("0+"),
      oldStyleOffsets: list("0", int64),
      timestamp: timestamp("1+", { default: -1 }),
      offset: offset("1+", { default: -1 }),
      leaderEpoch: leaderEpoch("4+", { default: -1 }),
    }),
  }),
});

export const listOffsets = api({ key: 2, name: "ListOffsets", request: listOffsetsRequest, response: listOffsetsResponse });
