import { expect, test } from "vitest";
import type { LeaderAndIsr } from "../znodes/topic.ts";
import { ControllerContext, type LiveBroker } from "./context.ts";
import { afterRestarts } from "./restarts.ts";

/** Brokers by when they registered; the state is of zxid 100. */
function after(registered: Readonly<Record<number, number>>, leadership: Pick<LeaderAndIsr, "leader" | "isr">, self = 9): Partial<LeaderAndIsr> | undefined {
  const context = new ControllerContext();
  for (const [id, epoch] of Object.entries(registered)) context.brokers.set(Number(id), { id: Number(id), epoch } as LiveBroker);
  const partition = context.addPartition("t", 0, { replicas: [1, 2, 3], adding: [], removing: [] });
  const found = afterRestarts(context, partition, { leadership: { ...leadership, leaderEpoch: 7, zkVersion: 4, controllerEpoch: 2 }, mzxid: 100 }, self);
  return found && { leader: found.leader, leaderEpoch: found.leaderEpoch, isr: found.isr, zkVersion: found.zkVersion };
}

test("a state stands whose leader registered before it, or is gone, or is nobody", () => {
  expect(after({ 1: 10, 2: 20, 3: 30 }, { leader: 1, isr: [1, 2, 3] })).toBeUndefined();
  expect(after({ 1: 10, 2: 200, 3: 30 }, { leader: 1, isr: [1, 2, 3] })).toBeUndefined();
  expect(after({ 2: 200 }, { leader: 1, isr: [1, 2] })).toBeUndefined();
  expect(after({ 2: 200 }, { leader: -1, isr: [2] })).toBeUndefined();
});

test("a leader that has registered since gives way to somebody in sync who has stayed, the controller first; nobody leaves the ISR, for who stayed may be dead", () => {
  expect(after({ 1: 200, 2: 20, 3: 30 }, { leader: 1, isr: [1, 3, 2] })).toEqual({ leader: 2, leaderEpoch: 8, isr: [1, 3, 2], zkVersion: 4 });
  expect(after({ 1: 200, 2: 20, 3: 30 }, { leader: 1, isr: [1, 3, 2] }, 3)).toMatchObject({ leader: 3, leaderEpoch: 8 });
  expect(after({ 1: 200, 2: 20, 3: 30 }, { leader: 1, isr: [1, 3] }, 2)).toMatchObject({ leader: 3, leaderEpoch: 8 });
});

test("and leads on in a new epoch where nobody has", () => {
  expect(after({ 1: 200, 2: 300 }, { leader: 1, isr: [1, 2] })).toEqual({ leader: 1, leaderEpoch: 8, isr: [1, 2], zkVersion: 4 });
});
