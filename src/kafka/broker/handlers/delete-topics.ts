import { ZERO_UUID } from "../../../codec/model.ts";
import type { Input } from "../../../codec/schema.ts";
import { route, type Route } from "../../network/request.ts";
import { ErrorCode } from "../../protocol/error-codes.ts";
import { deleteTopics, type deleteTopicsResponse } from "../../protocol/messages/delete-topics.ts";
import type { MetadataCache } from "../metadata-cache.ts";
import type { TopicAdmin } from "../topic-admin.ts";
import type { TopicIds } from "../topic-ids.ts";

export interface DeleteTopicsServices {
  readonly topics: TopicAdmin;
  readonly topicIds: TopicIds;
  readonly metadata: MetadataCache;
  /** delete.topic.enable */
  readonly enabled: boolean;
  isController(): boolean;
}

type Result = Input<typeof deleteTopicsResponse>["responses"][number];

const NAMED_TOPICS_FROM = 6;
const DISABLED_ERROR_FROM = 3;

/**
 * DeleteTopics, 0 to 6, on the controller: answers once the topic has left this broker's metadata, or after
 * timeout_ms with REQUEST_TIMED_OUT, though the deletion goes on.
 * Source: KafkaApis.handleDeleteTopicsRequest (2.7.1 and 3.8.0), AdminManager.deleteTopics.
 */
export function deleteTopicsRoute(services: DeleteTopicsServices): Route {
  return route(deleteTopics, async (request, context) => {
    const asked = context.apiVersion >= NAMED_TOPICS_FROM ? request.topics : request.topicNames.map((name) => ({ name, topicId: ZERO_UUID }));
    const refusal = refusalOfAll(services, context.apiVersion);

    const one = async ({ name, topicId }: (typeof asked)[number]): Promise<Result> => {
      const failed = (errorCode: number): Result => ({ name, topicId, errorCode });
      if (refusal !== undefined) return failed(refusal);
      if (name !== null && topicId !== ZERO_UUID) return failed(ErrorCode.INVALID_REQUEST);
      const topic = name ?? (await services.topicIds.find(topicId, services.metadata.topics));
      if (topic === undefined) return failed(ErrorCode.UNKNOWN_TOPIC_ID);
      if (!services.metadata.hasTopic(topic)) return failed(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION);
      const id = context.apiVersion >= NAMED_TOPICS_FROM ? ((await services.topicIds.idOf(topic)) ?? ZERO_UUID) : ZERO_UUID;
      if (!(await services.topics.delete(topic))) return failed(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION);
      const done = request.timeoutMs > 0 && (await services.topics.whenDeleted(topic, request.timeoutMs));
      return { name: topic, topicId: id, errorCode: done ? ErrorCode.NONE : ErrorCode.REQUEST_TIMED_OUT };
    };

    return { responses: await Promise.all(asked.map(one)) };
  });
}

function refusalOfAll(services: DeleteTopicsServices, apiVersion: number): number | undefined {
  if (!services.isController()) return ErrorCode.NOT_CONTROLLER;
  if (services.enabled) return undefined;
  return apiVersion >= DISABLED_ERROR_FROM ? ErrorCode.TOPIC_DELETION_DISABLED : ErrorCode.INVALID_REQUEST;
}
