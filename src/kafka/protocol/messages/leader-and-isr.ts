import { array, bool, int16, int32, int64, list, message, string } from "../../../codec/notation.ts";
import { api } from "../api.ts";
import { brokerId, leaderEpoch } from "../ids.ts";

/** One by one in older versions, by topic in newer ones. */
const partitionState = {
  topicName: string("0-1", { default: "" }),
  partitionIndex: int32("0+"),
  controllerEpoch: int32("0+"),
  leader: brokerId("0+"),
  leaderEpoch: leaderEpoch("0+"),
  isr: list("0+", brokerId),
  zkVersion: int32("0+"),
  replicas: list("0+", brokerId),
  addingReplicas: list("3+", brokerId, { default: [] }),
  removingReplicas: list("3+", brokerId, { default: [] }),
  isNew: bool("1+", { default: false }),
};

export const leaderAndIsrRequest = message("LeaderAndIsrRequest", { versions: "0-4", flexible: "4+" }, {
  controllerId: brokerId("0+"),
  controllerEpoch: int32("0+"),
  brokerEpoch: int64("2+", { default: -1 }),
  ungroupedPartitionStates: array("0-1", "LeaderAndIsrPartitionState", partitionState),
  topicStates: array("2+", "LeaderAndIsrTopicState", {
    topicName: string("2+"),
    partitionStates: array("2+", "LeaderAndIsrPartitionState", partitionState),
  }),
  liveLeaders: array("0+", "LeaderAndIsrLiveLeader", {
    brokerId: brokerId("0+"),
    hostName: string("0+"),
    port: int32("0+"),
  }),
});

export const leaderAndIsrResponse = message("LeaderAndIsrResponse", { versions: "0-4", flexible: "4+" }, {
  errorCode: int16("0+"),
  partitionErrors: array("0+", "LeaderAndIsrPartitionError", {
    topicName: string("0+"),
    partitionIndex: int32("0+"),
    errorCode: int16("0+"),
  }),
});

export const leaderAndIsr = api({ key: 4, name: "LeaderAndIsr", request: leaderAndIsrRequest, response: leaderAndIsrResponse });
