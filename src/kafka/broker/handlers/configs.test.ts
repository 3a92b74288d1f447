import { expect, test } from "vitest";
import type { Input } from "../../../codec/schema.ts";
import { World } from "../../../host/sim/world.ts";
import { parseProperties } from "../../../lib/properties.ts";
import { readBrokerConfig } from "../../config/broker-config.ts";
import { ZooKeeperModel } from "../../controller/testing/zookeeper-model.ts";
import { ErrorCode } from "../../protocol/error-codes.ts";
import { alterConfigs } from "../../protocol/messages/alter-configs.ts";
import { describeConfigs } from "../../protocol/messages/describe-configs.ts";
import { incrementalAlterConfigs } from "../../protocol/messages/incremental-alter-configs.ts";
import { createPersistentPaths, readConfig, writeConfig } from "../../znodes/operations.ts";
import { paths } from "../../znodes/paths.ts";
import type { Step } from "../../znodes/requests.ts";
import type { ZooKeeperSession } from "../../znodes/zookeeper-session.ts";
import { BrokerSettings } from "../broker-settings.ts";
import { ConfigAdmin } from "../config-admin.ts";
import { metadataOf, Served } from "../testing/served.ts";
import { alterConfigsRoute } from "./alter-configs.ts";
import { describeConfigsRoute } from "./describe-configs.ts";
import { incrementalAlterConfigsRoute } from "./incremental-alter-configs.ts";

const TOPIC = 2;
const BROKER = 4;
const BROKER_LOGGER = 8;
const ME = 1;

async function stage(file = "") {
  const zk = new ZooKeeperModel();
  const run = <T>(step: Step<T>): T => {
    for (let result = step.next(); ; ) {
      if (result.done === true) return result.value;
      result = step.next(result.value.map((request) => zk.apply(request)));
    }
  };
  const zookeeper = { run: <T>(step: Step<T>) => Promise.resolve(run(step)) } as unknown as ZooKeeperSession;
  run(createPersistentPaths());
  const world = new World({ seed: 5 });
  const properties = parseProperties(`zookeeper.connect=z\n${file}`, "f");
  const layers = { static: properties, clusterDefault: new Map(), perBroker: new Map() };
  const settings = new BrokerSettings(ME, { layers, config: readBrokerConfig(properties, "f").config }, world.addNode("settings").host.log);
  const metadata = metadataOf([{ id: ME }], { t: [ME] });
  const admin = new ConfigAdmin({ brokerId: ME, metadata, settings, zookeeper });
  const served = await Served.start([describeConfigsRoute({ brokerId: ME, metadata, settings, zookeeper }), alterConfigsRoute(admin), incrementalAlterConfigsRoute(admin)], world);
  const stored = (type: "topics" | "brokers", name: string): Record<string, string> => Object.fromEntries(run(readConfig({ type, name })));
  const store = (type: "topics" | "brokers", name: string, values: Readonly<Record<string, string>>): void => run(writeConfig({ type, name }, new Map(Object.entries(values))));
  const announced = (): string[] => zk.children(paths.configChanges).map((name) => (zk.json(`${paths.configChanges}/${name}`) as { entity_path: string }).entity_path);
  const describe = async (version: number, resourceType: number, resourceName: string, configurationKeys: readonly string[] | null, more: Partial<Input<typeof describeConfigs.request>> = {}) => {
    const { results } = await served.ask(describeConfigs, version, { resources: [{ resourceType, resourceName, configurationKeys }], ...more });
    return results[0];
  };
  const change = async (resourceType: number, resourceName: string, configs: readonly { name: string; configOperation: number; value: string | null }[], validateOnly = false) => {
    const { responses } = await served.ask(incrementalAlterConfigs, 1, { resources: [{ resourceType, resourceName, configs }], validateOnly });
    return responses[0];
  };
  return { served, settings, stored, store, announced, describe, change };
}

const set = (name: string, value: string) => ({ name, configOperation: 0, value });

for (let version = 0; version <= 4; version++) {
  test(`DescribeConfigs ${version}: a topic's setting and where it comes from, as ZooKeeper holds it`, async () => {
    const { store, describe } = await stage("log.retention.ms=7\n");
    store("topics", "t", { "retention.ms": "5" });
    const result = await describe(version, TOPIC, "t", ["retention.ms"], { ...(version >= 1 && { includeSynonyms: true }), ...(version >= 3 && { includeDocumentation: true }) });
    expect(result).toMatchObject({ errorCode: 0, errorMessage: null, resourceType: TOPIC, resourceName: "t" });
    expect(result?.configs).toHaveLength(1);
    const [entry] = result?.configs ?? [];
    expect(entry).toMatchObject({ name: "retention.ms", value: "5", readOnly: false, isSensitive: false });
    if (version === 0) expect(entry?.isDefault).toBe(false);
    else expect(entry?.configSource).toBe(1);
    if (version >= 1) expect(entry?.synonyms.slice(0, 2)).toEqual([{ name: "retention.ms", value: "5", source: 1 }, { name: "log.retention.ms", value: "7", source: 4 }]);
    if (version >= 3) expect(entry).toMatchObject({ configType: 5 });
    if (version >= 3) expect(entry?.documentation).not.toBe("");
  });
}

test("DescribeConfigs: without keys, all settings of a topic and of this broker; of all brokers only what was set for them", async () => {
  const { store, settings, describe } = await stage();
  expect((await describe(4, TOPIC, "t", null))?.configs.length).toBeGreaterThan(20);
  expect((await describe(4, BROKER, "1", []))?.configs.length).toBeGreaterThan(200);
  expect((await describe(4, BROKER, "", null))?.configs).toEqual([]);
  settings.apply("<default>", new Map([["log.retention.ms", "9"]]));
  expect((await describe(4, BROKER, "", null))?.configs).toMatchObject([{ name: "log.retention.ms", value: "9", configSource: 3 }]);
  store("topics", "t", {});
  expect((await describe(4, TOPIC, "t", ["retention.ms"], { includeSynonyms: true }))?.configs).toMatchObject([{ value: "9", configSource: 3 }]);
});

test("DescribeConfigs: another broker's settings, strangers and unknown topics are refused, each as Kafka does; there are no loggers", async () => {
  const { describe } = await stage();
  expect(await describe(4, BROKER, "2", null)).toMatchObject({ errorCode: ErrorCode.INVALID_REQUEST, errorMessage: "this is broker 1: ask broker 2 itself", configs: [] });
  expect(await describe(4, BROKER, "x", null)).toMatchObject({ errorCode: ErrorCode.INVALID_REQUEST });
  expect(await describe(4, TOPIC, "u", null)).toMatchObject({ errorCode: ErrorCode.UNKNOWN_TOPIC_OR_PARTITION });
  expect(await describe(4, TOPIC, "a b", null)).toMatchObject({ errorCode: ErrorCode.INVALID_TOPIC_EXCEPTION });
  expect(await describe(4, 16, "", null)).toMatchObject({ errorCode: ErrorCode.INVALID_REQUEST });
  expect(await describe(4, BROKER_LOGGER, "1", null)).toMatchObject({ errorCode: 0, configs: [] });
  expect(await describe(4, BROKER_LOGGER, "", null)).toMatchObject({ errorCode: ErrorCode.INVALID_REQUEST });
});

for (let version = 0; version <= 2; version++) {
  test(`AlterConfigs ${version}: what is named replaces all that was there, and brokers are told`, async () => {
    const { served, stored, store, announced } = await stage();
    store("topics", "t", { "retention.ms": "5", "segment.bytes": "1000" });
    const configs = [{ name: "retention.ms", value: "6" }];
    const asked = { resources: [{ resourceType: TOPIC, resourceName: "t", configs }], validateOnly: false };
    const { responses } = await served.ask(alterConfigs, version, asked);
    expect(responses).toEqual([{ errorCode: 0, errorMessage: null, resourceType: TOPIC, resourceName: "t" }]);
    expect(stored("topics", "t")).toEqual({ "retention.ms": "6" });
    expect(announced()).toEqual(["topics/t"]);
    await served.ask(alterConfigs, version, { ...asked, resources: [{ resourceType: BROKER, resourceName: "1", configs: [{ name: "log.retention.ms", value: "8" }] }] });
    await served.ask(alterConfigs, version, { ...asked, resources: [{ resourceType: BROKER, resourceName: "", configs: [{ name: "log.retention.ms", value: "9" }] }] });
    expect(stored("brokers", "1")).toEqual({ "log.retention.ms": "8" });
    expect(stored("brokers", "<default>")).toEqual({ "log.retention.ms": "9" });
    expect(announced()).toEqual(["topics/t", "brokers/1", "brokers/<default>"]);
  });
}

test("AlterConfigs: nothing is written where it is only to be checked, or can't be", async () => {
  const { served, stored, announced } = await stage();
  const ask = async (resourceType: number, resourceName: string, name: string, value: string | null, validateOnly = false) => {
    const { responses } = await served.ask(alterConfigs, 2, { resources: [{ resourceType, resourceName, configs: [{ name, value }] }], validateOnly });
    return responses[0]?.errorCode;
  };
  expect(await ask(TOPIC, "t", "retention.ms", "6", true)).toBe(0);
  expect(await ask(TOPIC, "t", "retention.ms", "x")).toBe(ErrorCode.INVALID_REQUEST);
  expect(await ask(TOPIC, "t", "retention.ms", null)).toBe(ErrorCode.INVALID_REQUEST);
  expect(await ask(TOPIC, "t", "no.such", "1")).toBe(ErrorCode.INVALID_CONFIG);
  expect(await ask(TOPIC, "u", "retention.ms", "6")).toBe(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION);
  expect(await ask(BROKER, "1", "broker.id", "6")).toBe(ErrorCode.INVALID_REQUEST);
  expect(await ask(BROKER, "2", "log.retention.ms", "6")).toBe(ErrorCode.INVALID_REQUEST);
  expect(await ask(BROKER_LOGGER, "1", "kafka", "INFO")).toBe(ErrorCode.INVALID_REQUEST);
  expect(stored("topics", "t")).toEqual({});
  expect(announced()).toEqual([]);
});

test("IncrementalAlterConfigs: sets, deletes, appends and subtracts; the other settings stay", async () => {
  const { change, stored, store } = await stage();
  store("topics", "t", { "retention.ms": "5", "segment.bytes": "1000", "leader.replication.throttled.replicas": "0:1,1:1" });
  expect(await change(TOPIC, "t", [set("max.message.bytes", "77"), { name: "retention.ms", configOperation: 1, value: null }])).toMatchObject({ errorCode: 0 });
  expect(await change(TOPIC, "t", [{ name: "leader.replication.throttled.replicas", configOperation: 2, value: "2:1" }])).toMatchObject({ errorCode: 0 });
  expect(await change(TOPIC, "t", [{ name: "leader.replication.throttled.replicas", configOperation: 3, value: "0:1" }])).toMatchObject({ errorCode: 0 });
  expect(stored("topics", "t")).toEqual({ "segment.bytes": "1000", "leader.replication.throttled.replicas": "1:1,2:1", "max.message.bytes": "77" });
});

test("IncrementalAlterConfigs of brokers rests on what is in ZooKeeper, not on what this broker has heard of", async () => {
  const { change, stored } = await stage();
  expect(await change(BROKER, "", [set("log.retention.ms", "9")])).toMatchObject({ errorCode: 0 });
  expect(await change(BROKER, "", [set("log.segment.bytes", "1000")])).toMatchObject({ errorCode: 0 });
  expect(stored("brokers", "<default>")).toEqual({ "log.retention.ms": "9", "log.segment.bytes": "1000" });
  expect(await change(BROKER, "1", [set("num.io.threads", "100")])).toMatchObject({ errorCode: ErrorCode.INVALID_REQUEST });
  expect(await change(BROKER, "1", [set("num.io.threads", "16")], true)).toMatchObject({ errorCode: 0 });
  expect(stored("brokers", "1")).toEqual({});
});

test("IncrementalAlterConfigs: one setting twice, a list operation on what is none, and loggers are refused", async () => {
  const { change, stored } = await stage();
  expect(await change(TOPIC, "t", [set("retention.ms", "1"), set("retention.ms", "2")])).toMatchObject({ errorCode: ErrorCode.INVALID_REQUEST });
  expect(await change(TOPIC, "t", [{ name: "retention.ms", configOperation: 2, value: "1" }])).toMatchObject({ errorCode: ErrorCode.INVALID_REQUEST });
  expect(await change(BROKER_LOGGER, "1", [set("kafka", "DEBUG")])).toMatchObject({ errorCode: ErrorCode.INVALID_REQUEST, errorMessage: "there is no logger kafka" });
  expect(await change(16, "c", [])).toMatchObject({ errorCode: ErrorCode.INVALID_REQUEST });
  expect(stored("topics", "t")).toEqual({});
});
