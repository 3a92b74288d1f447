import { array, int16, int32, int8, list, message, string } from "../../../codec/notation.ts";
import { api } from "../api.ts";
import { brokerId } from "../ids.ts";

export const findCoordinatorRequest = message("FindCoordinatorRequest", { versions: "0-5", flexible: "3+" }, {
  key: string("0-3"),
  keyType: int8("1+", { default: 0 }),
  coordinatorKeys: list("4+", string),
});

export const findCoordinatorResponse = message("FindCoordinatorResponse", { versions: "0-5", flexible: "3+" }, {
  throttleTimeMs: int32("1+", { default: 0 }),
  errorCode: int16("0-3"),
  errorMessage: string("1-3", { nullable: "1-3", default: "" }),
  nodeId: brokerId("0-3"),
  host: string("0-3"),
  port: int32("0-3"),
  coordinators: array("4+", "Coordinator", {
    key: string("4+"),
    nodeId: brokerId("4+"),
    host: string("4+"),
    port: int32("4+"),
    errorCode: int16("4+"),
    errorMessage: string("4+", { nullable: "4+", default: "" }),
  }),
});

export const findCoordinator = api({ key: 10, name: "FindCoordinator", request: findCoordinatorRequest, response: findCoordinatorResponse });
