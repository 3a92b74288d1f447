import type { Decoded, Input } from "../../../codec/schema.ts";
import type { Timers } from "../../../host/clock.ts";
import { closeConnection, noResponse, route, type RequestContext, type Route } from "../../network/request.ts";
import { ErrorCode } from "../../protocol/error-codes.ts";
import { isInternalTopic } from "../../protocol/internal-topics.ts";
import { produce, type produceResponse } from "../../protocol/messages/produce.ts";
import { batchMagic, wholeBatchSize } from "../../records/batch.ts";
import { UNPACKED_BYTES_MAX } from "../../records/compression.ts";
import { upConvert } from "../../records/conversion.ts";
import { checkProduceFormat } from "../../records/validate.ts";
import type { Partition } from "../../replication/partition.ts";
import { failedProduce, produceTo, type InSyncMin, type Produced, type ProduceOptions } from "../../replication/produce.ts";
import type { ReplicaManager } from "../../replication/replica-manager.ts";
import type { Conversions } from "../conversions.ts";
import type { MetadataCache } from "../metadata-cache.ts";

export interface ProduceServices {
  readonly metadata: MetadataCache;
  readonly replicas: ReplicaManager;
  readonly inSyncMin: InSyncMin;
  readonly timers: Timers;
  readonly conversions: Conversions;
}

type PartitionResponse = Input<typeof produceResponse>["responses"][number]["partitionResponses"][number];

/** Tools of Apache's use this client id, and alone may write to internal topics. Source: AdminUtils.AdminClientId. */
const ADMIN_CLIENT = "__admin_client";

/** From here on a request holds one v2 batch for each partition; before, any number of messages of any format. */
const BATCHES_FROM = 3;

/**
 * Produce, 0 to 11. From version 3 on every partition is appended to in the turn of the call, so that requests of one
 * connection may follow each other without waiting (docs/decisions/20261122-pipelined-produce.md). Messages of old
 * formats are converted first, so that the next request of their connection waits.
 * Left out: transactional batches, for want of a coordinator.
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
    // What is appended is held by its log's tail until it is written.
    { pipelinedFrom: BATCHES_FROM, returnsFrame: true },
  );
}

/** The conversions of one request wait for each other: what they unpack is bounded one by one. */
interface Turn {
  converted: Promise<unknown>;
}

interface Pending {
  readonly name: string;
  readonly partitions: readonly { readonly index: number; readonly outcome: Produced | Promise<Produced> }[];
}

function begin(services: ProduceServices, request: Decoded<typeof produce.request>, context: RequestContext): Pending[] {
  const { acks, timeoutMs } = request;
  const options = acks === 0 || acks === 1 || acks === -1 ? ({ acks, timeoutMs, origin: "client" } satisfies ProduceOptions) : undefined;
  const turn: Turn = { converted: Promise.resolve() };
  return request.topicData.map((topic) => ({
    name: topic.name,
    partitions: topic.partitionData.map(({ index, records }) => ({
      index,
      outcome: produceOne(services, { topic: topic.name, partition: index, records: records?.[0] ?? null, transactional: request.transactionalId !== null }, options, context, turn),
    })),
  }));
}

interface Target {
  readonly topic: string;
  readonly partition: number;
  readonly records: Buffer | null;
  readonly transactional: boolean;
}

function produceOne(services: ProduceServices, target: Target, options: ProduceOptions | undefined, context: RequestContext, turn: Turn): Produced | Promise<Produced> {
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
  if (context.apiVersion < BATCHES_FROM && wholeBatchSize(records, 0, records.length) !== 0 && batchMagic(records, 0) < 2) {
    return produceMessages(services, found, records, options, turn);
  }
  return produceTo(found, records, options, services.inSyncMin, services.timers);
}

async function produceMessages(services: ProduceServices, partition: Partition, records: Buffer, options: ProduceOptions, turn: Turn): Promise<Produced> {
  const limits = { bytesMax: partition.log.config.maxMessageBytes, unpackedBytesMax: UNPACKED_BYTES_MAX };
  const converting = turn.converted.then(() => services.conversions.run(upConvert(records, limits)));
  turn.converted = converting;
  const converted = await converting;
  if (converted.kind === "refused") return failedProduce(converted.error, converted.message);
  return produceTo(partition, converted.kind === "batch" ? converted.batch : NO_BATCH, options, services.inSyncMin, services.timers);
}

const NO_BATCH = Buffer.alloc(0);

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
