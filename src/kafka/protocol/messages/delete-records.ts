import { array, int16, int32, message, string } from "../../../codec/notation.ts";
import { api } from "../api.ts";
import { offset } from "../ids.ts";

export const deleteRecordsRequest = message("DeleteRecordsRequest", { versions: "0-2", flexible: "2+" }, {
  topics: array("0+", "DeleteRecordsTopic", {
    name: string("0+"),
    partitions: array("0+", "DeleteRecordsPartition", {
      partitionIndex: int32("0+"),
      offset: offset("0+"),
    }),
  }),
  timeoutMs: int32("0+"),
});

export const deleteRecordsResponse = message("DeleteRecordsResponse", { versions: "0-2", flexible: "2+" }, {
  throttleTimeMs: int32("0+"),
  topics: array("0+", "DeleteRecordsTopicResult", {
    name: string("0+"),
    partitions: array("0+", "DeleteRecordsPartitionResult", {
      partitionIndex: int32("0+"),
      lowWatermark: offset("0+"),
      errorCode: int16("0+"),
    }),
  }),
});

export const deleteRecords = api({ key: 21, name: "DeleteRecords", request: deleteRecordsRequest, response: deleteRecordsResponse });
