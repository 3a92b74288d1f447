import { array, int16, int32, int64, list, message, string } from "../../../codec/notation.ts";
import { api } from "../api.ts";
import { brokerId, leaderEpoch } from "../ids.ts";

export const alterIsrRequest = message("AlterIsrRequest", { versions: "0", flexible: "0+" }, {
  brokerId: brokerId("0+"),
  brokerEpoch: int64("0+", { default: -1 }),
  topics: array("0+", "TopicData", {
    name: string("0+"),
    partitions: array("0+", "PartitionData", {
      partitionIndex: int32("0+"),
      leaderEpoch: leaderEpoch("0+"),
      newIsr: list("0+", brokerId),
      currentIsrVersion: int32("0+"),
    }),
  }),
});

export const alterIsrResponse = message("AlterIsrResponse", { versions: "0", flexible: "0+" }, {
  throttleTimeMs: int32("0+", { default: 0 }),
  errorCode: int16("0+"),
  topics: array("0+", "TopicData", {
    name: string("0+"),
    partitions: array("0+", "PartitionData", {
      partitionIndex: int32("0+"),
      errorCode: int16("0+"),
      leaderId: brokerId("0+", { default: 0 }),
      leaderEpoch: leaderEpoch("0+", { default: 0 }),
      isr: list("0+", brokerId, { default: [] }),
      currentIsrVersion: int32("0+", { default: 0 }),
    }),
  }),
});

export const alterIsr = api({ key: 56, name: "AlterIsr", request: alterIsrRequest, response: alterIsrResponse });
