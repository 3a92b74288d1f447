import { int16, int32, message, string } from "../../../codec/notation.ts";
import { api } from "../api.ts";

export const heartbeatRequest = message("HeartbeatRequest", { versions: "0-4", flexible: "4+" }, {
  groupId: string("0+"),
  generationId: int32("0+"),
  memberId: string("0+"),
  groupInstanceId: string("3+", { nullable: "3+", default: null }),
});

export const heartbeatResponse = message("HeartbeatResponse", { versions: "0-4", flexible: "4+" }, {
  throttleTimeMs: int32("1+", { default: 0 }),
  errorCode: int16("0+"),
});

export const heartbeat = api({ key: 12, name: "Heartbeat", request: heartbeatRequest, response: heartbeatResponse });
