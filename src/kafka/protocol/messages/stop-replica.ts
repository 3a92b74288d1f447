import { array, bool, int16, int32, int64, list, message, string } from "../../../codec/notation.ts";
import { api } from "../api.ts";
import { brokerId, leaderEpoch } from "../ids.ts";

export const stopReplicaRequest = message("StopReplicaRequest", { versions: "0-3", flexible: "2+" }, {
  controllerId: brokerId("0+"),
  controllerEpoch: int32("0+"),
  brokerEpoch: int64("1+", { default: -1 }),
  deletePartitions: bool("0-2"),
  ungroupedPartitions: array("0", "StopReplicaPartitionV0", {
    topicName: string("0"),
    partitionIndex: int32("0"),
  }),
  topics: array("1-2", "StopReplicaTopicV1", {
    name: string("1-2"),
    partitionIndexes: list("1-2", int32),
  }),
  topicStates: array("3+", "StopReplicaTopicState", {
    topicName: string("3+"),
    partitionStates: array("3+", "StopReplicaPartitionState", {
      partitionIndex: int32("3+"),
      leaderEpoch: leaderEpoch("3+", { default: -1 }),
      deletePartition: bool("3+"),
    }),
  }),
});

export const stopReplicaResponse = message("StopReplicaResponse", { versions: "0-3", flexible: "2+" }, {
  errorCode: int16("0+"),
  partitionErrors: array("0+", "StopReplicaPartitionError", {
    topicName: string("0+"),
    partitionIndex: int32("0+"),
    errorCode: int16("0+"),
  }),
});

export const stopReplica = api({ key: 5, name: "StopReplica", request: stopReplicaRequest, response: stopReplicaResponse });
