import { array, int16, int32, int64, list, message, string } from "../../../codec/notation.ts";
import { api } from "../api.ts";
import { brokerId, leaderEpoch } from "../ids.ts";

/** One by one in older versions, by topic in newer ones. */
const partitionState = {
  topicName: string("0-4", { default: "" }),
  partitionIndex: int32("0+"),
  controllerEpoch: int32("0+"),
  leader: brokerId("0+"),
  leaderEpoch: leaderEpoch("0+"),
  isr: list("0+", brokerId),
  zkVersion: int32("0+"),
  replicas: list("0+", brokerId),
  offlineReplicas: list("4+", brokerId, { default: [] }),
};

export const updateMetadataRequest = message("UpdateMetadataRequest", { versions: "0-6", flexible: "6+" }, {
  controllerId: brokerId("0+"),
  controllerEpoch: int32("0+"),
  brokerEpoch: int64("5+", { default: -1 }),
  ungroupedPartitionStates: array("0-4", "UpdateMetadataPartitionState", partitionState),
  topicStates: array("5+", "UpdateMetadataTopicState", {
    topicName: string("5+"),
    partitionStates: array("5+", "UpdateMetadataPartitionState", partitionState),
  }),
  liveBrokers: array("0+", "UpdateMetadataBroker", {
    id: int32("0+"),
    v0Host: string("0", { default: "" }),
    v0Port: int32("0", { default: 0 }),
    endpoints: array("1+", "UpdateMetadataEndpoint", {
      port: int32("1+"),
      host: string("1+"),
      listener: string("3+", { default: "" }),
      securityProtocol: int16("1+"),
    }, { default: [] }),
    rack: string("2+", { nullable: "0+", default: "" }),
  }),
});

export const updateMetadataResponse = message("UpdateMetadataResponse", { versions: "0-6", flexible: "6+" }, {
  errorCode: int16("0+"),
});

export const updateMetadata = api({ key: 6, name: "UpdateMetadata", request: updateMetadataRequest, response: updateMetadataResponse });
