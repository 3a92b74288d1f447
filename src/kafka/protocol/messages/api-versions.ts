import { array, bool, int16, int32, int64, message, string } from "../../../codec/notation.ts";
import { api } from "../api.ts";

export const apiVersionsRequest = message("ApiVersionsRequest", { versions: "0-3", flexible: "3+" }, {
  clientSoftwareName: string("3+", { default: "" }),
  clientSoftwareVersion: string("3+", { default: "" }),
});

export const apiVersionsResponse = message("ApiVersionsResponse", { versions: "0-3", flexible: "3+" }, {
  errorCode: int16("0+"),
  apiKeys: array("0+", "ApiVersion", {
    apiKey: int16("0+"),
    minVersion: int16("0+"),
    maxVersion: int16("0+"),
  }),
  throttleTimeMs: int32("1+", { default: 0 }),
  supportedFeatures: array("3+", "SupportedFeatureKey", {
    name: string("3+"),
    minVersion: int16("3+"),
    maxVersion: int16("3+"),
  }, { tag: 0 }),
  finalizedFeaturesEpoch: int64("3+", { default: -1, tag: 1 }),
  finalizedFeatures: array("3+", "FinalizedFeatureKey", {
    name: string("3+"),
    maxVersionLevel: int16("3+"),
    minVersionLevel: int16("3+"),
  }, { tag: 2 }),
  zkMigrationReady: bool("3+", { default: false, tag: 3 }),
});

export const apiVersions = api({ key: 18, name: "ApiVersions", request: apiVersionsRequest, response: apiVersionsResponse });
