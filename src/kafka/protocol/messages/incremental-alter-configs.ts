import { array, bool, int16, int32, int8, message, string } from "../../../codec/notation.ts";
import { api } from "../api.ts";

export const incrementalAlterConfigsRequest = message("IncrementalAlterConfigsRequest", { versions: "0-1", flexible: "1+" }, {
  resources: array("0+", "AlterConfigsResource", {
    resourceType: int8("0+"),
    resourceName: string("0+"),
    configs: array("0+", "AlterableConfig", {
      name: string("0+"),
      configOperation: int8("0+"),
      value: string("0+", { nullable: "0+" }),
    }),
  }),
  validateOnly: bool("0+"),
});

export const incrementalAlterConfigsResponse = message("IncrementalAlterConfigsResponse", { versions: "0-1", flexible: "1+" }, {
  throttleTimeMs: int32("0+"),
  responses: array("0+", "AlterConfigsResourceResponse", {
    errorCode: int16("0+"),
    errorMessage: string("0+", { nullable: "0+" }),
    resourceType: int8("0+"),
    resourceName: string("0+"),
  }),
});

export const incrementalAlterConfigs = api({ key: 44, name: "IncrementalAlterConfigs", request: incrementalAlterConfigsRequest, response: incrementalAlterConfigsResponse });
