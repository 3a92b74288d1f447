import { array, int16, int32, list, message, string, uuid } from "../../../codec/notation.ts";
import { ZERO_UUID } from "../../../codec/model.ts";
import { api } from "../api.ts";

export const deleteTopicsRequest = message("DeleteTopicsRequest", { versions: "0-6", flexible: "4+" }, {
  topics: array("6+", "DeleteTopicState", {
    name: string("6+", { nullable: "6+", default: null }),
    topicId: uuid("6+"),
  }),
  topicNames: list("0-5", string, { default: [] }),
  timeoutMs: int32("0+"),
});

export const deleteTopicsResponse = message("DeleteTopicsResponse", { versions: "0-6", flexible: "4+" }, {
  throttleTimeMs: int32("1+", { default: 0 }),
  responses: array("0+", "DeletableTopicResult", {
    name: string("0+", { nullable: "6+" }),
    topicId: uuid("6+", { default: ZERO_UUID }),
    errorCode: int16("0+"),
    errorMessage: string("5+", { nullable: "5+", default: null }),
  }),
});

export const deleteTopics = api({ key: 20, name: "DeleteTopics", request: deleteTopicsRequest, response: deleteTopicsResponse });
