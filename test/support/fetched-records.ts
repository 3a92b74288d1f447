import { fetch } from "../../src/kafka/protocol/messages/fetch.ts";
import { batchMagic, wholeBatchSize } from "../../src/kafka/records/batch.ts";
import { RecordReader } from "../../src/kafka/records/record-reader.ts";
import type { ClusterBroker, KafkaCluster } from "./kafka-cluster.ts";

export interface FetchedRecords {
  /** `offset key value`, for each record. */
  readonly lines: readonly string[];
  readonly magics: ReadonlySet<number>;
}

const BATCH_BYTES_MAX = 1_048_576;

/** All of partition 0 from an offset to its end, by Fetch of this version; versions below 13 name topics. */
export async function fetchAll(cluster: KafkaCluster, broker: ClusterBroker, { topic, version, from, to }: { readonly topic: string; readonly version: number; readonly from: number; readonly to: number }): Promise<FetchedRecords> {
  const connection = await cluster.connect(broker);
  const reader = new RecordReader();
  const lines: string[] = [];
  const magics = new Set<number>();
  try {
    for (let next = from; next < to; ) {
      const partition = { partition: 0, fetchOffset: next, partitionMaxBytes: 20_000 };
      const response = await connection.send(fetch, version, { maxWaitMs: 100, minBytes: 1, topics: [{ topic, partitions: [partition] }], forgottenTopicsData: [] });
      const answer = response.responses[0]?.partitions[0];
      if (answer === undefined || answer.errorCode !== 0) throw new Error(`Fetch ${version} of ${topic} from ${next}: error ${answer?.errorCode ?? response.errorCode}`);
      const bytes = Buffer.concat(answer.records ?? []);
      const before = next;
      for (let at = 0, size = wholeBatchSize(bytes, at, bytes.length); size > 0; at += size, size = wholeBatchSize(bytes, at, bytes.length)) {
        magics.add(batchMagic(bytes, at));
        reader.open(bytes, at, size, BATCH_BYTES_MAX);
        while (reader.next()) {
          // Batches are given whole; whoever asked for less leaves the rest.
          if (reader.offset < next) continue;
          lines.push(`${reader.offset} ${reader.key()?.toString() ?? ""} ${reader.value()?.toString() ?? ""}`);
          next = reader.offset + 1;
        }
        if (reader.problem !== undefined) throw new Error(`Fetch ${version} of ${topic} from ${next}: ${reader.problem.message}`);
      }
      if (next === before) throw new Error(`Fetch ${version} of ${topic} gives nothing from ${next} on, in ${bytes.length} bytes`);
    }
  } finally {
    connection.close();
  }
  return { lines, magics };
}
