import { expect, test } from "vitest";
import { parseProperties } from "../../lib/properties.ts";
import { compareApiVersions, parseApiVersion, recordVersion } from "./api-version.ts";
import { readBrokerConfig } from "./broker-config.ts";
import { brokerKeys } from "./broker-keys.ts";
import { topicKeys, withOverrides } from "./topic-config.ts";

const { topicDefaults } = readBrokerConfig(parseProperties("zookeeper.connect=z\nlog.segment.bytes=5000\nmin.insync.replicas=2", "f"), "f").config;

test("a topic's own settings lie over the broker's", () => {
  const { config, ignored } = withOverrides(
    topicDefaults,
    new Map([["retention.ms", "-1"], ["cleanup.policy", "compact,delete"], ["message.format.version", "2.0"], ["leader.replication.throttled.replicas", "*"]]),
    "2.7-IV2",
  );
  expect(ignored).toEqual([]);
  expect(config).toEqual({ ...topicDefaults, retentionMs: -1, cleanupPolicy: ["compact", "delete"], messageFormatVersion: "2.0-IV1", leaderReplicationThrottledReplicas: ["*"] });
  expect(config).toMatchObject({ segmentBytes: 5000, minInsyncReplicas: 2 });
});

test("settings that can't be used leave the default in force and are named", () => {
  const { config, ignored } = withOverrides(
    topicDefaults,
    new Map([["retention.ms", "soon"], ["remote.storage.enable", "true"], ["message.format.version", "2.7"]]),
    "2.6-IV0",
  );
  expect(config).toEqual(topicDefaults);
  expect(ignored).toEqual([
    "retention.ms=soon: expected a whole number from -1 to 9223372036854775807",
    "remote.storage.enable is not a topic setting",
    "message.format.version=2.7 is above inter.broker.protocol.version=2.6-IV0",
  ]);
});

test("every topic setting has the default of the broker's setting that it falls back to, and the broker's defaults fill every field", () => {
  const { topicDefaults: plain } = readBrokerConfig(parseProperties("zookeeper.connect=z", "f"), "f").config;
  expect(Object.values(plain)).toEqual(Object.values(topicKeys).map((key) => key.default?.value));
  for (const key of Object.values(topicKeys)) expect(key.brokerKey === undefined || Object.hasOwn(brokerKeys, key.brokerKey)).toBe(true);
});

test("versions are ordered and know their record format", () => {
  expect(parseApiVersion("0.9.0.1")).toBe("0.9.0");
  expect(parseApiVersion("2")).toBeUndefined();
  expect(parseApiVersion("3.0")).toBeUndefined();
  expect(compareApiVersions("2.7-IV2", "0.8.0")).toBeGreaterThan(0);
  expect([recordVersion("0.9.0"), recordVersion("0.10.2-IV0"), recordVersion("0.11.0-IV0")]).toEqual([0, 1, 2]);
});
