import { array, int16, int32, list, message, string } from "../../../codec/notation.ts";
import { api } from "../api.ts";

export const deleteGroupsRequest = message("DeleteGroupsRequest", { versions: "0-2", flexible: "2+" }, {
  groupsNames: list("0+", string),
});

export const deleteGroupsResponse = message("DeleteGroupsResponse", { versions: "0-2", flexible: "2+" }, {
  throttleTimeMs: int32("0+"),
  results: array("0+", "DeletableGroupResult", {
    groupId: string("0+"),
    errorCode: int16("0+"),
  }),
});

export const deleteGroups = api({ key: 42, name: "DeleteGroups", request: deleteGroupsRequest, response: deleteGroupsResponse });
