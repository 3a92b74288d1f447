import { expect, test } from "vitest";
import { ErrorCode } from "../../protocol/error-codes.ts";
import { GROUP_METADATA_TOPIC } from "../../protocol/internal-topics.ts";
import { deleteRecords } from "../../protocol/messages/delete-records.ts";
import { append, PartitionBench } from "../../replication/testing/partition-bench.ts";
import { metadataOf, Served } from "../testing/served.ts";
import { deleteRecordsRoute } from "./delete-records.ts";

async function stage() {
  const bench = new PartitionBench();
  const partition = bench.led({ isr: [1], replicas: [1] });
  for (let record = 0; record < 3; record++) append(partition);
  const metadata = metadataOf([{ id: 1 }], { t: [1, 2], [GROUP_METADATA_TOPIC]: [1] });
  const replicas = { find: (topic: string, index: number) => (topic === "t" && index === 0 ? partition : ErrorCode.NOT_LEADER_OR_FOLLOWER) };
  const served = await Served.start([deleteRecordsRoute({ metadata, replicas, timers: bench.node.host.timers })]);
  return { served, partition };
}

for (let version = 0; version <= 2; version++) {
  test(`DeleteRecords ${version}: each partition is answered on its own`, async () => {
    const { served, partition } = await stage();
    const partitions = [{ partitionIndex: 0, offset: 2 }, { partitionIndex: 1, offset: 2 }, { partitionIndex: 2, offset: 2 }];
    const answer = await served.ask(deleteRecords, version, { topics: [{ name: "t", partitions }, { name: GROUP_METADATA_TOPIC, partitions: [{ partitionIndex: 0, offset: 0 }] }], timeoutMs: 1000 });
    expect(answer.topics).toEqual([
      {
        name: "t",
        partitions: [
          { partitionIndex: 0, lowWatermark: 2, errorCode: 0 },
          { partitionIndex: 1, lowWatermark: -1, errorCode: ErrorCode.NOT_LEADER_OR_FOLLOWER },
          { partitionIndex: 2, lowWatermark: -1, errorCode: ErrorCode.UNKNOWN_TOPIC_OR_PARTITION },
        ],
      },
      { name: GROUP_METADATA_TOPIC, partitions: [{ partitionIndex: 0, lowWatermark: -1, errorCode: ErrorCode.INVALID_TOPIC_EXCEPTION }] },
    ]);
    expect(partition.log.startOffset).toBe(2);
  });
}
