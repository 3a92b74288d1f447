import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { describe, expect, test } from "vitest";
import { must } from "../../../lib/assert.ts";
import { decodeRecord, encodeRecord } from "./group-records.ts";
import type { CommittedOffset, StoredGroup, StoredRecord } from "./types.ts";

/** What Apache's classes wrote; the file says how. */
const { records: golden } = JSON.parse(readFileSync(resolve(import.meta.dirname, "../../../../test/golden/group-records.json"), "utf8")) as {
  readonly records: Readonly<Record<string, { readonly key: string; readonly value: string | null }>>;
};

const GROUP = "gü-\u{1f600}";

function offset(value: Partial<CommittedOffset> | null): StoredRecord {
  const whole = { offset: 42, leaderEpoch: -1, metadata: "x", commitWallMs: 1_600_000_000_123, expireWallMs: undefined, ...value };
  return { kind: "offset", groupId: GROUP, topic: "a.topic", partition: 7, value: value === null ? null : whole };
}

const MEMBERS = [
  { memberId: "instance-2-bbbb", instanceId: "instance-2", clientId: "", clientHost: "/0:0:0:0:0:0:0:1", rebalanceTimeoutMs: 60_000, sessionTimeoutMs: 6_000, subscription: Buffer.from([0, 1, 2, 3]), assignment: Buffer.alloc(0) },
  { memberId: "client-1-aaaa", instanceId: null, clientId: "client-1", clientHost: "/10.0.0.1", rebalanceTimeoutMs: 300_000, sessionTimeoutMs: 10_000, subscription: Buffer.from([0, 1, 2, 3]), assignment: Buffer.from([255, 0]) },
];

function group(value: Partial<StoredGroup> | null): StoredRecord {
  const whole = { protocolType: "consumer", generation: 12, protocolName: "range", leaderId: "client-1-aaaa", stateWallMs: 1_600_000_000_555, members: MEMBERS, ...value };
  return { kind: "group", groupId: GROUP, value: value === null ? null : whole };
}

const dynamic = MEMBERS.map((member) => ({ ...member, instanceId: null }));
const safest = 9_007_199_254_740_000;

/** What we write too. */
const newest: Record<string, StoredRecord> = {
  "offset-tombstone": offset(null),
  "offset-3": offset({ offset: safest, leaderEpoch: 5, metadata: "méta" }),
  "offset-3-no-epoch": offset({ offset: 0, metadata: "", commitWallMs: 0 }),
  "offset-1-expiry": offset({ expireWallMs: 1_600_086_400_123 }),
  "offset-1-expiry-max": offset({ expireWallMs: 2 ** 63 }),
  "group-tombstone": group(null),
  "group-3": group({}),
  "group-3-empty": group({ generation: 13, protocolName: null, leaderId: null, stateWallMs: 1_600_000_000_666, members: [] }),
  "group-3-simple": group({ protocolType: "", generation: 0, protocolName: null, leaderId: null, stateWallMs: undefined, members: [] }),
};

/** What only older brokers write. */
const older: Record<string, StoredRecord> = {
  "offset-0": offset({ offset: 17, metadata: "old", commitWallMs: 1_400_000_000_000 }),
  "offset-1-no-expiry": offset({ offset: safest, metadata: "méta" }),
  "offset-2": offset({ offset: safest, metadata: "méta" }),
  "group-0": group({ stateWallMs: undefined, members: dynamic.map((member) => ({ ...member, rebalanceTimeoutMs: member.sessionTimeoutMs })) }),
  "group-1": group({ stateWallMs: undefined, members: dynamic }),
  "group-2": group({ members: dynamic }),
};

function bytesOf(name: string): { key: Buffer; value: Buffer | null } {
  const { key, value } = must(golden[name], `a golden record ${name}`);
  return { key: Buffer.from(key, "hex"), value: value === null ? null : Buffer.from(value, "hex") };
}

test("every golden record is looked at", () => {
  expect(Object.keys(golden).toSorted()).toEqual(Object.keys({ ...newest, ...older }).toSorted());
});

describe.each(Object.keys(golden))("%s, as Apache Kafka 2.7.1 wrote it", (name) => {
  const { key, value } = bytesOf(name);

  test("decodes, and nothing of it is a view of the bytes", () => {
    const decoded = decodeRecord(key, value);
    key.fill(0xee);
    value?.fill(0xee);
    expect(decoded).toEqual(newest[name] ?? older[name]);
  });
});

test.each(Object.keys(newest))("%s is written byte for byte as Apache Kafka 2.7.1 writes it", (name) => {
  const encoded = must(encodeRecord(must(newest[name], name)), "a record that can be written");
  expect({ key: encoded.key.toString("hex"), value: encoded.value?.toString("hex") ?? null }).toEqual(golden[name]);
});

describe("what can't be read is told, not thrown", () => {
  const { key: offsetKey, value: offsetValue } = bytesOf("offset-3");
  const { key: groupKey, value: groupValue } = bytesOf("group-3");

  function reasonOf(key: Buffer, value: Buffer | null): string {
    const decoded = decodeRecord(key, value);
    return decoded.kind === "unknown" ? decoded.reason : "none";
  }

  function withVersion(bytes: Buffer | null, version: number): Buffer {
    const changed = Buffer.from(must(bytes, "bytes"));
    changed.writeInt16BE(version, 0);
    return changed;
  }

  test("keys of later brokers, and values", () => {
    expect(reasonOf(withVersion(groupKey, 3), groupValue)).toBe("a key of version 3");
    expect(reasonOf(withVersion(groupKey, -1), groupValue)).toBe("a key of version -1");
    expect(reasonOf(offsetKey, withVersion(offsetValue, 4))).toBe(`the offset of group ${GROUP} for a.topic-7 is of version 4`);
    expect(reasonOf(groupKey, withVersion(groupValue, 4))).toBe(`the value of group ${GROUP} is of version 4`);
  });

  test("keys and values that are cut anywhere", () => {
    for (let length = 0; length < offsetKey.length; length++) expect(reasonOf(offsetKey.subarray(0, length), offsetValue)).not.toBe("none");
    for (let length = 0; length < groupKey.length; length++) expect(reasonOf(groupKey.subarray(0, length), groupValue)).not.toBe("none");
    for (const [key, value] of [[offsetKey, offsetValue], [groupKey, groupValue]] as const) {
      for (let length = 0; length < must(value, "a value").length; length++) expect(reasonOf(key, must(value, "a value").subarray(0, length))).not.toBe("none");
    }
  });

  test("an offset that a number can't hold", () => {
    const value = Buffer.from(must(offsetValue, "a value"));
    value.writeBigInt64BE(2n ** 53n, 2);
    expect(reasonOf(offsetKey, value)).toBe(`the offset of group ${GROUP} for a.topic-7 is damaged`);
  });
});

test("a text that the format can't tell is not written: 32767 bytes are, 32768 are not", () => {
  const [long, longer] = ["é".repeat(16_383) + "x", "é".repeat(16_384)] as const;
  expect(encodeRecord(offset({ metadata: long }))?.value?.length).toBe(2 + 8 + 4 + 2 + 32_767 + 8);
  expect(encodeRecord(offset({ metadata: longer }))).toBeUndefined();
  expect(encodeRecord({ kind: "group", groupId: longer, value: null })).toBeUndefined();
  for (const name of ["memberId", "instanceId", "clientId", "clientHost"]) {
    expect(encodeRecord(group({ members: [{ ...must(MEMBERS[0], "a member"), [name]: longer }] }))).toBeUndefined();
  }
  for (const name of ["protocolType", "protocolName", "leaderId"]) expect(encodeRecord(group({ [name]: longer }))).toBeUndefined();
});
