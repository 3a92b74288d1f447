import type { Decoded, Input } from "../../../codec/schema.ts";
import type { Timers } from "../../../host/clock.ts";
import { closeConnection, noResponse, route, type RequestContext, type Route } from "../../network/request.ts";
import { ErrorCode } from "../../protocol/error-codes.ts";
import { produce, type produceResponse } from "../../protocol/messages/produce.ts";
import { checkProduceFormat } from "../../records/validate.ts";
import { failedProduce, produceTo, type InSyncMin, type Produced, type ProduceOptions } from "../../replication/produce.ts";
import type { ReplicaManager } from "../../replication/replica-manager.ts";
import type { MetadataCache } from "../metadata-cache.ts";
import { isInternalTopic } from "../topics.ts";

export interface ProduceServices {
  readonly metadata: MetadataCache;
  readonly replicas: ReplicaManager;
  readonly inSyncMin: InSyncMin;
  readonly timers: Timers;
}

type PartitionResponse = Input<typeof produceResponse>["responses"][number]["partitionResponses"][number];

/** Tools of Apache's use this client id, and alone may write to internal topics. Source: AdminUtils.AdminClientId. */
const ADMIN_CLIENT = "__admin_client";

/**
 * Produce, 3 to 11. Every partition is appended to in the turn of the call, so that requests of one connection may
 * follow each other without waiting (docs/decisions/20261122-pipelined-produce.md).
 * Left out: versions 0 to 2, whose record formats must be converted; transactional batches, for want of a coordinator.
 * Source: KafkaApis.handleProduceRequest, ReplicaManager.appendRecords.
 */
export function produceRoute(services: ProduceServices): Route {
  return route(
    produce,
    async (request, context) => {
      const pending = begin(services, request, context);
      const responses = await Promise.all(
        pending.map(async ({ name, partitions }) => ({ name, partitionResponses: await Promise.all(partitions.map(async ({ index, outcome }) => describe(index, await outcome))) })),
      );
      if (request.acks !== 0) return { responses };
      // Nobody reads an answer: closing is the only way to say that something went wrong.
      return responses.some((topic) => topic.partitionResponses.some((partition) => partition.errorCode !== ErrorCode.NONE)) ? closeConnection : noResponse;
    },
    { pipelined: true, firstVersion: 3 },
  );
}

interface Pending {
  readonly name: string;
  readonly partitions: readonly { readonly index: number; readonly outcome: Produced | Promise<Produced> }[];
}

function begin(services: ProduceServices, request: Decoded<typeof produce.request>, context: RequestContext): Pending[] {
  const { acks, timeoutMs } = request;
  const options = acks === 0 || acks === 1 || acks === -1 ? ({ acks, timeoutMs, origin: "client" } satisfies ProduceOptions) : undefined;
  return request.topicData.map((topic) => ({
    name: topic.name,
    partitions: topic.partitionData.map(({ index, records }) => ({
      index,
      outcome: produceOne(services, { topic: topic.name, partition: index, records: records?.[0] ?? null, transactional: request.transactionalId !== null }, options, context),
    })),
  }));
}

interface Target {
  readonly topic: string;
  readonly partition: number;
  readonly records: Buffer | null;
  readonly transactional: boolean;
}

function produceOne(services: ProduceServices, target: Target, options: ProduceOptions | undefined, context: RequestContext): Produced | Promise<Produced> {
  const { topic, partition, records } = target;
  if (services.metadata.partition(topic, partition) === undefined) return failedProduce(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION);
  if (target.transactional) return failedProduce(ErrorCode.INVALID_TXN_STATE, "Transactions are not supported yet.");
  if (records === null) return failedProduce(ErrorCode.INVALID_RECORD, "The request holds no records for the partition.");
  const malformed = checkProduceFormat(records, context.apiVersion);
  if (malformed !== undefined) return failedProduce(malformed.error, malformed.message);
  if (options === undefined) return failedProduce(ErrorCode.INVALID_REQUIRED_ACKS);
  if (isInternalTopic(topic) && context.clientId !== ADMIN_CLIENT) return failedProduce(ErrorCode.INVALID_TOPIC_EXCEPTION, `${topic} is an internal topic.`);
  const found = services.replicas.find(topic, partition);
  if (typeof found === "number") return failedProduce(found);
  return produceTo(found, records, options, services.inSyncMin, services.timers);
}

function describe(index: number, produced: Produced): PartitionResponse {
  return {
    index,
    errorCode: produced.error,
    baseOffset: produced.baseOffset,
    logAppendTimeMs: produced.logAppendTime,
    logStartOffset: produced.logStartOffset,
    recordErrors: produced.recordErrors.map((error) => ({ batchIndex: error.batchIndex, batchIndexErrorMessage: error.message })),
    errorMessage: produced.message,
  };
}
