import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { describe, expect, test } from "vitest";
import { Kafka, logLevel } from "kafkajs";
import type { LocalCluster, LocalClusterOptions } from "../../src/index.ts";
import { run, temporaryDirectory } from "../support/processes.ts";

/** The package's API for tests, from dist/ as whoever imports it gets it. */
const { startCluster } = (await import(pathToFileURL(resolve(import.meta.dirname, "../../dist/src/index.js")).href)) as { startCluster: (options?: LocalClusterOptions) => Promise<LocalCluster> };

describe.each([{ inProcess: false }, { inProcess: true }])("a cluster for tests, inProcess: $inProcess", ({ inProcess }) => {
  test("serves on free ports, outlives a node, takes it back, and leaves nothing behind", async () => {
    const cluster = await startCluster({ inProcess, settings: { "num.partitions": 2 } });
    try {
      expect(cluster.bootstrapServers.split(",")).toHaveLength(3);
      expect(cluster.zookeeperConnect.split(",")).toHaveLength(3);
      const kafka = new Kafka({ brokers: cluster.bootstrapServers.split(","), logLevel: logLevel.NOTHING });
      const admin = kafka.admin();
      await admin.connect();
      await admin.createTopics({ topics: [{ topic: "t" }] });
      const producer = kafka.producer();
      await producer.connect();
      await producer.send({ topic: "t", acks: -1, messages: [{ value: "1" }] });
      await cluster.kill(1);
      await producer.send({ topic: "t", acks: -1, messages: [{ value: "2" }] });
      await cluster.start(1);
      await producer.send({ topic: "t", acks: -1, messages: [{ value: "3" }] });
      const offsets = await admin.fetchTopicOffsets("t");
      expect(offsets).toHaveLength(2);
      expect(offsets.reduce((sum, { high }) => sum + Number(high), 0)).toBe(3);
      await producer.disconnect();
      await admin.disconnect();
      expect(() => cluster.kill(4)).toThrow("there is no node 4");
    } finally {
      await cluster.close();
    }
  });

  test("goes on with the data of a directory that is kept", async () => {
    const directory = temporaryDirectory();
    for (const expected of ["0", "1"]) {
      const cluster = await startCluster({ inProcess, nodes: 1, directory: directory.path });
      const kafka = new Kafka({ brokers: [cluster.bootstrapServers], logLevel: logLevel.NOTHING });
      const producer = kafka.producer();
      await producer.connect();
      const [{ baseOffset } = { baseOffset: undefined }] = await producer.send({ topic: "kept", acks: -1, messages: [{ partition: 0, value: "v" }] });
      expect(baseOffset).toBe(expected);
      await producer.disconnect();
      await cluster.close();
    }
    expect(existsSync(`${directory.path}/node-1/logs/kept-0`)).toBe(true);
    await expect(startCluster({ inProcess, nodes: 3, directory: directory.path })).rejects.toThrow("the cluster has 1 node");
    directory.remove();
  });
});

test("the package's own name imports it, with its types", async () => {
  const { code, stdout, stderr } = await run(process.execPath, ["--input-type=module", "-e", 'import { startCluster } from "odradek"; console.log(typeof startCluster);'], { cwd: resolve(import.meta.dirname, "../..") });
  expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: "function\n", stderr: "" });
});
