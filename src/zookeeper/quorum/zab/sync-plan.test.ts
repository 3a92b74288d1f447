import { describe, expect, test } from "vitest";
import { makeZxid, ZXID_ZERO, type Zxid } from "../../protocol/ids.ts";
import { logBytesMax, planSync, type LeaderHistory, type SyncPlan } from "./sync-plan.ts";

const z = makeZxid;
const NOTHING = Buffer.alloc(0);

function history(zxids: readonly Zxid[], options: Partial<LeaderHistory> = {}): LeaderHistory {
  const entries = zxids.map((zxid) => ({ zxid, payload: NOTHING }));
  return {
    lastZxid: zxids.at(-1) ?? ZXID_ZERO,
    window: { min: zxids[0], max: zxids.at(-1), from: (zxid) => entries.filter((entry) => entry.zxid >= zxid) },
    logStart: undefined,
    forceSnapshot: false,
    ...options,
  };
}

const LEADER = history([z(1, 3), z(1, 4), z(1, 5), z(2, 1), z(2, 2)]);

function told(plan: SyncPlan): unknown {
  if (plan.kind !== "history") return plan.kind;
  return [plan.head.kind, plan.head.zxid, plan.transactions.map(({ zxid }) => zxid)];
}

describe("a learner's synchronization", () => {
  test.each([
    ["has everything: an empty DIFF", z(2, 2), ["diff", z(2, 2), []]],
    ["lacks what the window has: a DIFF with the rest", z(1, 4), ["diff", z(2, 2), [z(1, 5), z(2, 1), z(2, 2)]]],
    ["is at the window's first transaction", z(1, 3), ["diff", z(2, 2), [z(1, 4), z(1, 5), z(2, 1), z(2, 2)]]],
    ["has more than the leader: TRUNC", z(2, 9), ["trunc", z(2, 2), []]],
    ["has more of a later epoch: TRUNC", z(3, 1), ["trunc", z(2, 2), []]],
    ["has more of an epoch than the next leader took over: SNAP", z(1, 6), "snap"],
    ["stands at an epoch's beginning inside the window: a DIFF with the rest", z(2, 0), ["diff", z(2, 2), [z(2, 1), z(2, 2)]]],
    ["stands at the beginning of a later epoch: SNAP", z(3, 0), "snap"],
    ["is older than the window, and the log is of no use: SNAP", z(1, 2), "snap"],
    ["has nothing: SNAP", ZXID_ZERO, "snap"],
  ])("%s", (_title, learner, expected) => {
    expect(told(planSync(learner, LEADER))).toEqual(expected);
  });

  test("zookeeper.forceSnapshotSync sends a snapshot whatever the learner has", () => {
    expect(planSync(z(2, 2), { ...LEADER, forceSnapshot: true })).toEqual({ kind: "snap" });
  });

  test("with an empty window the leader's last transaction is all there is to compare with", () => {
    const empty = history([], { lastZxid: z(2, 2) });
    expect(told(planSync(z(2, 2), empty))).toEqual(["diff", z(2, 2), []]);
    expect(told(planSync(z(2, 3), empty))).toEqual(["trunc", z(2, 2), []]);
    expect(told(planSync(z(2, 1), empty))).toEqual("snap");
    expect(told(planSync(z(2, 1), { ...empty, logStart: z(2, 1) }))).toEqual("log");
  });

  test("a gap in the window is never sent over", () => {
    expect(told(planSync(z(1, 1), history([z(1, 1), z(1, 2), z(1, 4)])))).toEqual("snap");
    expect(told(planSync(z(1, 1), history([z(1, 1), z(1, 2), z(2, 2)])))).toEqual("snap");
  });
});

describe("from the log", () => {
  const LOG = { ...LEADER, logStart: z(1, 1) };

  function read(learner: Zxid, log: readonly Zxid[]): unknown {
    const plan = planSync(learner, LOG);
    if (plan.kind !== "log") return plan.kind;
    const sent = [...log.filter((zxid) => zxid <= plan.until), ...plan.rest.map(({ zxid }) => zxid)].filter((zxid) => plan.walk.next(zxid) === "send");
    return plan.walk.end() ? [plan.walk.head, sent] : "snap";
  }

  test("the log is read up to the window, and each transaction sent once", () => {
    expect(read(z(1, 1), [z(1, 1), z(1, 2), z(1, 3), z(1, 4)])).toEqual([{ kind: "diff", zxid: z(2, 2) }, [z(1, 2), z(1, 3), z(1, 4), z(1, 5), z(2, 1), z(2, 2)]]);
    expect(read(z(1, 2), [z(1, 1), z(1, 2)])).toEqual([{ kind: "diff", zxid: z(2, 2) }, [z(1, 3), z(1, 4), z(1, 5), z(2, 1), z(2, 2)]]);
  });

  test("a learner from before the log's sure part is sent a snapshot", () => {
    expect(planSync(z(1, 0), LOG).kind).toBe("snap");
  });

  test("a log that begins too late, ends too early or has a gap is of no use", () => {
    expect(read(z(1, 1), [z(1, 2), z(1, 3)])).toBe("snap");
    expect(read(z(1, 1), [z(1, 1)])).toBe("snap");
    expect(read(z(1, 1), [])).toBe("snap");
    expect(planSync(z(1, 1), { ...LOG, logStart: z(1, 2) }).kind).toBe("snap");
  });

  test("a learner that has what this history lacks is sent a snapshot", () => {
    const plan = planSync(z(1, 7), history([z(3, 1)], { logStart: z(1, 1) }));
    expect(plan.kind).toBe("log");
    if (plan.kind !== "log") return;
    expect([z(1, 6), z(2, 1), z(3, 1)].map((zxid) => plan.walk.next(zxid))).toEqual(["skip", "broken", "broken"]);
    expect(plan.walk.end()).toBe(false);
  });

  test("zookeeper.snapshotSizeFactor limits how much of it is read", () => {
    expect(logBytesMax(0.33, 1000)).toBeCloseTo(330);
    expect(logBytesMax(0.5, 1000)).toBe(500);
    expect(logBytesMax(1.5, 1000)).toBeCloseTo(330);
    expect(logBytesMax(0, 1000)).toBe(Number.POSITIVE_INFINITY);
    expect(logBytesMax(-1, 1000)).toBeUndefined();
  });
});
