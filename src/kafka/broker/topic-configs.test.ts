import { expect, test } from "vitest";
import { World } from "../../host/sim/world.ts";
import { parseProperties } from "../../lib/properties.ts";
import { readBrokerConfig } from "../config/broker-config.ts";
import { ZooKeeperModel } from "../controller/testing/zookeeper-model.ts";
import { createPersistentPaths, writeConfig } from "../znodes/operations.ts";
import type { Step } from "../znodes/requests.ts";
import type { ZooKeeperSession } from "../znodes/zookeeper-session.ts";
import { TopicConfigs } from "./topic-configs.ts";

function stage() {
  const zk = new ZooKeeperModel();
  const run = <T>(step: Step<T>): T => {
    for (let result = step.next(); ; ) {
      if (result.done === true) return result.value;
      result = step.next(result.value.map((request) => zk.apply(request)));
    }
  };
  const zookeeper = { run: <T>(step: Step<T>) => Promise.resolve(run(step)) } as unknown as ZooKeeperSession;
  run(createPersistentPaths());
  const node = new World({ seed: 5 }).addNode("one");
  const { config } = readBrokerConfig(parseProperties("zookeeper.connect=z\nlog.message.format.version=1.0", "f"), "f");
  const configs = new TopicConfigs({ ...config, topicDefaults: () => config.topicDefaults }, node.host.log);
  const set = (topic: string, settings: Readonly<Record<string, string>>): void => run(writeConfig({ type: "topics", name: topic }, new Map(Object.entries(settings))));
  return { zookeeper, configs, set, lines: () => node.log.lines() };
}

test("a topic that is to be compacted, of another broker's making, is hosted with one warning", async () => {
  const { zookeeper, configs, set, lines } = stage();
  set("t", { "cleanup.policy": "compact" });
  set("u", { "cleanup.policy": "compact,delete" });
  set("__consumer_offsets", { "cleanup.policy": "compact" });
  set("v", { "cleanup.policy": "delete" });
  await configs.loadAll(zookeeper);
  await configs.load(zookeeper, ["t", "u", "v", "__consumer_offsets", "w"]);
  expect(configs.of("t").cleanupPolicy).toEqual(["compact"]);
  expect(lines().map((line) => /topic (\S+) has cleanup\.policy=(\S+):/.exec(line)?.slice(1))).toEqual([["t", "compact"], ["u", "compact,delete"]]);
});

test("a topic with an old message.format.version is told, once, that its records are stored in format 2", async () => {
  const { zookeeper, configs, set, lines } = stage();
  set("t", { "message.format.version": "0.10.0" });
  set("u", { "message.format.version": "0.11.0" });
  set("v", { "retention.ms": "1" });
  await configs.loadAll(zookeeper);
  await configs.load(zookeeper, ["t", "u", "v"]);
  expect(lines().map((line) => /topic (\S+) has message\.format\.version=(\S+):/.exec(line)?.slice(1))).toEqual([["t", "0.10.0-IV1"]]);
});
