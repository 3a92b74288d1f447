import type { Input } from "../../../codec/schema.ts";
import type { LogManager } from "../../log/log-manager.ts";
import type { PartitionLog } from "../../log/log.ts";
import { route, type Route } from "../../network/request.ts";
import { ErrorCode } from "../../protocol/error-codes.ts";
import { describeLogDirs, type describeLogDirsResponse } from "../../protocol/messages/describe-log-dirs.ts";
import type { ReplicaManager } from "../../replication/replica-manager.ts";

export interface DescribeLogDirsServices {
  readonly logs: Pick<LogManager, "directories" | "logs" | "futureLogs">;
  readonly replicas: Pick<ReplicaManager, "find">;
}

type Result = Input<typeof describeLogDirsResponse>["results"][number];

/**
 * DescribeLogDirs, 0 to 4: what each log directory of this broker holds. The size of the volume, which version 4 may
 * tell, is not known: -1. Source: KafkaApis.handleDescribeLogDirsRequest, ReplicaManager.describeLogDirs (2.7.1 and,
 * for topics without partitions, which are left out, 3.8.0).
 */
export function describeLogDirsRoute({ logs, replicas }: DescribeLogDirsServices): Route {
  return route(describeLogDirs, ({ topics }) => {
    const asked = topics === null ? undefined : new Map(topics.map(({ topic, partitions }) => [topic, new Set(partitions)]));
    const found = [...describedBy(logs.logs, false), ...describedBy(logs.futureLogs, true)].filter(({ log }) => asked === undefined || asked.get(log.topic)?.has(log.partition) === true);
    const results = logs.directories.map(({ path, failure }): Result => {
      if (failure !== undefined) return { errorCode: ErrorCode.KAFKA_STORAGE_ERROR, logDir: path, topics: [] };
      const byTopic = new Map<string, Result["topics"][number]["partitions"][number][]>();
      for (const { log, isFuture } of found) {
        if (log.logDirectory !== path) continue;
        const partitions = byTopic.get(log.topic) ?? [];
        byTopic.set(log.topic, partitions);
        partitions.push({ partitionIndex: log.partition, partitionSize: log.sizeBytes, offsetLag: lagOf(replicas, log, isFuture), isFutureKey: isFuture });
      }
      return { errorCode: ErrorCode.NONE, logDir: path, topics: Array.from(byTopic, ([name, partitions]) => ({ name, partitions })) };
    });
    return { throttleTimeMs: 0, results };
  });
}

function describedBy(logs: Iterable<PartitionLog>, isFuture: boolean): { readonly log: PartitionLog; readonly isFuture: boolean }[] {
  return Array.from(logs, (log) => ({ log, isFuture }));
}

/** How far a copy is behind the log that it is to replace, or a log behind what it knows to be committed; -1 where this broker has no such replica. */
function lagOf(replicas: Pick<ReplicaManager, "find">, log: PartitionLog, isFuture: boolean): number {
  const replica = replicas.find(log.topic, log.partition);
  if (typeof replica === "number") return -1;
  return isFuture ? replica.log.endOffset - log.endOffset : Math.max(replica.log.highWatermark - log.endOffset, 0);
}
