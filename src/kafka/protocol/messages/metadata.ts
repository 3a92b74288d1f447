import { array, bool, int16, int32, list, message, string, uuid } from "../../../codec/notation.ts";
import { ZERO_UUID } from "../../../codec/model.ts";
import { api } from "../api.ts";
import { brokerId, leaderEpoch } from "../ids.ts";

export const metadataRequest = message("MetadataRequest", { versions: "0-12", flexible: "9+" }, {
  topics: array("0+", "MetadataRequestTopic", {
    topicId: uuid("10+", { default: ZERO_UUID }),
    name: string("0+", { nullable: "10+" }),
  }, { nullable: "1+" }),
  allowAutoTopicCreation: bool("4+", { default: true }),
  includeClusterAuthorizedOperations: bool("8-10"),
  includeTopicAuthorizedOperations: bool("8+"),
});

export const metadataResponse = message("MetadataResponse", { versions: "0-12", flexible: "9+" }, {
  throttleTimeMs: int32("3+", { default: 0 }),
  brokers: array("0+", "MetadataResponseBroker", {
    nodeId: brokerId("0+"),
    host: string("0+"),
    port: int32("0+"),
    rack: string("1+", { nullable: "1+", default: null }),
  }),
  clusterId: string("2+", { nullable: "2+", default: null }),
  controllerId: brokerId("1+", { default: -1 }),
  topics: array("0+", "MetadataResponseTopic", {
    errorCode: int16("0+"),
    name: string("0+", { nullable: "12+" }),
    topicId: uuid("10+", { default: ZERO_UUID }),
    isInternal: bool("1+", { default: false }),
    partitions: array("0+", "MetadataResponsePartition", {
      errorCode: int16("0+"),
      partitionIndex: int32("0+"),
      leaderId: brokerId("0+"),
      leaderEpoch: leaderEpoch("7+", { default: -1 }),
      replicaNodes: list("0+", brokerId),
      isrNodes: list("0+", brokerId),
      offlineReplicas: list("5+", brokerId, { default: [] }),
    }),
    topicAuthorizedOperations: int32("8+", { default: -2147483648 }),
  }),
  clusterAuthorizedOperations: int32("8-10", { default: -2147483648 }),
});

export const metadata = api({ key: 3, name: "Metadata", request: metadataRequest, response: metadataResponse });
