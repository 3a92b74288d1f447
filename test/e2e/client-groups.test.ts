import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { administer, kafkaJs, node24, platformaticKafka } from "../support/client-matrix/drivers/node.ts";
import { judgeClient, judgeFailover } from "../support/client-matrix/judge.ts";
import { StartedCluster } from "../support/local-cluster.ts";
import { startCluster } from "../support/odradek-cluster.ts";

/** The clients that npm brings, on a cluster that `npm start` has brought up. */

const newerNode = await node24();

describe("on a cluster", () => {
  let cluster: StartedCluster;

  beforeAll(async () => {
    cluster = await StartedCluster.start();
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
});

test("groups outlive the broker that coordinates them", { timeout: 180_000 }, async () => {
  // One whose brokers stay down when they are killed.
  const cluster = await startCluster();
  try {
    await judgeFailover(cluster, [kafkaJs(cluster.bootstrap), ...(newerNode === undefined ? [] : [platformaticKafka(cluster.bootstrap, newerNode)])]);
  } finally {
    await cluster.close();
  }
});
