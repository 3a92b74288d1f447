import { array, int16, int32, int8, list, message, string } from "../../../codec/notation.ts";
import { api } from "../api.ts";

export const electLeadersRequest = message("ElectLeadersRequest", { versions: "0-2", flexible: "2+" }, {
  electionType: int8("1+"),
  topicPartitions: array("0+", "TopicPartitions", {
    topic: string("0+"),
    partitions: list("0+", int32),
  }, { nullable: "0+" }),
  timeoutMs: int32("0+", { default: 60000 }),
});

export const electLeadersResponse = message("ElectLeadersResponse", { versions: "0-2", flexible: "2+" }, {
  throttleTimeMs: int32("0+"),
  errorCode: int16("1+"),
  replicaElectionResults: array("0+", "ReplicaElectionResult", {
    topic: string("0+"),
    partitionResult: array("0+", "PartitionResult", {
      partitionId: int32("0+"),
      errorCode: int16("0+"),
      errorMessage: string("0+", { nullable: "0+" }),
    }),
  }),
});

export const electLeaders = api({ key: 43, name: "ElectLeaders", request: electLeadersRequest, response: electLeadersResponse });
