import { array, bytes, int32, list, message, string } from "../../codec/notation.ts";
import { Reader } from "../../codec/reader.ts";
import type { Decoded, Input, Schema } from "../../codec/schema.ts";
import type { Fields } from "../../codec/model.ts";
import { Writer } from "../../codec/writer.ts";

/**
 * What the members of a group of protocol type `consumer` say to each other through the coordinator: a subscription
 * as a member's metadata, an assignment as the leader's answer for it. Each is an int16 version and then that
 * version's fields; a newer version than ours is read as our newest, since later ones only add at the end.
 * Source: clients/…/consumer/internals/ConsumerProtocol.java and the two ConsumerProtocol*.json at 3.8.0.
 */
const consumerSubscription = message("ConsumerProtocolSubscription", { versions: "0-3", flexible: "none" }, {
  topics: list("0+", string),
  userData: bytes("0+", { nullable: "0+", default: null }),
  ownedPartitions: array("1+", "TopicPartition", {
    topic: string("1+"),
    partitions: list("1+", int32),
  }, { default: [] }),
  generationId: int32("2+", { default: -1 }),
  rackId: string("3+", { nullable: "3+", default: null }),
});

const consumerAssignment = message("ConsumerProtocolAssignment", { versions: "0-3", flexible: "none" }, {
  assignedPartitions: array("0+", "TopicPartition", {
    topic: string("0+"),
    partitions: list("0+", int32),
  }),
  userData: bytes("0+", { nullable: "0+", default: null }),
});

export type ConsumerSubscription = Decoded<typeof consumerSubscription>;
export type ConsumerAssignment = Decoded<typeof consumerAssignment>;

export function encodeSubscription(subscription: Input<typeof consumerSubscription>, version: number): Buffer {
  return encode(consumerSubscription, subscription, version);
}

/** Undefined where the bytes hold none. */
export function decodeSubscription(metadata: Buffer): ConsumerSubscription | undefined {
  return decode(consumerSubscription, metadata);
}

export function encodeAssignment(assignment: Input<typeof consumerAssignment>, version: number): Buffer {
  return encode(consumerAssignment, assignment, version);
}

/** Undefined where the bytes hold none. */
export function decodeAssignment(assignment: Buffer): ConsumerAssignment | undefined {
  return decode(consumerAssignment, assignment);
}

/**
 * The topics that a member's metadata subscribes to, or undefined where it is no subscription. Reads only what every
 * version has: a client whose later fields are damaged still says what it wants.
 * Source: ConsumerProtocol.deserializeVersion and GroupMetadata.computeSubscribedTopics.
 */
export function subscribedTopics(metadata: Buffer): string[] | undefined {
  const reader = new Reader(metadata);
  if (reader.int16() < 0 || reader.bad) return undefined;
  const { topics } = consumerSubscription.read(reader, 0);
  return reader.bad ? undefined : topics;
}

function encode<F extends Fields>(schema: Schema<F>, value: Input<Schema<F>>, version: number): Buffer {
  const writer = new Writer();
  writer.int16(version);
  schema.write(writer, value, version);
  return writer.finishBuffer();
}

function decode<F extends Fields>(schema: Schema<F>, encoded: Buffer): Decoded<Schema<F>> | undefined {
  const reader = new Reader(encoded);
  const version = reader.int16();
  if (reader.bad || version < 0) return undefined;
  const value = schema.read(reader, Math.min(version, schema.versions.last));
  return reader.bad ? undefined : value;
}
