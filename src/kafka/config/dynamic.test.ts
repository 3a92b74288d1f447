import { describe, expect, test } from "vitest";
import { parseProperties } from "../../lib/properties.ts";
import { ErrorCode } from "../protocol/error-codes.ts";
import { alterBrokerSettings, alterTopicSettings, changeBrokerSettings, changeTopicSettings, ConfigOperation, createTopicSettings, type AlterOutcome } from "./alter.ts";
import { readBrokerConfig } from "./broker-config.ts";
import { brokerKeys } from "./broker-keys.ts";
import { ConfigSource, describeBroker, describeClusterDefaults, describeTopic, type ConfigEntry } from "./describe.ts";
import { acceptDynamic, brokerSynonyms, effectiveProperties, type BrokerLayers } from "./dynamic.ts";
import { topicKeys } from "./topic-config.ts";

function layers(file: string, clusterDefault: Record<string, string> = {}, perBroker: Record<string, string> = {}): BrokerLayers {
  return {
    static: parseProperties(`zookeeper.connect=z\n${file}`, "server.properties"),
    clusterDefault: new Map(Object.entries(clusterDefault)),
    perBroker: new Map(Object.entries(perBroker)),
  };
}

const all = { keys: null, synonyms: true, documentation: true };

function brief(entry: ConfigEntry | undefined): unknown {
  return entry && [entry.value, entry.configSource, entry.synonyms.map((synonym) => `${synonym.source}:${synonym.name}=${synonym.value}`)];
}

describe("places of settings", () => {
  test("the broker's znode wins over all brokers', that over the file", () => {
    const places = layers("message.max.bytes=1\nmin.insync.replicas=1", { "message.max.bytes": "2", "min.insync.replicas": "2" }, { "message.max.bytes": "3" });
    const { config } = readBrokerConfig(effectiveProperties(places), "f");
    expect(config.topicDefaults).toMatchObject({ maxMessageBytes: 3, minInsyncReplicas: 2 });
  });

  test("a synonym set in a stronger place displaces the others, whatever their own order", () => {
    const places = layers("log.retention.ms=1000", { "log.retention.hours": "2" });
    expect(readBrokerConfig(effectiveProperties(places), "f").config.topicDefaults.retentionMs).toBe(7_200_000);
  });

  test("names of a setting come strongest first, those of a listener also without the prefix", () => {
    expect(brokerSynonyms("log.retention.hours", true)).toEqual(["log.retention.ms", "log.retention.minutes", "log.retention.hours"]);
    expect(brokerSynonyms("log.flush.scheduler.interval.ms", true)).toEqual(["log.flush.scheduler.interval.ms"]);
    expect(brokerSynonyms("listener.name.a.ssl.key.password", true)).toEqual(["listener.name.a.ssl.key.password", "ssl.key.password"]);
    expect(brokerSynonyms("listener.name.a.plain.sasl.jaas.config", true)).toEqual(["listener.name.a.plain.sasl.jaas.config", "sasl.jaas.config"]);
    expect(brokerSynonyms("listener.name.a.max.connections", false)).toEqual(["listener.name.a.max.connections"]);
  });

  test("what a znode may not hold is ignored, one by one", () => {
    const { accepted, ignored } = acceptDynamic(
      new Map([["broker.id", "7"], ["num.io.threads", "none"], ["listeners", "PLAINTEXT://:1"], ["log.retention.ms", "5"], ["ssl.keystore.type", "PEM"], ["my.plugin", "x"]]),
      "cluster default",
    );
    expect([...accepted.keys()]).toEqual(["log.retention.ms", "my.plugin"]);
    expect(ignored).toEqual([
      "broker.id can't be changed while the broker runs",
      "num.io.threads=none: expected a whole number from 1 to 2147483647",
      "listeners can be set for one broker only, not for all of them",
      "ssl.keystore.type can be changed for one listener only: listener.name.<name>.ssl.keystore.type",
    ]);
  });
});

describe("describing a broker", () => {
  const entries = new Map(
    describeBroker(
      layers("log.retention.hours=24\nbroker.rack= a \nlistener.name.plaintext.ssl.keystore.type=PEM\nssl.key.password=hunter2\nmystery=1", { "message.max.bytes": "2000" }, { "message.max.bytes": "3000" }),
      all,
    ).map((entry) => [entry.name, entry]),
  );

  test("lists every key of the table and whatever else is set", () => {
    expect(entries.size).toBe(Object.keys(brokerKeys).length + 2);
    expect(entries.get("mystery")).toMatchObject({ value: null, isSensitive: true, configType: 0, readOnly: true, documentation: null, configSource: ConfigSource.staticBroker });
  });

  test("gives a value's source and all its other values, strongest first", () => {
    expect(brief(entries.get("message.max.bytes"))).toEqual(["3000", 2, ["2:message.max.bytes=3000", "3:message.max.bytes=2000", "5:message.max.bytes=1048588"]]);
    expect(entries.get("message.max.bytes")).toMatchObject({ readOnly: false, isDefault: false, configType: 3 });
    expect(brief(entries.get("broker.rack"))).toEqual(["a", 4, ["4:broker.rack=a "]]);
    expect(brief(entries.get("log.cleaner.io.max.bytes.per.second"))).toEqual(["1.7976931348623157E308", 5, ["5:log.cleaner.io.max.bytes.per.second=1.7976931348623157E308"]]);
  });

  test("leaves out synonyms until the setting's own name appears", () => {
    expect(brief(entries.get("log.retention.hours"))).toEqual(["24", 4, ["4:log.retention.hours=24", "5:log.retention.hours=168"]]);
    expect(brief(entries.get("log.retention.ms"))).toEqual([null, 5, []]);
  });

  test("shows no passwords and no values of unknown type", () => {
    expect(entries.get("ssl.key.password")).toMatchObject({ value: null, isSensitive: true, configType: 9, configSource: 4, synonyms: [{ name: "ssl.key.password", value: null, source: 4 }] });
    expect(JSON.stringify([...entries.values()])).not.toContain("hunter2");
  });

  test("types a listener's setting by the key behind the prefix", () => {
    expect(entries.get("listener.name.plaintext.ssl.keystore.type")).toMatchObject({ value: "PEM", configType: 2, isSensitive: false, readOnly: true });
    expect(brief(entries.get("listener.name.plaintext.ssl.keystore.type"))).toEqual(["PEM", 4, ["4:listener.name.plaintext.ssl.keystore.type=PEM", "5:ssl.keystore.type=JKS"]]);
  });

  test("answers for some keys only, and without synonyms and documentation, where asked so", () => {
    expect(describeBroker(layers(""), { keys: ["broker.id", "nothing"], synonyms: false, documentation: false })).toEqual([
      { name: "broker.id", value: "-1", readOnly: true, isDefault: true, configSource: 5, isSensitive: false, synonyms: [], configType: 3, documentation: null },
    ]);
  });

  test("of all brokers' defaults lists nothing but what is set there", () => {
    const places = layers("message.max.bytes=1", { "message.max.bytes": "2", "leader.replication.throttled.rate": "9" }, { "message.max.bytes": "3" });
    expect(describeClusterDefaults(places, all).map((entry) => [entry.name, entry.readOnly, entry.configType, brief(entry)])).toEqual([
      ["message.max.bytes", false, 3, ["2", 3, ["3:message.max.bytes=2"]]],
      ["leader.replication.throttled.rate", true, 5, ["9", 3, ["3:leader.replication.throttled.rate=9"]]],
    ]);
  });
});

describe("describing a topic", () => {
  const places = layers("log.retention.hours=24\nlog.segment.bytes=5000");

  test("lists every key, the topic's own first, then the broker's", () => {
    const entries = new Map(describeTopic(places, new Map([["segment.bytes", " 6000 "], ["mystery", "1"]]), all).map((entry) => [entry.name, entry]));
    expect(entries.size).toBe(Object.keys(topicKeys).length + 1);
    expect(brief(entries.get("segment.bytes"))).toEqual(["6000", 1, ["1:segment.bytes=6000", "4:log.segment.bytes=5000", "5:log.segment.bytes=1073741824"]]);
    expect(brief(entries.get("retention.ms"))).toEqual(["86400000", 5, []]);
    expect(brief(entries.get("flush.ms"))).toEqual(["9223372036854775807", 5, []]);
    expect(brief(entries.get("cleanup.policy"))).toEqual(["delete", 5, ["5:log.cleanup.policy=delete"]]);
    expect(brief(entries.get("leader.replication.throttled.replicas"))).toEqual(["", 5, []]);
    expect(entries.get("mystery")).toMatchObject({ value: null, isSensitive: true, configSource: 1, readOnly: false });
    expect([...entries.values()].every((entry) => !entry.readOnly)).toBe(true);
  });
});

function outcome(result: AlterOutcome): unknown {
  return result.kind === "settings" ? Object.fromEntries(result.settings) : [result.code, result.message];
}

describe("changing topics", () => {
  test("AlterConfigs replaces all settings", () => {
    expect(outcome(alterTopicSettings([{ name: "retention.ms", value: "1" }], "t"))).toEqual({ "retention.ms": "1" });
  });

  test("an unknown name is INVALID_CONFIG, a bad value INVALID_CONFIG at creation and INVALID_REQUEST later", () => {
    const unknown = [{ name: "retention", value: "1" }];
    expect(outcome(createTopicSettings(unknown, "t"))).toEqual([ErrorCode.INVALID_CONFIG, "unknown topic setting retention"]);
    expect(outcome(alterTopicSettings(unknown, "t"))).toEqual([ErrorCode.INVALID_CONFIG, "unknown topic setting retention"]);
    const bad = [{ name: "min.insync.replicas", value: "0" }];
    expect(outcome(createTopicSettings(bad, "t"))).toEqual([ErrorCode.INVALID_CONFIG, "min.insync.replicas=0: expected a whole number from 1 to 2147483647"]);
    expect(outcome(alterTopicSettings(bad, "t"))).toEqual([ErrorCode.INVALID_REQUEST, "min.insync.replicas=0: expected a whole number from 1 to 2147483647"]);
  });

  test("no value is INVALID_REQUEST, and compaction lags that cross are INVALID_CONFIG", () => {
    expect(outcome(createTopicSettings([{ name: "retention.ms", value: null }], "t"))).toEqual([ErrorCode.INVALID_REQUEST, "retention.ms has no value"]);
    const lags = [{ name: "min.compaction.lag.ms", value: "9223372036854775807" }, { name: "max.compaction.lag.ms", value: "9223372036854775806" }];
    expect(outcome(alterTopicSettings(lags, "t"))).toEqual([
      ErrorCode.INVALID_CONFIG,
      "min.compaction.lag.ms=9223372036854775807 is above max.compaction.lag.ms=9223372036854775806",
    ]);
  });

  test("IncrementalAlterConfigs sets, deletes, appends and subtracts, and keeps the rest", () => {
    const current = new Map([["retention.ms", "1"], ["flush.ms", "2"], ["follower.replication.throttled.replicas", "0:1,0:2,0:1"]]);
    const changes = [
      { name: "retention.ms", value: "3", configOperation: ConfigOperation.set },
      { name: "flush.ms", value: null, configOperation: ConfigOperation.delete },
      { name: "cleanup.policy", value: "compact", configOperation: ConfigOperation.append },
      { name: "follower.replication.throttled.replicas", value: "0:1,9:9", configOperation: ConfigOperation.subtract },
    ];
    expect(outcome(changeTopicSettings(current, changes, "__consumer_offsets"))).toEqual({
      "retention.ms": "3",
      "cleanup.policy": "delete,compact",
      "follower.replication.throttled.replicas": "0:2,0:1",
    });
    expect(current.get("retention.ms")).toBe("1");
  });

  test.each([
    ["repeats a name", [["retention.ms", "1", 0], ["retention.ms", "2", 0]], ErrorCode.INVALID_REQUEST, "more than one change of retention.ms"],
    ["lacks a value", [["retention.ms", null, 0]], ErrorCode.INVALID_REQUEST, "retention.ms has no value"],
    ["appends to a number", [["retention.ms", "1", 2]], ErrorCode.INVALID_REQUEST, "retention.ms is no list: nothing can be appended to it or taken from it"],
    ["appends to a stranger", [["retention", "1", 2]], ErrorCode.INVALID_CONFIG, "unknown setting retention"],
    ["makes a list wrong", [["cleanup.policy", "shred", 2]], ErrorCode.INVALID_REQUEST, "cleanup.policy=delete,shred: expected a comma-separated list of compact, delete"],
    ["has an unknown operation", [["cleanup.policy", "delete", 9]], ErrorCode.INVALID_REQUEST, "unknown operation 9 on cleanup.policy"],
  ] as const)("a change that %s is refused", (_what, changes, code, message) => {
    const list = changes.map(([name, value, configOperation]) => ({ name, value, configOperation }));
    expect(outcome(changeTopicSettings(new Map(), list, "t"))).toEqual([code, message]);
  });
});

describe("compaction", () => {
  const policy = (value: string): { name: string; value: string; configOperation: number }[] => [{ name: "cleanup.policy", value, configOperation: ConfigOperation.set }];

  test.each(["compact", "delete,compact", " compact , delete "])("cleanup.policy=%s is refused for every topic but the brokers' own", (value) => {
    for (const topic of ["t", "__consumer_offsets_", "consumer_offsets"]) {
      for (const result of [createTopicSettings(policy(value), topic), alterTopicSettings(policy(value), topic), changeTopicSettings(new Map(), policy(value), topic)]) {
        expect(outcome(result)).toEqual([
          ErrorCode.INVALID_CONFIG,
          `cleanup.policy=${value}: topic ${topic} would grow without bound, since compaction is still to come for all but the brokers' own topics; use delete`,
        ]);
      }
    }
    for (const topic of ["__consumer_offsets", "__transaction_state"]) expect(createTopicSettings(policy(value), topic).kind).toBe("settings");
  });

  test("a topic that has it all the same can be changed otherwise, and can lose it", () => {
    const current = new Map([["cleanup.policy", "compact"]]);
    expect(outcome(changeTopicSettings(current, [{ name: "retention.ms", value: "1", configOperation: ConfigOperation.set }], "t"))).toEqual({ "cleanup.policy": "compact", "retention.ms": "1" });
    expect(outcome(changeTopicSettings(current, policy("delete"), "t"))).toEqual({ "cleanup.policy": "delete" });
    expect(outcome(createTopicSettings(policy("delete"), "t"))).toEqual({ "cleanup.policy": "delete" });
  });
});

describe("changing brokers", () => {
  const places = layers("num.io.threads=8", {}, { "log.retention.ms": "5" });
  const { config } = readBrokerConfig(effectiveProperties(places), "f");
  const target = { scope: "broker" as const, layers: places, config };

  test("a setting that can change is taken, and incremental changes start from what the znode holds", () => {
    expect(outcome(alterBrokerSettings([{ name: "message.max.bytes", value: "9" }], target))).toEqual({ "message.max.bytes": "9" });
    expect(outcome(changeBrokerSettings([{ name: "message.max.bytes", value: "9", configOperation: 0 }], target))).toEqual({ "log.retention.ms": "5", "message.max.bytes": "9" });
    expect(outcome(changeBrokerSettings([{ name: "message.max.bytes", value: "9", configOperation: 0 }], { ...target, scope: "cluster default" }))).toEqual({ "message.max.bytes": "9" });
  });

  test.each([
    ["broker.id", "9", "broker.id can't be changed while the broker runs"],
    ["num.io.threads", "17", "num.io.threads=17: expected 4 to 16, half to double of what it is"],
    ["log.retention.ms", "0", "log.retention.ms=0: expected at least 1, or -1 to keep records for ever"],
    ["listener.name.plaintext.ssl.key.password", "hunter2", "listener.name.plaintext.ssl.key.password: listeners with TLS are still to come"],
  ])("%s=%s is refused as INVALID_REQUEST", (name, value, message) => {
    const result = alterBrokerSettings([{ name, value }], target);
    expect(result).toMatchObject({ kind: "refused", code: ErrorCode.INVALID_REQUEST, message: expect.stringContaining(message) });
  });
});
