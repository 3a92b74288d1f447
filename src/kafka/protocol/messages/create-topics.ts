import { array, bool, int16, int32, int8, list, message, string, uuid } from "../../../codec/notation.ts";
import { ZERO_UUID } from "../../../codec/model.ts";
import { api } from "../api.ts";
import { brokerId } from "../ids.ts";

export const createTopicsRequest = message("CreateTopicsRequest", { versions: "0-7", flexible: "5+" }, {
  topics: array("0+", "CreatableTopic", {
    name: string("0+"),
    numPartitions: int32("0+"),
    replicationFactor: int16("0+"),
    assignments: array("0+", "CreatableReplicaAssignment", {
      partitionIndex: int32("0+"),
      brokerIds: list("0+", brokerId),
    }),
    configs: array("0+", "CreateableTopicConfig", {
      name: string("0+"),
      value: string("0+", { nullable: "0+" }),
    }),
  }),
  timeoutMs: int32("0+", { default: 60000 }),
  validateOnly: bool("1+", { default: false }),
});

export const createTopicsResponse = message("CreateTopicsResponse", { versions: "0-7", flexible: "5+" }, {
  throttleTimeMs: int32("2+", { default: 0 }),
  topics: array("0+", "CreatableTopicResult", {
    name: string("0+"),
    topicId: uuid("7+", { default: ZERO_UUID }),
    errorCode: int16("0+"),
    errorMessage: string("1+", { nullable: "0+", default: "" }),
    topicConfigErrorCode: int16("5+", { tag: 0 }),
    numPartitions: int32("5+", { default: -1 }),
    replicationFactor: int16("5+", { default: -1 }),
    configs: array("5+", "CreatableTopicConfigs", {
      name: string("5+"),
      value: string("5+", { nullable: "5+" }),
      readOnly: bool("5+"),
      configSource: int8("5+", { default: -1 }),
      isSensitive: bool("5+"),
    }, { nullable: "5+", default: [] }),
  }),
});

export const createTopics = api({ key: 19, name: "CreateTopics", request: createTopicsRequest, response: createTopicsResponse });
