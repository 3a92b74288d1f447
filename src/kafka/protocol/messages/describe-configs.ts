import { array, bool, int16, int32, int8, list, message, string } from "../../../codec/notation.ts";
import { api } from "../api.ts";

export const describeConfigsRequest = message("DescribeConfigsRequest", { versions: "0-4", flexible: "4+" }, {
  resources: array("0+", "DescribeConfigsResource", {
    resourceType: int8("0+"),
    resourceName: string("0+"),
    configurationKeys: list("0+", string, { nullable: "0+" }),
  }),
  includeSynonyms: bool("1+", { default: false }),
  includeDocumentation: bool("3+", { default: false }),
});

export const describeConfigsResponse = message("DescribeConfigsResponse", { versions: "0-4", flexible: "4+" }, {
  throttleTimeMs: int32("0+"),
  results: array("0+", "DescribeConfigsResult", {
    errorCode: int16("0+"),
    errorMessage: string("0+", { nullable: "0+" }),
    resourceType: int8("0+"),
    resourceName: string("0+"),
    configs: array("0+", "DescribeConfigsResourceResult", {
      name: string("0+"),
      value: string("0+", { nullable: "0+" }),
      readOnly: bool("0+"),
      isDefault: bool("0"),
      configSource: int8("1+", { default: -1 }),
      isSensitive: bool("0+"),
      synonyms: array("1+", "DescribeConfigsSynonym", {
        name: string("1+"),
        value: string("1+", { nullable: "0+" }),
        source: int8("1+"),
      }, { default: [] }),
      configType: int8("3+", { default: 0 }),
      documentation: string("3+", { nullable: "0+", default: "" }),
    }),
  }),
});

export const describeConfigs = api({ key: 32, name: "DescribeConfigs", request: describeConfigsRequest, response: describeConfigsResponse });
