import { array, int16, int32, message, string } from "../../../codec/notation.ts";
import { api } from "../api.ts";

export const offsetDeleteRequest = message("OffsetDeleteRequest", { versions: "0", flexible: "none" }, {
  groupId: string("0+"),
  topics: array("0+", "OffsetDeleteRequestTopic", {
    name: string("0+"),
    partitions: array("0+", "OffsetDeleteRequestPartition", {
      partitionIndex: int32("0+"),
    }),
  }),
});

export const offsetDeleteResponse = message("OffsetDeleteResponse", { versions: "0", flexible: "none" }, {
  errorCode: int16("0+"),
  throttleTimeMs: int32("0+", { default: 0 }),
  topics: array("0+", "OffsetDeleteResponseTopic", {
    name: string("0+"),
    partitions: array("0+", "OffsetDeleteResponsePartition", {
      partitionIndex: int32("0+"),
      errorCode: int16("0+"),
    }),
  }),
});

export const offsetDelete = api({ key: 47, name: "OffsetDelete", request: offsetDeleteRequest, response: offsetDeleteResponse });
