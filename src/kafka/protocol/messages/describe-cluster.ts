import { array, bool, int16, int32, int8, message, string } from "../../../codec/notation.ts";
import { api } from "../api.ts";
import { brokerId } from "../ids.ts";

export const describeClusterRequest = message("DescribeClusterRequest", { versions: "0-1", flexible: "0+" }, {
  includeClusterAuthorizedOperations: bool("0+"),
  endpointType: int8("1+", { default: 1 }),
});

export const describeClusterResponse = message("DescribeClusterResponse", { versions: "0-1", flexible: "0+" }, {
  throttleTimeMs: int32("0+"),
  errorCode: int16("0+"),
  errorMessage: string("0+", { nullable: "0+", default: null }),
  endpointType: int8("1+", { default: 1 }),
  clusterId: string("0+"),
  controllerId: brokerId("0+", { default: -1 }),
  brokers: array("0+", "DescribeClusterBroker", {
    brokerId: brokerId("0+"),
    host: string("0+"),
    port: int32("0+"),
    rack: string("0+", { nullable: "0+", default: null }),
  }),
  clusterAuthorizedOperations: int32("0+", { default: -2147483648 }),
});

export const describeCluster = api({ key: 60, name: "DescribeCluster", request: describeClusterRequest, response: describeClusterResponse });
