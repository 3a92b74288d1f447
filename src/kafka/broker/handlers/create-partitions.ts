import type { Input } from "../../../codec/schema.ts";
import { repeated } from "../../../lib/repeated.ts";
import { route, type Route } from "../../network/request.ts";
import { ErrorCode } from "../../protocol/error-codes.ts";
import { createPartitions, type createPartitionsResponse } from "../../protocol/messages/create-partitions.ts";
import type { TopicAdmin } from "../topic-admin.ts";

export interface CreatePartitionsServices {
  readonly topics: Pick<TopicAdmin, "addPartitions" | "whenCreated">;
  /** Undefined where this broker is not the controller: else topics that are being deleted. */
  deleting(): ReadonlySet<string> | undefined;
}

type Result = Input<typeof createPartitionsResponse>["results"][number];

/**
 * CreatePartitions, 0 to 3, on the controller: answers once every partition has a leader here, or after timeout_ms with
 * REQUEST_TIMED_OUT, though they are there then. Left out: the mutation quota.
 * Source: KafkaApis.handleCreatePartitionsRequest, AdminManager.createPartitions.
 */
export function createPartitionsRoute(services: CreatePartitionsServices): Route {
  return route(createPartitions, async ({ topics, timeoutMs, validateOnly }) => {
    const deleting = services.deleting();
    const byName = new Map(topics.map((topic) => [topic.name, topic]));
    const twice = repeated(topics.map((topic) => topic.name));

    const one = async (topic: (typeof topics)[number]): Promise<Result> => {
      const { name } = topic;
      const failed = (errorCode: ErrorCode, errorMessage: string | null = null): Result => ({ name, errorCode, errorMessage });
      if (deleting === undefined) return failed(ErrorCode.NOT_CONTROLLER);
      if (twice.has(name)) return failed(ErrorCode.INVALID_REQUEST, `topic ${name} is named more than once`);
      if (deleting.has(name)) return failed(ErrorCode.INVALID_TOPIC_EXCEPTION, `topic ${name} is being deleted`);
      const growth = await services.topics.addPartitions(topic, validateOnly);
      if (growth.kind === "refused") return failed(growth.errorCode, growth.message);
      const done = validateOnly || (timeoutMs > 0 && (await services.topics.whenCreated(name, growth.znode.partitions.size, timeoutMs)));
      return failed(done ? ErrorCode.NONE : ErrorCode.REQUEST_TIMED_OUT);
    };

    return { throttleTimeMs: 0, results: await Promise.all(Array.from(byName.values(), one)) };
  });
}
