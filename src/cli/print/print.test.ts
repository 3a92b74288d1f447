import * as fc from "fast-check";
import { expect, test } from "vitest";
import type { PartitionDescription, TopicDescription } from "../../kafka/client/cluster-admin.ts";
import type { ConsumedRecord } from "../../kafka/client/consumer.ts";
import { configsText, updatedLine } from "./configs.ts";
import { deletedGroups, deletedOffsetRows, groupMembers, groupOffsets, groupState, groupStates, resetRows, stateNotice } from "./groups.ts";
import { DEFAULT_FORMAT, formatRecord, type RecordFormat } from "./records.ts";
import { collisionWarning, partitionLine, topicLine, topicList } from "./topics.ts";

const partition: PartitionDescription = { index: 0, leader: 1, replicas: [1, 2], isr: [1, 2], adding: [], removing: [] };
const topic: TopicDescription = { name: "t", id: "AAAAAAAAAAAAAAAAAAAAAQ", internal: false, partitions: [partition] };

test("a list of topics is a line each, an empty one an empty line", () => {
  expect([topicList([]), topicList(["a", "b"])]).toEqual(["\n", "a\nb\n"]);
});

test("topics and partitions: no settings, some, an id, no leader, no replicas in sync, a reassignment", () => {
  expect(topicLine(topic, { configs: [] })).toBe("Topic: t\tPartitionCount: 1\tReplicationFactor: 2\tConfigs: \n");
  expect(topicLine(topic, { configs: [{ name: "a", value: "1" }, { name: "b", value: null }], withId: true })).toBe("Topic: t\tTopicId: AAAAAAAAAAAAAAAAAAAAAQ\tPartitionCount: 1\tReplicationFactor: 2\tConfigs: a=1,b=null\n");
  expect(partitionLine("t", partition)).toBe("\tTopic: t\tPartition: 0\tLeader: 1\tReplicas: 1,2\tIsr: 1,2\n");
  expect(partitionLine("t", { ...partition, leader: -1, isr: [] })).toBe("\tTopic: t\tPartition: 0\tLeader: none\tReplicas: 1,2\tIsr: \n");
  const moving = { ...partition, replicas: [3, 1, 2], adding: [3], removing: [1] };
  expect(partitionLine("t", moving)).toBe("\tTopic: t\tPartition: 0\tLeader: 1\tReplicas: 3,1,2\tIsr: 1,2\tAdding Replicas: 3\tRemoving Replicas: 1\n");
  expect(topicLine({ ...topic, partitions: [moving] }, { configs: [] })).toContain("ReplicationFactor: 2\t");
});

test("names with a dot or an underscore come with a warning", () => {
  expect([collisionWarning("a-b"), collisionWarning("a.b").startsWith("WARNING: "), collisionWarning("a_b").endsWith("\n")]).toEqual(["", true, true]);
});

test("settings by name, those that were set for the resource, or all", () => {
  const entry = { readOnly: false, sensitive: false };
  const entries = [
    { ...entry, name: "retention.ms", value: "1000", source: "DYNAMIC_TOPIC_CONFIG" as const, synonyms: [{ name: "retention.ms", value: "1000", source: "DYNAMIC_TOPIC_CONFIG" as const }, { name: "log.retention.ms", value: null, source: "DEFAULT_CONFIG" as const }] },
    { ...entry, name: "a", value: null, sensitive: true, source: "STATIC_BROKER_CONFIG" as const, synonyms: [] },
  ];
  const own = "  retention.ms=1000 sensitive=false synonyms={DYNAMIC_TOPIC_CONFIG:retention.ms=1000, DEFAULT_CONFIG:log.retention.ms=null}\n";
  expect(configsText({ type: "topic", name: "t" }, entries, { all: false })).toBe(`Dynamic configs for topic t are:\n${own}`);
  expect(configsText({ type: "topic", name: "t" }, entries, { all: true })).toBe(`All configs for topic t are:\n  a=null sensitive=true synonyms={}\n${own}`);
  expect(configsText({ type: "broker", name: "" }, entries, { all: false })).toBe("Default configs for brokers in the cluster are:\n");
  expect(configsText({ type: "broker-logger", name: "1" }, entries.slice(1), { all: false })).toBe("Dynamic configs for broker-logger 1 are:\n  a=null sensitive=true synonyms={}\n");
  expect([updatedLine({ type: "broker", name: "1" }), updatedLine({ type: "broker", name: "" })]).toEqual(["Completed updating config for broker 1.\n", "Completed updating default config for brokers in the cluster.\n"]);
});

test("groups with their states: the first column grows from 15 units on", () => {
  const padded = (name: string): string | undefined => groupStates([{ group: name, state: "Stable" }]).split("\n")[1];
  expect(groupStates([])).toBe("GROUP           STATE\n");
  expect([padded("x".repeat(14)), padded("x".repeat(15)), padded("x".repeat(16))]).toEqual([`${"x".repeat(14)}  Stable`, `${"x".repeat(15)} Stable`, `${"x".repeat(16)} Stable`]);
});

test("offsets: lag where there is a commit and an end, a dash for what is missing, columns as wide as the longest value", () => {
  const rows = [
    { group: "g", topic: "t", partition: 0, committed: 3, end: 5, consumerId: "consumer-1-0123456789", host: "/127.0.0.1", clientId: "c" },
    { group: "g", topic: "a-topic-of-20-units-", partition: 11, end: 5 },
  ];
  expect(groupOffsets(rows)).toBe(
    "\nGROUP           TOPIC                PARTITION  CURRENT-OFFSET  LOG-END-OFFSET  LAG             CONSUMER-ID           HOST            CLIENT-ID\n" +
      "g               t                    0          3               5               2               consumer-1-0123456789 /127.0.0.1      c\n" +
      "g               a-topic-of-20-units- 11         -               5               -               -                     -               -\n",
  );
});

test("members end in a blank; instance ids have a column where there is one; assignments are sorted", () => {
  const member = { group: "g", consumerId: "m", instanceId: "", host: "/h", clientId: "c", partitions: [] };
  expect(groupMembers([member], { verbose: false })).toBe(
    "\nGROUP           CONSUMER-ID     HOST            CLIENT-ID       #PARTITIONS     \n" +
      "g               m               /h              c               0               \n",
  );
  const owner = { ...member, instanceId: "i", partitions: [{ topic: "b", partition: 2 }, { topic: "a", partition: 10 }, { topic: "a", partition: 9 }] };
  expect(groupMembers([owner, member], { verbose: true })).toBe(
    "\nGROUP           CONSUMER-ID     GROUP-INSTANCE-ID HOST            CLIENT-ID       #PARTITIONS     ASSIGNMENT\n" +
      "g               m               i                 /h              c               3               a(9,10), b(2)\n" +
      "g               m                                 /h              c               0               -\n",
  );
});

test("a state: the first column is as wide as the coordinator", () => {
  const row = { group: "g", coordinator: "kafka1.example.org:9092 (1)", strategy: "range", state: "Stable", members: 2 };
  expect(groupState(row)).toBe(
    "\nGROUP                       COORDINATOR (ID)          ASSIGNMENT-STRATEGY  STATE           #MEMBERS\n" +
      "g                           kafka1.example.org:9092 (1) range                Stable          2\n",
  );
  expect(groupState({ ...row, coordinator: "k:1 (1)", strategy: "" }).split("\n")[2]).toBe("g                         k:1 (1)                                        Stable          2");
});

test("resets and deletions pad the last column too", () => {
  expect(resetRows([{ group: "g", topic: "t", partition: 0, offset: 5 }])).toBe(
    `\n${"GROUP".padEnd(30)} ${"TOPIC".padEnd(30)} PARTITION  NEW-OFFSET     \n${"g".padEnd(30)} ${"t".padEnd(30)} 0          5              \n`,
  );
  expect(deletedOffsetRows([{ topic: "t", partition: 2, error: "no" }, { topic: "t", partition: 10, error: undefined }, { topic: "s", partition: undefined, error: "x" }])).toBe(
    `\n${"TOPIC".padEnd(30)} PARTITION       STATUS         \n${"s".padEnd(30)} Not Provided    Error: x       \n${"t".padEnd(30)} 10              Successful     \n${"t".padEnd(30)} 2               Error: no      \n`,
  );
  expect(deletedGroups([{ group: "a", error: undefined }, { group: "b", error: undefined }])).toBe("Deletion of requested consumer groups ('a', 'b') was successful.\n");
  expect(deletedGroups([{ group: "a", error: "NON_EMPTY" }, { group: "b", error: undefined }])).toBe("\nError: Deletion of some consumer groups failed:\n* Group 'a' could not be deleted due to: NON_EMPTY\n\nThese consumer groups were deleted successfully: 'b'\n");
});

test("what is said of a group's state in front of its table", () => {
  expect(stateNotice("g", "Dead")).toEqual({ out: "\nError: Consumer group 'g' does not exist.\n", err: "", table: false });
  expect(stateNotice("g", "Empty")).toEqual({ out: "", err: "\nConsumer group 'g' has no active members.\n", table: true });
  expect(stateNotice("g", "PreparingRebalance").err).toBe("\nWarning: Consumer group 'g' is rebalancing.\n");
  expect(stateNotice("g", "Stable")).toEqual({ out: "", err: "", table: true });
});

const bytes = (): fc.Arbitrary<Buffer | null> => fc.option(fc.uint8Array({ maxLength: 8 }).map((array) => Buffer.from(array)));

test("records: every choice of fields, bytes unchanged, nulls as they are called", () => {
  const flags = fc.record({ timestamp: fc.boolean(), partition: fc.boolean(), offset: fc.boolean(), headers: fc.boolean(), key: fc.boolean(), value: fc.boolean() });
  const headers = fc.array(fc.record({ key: fc.string({ maxLength: 3 }), value: bytes() }), { maxLength: 3 });
  fc.assert(
    fc.property(flags, bytes(), bytes(), headers, fc.integer({ min: 0, max: 9 }), (chosen, key, value, list, timestamp) => {
      const record: ConsumedRecord = { topic: "t", partition: 3, offset: 12, leaderEpoch: 0, timestamp, timestampType: "LogAppendTime", key, value, headers: list };
      // In latin1 each byte is one character, so that text says it all.
      const plain = (some: Buffer | null): string => some?.toString("latin1") ?? "null";
      const keyOf = (text: string): string => Buffer.from(text).toString("latin1");
      const parts: string[] = [];
      if (chosen.timestamp) parts.push(`LogAppendTime:${timestamp}`);
      if (chosen.partition) parts.push("Partition:3");
      if (chosen.offset) parts.push("Offset:12");
      if (chosen.headers) parts.push(list.length === 0 ? "NO_HEADERS" : list.map((header) => `${keyOf(header.key)}:${plain(header.value)}`).join(","));
      if (chosen.key) parts.push(plain(key));
      if (chosen.value) parts.push(plain(value));
      const expected = parts.length === 0 ? "" : `${parts.join("\t")}\n`;
      expect(formatRecord(record, { ...DEFAULT_FORMAT, ...chosen }).toString("latin1")).toBe(expected);
    }),
  );
});

test("records: separators and the word for null can be others; a deserializer sees that word too", () => {
  const record: ConsumedRecord = { topic: "t", partition: 3, offset: 12, leaderEpoch: 0, timestamp: -1, timestampType: "CreateTime", key: null, value: Buffer.from("v"), headers: [{ key: "a", value: null }, { key: "b", value: Buffer.from("x") }] };
  const format: RecordFormat = { ...DEFAULT_FORMAT, timestamp: true, headers: true, key: true, keySeparator: Buffer.from("|"), lineSeparator: Buffer.from("!"), headersSeparator: Buffer.from("+"), nullLiteral: Buffer.from("NIL"), showKey: (key) => Buffer.from(key.toString("hex")) };
  expect(formatRecord(record, format).toString()).toBe("NO_TIMESTAMP|a:NIL+b:x|4e494c|v!");
});
