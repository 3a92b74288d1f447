import { expect, test } from "vitest";
import { rangeAssignor, roundRobinAssignor, type Assignor, type Subscriber } from "./assignors.ts";

function member(memberId: string, topics: string, instanceId: string | null = null): Subscriber {
  return { memberId, instanceId, topics: topics.split("") };
}

function assigned(assignor: Assignor, members: readonly Subscriber[], counts: Readonly<Record<string, number>>): Record<string, string> {
  const partitions = new Map(Object.entries(counts).map(([topic, count]) => [topic, Array.from({ length: count }, (_, index) => index)]));
  return Object.fromEntries([...assignor.assign(members, partitions)].map(([id, all]) => [id, all.map(({ topic, partition }) => `${topic}${partition}`).join(" ")]));
}

test("range gives each a run of each topic, the first ones one more", () => {
  expect(assigned(rangeAssignor, [member("b", "t"), member("a", "tu"), member("c", "u")], { t: 3, u: 2 })).toEqual({ a: "t0 t1 u0", b: "t2", c: "u1" });
  expect(assigned(rangeAssignor, [member("a", "t"), member("b", "t"), member("c", "t")], { t: 2 })).toEqual({ a: "t0", b: "t1", c: "" });
});

test("round robin goes around over all topics, past those who do not subscribe", () => {
  expect(assigned(roundRobinAssignor, [member("b", "tu"), member("a", "tu")], { t: 3, u: 3 })).toEqual({ a: "t0 t2 u1", b: "t1 u0 u2" });
  expect(assigned(roundRobinAssignor, [member("a", "t"), member("b", "tu")], { t: 1, u: 2 })).toEqual({ a: "t0", b: "u0 u1" });
});

test("static members come first, by instance id, whatever their member ids are", () => {
  const members = [member("a", "t"), member("z", "t", "i1"), member("b", "t", "i2")];
  expect(assigned(rangeAssignor, members, { t: 3 })).toEqual({ z: "t0", b: "t1", a: "t2" });
});

test("of a topic that does not exist nobody gets anything, and everybody is in the assignment", () => {
  for (const assignor of [rangeAssignor, roundRobinAssignor]) expect(assigned(assignor, [member("a", "x"), member("b", "xt")], { t: 1 })).toEqual({ a: "", b: "t0" });
});
