import { array, int16, int32, list, message, string } from "../../../codec/notation.ts";
import { api } from "../api.ts";

export const listGroupsRequest = message("ListGroupsRequest", { versions: "0-5", flexible: "3+" }, {
  statesFilter: list("4+", string),
  typesFilter: list("5+", string),
});

export const listGroupsResponse = message("ListGroupsResponse", { versions: "0-5", flexible: "3+" }, {
  throttleTimeMs: int32("1+", { default: 0 }),
  errorCode: int16("0+"),
  groups: array("0+", "ListedGroup", {
    groupId: string("0+"),
    protocolType: string("0+"),
    groupState: string("4+", { default: "" }),
    groupType: string("5+", { default: "" }),
  }),
});

export const listGroups = api({ key: 16, name: "ListGroups", request: listGroupsRequest, response: listGroupsResponse });
