import { afterAll, beforeAll, describe, test } from "vitest";
import { hasDebianZooKeeper } from "../support/apache-zookeeper.ts";
import { hasKazoo, runKazoo } from "../support/kazoo.ts";
import { converseWithZkCli } from "../support/zkcli.ts";
import { ZooKeeperEnsemble } from "../support/zookeeper-ensemble.ts";

if (!hasDebianZooKeeper) console.warn("SKIPPED zkCli on three of our ZooKeeper members: no /usr/share/java/zookeeper.jar (apt-get install zookeeper)");

describe("three members of ours", () => {
  let ensemble: ZooKeeperEnsemble;

  beforeAll(async () => {
    ensemble = await ZooKeeperEnsemble.plan(["odradek", "odradek", "odradek"]);
    await ensemble.start();
  });

  afterAll(() => ensemble?.close());

  test.runIf(hasKazoo)("give kazoo, with its recipes, what it wants, each client at whichever member it finds", { timeout: 120_000 }, () => runKazoo(ensemble.connect()));

  test.runIf(hasDebianZooKeeper)("give zkCli at a follower what a member alone gives it", async () => {
    const leader = await ensemble.leader();
    const [follower] = ensemble.members.filter((member) => member !== leader);
    await converseWithZkCli(ensemble.connect(follower?.id ?? 0));
  });
});
