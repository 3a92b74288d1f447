import { array, int16, int32, int64, message, string } from "../../../codec/notation.ts";
import { api } from "../api.ts";
import { brokerId } from "../ids.ts";

export const controlledShutdownRequest = message("ControlledShutdownRequest", { versions: "0-3", flexible: "3+" }, {
  brokerId: brokerId("0+"),
  brokerEpoch: int64("2+", { default: -1 }),
});

export const controlledShutdownResponse = message("ControlledShutdownResponse", { versions: "0-3", flexible: "3+" }, {
  errorCode: int16("0+"),
  remainingPartitions: array("0+", "RemainingPartition", {
    topicName: string("0+"),
    partitionIndex: int32("0+"),
  }),
});

export const controlledShutdown = api({ key: 7, name: "ControlledShutdown", request: controlledShutdownRequest, response: controlledShutdownResponse });
