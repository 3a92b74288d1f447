import { array, bool, bytes, int16, int32, list, message, string } from "../../../codec/notation.ts";
import { api } from "../api.ts";

export const describeGroupsRequest = message("DescribeGroupsRequest", { versions: "0-5", flexible: "5+" }, {
  groups: list("0+", string),
  includeAuthorizedOperations: bool("3+"),
});

export const describeGroupsResponse = message("DescribeGroupsResponse", { versions: "0-5", flexible: "5+" }, {
  throttleTimeMs: int32("1+", { default: 0 }),
  groups: array("0+", "DescribedGroup", {
    errorCode: int16("0+"),
    groupId: string("0+"),
    groupState: string("0+"),
    protocolType: string("0+"),
    protocolData: string("0+"),
    members: array("0+", "DescribedGroupMember", {
      memberId: string("0+"),
      groupInstanceId: string("4+", { nullable: "4+", default: null }),
      clientId: string("0+"),
      clientHost: string("0+"),
      memberMetadata: bytes("0+"),
      memberAssignment: bytes("0+"),
    }),
    authorizedOperations: int32("3+", { default: -2147483648 }),
  }),
});

export const describeGroups = api({ key: 15, name: "DescribeGroups", request: describeGroupsRequest, response: describeGroupsResponse });
