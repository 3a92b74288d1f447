import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { administer, kafkaJs, node24, platformaticKafka } from "../support/client-matrix/drivers/node.ts";
import { judgeClient, judgeFailover } from "../support/client-matrix/judge.ts";
import type { KafkaCluster } from "../support/kafka-cluster.ts";
import { startCluster } from "../support/odradek-cluster.ts";

/** Groups of the clients that npm brings, on three brokers of ours on three members of ours. */

const newerNode = await node24();

describe("groups on a cluster", () => {
  let cluster: KafkaCluster;

  beforeAll(async () => {
    cluster = await startCluster();
  });

  afterAll(() => cluster?.close());

  judgeClient("kafkajs", () => ({ cluster, client: kafkaJs(cluster.bootstrap) }));

  describe.runIf(newerNode !== undefined)("on Node 24", () => {
    judgeClient("@platformatic/kafka", () => ({ cluster, client: platformaticKafka(cluster.bootstrap, newerNode ?? "") }));
  });

  test.each([
    { script: "kafkajs.mjs", node: process.execPath } as const,
    ...(newerNode === undefined ? [] : [{ script: "platformatic.mjs", node: newerNode } as const]),
  ])("the admin client of $script gives a group offsets, lists, describes and deletes it", async ({ script, node }) => {
    const topic = `administered-by-${script}`;
    await cluster.createTopic(topic, 3);
    await cluster.inSync(topic);
    const seen = await administer(script, { node, bootstrap: cluster.bootstrap, groupId: `${topic}-group`, topic });
    expect(seen).toMatchObject({ listed: true, state: expect.stringMatching(/^empty$/i) as unknown, listedStill: false });
  });

  test("groups outlive the broker that coordinates them", { timeout: 180_000 }, () =>
    judgeFailover(cluster, [kafkaJs(cluster.bootstrap), ...(newerNode === undefined ? [] : [platformaticKafka(cluster.bootstrap, newerNode)])]));
});
