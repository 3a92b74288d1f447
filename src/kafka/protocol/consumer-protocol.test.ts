import { expect, test } from "vitest";
import { decodeAssignment, decodeSubscription, encodeAssignment, encodeSubscription, subscribedTopics } from "./consumer-protocol.ts";

// Made by ConsumerProtocol.serializeSubscription and serializeAssignment of Kafka's Java client 2.7.1.
const JAVA_SUBSCRIPTION_1 = Buffer.from("00010000000100036f6e65ffffffff0000000100036f6e65000000020000000000000001", "hex");
const JAVA_ASSIGNMENT_1 = Buffer.from("00010000000100036f6e6500000002000000000000000100000003616263", "hex");

test("a subscription has its version in front and the bytes of Kafka's own", () => {
  const subscription = { topics: ["one"], ownedPartitions: [{ topic: "one", partitions: [0, 1] }] };
  expect(encodeSubscription(subscription, 1)).toEqual(JAVA_SUBSCRIPTION_1);
  expect(decodeSubscription(JAVA_SUBSCRIPTION_1)).toEqual({ ...subscription, userData: null, generationId: -1, rackId: null });
});

test("an assignment has its version in front and the bytes of Kafka's own", () => {
  const assignment = { assignedPartitions: [{ topic: "one", partitions: [0, 1] }], userData: Buffer.from("abc") };
  expect(encodeAssignment(assignment, 1)).toEqual(JAVA_ASSIGNMENT_1);
  expect(decodeAssignment(JAVA_ASSIGNMENT_1)).toEqual(assignment);
});

test("every version reads back what it can hold", () => {
  for (let version = 0; version <= 3; version++) {
    const back = decodeSubscription(encodeSubscription({ topics: ["a", "b"], userData: Buffer.of(1), ownedPartitions: [], generationId: 7, rackId: "r" }, version));
    expect(back?.topics).toEqual(["a", "b"]);
    expect(back?.generationId).toBe(version >= 2 ? 7 : -1);
    expect(back?.rackId).toBe(version >= 3 ? "r" : null);
  }
});

test("a version of the future is read as the newest known one", () => {
  const bytes = Buffer.concat([encodeSubscription({ topics: ["a"] }, 3), Buffer.from("more")]);
  bytes.writeInt16BE(9, 0);
  expect(decodeSubscription(bytes)?.topics).toEqual(["a"]);
});

test("the topics are read though later fields are damaged, and nothing is read from what is no subscription", () => {
  const whole = encodeSubscription({ topics: ["a", "b"], ownedPartitions: [{ topic: "a", partitions: [1] }] }, 1);
  expect(subscribedTopics(whole.subarray(0, whole.length - 3))).toEqual(["a", "b"]);
  expect(decodeSubscription(whole.subarray(0, whole.length - 3))).toBeUndefined();
  expect(subscribedTopics(Buffer.from("ffff00000000", "hex"))).toBeUndefined();
  expect(subscribedTopics(Buffer.from("sticky"))).toBeUndefined();
  expect(subscribedTopics(Buffer.alloc(0))).toBeUndefined();
});
