import { array, int16, int32, list, message, string } from "../../../codec/notation.ts";
import { api } from "../api.ts";
import { brokerId } from "../ids.ts";

export const listPartitionReassignmentsRequest = message("ListPartitionReassignmentsRequest", { versions: "0", flexible: "0+" }, {
  timeoutMs: int32("0+", { default: 60000 }),
  topics: array("0+", "ListPartitionReassignmentsTopics", {
    name: string("0+"),
    partitionIndexes: list("0+", int32),
  }, { nullable: "0+", default: null }),
});

export const listPartitionReassignmentsResponse = message("ListPartitionReassignmentsResponse", { versions: "0", flexible: "0+" }, {
  throttleTimeMs: int32("0+"),
  errorCode: int16("0+"),
  errorMessage: string("0+", { nullable: "0+" }),
  topics: array("0+", "OngoingTopicReassignment", {
    name: string("0+"),
    partitions: array("0+", "OngoingPartitionReassignment", {
      partitionIndex: int32("0+"),
      replicas: list("0+", brokerId),
      addingReplicas: list("0+", brokerId),
      removingReplicas: list("0+", brokerId),
    }),
  }),
});

export const listPartitionReassignments = api({ key: 46, name: "ListPartitionReassignments", request: listPartitionReassignmentsRequest, response: listPartitionReassignmentsResponse });
