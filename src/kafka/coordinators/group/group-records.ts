import { array, bytes, int32, int64, message, string, timestamp } from "../../../codec/notation.ts";
import { Reader } from "../../../codec/reader.ts";
import type { Decoded, Input, Schema } from "../../../codec/schema.ts";
import type { Fields } from "../../../codec/model.ts";
import { Writer } from "../../../codec/writer.ts";
import type { CommittedOffset, StoredGroup, StoredRecord } from "./types.ts";

/**
 * The records of `__consumer_offsets`: an int16 version and then that version's fields, in the key and in the value.
 * A key's version also tells what it is the key of. We write what Apache Kafka 2.7.1 writes at its newest
 * inter.broker.protocol.version; a broker of that release can read nothing newer.
 * Source: GroupMetadataManager.scala at 2.7.1, OffsetCommitValue.json and GroupMetadataValue.json at 3.8.0.
 */
const offsetKey = message("OffsetCommitKey", { versions: "0-1", flexible: "none" }, {
  group: string("0+"),
  topic: string("0+"),
  partition: int32("0+"),
});

const groupKey = message("GroupMetadataKey", { versions: "2", flexible: "none" }, {
  group: string("2+"),
});

const offsetValue = message("OffsetCommitValue", { versions: "0-3", flexible: "none" }, {
  offset: int64("0+"),
  leaderEpoch: int32("3+", { default: -1 }),
  metadata: string("0+"),
  commitTimestamp: timestamp("0+"),
  expireTimestamp: timestamp("1", { default: -1 }),
});

const groupValue = message("GroupMetadataValue", { versions: "0-3", flexible: "none" }, {
  protocolType: string("0+"),
  generation: int32("0+"),
  protocol: string("0+", { nullable: "0+" }),
  leader: string("0+", { nullable: "0+" }),
  currentStateTimestamp: timestamp("2+", { default: -1 }),
  members: array("0+", "MemberMetadata", {
    memberId: string("0+"),
    groupInstanceId: string("3+", { nullable: "3+", default: null }),
    clientId: string("0+"),
    clientHost: string("0+"),
    rebalanceTimeout: int32("1+", { default: -1 }),
    sessionTimeout: int32("0+"),
    subscription: bytes("0+"),
    assignment: bytes("0+"),
  }),
});

const OFFSET_KEY_VERSION = 1;
const GROUP_KEY_VERSION = 2;
const GROUP_VALUE_VERSION = 3;
/** The value that has an expiry; and the one that has the leader's epoch in its place. */
const OFFSET_VALUE_VERSION = { expiring: 1, plain: 3 } as const;
/** In the place of a time. */
const NO_TIME = -1;
/** As much as an int16 length can say. */
const STRING_BYTES_MAX = 0x7fff;

export interface EncodedRecord {
  readonly key: Buffer;
  /** Null: a tombstone. */
  readonly value: Buffer | null;
}

/** Undefined where a text of it is longer than the format can tell, 32767 bytes of UTF-8: newer requests can carry such. */
export function encodeRecord(record: StoredRecord): EncodedRecord | undefined {
  if (!textsOf(record).every(fits)) return undefined;
  if (record.kind === "offset") {
    const { groupId, topic, partition, value } = record;
    return { key: encode(offsetKey, { group: groupId, topic, partition }, OFFSET_KEY_VERSION), value: value === null ? null : encodeOffset(value) };
  }
  return { key: encode(groupKey, { group: record.groupId }, GROUP_KEY_VERSION), value: record.value === null ? null : encodeGroup(record.value) };
}

function encodeOffset({ offset, leaderEpoch, metadata, commitWallMs, expireWallMs }: CommittedOffset): Buffer {
  const version = expireWallMs === undefined ? OFFSET_VALUE_VERSION.plain : OFFSET_VALUE_VERSION.expiring;
  return encode(offsetValue, { offset, leaderEpoch, metadata, commitTimestamp: commitWallMs, expireTimestamp: expireWallMs ?? NO_TIME }, version);
}

function encodeGroup(group: StoredGroup): Buffer {
  const members = group.members.map((member) => ({
    memberId: member.memberId,
    groupInstanceId: member.instanceId,
    clientId: member.clientId,
    clientHost: member.clientHost,
    rebalanceTimeout: member.rebalanceTimeoutMs,
    sessionTimeout: member.sessionTimeoutMs,
    subscription: member.subscription,
    assignment: member.assignment,
  }));
  const { protocolType, generation, protocolName, leaderId, stateWallMs } = group;
  return encode(groupValue, { protocolType, generation, protocol: protocolName, leader: leaderId, currentStateTimestamp: stateWallMs ?? NO_TIME, members }, GROUP_VALUE_VERSION);
}

function textsOf(record: StoredRecord): (string | null)[] {
  if (record.kind === "offset") return [record.groupId, record.topic, record.value?.metadata ?? null];
  const { groupId, value } = record;
  if (value === null) return [groupId];
  return [groupId, value.protocolType, value.protocolName, value.leaderId, ...value.members.flatMap(({ memberId, instanceId, clientId, clientHost }) => [memberId, instanceId, clientId, clientHost])];
}

function fits(text: string | null): boolean {
  return text === null || 3 * text.length <= STRING_BYTES_MAX || Buffer.byteLength(text) <= STRING_BYTES_MAX;
}

/** `unknown`: of a version that we do not know, or damaged. Nothing of what it gives is a view of the bytes. */
export function decodeRecord(key: Buffer, value: Buffer | null): StoredRecord | { readonly kind: "unknown"; readonly reason: string } {
  const version = key.length < 2 ? undefined : key.readInt16BE(0);
  if (version === undefined) return unknown("a key without a version");
  if (version === GROUP_KEY_VERSION) return decodeGroup(key, value);
  if (version !== 0 && version !== OFFSET_KEY_VERSION) return unknown(`a key of version ${version}`);
  return decodeOffset(key, value);
}

function decodeOffset(key: Buffer, value: Buffer | null): ReturnType<typeof decodeRecord> {
  const place = decode(offsetKey, key);
  if (typeof place === "string") return unknown(`the key of an offset is ${place}`);
  const { group: groupId, topic, partition } = place.fields;
  if (value === null) return { kind: "offset", groupId, topic, partition, value: null };
  const decoded = decode(offsetValue, value);
  if (typeof decoded === "string") return unknown(`the offset of group ${groupId} for ${topic}-${partition} is ${decoded}`);
  const { offset, leaderEpoch, metadata, commitTimestamp, expireTimestamp } = decoded.fields;
  const committed = { offset, leaderEpoch, metadata, commitWallMs: commitTimestamp, expireWallMs: expireTimestamp === NO_TIME ? undefined : expireTimestamp };
  return { kind: "offset", groupId, topic, partition, value: committed };
}

function decodeGroup(key: Buffer, value: Buffer | null): ReturnType<typeof decodeRecord> {
  const place = decode(groupKey, key);
  if (typeof place === "string") return unknown(`the key of a group is ${place}`);
  const { group: groupId } = place.fields;
  if (value === null) return { kind: "group", groupId, value: null };
  const decoded = decode(groupValue, value);
  if (typeof decoded === "string") return unknown(`the value of group ${groupId} is ${decoded}`);
  const { protocolType, generation, protocol: protocolName, leader: leaderId, currentStateTimestamp } = decoded.fields;
  const members = decoded.fields.members.map((member) => ({
    memberId: member.memberId,
    instanceId: member.groupInstanceId,
    clientId: member.clientId,
    clientHost: member.clientHost,
    // The first version knew one timeout for both.
    rebalanceTimeoutMs: decoded.version === 0 ? member.sessionTimeout : member.rebalanceTimeout,
    sessionTimeoutMs: member.sessionTimeout,
    subscription: Buffer.from(member.subscription),
    assignment: Buffer.from(member.assignment),
  }));
  const stateWallMs = currentStateTimestamp === NO_TIME ? undefined : currentStateTimestamp;
  return { kind: "group", groupId, value: { protocolType, generation, protocolName, leaderId, stateWallMs, members } };
}

function unknown(reason: string): { readonly kind: "unknown"; readonly reason: string } {
  return { kind: "unknown", reason };
}

function encode<F extends Fields>(schema: Schema<F>, fields: Input<Schema<F>>, version: number): Buffer {
  const writer = new Writer();
  writer.int16(version);
  schema.write(writer, fields, version);
  return writer.finishBuffer();
}

/** Or what is wrong with the bytes. */
function decode<F extends Fields>(schema: Schema<F>, encoded: Buffer): { readonly version: number; readonly fields: Decoded<Schema<F>> } | string {
  const reader = new Reader(encoded);
  const version = reader.int16();
  if (reader.bad) return "damaged";
  if (version < schema.versions.first || version > schema.versions.last) return `of version ${version}`;
  const fields = schema.read(reader, version);
  return reader.bad ? "damaged" : { version, fields };
}
