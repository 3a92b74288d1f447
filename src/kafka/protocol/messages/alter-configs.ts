import { array, bool, int16, int32, int8, message, string } from "../../../codec/notation.ts";
import { api } from "../api.ts";

export const alterConfigsRequest = message("AlterConfigsRequest", { versions: "0-2", flexible: "2+" }, {
  resources: array("0+", "AlterConfigsResource", {
    resourceType: int8("0+"),
    resourceName: string("0+"),
    configs: array("0+", "AlterableConfig", {
      name: string("0+"),
      value: string("0+", { nullable: "0+" }),
    }),
  }),
  validateOnly: bool("0+"),
});

export const alterConfigsResponse = message("AlterConfigsResponse", { versions: "0-2", flexible: "2+" }, {
  throttleTimeMs: int32("0+"),
  responses: array("0+", "AlterConfigsResourceResponse", {
    errorCode: int16("0+"),
    errorMessage: string("0+", { nullable: "0+" }),
    resourceType: int8("0+"),
    resourceName: string("0+"),
  }),
});

export const alterConfigs = api({ key: 33, name: "AlterConfigs", request: alterConfigsRequest, response: alterConfigsResponse });
