import type { Input } from "../../../codec/schema.ts";
import { route, type Route } from "../../network/request.ts";
import { ErrorCode } from "../../protocol/error-codes.ts";
import { createTopics, type createTopicsResponse } from "../../protocol/messages/create-topics.ts";
import { describeTopic } from "../../config/describe.ts";
import type { BrokerSettings } from "../broker-settings.ts";
import { replicationFactorOf, type TopicAdmin, type TopicOutcome } from "../topic-admin.ts";
import type { TopicIds } from "../topic-ids.ts";

export interface CreateTopicsServices {
  readonly topics: TopicAdmin;
  readonly topicIds: TopicIds;
  readonly settings: Pick<BrokerSettings, "layers">;
  isController(): boolean;
}

type Result = Input<typeof createTopicsResponse>["topics"][number];

const CONFIGS_FROM = 5;
const TOPIC_IDS_FROM = 7;

/**
 * CreateTopics, 0 to 7, on the controller: answers once every partition has a leader here, or after timeout_ms with
 * REQUEST_TIMED_OUT, though the creation goes on. Left out: the mutation quota.
 * Source: KafkaApis.handleCreateTopicsRequest, AdminManager.createTopics.
 */
export function createTopicsRoute(services: CreateTopicsServices): Route {
  return route(createTopics, async (request, context) => {
    if (!services.isController()) return { topics: request.topics.map(({ name }) => ({ name, errorCode: ErrorCode.NOT_CONTROLLER, errorMessage: null })) };
    const outcomes = await services.topics.create(request.topics, request);

    const describe = async (outcome: TopicOutcome): Promise<Result> => {
      if (outcome.kind === "failed") return { name: outcome.name, errorCode: outcome.errorCode, errorMessage: outcome.message, configs: null };
      const { plan } = outcome;
      const timedOut = !request.validateOnly && (request.timeoutMs <= 0 || !(await services.topics.whenCreated(plan.name, plan.replicas.length, request.timeoutMs)));
      if (timedOut) return { name: plan.name, errorCode: ErrorCode.REQUEST_TIMED_OUT, errorMessage: null, configs: null };
      const id = context.apiVersion >= TOPIC_IDS_FROM && !request.validateOnly ? await services.topicIds.idOf(plan.name) : undefined;
      return {
        name: plan.name,
        ...(id === undefined ? {} : { topicId: id }),
        errorCode: ErrorCode.NONE,
        errorMessage: null,
        numPartitions: plan.replicas.length,
        replicationFactor: replicationFactorOf(plan),
        configs: context.apiVersion < CONFIGS_FROM ? [] : describeTopic(services.settings.layers, plan.config, { keys: null, synonyms: false, documentation: false }),
      };
    };

    // A topic that is named twice is answered once.
    const byName = new Map(outcomes.map((outcome) => [outcome.kind === "failed" ? outcome.name : outcome.plan.name, outcome]));
    return { topics: await Promise.all([...byName.values()].map(describe)) };
  });
}
