import { array, int16, int32, message, records, string, struct, timestamp } from "../../../codec/notation.ts";
import { api } from "../api.ts";
import { brokerId, leaderEpoch, offset } from "../ids.ts";

export const produceRequest = message("ProduceRequest", { versions: "0-11", flexible: "9+" }, {
  transactionalId: string("3+", { nullable: "3+", default: null }),
  acks: int16("0+"),
  timeoutMs: int32("0+"),
  topicData: array("0+", "TopicProduceData", {
    name: string("0+"),
    partitionData: array("0+", "PartitionProduceData", {
      index: int32("0+"),
      records: records("0+", { nullable: "0+" }),
    }),
  }),
});

export const produceResponse = message("ProduceResponse", { versions: "0-11", flexible: "9+" }, {
  responses: array("0+", "TopicProduceResponse", {
    name: string("0+"),
    partitionResponses: array("0+", "PartitionProduceResponse", {
      index: int32("0+"),
      errorCode: int16("0+"),
      baseOffset: offset("0+"),
      logAppendTimeMs: timestamp("2+", { default: -1 }),
      logStartOffset: offset("5+", { default: -1 }),
      recordErrors: array("8+", "BatchIndexAndErrorMessage", {
        batchIndex: int32("8+"),
        batchIndexErrorMessage: string("8+", { nullable: "8+", default: null }),
      }, { default: [] }),
      errorMessage: string("8+", { nullable: "8+", default: null }),
      currentLeader: struct("10+", "LeaderIdAndEpoch", {
        leaderId: brokerId("10+", { default: -1 }),
        leaderEpoch: leaderEpoch("10+", { default: -1 }),
      }, { tag: 0 }),
    }),
  }),
  throttleTimeMs: int32("1+", { default: 0 }),
  nodeEndpoints: array("10+", "NodeEndpoint", {
    nodeId: brokerId("10+"),
    host: string("10+"),
    port: int32("10+"),
    rack: string("10+", { nullable: "10+", default: null }),
  }, { tag: 0 }),
});

export const produce = api({ key: 0, name: "Produce", request: produceRequest, response: produceResponse });
