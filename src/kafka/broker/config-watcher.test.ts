import { expect, test } from "vitest";
import { World } from "../../host/sim/world.ts";
import { OperationalError } from "../../lib/error.ts";
import { parseProperties } from "../../lib/properties.ts";
import { TaskGroup } from "../../lib/task-group.ts";
import { readBrokerConfig } from "../config/broker-config.ts";
import { ZooKeeperModel } from "../controller/testing/zookeeper-model.ts";
import { changeConfig, createPersistentPaths } from "../znodes/operations.ts";
import { paths } from "../znodes/paths.ts";
import { ask, create, type Step } from "../znodes/requests.ts";
import type { ZooKeeperSession } from "../znodes/zookeeper-session.ts";
import { BrokerSettings } from "./broker-settings.ts";
import { ConfigWatcher } from "./config-watcher.ts";
import { settingChanges } from "./setting-changes.ts";
import { TopicConfigs } from "./topic-configs.ts";

type Listener = Parameters<ZooKeeperSession["listen"]>[0];

/** Broker 1, whose watches fire when a test says so. */
function stage() {
  const zk = new ZooKeeperModel();
  const run = <T>(step: Step<T>): T => {
    for (let result = step.next(); ; ) {
      if (result.done === true) return result.value;
      result = step.next(result.value.map((request) => zk.apply(request)));
    }
  };
  run(createPersistentPaths());
  const world = new World({ seed: 5, expected: () => false });
  const node = world.addNode("one");
  const { host } = node;
  let listener: Listener | undefined;
  let failures = 0;
  const zookeeper = {
    run: <T>(step: Step<T>) => (failures-- > 0 ? Promise.reject(new OperationalError("ERR_ZOOKEEPER", "refused")) : Promise.resolve(run(step))),
    listen: (given: Listener) => {
      listener = given;
      return () => (listener = undefined);
    },
  } as unknown as ZooKeeperSession;
  const properties = parseProperties("zookeeper.connect=z\nlog.retention.ms=7", "f");
  const settings = new BrokerSettings(1, { layers: { static: properties, clusterDefault: new Map(), perBroker: new Map() }, config: readBrokerConfig(properties, "f").config }, host.log);
  const topicConfigs = new TopicConfigs({ topicDefaults: () => settings.config.topicDefaults, interBrokerProtocolVersion: settings.config.interBrokerProtocolVersion }, host.log);
  const reconfigured: (string | undefined)[] = [];
  const unclean: (string | undefined)[] = [];
  const changes = settingChanges({ settings, topicConfigs, logs: { reconfigure: (topic?: string) => reconfigured.push(topic) }, zookeeper, uncleanElection: (topic) => unclean.push(topic) });
  const tasks = new TaskGroup((error) => host.fail(error));
  const watcher = new ConfigWatcher({ host, log: host.log, zookeeper, tasks, ...changes });
  return {
    world, settings, topicConfigs, reconfigured, unclean, watcher,
    set: (type: "topics" | "brokers", name: string, values: Readonly<Record<string, string>>) => run(changeConfig({ type, name }, () => new Map(Object.entries(values)))),
    garble: () => run(ask([create(paths.newConfigChange, Buffer.from("?"), "persistentSequential")])),
    fire: () => listener?.watch({ kind: "childrenChanged", path: paths.configChanges }),
    renew: () => listener?.sessionStarted(2n),
    fail: (count: number) => (failures = count),
    isListening: () => listener !== undefined,
    lines: () => node.log.lines(),
  };
}

test("a topic's changed settings are in force when the announcement has been read, at the start and later", async () => {
  const s = stage();
  s.set("topics", "t", { "retention.ms": "5" });
  s.watcher.start();
  await s.world.run({ forMs: 10 });
  expect(s.topicConfigs.of("t").retentionMs).toBe(5);
  s.set("topics", "t", { "retention.ms": "6", "unclean.leader.election.enable": "True" });
  expect(s.topicConfigs.of("t").retentionMs).toBe(5);
  s.fire();
  await s.world.run({ forMs: 10 });
  expect(s.topicConfigs.of("t").retentionMs).toBe(6);
  expect([s.reconfigured, s.unclean]).toEqual([["t", "t"], ["t"]]);
});

test("settings of all brokers and of this one reach topics that do not say otherwise; another broker's do not", async () => {
  const s = stage();
  s.set("topics", "own", { "retention.ms": "5" });
  s.set("brokers", "<default>", { "log.retention.ms": "8", "unclean.leader.election.enable": "true" });
  s.set("brokers", "2", { "log.retention.ms": "99" });
  s.watcher.start();
  await s.world.run({ forMs: 10 });
  const retention = (): number[] => [s.topicConfigs.of("own").retentionMs, s.topicConfigs.of("t").retentionMs];
  expect(retention()).toEqual([5, 8]);
  expect(s.unclean).toEqual([undefined]);
  s.set("brokers", "1", { "log.retention.ms": "9" });
  s.fire();
  await s.world.run({ forMs: 10 });
  expect(retention()).toEqual([5, 9]);
  s.set("brokers", "1", {});
  s.set("brokers", "<default>", {});
  s.fire();
  await s.world.run({ forMs: 10 });
  expect(retention()).toEqual([5, 7]);
  expect(s.unclean).toEqual([undefined]);
});

test("settings that can't be used are left out with a sentence, and all of a znode's where they contradict each other", async () => {
  const s = stage();
  s.set("brokers", "1", { "broker.id": "5", "log.retention.ms": "8" });
  s.watcher.start();
  await s.world.run({ forMs: 10 });
  expect(s.settings.config.topicDefaults.retentionMs).toBe(8);
  expect(s.lines().filter((line) => line.includes("broker.id can't be changed while the broker runs"))).toHaveLength(1);
  s.set("brokers", "1", { "log.retention.ms": "0" });
  s.fire();
  await s.world.run({ forMs: 10 });
  expect(s.settings.config.topicDefaults.retentionMs).toBe(8);
  expect(s.lines().filter((line) => line.includes("is not applied"))).toHaveLength(1);
});

test("in a new session everything is read again: what was announced meanwhile may be gone", async () => {
  const s = stage();
  s.watcher.start();
  await s.world.run({ forMs: 10 });
  s.set("topics", "t", { "retention.ms": "5" });
  s.set("brokers", "1", { "log.retention.ms": "9" });
  s.renew();
  await s.world.run({ forMs: 10 });
  expect([s.topicConfigs.of("t").retentionMs, s.topicConfigs.of("u").retentionMs]).toEqual([5, 9]);
  expect(s.reconfigured.at(-1)).toBeUndefined();
});

test("where ZooKeeper refuses, everything is read again a second later; an announcement that can't be read is skipped", async () => {
  const s = stage();
  s.watcher.start();
  await s.world.run({ forMs: 10 });
  s.set("topics", "t", { "retention.ms": "5" });
  s.fail(1);
  s.fire();
  await s.world.run({ forMs: 500 });
  expect(s.topicConfigs.of("t").retentionMs).toBe(7);
  await s.world.run({ forMs: 600 });
  expect(s.topicConfigs.of("t").retentionMs).toBe(5);
  s.garble();
  s.set("topics", "t", { "retention.ms": "6" });
  s.fire();
  await s.world.run({ forMs: 10 });
  expect(s.topicConfigs.of("t").retentionMs).toBe(6);
});

test("a watcher that is closed listens no more and does not try again", async () => {
  const s = stage();
  s.watcher.start();
  await s.world.run({ forMs: 10 });
  s.fail(1);
  s.fire();
  await s.world.run({ forMs: 10 });
  s.watcher.close();
  expect(s.isListening()).toBe(false);
  s.set("topics", "t", { "retention.ms": "5" });
  await s.world.run({ forMs: 5000 });
  expect(s.topicConfigs.of("t").retentionMs).toBe(7);
});
