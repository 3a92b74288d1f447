import { describe, expect, test } from "vitest";
import { makeZxid, NO_SESSION, sessionId, type Zxid } from "../../protocol/ids.ts";
import { OpCode } from "../../protocol/op-codes.ts";
import { encodeTransaction, type Transaction } from "../../protocol/transactions.ts";
import { LearnerCore, type LearnerEffect, type LearnerInput, type LearnerOptions } from "./learner-core.ts";
import type { LeaderPacket } from "./packets.ts";

const z = makeZxid;
const LAST = z(2, 7);

function transaction(zxid: Zxid): Transaction {
  return encodeTransaction({ clientId: NO_SESSION, cxid: 0, zxid, time: 0 }, { type: OpCode.error, record: { err: -101 } });
}

const proposal = (zxid: Zxid): LeaderPacket => ({ kind: "proposal", transaction: transaction(zxid) });
const append = (zxid: Zxid): LearnerEffect => ({ kind: "append", transaction: transaction(zxid) });
const commit = (zxid: Zxid): LearnerEffect => ({ kind: "commit", transaction: transaction(zxid) });
const ack = (zxid: Zxid): LearnerEffect => ({ kind: "send", packet: { kind: "ack", zxid } });
const failure = (what: string): unknown => expect.objectContaining({ kind: "fail", failure: what });

class Scene {
  readonly core: LearnerCore;
  now = 0;

  constructor(options: Partial<LearnerOptions> = {}) {
    this.core = new LearnerCore({ id: 2, observer: false, tickMs: 100, initLimit: 10, syncLimit: 5, acceptedEpoch: 2, currentEpoch: 2, lastZxid: LAST, configVersion: 0, wantsSnapshot: false, ...options });
  }

  step(input: LearnerInput): readonly LearnerEffect[] {
    return this.core.step(input, this.now).filter((effect) => effect.kind !== "setTimer");
  }

  receive(packet: LeaderPacket): readonly LearnerEffect[] {
    return this.step({ kind: "received", packet });
  }

  durable(zxid: Zxid): readonly LearnerEffect[] {
    return this.step({ kind: "durable", zxid });
  }

  /** It has acknowledged epoch 3. */
  discovered(): this {
    this.step({ kind: "connected" });
    this.receive({ kind: "leaderInfo", epoch: 3 });
    this.step({ kind: "acceptedEpochPersisted" });
    return this;
  }

  synced(head: LeaderPacket = { kind: "diff", zxid: LAST }): this {
    this.discovered().receive(head);
    return this;
  }

  newLeader(): readonly LearnerEffect[] {
    return this.receive({ kind: "newLeader", epoch: 3, config: "text" });
  }

  /** With nothing to catch up on. */
  serving(): this {
    this.synced().newLeader();
    this.step({ kind: "currentEpochPersisted" });
    this.receive({ kind: "upToDate" });
    return this;
  }
}

describe("a learner finds its leader's epoch", () => {
  test("a new epoch is on the disk before it is acknowledged", () => {
    const scene = new Scene();
    expect(scene.step({ kind: "connected" })).toEqual([{ kind: "send", packet: { kind: "info", observer: false, acceptedEpoch: 2, serverId: 2, configVersion: 0 } }]);
    expect(scene.receive({ kind: "leaderInfo", epoch: 3 })).toEqual([{ kind: "persistAcceptedEpoch", epoch: 3 }]);
    expect(scene.step({ kind: "acceptedEpochPersisted" })).toEqual([{ kind: "send", packet: { kind: "ackEpoch", lastZxid: LAST, currentEpoch: 2 } }]);
  });

  test("an epoch accepted before is acknowledged without a say in the election", () => {
    const scene = new Scene({ acceptedEpoch: 3 });
    scene.step({ kind: "connected" });
    expect(scene.receive({ kind: "leaderInfo", epoch: 3 })).toEqual([{ kind: "send", packet: { kind: "ackEpoch", lastZxid: LAST, currentEpoch: undefined } }]);
  });

  test("a leader of an epoch that is over is refused", () => {
    const scene = new Scene({ acceptedEpoch: 4 });
    scene.step({ kind: "connected" });
    expect(scene.receive({ kind: "leaderInfo", epoch: 3 })).toEqual([failure("refused")]);
    expect(scene.receive({ kind: "leaderInfo", epoch: 5 })).toEqual([]);
  });
});

describe("a learner takes over the history", () => {
  test("what came is on the disk, then the epoch, then NEWLEADER is acknowledged", () => {
    const scene = new Scene().synced({ kind: "diff", zxid: z(2, 9) });
    expect(scene.receive(proposal(z(2, 8)))).toEqual([append(z(2, 8))]);
    expect(scene.receive({ kind: "commit", zxid: z(2, 8) })).toEqual([]);
    scene.receive(proposal(z(2, 9)));
    scene.receive({ kind: "commit", zxid: z(2, 9) });
    expect(scene.newLeader()).toEqual([]);
    expect(scene.durable(z(2, 8))).toEqual([commit(z(2, 8))]);
    expect(scene.durable(z(2, 9))).toEqual([commit(z(2, 9)), { kind: "persistCurrentEpoch", epoch: 3 }]);
    expect(scene.step({ kind: "currentEpochPersisted" })).toEqual([ack(z(3, 0))]);
    expect(scene.receive({ kind: "upToDate" })).toEqual([ack(z(3, 0)), { kind: "upToDate", epoch: 3 }]);
  });

  test("what is outstanding at the leader is acknowledged after NEWLEADER, each once it is on the disk", () => {
    const scene = new Scene().synced();
    expect(scene.newLeader()).toEqual([{ kind: "persistCurrentEpoch", epoch: 3 }]);
    scene.receive(proposal(z(3, 1)));
    scene.receive(proposal(z(3, 2)));
    expect(scene.durable(z(3, 1))).toEqual([]);
    expect(scene.step({ kind: "currentEpochPersisted" })).toEqual([ack(z(3, 0)), ack(z(3, 1))]);
    expect(scene.durable(z(3, 2))).toEqual([ack(z(3, 2))]);
  });

  test("outstanding proposals may come before NEWLEADER, as Apache's leaders send them", () => {
    const scene = new Scene().synced();
    scene.receive(proposal(z(3, 1)));
    expect(scene.newLeader()).toEqual([]);
    expect(scene.durable(z(3, 1))).toEqual([{ kind: "persistCurrentEpoch", epoch: 3 }]);
    expect(scene.step({ kind: "currentEpochPersisted" })).toEqual([ack(z(3, 0)), ack(z(3, 1))]);
  });

  test("commits that came early take effect before it serves", () => {
    const scene = new Scene().synced();
    scene.newLeader();
    scene.receive(proposal(z(3, 1)));
    scene.receive({ kind: "commit", zxid: z(3, 1) });
    scene.step({ kind: "currentEpochPersisted" });
    expect(scene.core.uncommitted).toEqual([transaction(z(3, 1))]);
    expect(scene.receive({ kind: "upToDate" })).toEqual([ack(z(3, 0)), commit(z(3, 1)), { kind: "upToDate", epoch: 3 }]);
    expect(scene.durable(z(3, 1))).toEqual([ack(z(3, 1))]);
  });

  test("TRUNC: packets wait until the end of the history is gone", () => {
    const scene = new Scene().discovered();
    expect(scene.receive({ kind: "trunc", zxid: z(2, 5) })).toEqual([{ kind: "truncate", zxid: z(2, 5) }]);
    expect(scene.core.busy).toBe(true);
    expect(() => scene.newLeader()).toThrow(/wait/);
    scene.step({ kind: "truncated" });
    expect(scene.receive(proposal(z(2, 6)))).toEqual([append(z(2, 6))]);
  });

  test("SNAP: the snapshot comes first, and what it holds may be sent once more", () => {
    const scene = new Scene().discovered();
    expect(scene.receive({ kind: "snap", zxid: z(2, 20) })).toEqual([{ kind: "installSnapshot", zxid: z(2, 20) }]);
    expect(scene.core.busy).toBe(true);
    scene.step({ kind: "snapshotInstalled" });
    for (const counter of [19, 20]) expect([...scene.receive(proposal(z(2, counter))), ...scene.receive({ kind: "commit", zxid: z(2, counter) })]).toEqual([]);
    expect(scene.receive(proposal(z(2, 21)))).toEqual([append(z(2, 21))]);
  });

  test("who could not go back to the leader's history asks for a snapshot, and takes nothing else", () => {
    const scene = new Scene({ wantsSnapshot: true });
    scene.step({ kind: "connected" });
    scene.receive({ kind: "leaderInfo", epoch: 3 });
    expect(scene.step({ kind: "acceptedEpochPersisted" })).toEqual([{ kind: "send", packet: { kind: "ackEpoch", lastZxid: z(4, 0), currentEpoch: undefined } }]);
    expect(scene.receive({ kind: "trunc", zxid: z(2, 5) })).toEqual([failure("diverged")]);
  });

  test("an Apache leader's snapshot may stand at the beginning of an epoch", () => {
    const scene = new Scene().discovered();
    scene.receive({ kind: "snap", zxid: z(3, 0) });
    scene.step({ kind: "snapshotInstalled" });
    expect(scene.newLeader()).toEqual([{ kind: "persistCurrentEpoch", epoch: 3 }]);
    expect(scene.receive(proposal(z(3, 1)))).toEqual([append(z(3, 1))]);
  });

  test.each<[string, LeaderPacket[], string]>([
    ["a gap in an epoch", [proposal(z(2, 9))], "diverged"],
    ["an epoch that does not begin with its first transaction", [proposal(z(3, 2))], "diverged"],
    ["a commit of what was never proposed", [{ kind: "commit", zxid: z(2, 8) }], "diverged"],
    ["a commit out of order", [proposal(z(2, 8)), proposal(z(2, 9)), { kind: "commit", zxid: z(2, 9) }], "diverged"],
    ["another epoch than it acknowledged", [{ kind: "newLeader", epoch: 4, config: undefined }], "refused"],
    ["UPTODATE too early", [{ kind: "upToDate" }], "refused"],
    ["a second synchronization", [{ kind: "diff", zxid: LAST }], "refused"],
  ])("it stops at %s", (_what, packets, expected) => {
    const scene = new Scene().synced();
    expect(packets.flatMap((packet) => scene.receive(packet)).at(-1)).toEqual(failure(expected));
    expect(scene.receive({ kind: "upToDate" })).toEqual([]);
  });

  test("it stops where the leader's history ends later than what was sent of it", () => {
    expect(new Scene().synced({ kind: "diff", zxid: z(2, 9) }).newLeader()).toEqual([failure("diverged")]);
  });

  test("transactions before the synchronization are refused", () => {
    expect(new Scene().discovered().receive(proposal(z(2, 8)))).toEqual([failure("refused")]);
    expect(new Scene().discovered().newLeader()).toEqual([failure("refused")]);
  });
});

describe("a learner that serves", () => {
  test("a transaction is acknowledged when it is on the disk, and takes effect when it is committed, whichever is first", () => {
    const scene = new Scene().serving();
    scene.receive(proposal(z(3, 1)));
    scene.receive(proposal(z(3, 2)));
    expect(scene.receive({ kind: "commit", zxid: z(3, 1) })).toEqual([commit(z(3, 1))]);
    expect(scene.durable(z(3, 2))).toEqual([ack(z(3, 1)), ack(z(3, 2))]);
    expect(scene.receive({ kind: "commit", zxid: z(3, 2) })).toEqual([commit(z(3, 2))]);
  });

  test("a commit that is not the next is the end of this history", () => {
    const scene = new Scene().serving();
    scene.receive(proposal(z(3, 1)));
    scene.receive(proposal(z(3, 2)));
    expect(scene.receive({ kind: "commit", zxid: z(3, 2) })).toEqual([failure("diverged")]);
  });

  test("an observer logs and applies what it is told of, and acknowledges none of it", () => {
    const scene = new Scene({ observer: true }).serving();
    expect(scene.receive({ kind: "inform", transaction: transaction(z(3, 1)) })).toEqual([append(z(3, 1)), commit(z(3, 1))]);
    expect(scene.durable(z(3, 1))).toEqual([]);
  });

  test("pings are answered with the sessions heard of since the last one", () => {
    const scene = new Scene().serving();
    const touched = { sessionId: sessionId(5n), timeOut: 4000 };
    scene.step({ kind: "touch", ...touched });
    scene.step({ kind: "touch", ...touched });
    expect(scene.receive({ kind: "ping", zxid: z(3, 0) })).toEqual([{ kind: "send", packet: { kind: "ping", zxid: z(3, 0), touched: [touched] } }]);
    expect(scene.receive({ kind: "ping", zxid: z(3, 0) })).toEqual([{ kind: "send", packet: { kind: "ping", zxid: z(3, 0), touched: [] } }]);
  });

  test("before UPTODATE pings are not answered, because Apache's leaders expect an acknowledgement first", () => {
    expect(new Scene().synced().receive({ kind: "ping", zxid: z(3, 0) })).toEqual([]);
  });

  test("requests, returning sessions and syncs go to the leader and come back", () => {
    const scene = new Scene().serving();
    const request = { sessionId: sessionId(5n), cxid: 1, type: OpCode.sync, body: Buffer.alloc(0), ids: null };
    expect(scene.step({ kind: "request", request })).toEqual([{ kind: "send", packet: { kind: "request", request } }]);
    expect(scene.step({ kind: "revalidate", sessionId: sessionId(5n), timeOut: 1 })).toEqual([{ kind: "send", packet: { kind: "revalidate", sessionId: sessionId(5n), timeOut: 1 } }]);
    expect(scene.receive({ kind: "sync" })).toEqual([{ kind: "synced" }]);
    expect(scene.receive({ kind: "revalidated", sessionId: sessionId(5n), alive: false })).toEqual([{ kind: "revalidated", sessionId: sessionId(5n), alive: false }]);
  });

  test("a reconfiguration is taken over as a transaction, and ends the membership", () => {
    const scene = new Scene().serving();
    scene.receive(proposal(z(3, 1)));
    expect(scene.receive({ kind: "commitAndActivate", zxid: z(3, 1), leader: 1n })).toEqual([commit(z(3, 1)), failure("reconfigured")]);
  });

  test("the leader's silence is borne for initLimit at first, for syncLimit once it serves", () => {
    const waiting = new Scene();
    expect(waiting.core.step({ kind: "connected" }, 0)[0]).toEqual({ kind: "setTimer", at: 1000 });
    waiting.now = 999;
    expect(waiting.core.step({ kind: "timer" }, 999)).toEqual([{ kind: "setTimer", at: 1000 }]);
    expect(waiting.core.step({ kind: "timer" }, 1000)).toEqual([failure("lost")]);
    const scene = new Scene().serving();
    scene.now = 300;
    scene.receive({ kind: "ping", zxid: z(3, 0) });
    expect(scene.core.step({ kind: "timer" }, 500)).toEqual([{ kind: "setTimer", at: 800 }]);
    expect(scene.core.step({ kind: "timer" }, 800)).toEqual([failure("lost")]);
  });

  test("while it replaces its history the leader's silence means nothing", () => {
    const scene = new Scene().discovered();
    scene.receive({ kind: "trunc", zxid: z(2, 5) });
    expect(scene.core.step({ kind: "timer" }, 5000)).toEqual([{ kind: "setTimer", at: 6000 }]);
  });
});
