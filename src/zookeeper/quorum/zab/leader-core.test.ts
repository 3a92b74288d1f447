import { describe, expect, test } from "vitest";
import type { Ensemble } from "../../config/ensemble.ts";
import { makeZxid, NO_SESSION, sessionId, type Zxid } from "../../protocol/ids.ts";
import { OpCode } from "../../protocol/op-codes.ts";
import { encodeTransaction, type Transaction } from "../../protocol/transactions.ts";
import { LeaderCore, type LeaderEffect, type LeaderInput, type LeaderOptions } from "./leader-core.ts";
import type { LearnerPacket } from "./packets.ts";

const z = makeZxid;
const LAST = z(2, 7);

function ensemble(voters: number, observers = 0): Ensemble {
  const members = Array.from({ length: voters + observers }, (_, index) => ({ id: index + 1, host: "h", quorumPort: 1, electionPort: 2, role: index < voters ? ("participant" as const) : ("observer" as const), clientAddress: undefined }));
  return { members, groups: undefined, version: 0 };
}

function transaction(zxid: Zxid): Transaction {
  return encodeTransaction({ clientId: NO_SESSION, cxid: 0, zxid, time: 0 }, { type: OpCode.error, record: { err: -101 } });
}

/** A leader of three (member 1); learners are known by connection = server id. */
class Scene {
  readonly core: LeaderCore;
  now = 0;

  constructor(options: Partial<LeaderOptions> = {}) {
    this.core = new LeaderCore({ id: 1, ensemble: ensemble(3), tickMs: 100, initLimit: 10, syncLimit: 5, acceptedEpoch: 2, currentEpoch: 2, lastZxid: LAST, config: "text", ...options });
  }

  step(input: LeaderInput): readonly LeaderEffect[] {
    return this.core.step(input, this.now).filter((effect) => effect.kind !== "setTimer");
  }

  receive(learner: number, packet: LearnerPacket): readonly LeaderEffect[] {
    return this.step({ kind: "received", learner, packet });
  }

  introduce(learner: number, { acceptedEpoch = 2, serverId = learner, observer = false, configVersion = 0 } = {}): readonly LeaderEffect[] {
    this.step({ kind: "connected", learner });
    return this.receive(learner, { kind: "info", observer, acceptedEpoch, serverId, configVersion });
  }

  ackEpoch(learner: number, currentEpoch: number | undefined = 2, lastZxid = LAST): readonly LeaderEffect[] {
    return this.receive(learner, { kind: "ackEpoch", lastZxid, currentEpoch });
  }

  ack(learner: number, zxid: Zxid): readonly LeaderEffect[] {
    return this.receive(learner, { kind: "ack", zxid });
  }

  propose(counter: number): readonly LeaderEffect[] {
    return this.step({ kind: "propose", transaction: transaction(z(3, counter)) });
  }

  pass(ms: number): LeaderEffect[] {
    const effects: LeaderEffect[] = [];
    for (let passed = 0; passed < ms; passed += 50) {
      this.now += 50;
      effects.push(...this.step({ kind: "timer" }));
    }
    return effects;
  }

  /** Epoch 3, with member 2. */
  establish(): this {
    this.step({ kind: "start" });
    this.introduce(2);
    this.step({ kind: "acceptedEpochPersisted" });
    this.ackEpoch(2);
    this.step({ kind: "currentEpochPersisted" });
    expect(this.ack(2, z(3, 0)).map((effect) => effect.kind)).toEqual(["established", "send"]);
    return this;
  }

  join(learner: number, lastZxid = LAST): readonly LeaderEffect[] {
    this.introduce(learner);
    return this.ackEpoch(learner, 2, lastZxid);
  }
}

const send = (learner: number, packet: unknown): unknown => ({ kind: "send", learner, packet });

describe("a new leader", () => {
  test("step by step: a quorum introduces itself, accepts the epoch, takes over the history, serves", () => {
    const scene = new Scene();
    expect(scene.step({ kind: "start" })).toEqual([]);
    expect(scene.introduce(2)).toEqual([{ kind: "persistAcceptedEpoch", epoch: 3 }]);
    expect(scene.step({ kind: "acceptedEpochPersisted" })).toEqual([send(2, { kind: "leaderInfo", epoch: 3 })]);
    expect(scene.ackEpoch(2, 1, z(1, 4))).toEqual([
      { kind: "persistCurrentEpoch", epoch: 3 },
      { kind: "synchronize", learner: 2, observer: false, lastZxid: z(1, 4) },
      send(2, { kind: "newLeader", epoch: 3, config: "text" }),
    ]);
    expect(scene.ack(2, z(3, 0))).toEqual([]);
    expect(scene.step({ kind: "currentEpochPersisted" })).toEqual([{ kind: "established", epoch: 3, zxid: z(3, 0) }, send(2, { kind: "upToDate" })]);
    expect(scene.ack(2, z(3, 0))).toEqual([]);
  });

  test("the epoch is above all that anyone who came in time has accepted", () => {
    const scene = new Scene({ ensemble: ensemble(5) });
    scene.step({ kind: "start" });
    scene.introduce(2, { acceptedEpoch: 8 });
    expect(scene.introduce(3, { acceptedEpoch: 4 })).toEqual([{ kind: "persistAcceptedEpoch", epoch: 9 }]);
    expect(scene.introduce(4, { acceptedEpoch: 20 })).toEqual([]);
    expect(scene.step({ kind: "acceptedEpochPersisted" })).toHaveLength(3);
  });

  test("observers and strangers make no quorum", () => {
    const scene = new Scene({ ensemble: ensemble(3, 1) });
    scene.step({ kind: "start" });
    expect([scene.introduce(4, { observer: true }), scene.introduce(77), scene.introduce(5, { serverId: -1 })].flat()).toEqual([]);
    expect(scene.introduce(3)).toHaveLength(1);
  });

  test("whoever had accepted the epoch before does not elect, and still follows", () => {
    const scene = new Scene();
    scene.step({ kind: "start" });
    scene.introduce(2);
    scene.introduce(3);
    scene.step({ kind: "acceptedEpochPersisted" });
    expect(scene.receive(2, { kind: "ackEpoch", lastZxid: LAST, currentEpoch: undefined })).toEqual([]);
    expect(scene.ackEpoch(3).filter((effect) => effect.kind === "synchronize")).toHaveLength(2);
  });

  test.each([
    ["a later epoch", 3, z(1, 1)],
    ["more transactions of the same", 2, z(2, 8)],
  ])("whoever has %s is sent away, for it may know of what was committed", (_what, epoch, zxid) => {
    const scene = new Scene();
    scene.step({ kind: "start" });
    scene.introduce(2);
    scene.step({ kind: "acceptedEpochPersisted" });
    expect(scene.ackEpoch(2, epoch, zxid)).toEqual([expect.objectContaining({ kind: "close", learner: 2 })]);
  });

  test("an older epoch counts for less than any number of its transactions", () => {
    const scene = new Scene();
    scene.step({ kind: "start" });
    scene.introduce(2);
    scene.step({ kind: "acceptedEpochPersisted" });
    expect(scene.ackEpoch(2, 1, z(2, 9))[0]).toEqual({ kind: "persistCurrentEpoch", epoch: 3 });
  });

  test("each wait for a quorum ends with initLimit", () => {
    for (const stages of [0, 1, 2]) {
      const scene = new Scene();
      scene.step({ kind: "start" });
      if (stages > 0) {
        scene.pass(900);
        scene.introduce(2);
        scene.step({ kind: "acceptedEpochPersisted" });
      }
      if (stages > 1) {
        scene.pass(900);
        scene.ackEpoch(2);
        scene.step({ kind: "currentEpochPersisted" });
      }
      expect(scene.pass(950).some((effect) => effect.kind === "stepDown")).toBe(false);
      expect(scene.pass(50).at(-1)).toMatchObject({ kind: "stepDown" });
      expect(scene.step({ kind: "connected", learner: 9 })).toEqual([]);
    }
  });

  test("who has acknowledged everything is waited for no shorter than the others", () => {
    const scene = new Scene({ ensemble: ensemble(5) });
    scene.step({ kind: "start" });
    for (const learner of [2, 3]) scene.introduce(learner);
    scene.step({ kind: "acceptedEpochPersisted" });
    for (const learner of [2, 3]) scene.ackEpoch(learner);
    scene.step({ kind: "currentEpochPersisted" });
    scene.ack(2, z(3, 0));
    expect(scene.pass(900)).toEqual([]);
    expect(scene.ack(3, z(3, 0)).map((effect) => effect.kind)).toEqual(["established", "send", "send"]);
    expect(scene.pass(450).filter((effect) => effect.kind === "close")).toEqual([]);
    expect(scene.pass(50).filter((effect) => effect.kind === "close")).toHaveLength(2);
  });

  test("a learner that knows a later configuration, or does not keep to the order, is sent away", () => {
    const closed = [expect.objectContaining({ kind: "close", learner: 2 })];
    expect(new Scene().introduce(2, { configVersion: 5 })).toEqual(closed);
    const early = new Scene();
    early.step({ kind: "connected", learner: 2 });
    expect(early.ackEpoch(2)).toEqual(closed);
    const twice = new Scene({ ensemble: ensemble(5) });
    twice.introduce(2);
    expect(twice.receive(2, { kind: "info", observer: false, acceptedEpoch: 1, serverId: 2, configVersion: 0 })).toEqual(closed);
    const request = { sessionId: NO_SESSION, cxid: 1, type: 1, body: Buffer.alloc(0), ids: null };
    expect(early.introduce(3)).toEqual([]);
    expect(early.receive(3, { kind: "request", request })).toEqual([expect.objectContaining({ kind: "close", learner: 3 })]);
  });

  test("a member alone in its ensemble leads it", () => {
    const scene = new Scene({ ensemble: ensemble(1) });
    expect(scene.step({ kind: "start" })).toEqual([{ kind: "persistAcceptedEpoch", epoch: 3 }]);
    expect(scene.step({ kind: "acceptedEpochPersisted" })).toEqual([{ kind: "persistCurrentEpoch", epoch: 3 }]);
    expect(scene.step({ kind: "currentEpochPersisted" })).toEqual([{ kind: "established", epoch: 3, zxid: z(3, 0) }]);
    scene.propose(1);
    expect(scene.step({ kind: "durable", zxid: z(3, 1) })).toEqual([expect.objectContaining({ kind: "commit" })]);
  });
});

describe("a leader's broadcast", () => {
  const committed = (effects: readonly LeaderEffect[]): Zxid[] => effects.flatMap((effect) => (effect.kind === "commit" ? [effect.transaction.header.zxid] : []));

  test("proposals do not wait for each other, and are committed in order once a quorum's disks have them", () => {
    const scene = new Scene().establish();
    expect(scene.propose(1).map((effect) => effect.kind)).toEqual(["append", "send"]);
    scene.propose(2);
    scene.propose(3);
    expect(committed(scene.ack(2, z(3, 2)))).toEqual([]);
    expect(scene.core.uncommitted).toHaveLength(3);
    const effects = scene.step({ kind: "durable", zxid: z(3, 3) });
    expect(committed(effects)).toEqual([z(3, 1), z(3, 2)]);
    expect(effects).toContainEqual(send(2, { kind: "commit", zxid: z(3, 1) }));
    expect(committed(scene.ack(2, z(3, 3)))).toEqual([z(3, 3)]);
  });

  test("two followers make a quorum without the leader's own disk", () => {
    const scene = new Scene().establish();
    scene.join(3);
    scene.ack(3, z(3, 0));
    scene.propose(1);
    scene.ack(2, z(3, 1));
    expect(committed(scene.ack(3, z(3, 1)))).toEqual([z(3, 1)]);
  });

  test("a follower that comes later is sent what is outstanding, and counts from its NEWLEADER acknowledgement on", () => {
    const scene = new Scene().establish();
    scene.propose(1);
    expect(scene.join(3).map((effect) => (effect.kind === "send" ? effect.packet.kind : effect.kind))).toEqual(["synchronize", "newLeader", "proposal"]);
    scene.step({ kind: "durable", zxid: z(3, 1) });
    expect(committed(scene.ack(3, z(3, 1)))).toEqual([]);
    const effects = scene.ack(3, z(3, 0));
    expect(effects[0]).toEqual(send(3, { kind: "upToDate" }));
    expect(committed(effects)).toEqual([z(3, 1)]);
  });

  test("what a member acknowledged on an earlier connection does not count any more", () => {
    const scene = new Scene({ ensemble: ensemble(5) });
    scene.step({ kind: "start" });
    for (const learner of [2, 3]) scene.introduce(learner);
    scene.step({ kind: "acceptedEpochPersisted" });
    for (const learner of [2, 3]) scene.ackEpoch(learner);
    scene.step({ kind: "currentEpochPersisted" });
    for (const learner of [2, 3]) scene.ack(learner, z(3, 0));
    scene.propose(1);
    scene.step({ kind: "durable", zxid: z(3, 1) });
    scene.ack(2, z(3, 1));
    expect(scene.introduce(12, { serverId: 2 })[0]).toMatchObject({ kind: "close", learner: 2 });
    scene.ackEpoch(12);
    expect(committed(scene.ack(12, z(3, 0)))).toEqual([]);
    scene.ack(12, z(3, 1));
    expect(committed(scene.ack(3, z(3, 1)))).toEqual([z(3, 1)]);
  });

  test("an observer is told of what is committed, and not asked", () => {
    const scene = new Scene({ ensemble: ensemble(3, 1) }).establish();
    scene.introduce(4, { observer: true });
    scene.ackEpoch(4);
    scene.ack(4, z(3, 0));
    expect(scene.propose(1)).not.toContainEqual(expect.objectContaining({ learner: 4 }));
    scene.ack(2, z(3, 1));
    expect(scene.step({ kind: "durable", zxid: z(3, 1) })).toContainEqual(send(4, { kind: "inform", transaction: transaction(z(3, 1)) }));
  });

  test("a sync is answered when all that was proposed before it is committed", () => {
    const scene = new Scene().establish();
    expect(scene.step({ kind: "sync", learner: 2 })).toEqual([send(2, { kind: "sync" })]);
    scene.propose(1);
    expect(scene.step({ kind: "sync", learner: 2 })).toEqual([]);
    expect(scene.step({ kind: "sync", learner: undefined })).toEqual([]);
    scene.propose(2);
    scene.step({ kind: "durable", zxid: z(3, 2) });
    expect(scene.ack(2, z(3, 1)).slice(-3).map((effect) => effect.kind)).toEqual(["commit", "send", "synced"]);
  });

  test("a sync is answered before later transactions are committed, even where one acknowledgement commits many", () => {
    const scene = new Scene().establish();
    scene.propose(1);
    scene.step({ kind: "sync", learner: 2 });
    scene.step({ kind: "sync", learner: undefined });
    scene.propose(2);
    scene.step({ kind: "durable", zxid: z(3, 2) });
    const effects = scene.ack(2, z(3, 2));
    expect(effects.filter((effect) => effect.kind !== "send" || effect.learner === 2).map((effect) => (effect.kind === "send" ? effect.packet.kind : effect.kind))).toEqual(["commit", "commit", "sync", "synced", "commit", "commit"]);
  });

  test("requests, touched and returning sessions are handed on and answered", () => {
    const scene = new Scene().establish();
    const request = { sessionId: sessionId(5n), cxid: 1, type: 1, body: Buffer.from("x"), ids: null };
    const touched = [{ sessionId: sessionId(5n), timeOut: 4000 }];
    expect(scene.receive(2, { kind: "request", request })).toEqual([{ kind: "request", learner: 2, request }]);
    expect(scene.receive(2, { kind: "ping", zxid: z(3, 0), touched })).toEqual([{ kind: "touch", touched }]);
    expect(scene.receive(2, { kind: "revalidate", sessionId: sessionId(5n), timeOut: 4000 })).toEqual([{ kind: "revalidate", learner: 2, sessionId: sessionId(5n), timeOut: 4000 }]);
    expect(scene.step({ kind: "revalidated", learner: 2, sessionId: sessionId(5n), alive: true })).toEqual([send(2, { kind: "revalidated", sessionId: sessionId(5n), alive: true })]);
    expect(scene.step({ kind: "revalidated", learner: 8, sessionId: sessionId(5n), alive: true })).toEqual([]);
  });

  test("followers are pinged each half tick; without a quorum of them the leader steps down at the next tick", () => {
    const scene = new Scene().establish();
    const ping = send(2, { kind: "ping", zxid: z(3, 0) });
    expect(scene.pass(100)).toEqual([ping, ping]);
    scene.step({ kind: "disconnected", learner: 2 });
    expect(scene.pass(100).at(-1)).toMatchObject({ kind: "stepDown" });
  });

  test("a silent follower is cut off after syncLimit, and one that does not acknowledge", () => {
    const silent = new Scene().establish();
    expect(silent.pass(450)).not.toContainEqual(expect.objectContaining({ kind: "close" }));
    expect(silent.pass(50)).toContainEqual(expect.objectContaining({ kind: "close", learner: 2, reason: expect.stringContaining("silent") }));
    const stuck = new Scene().establish();
    stuck.propose(1);
    const effects: LeaderEffect[] = [];
    for (let round = 0; round < 10; round++) {
      stuck.receive(2, { kind: "ping", zxid: z(3, 1), touched: [] });
      effects.push(...stuck.pass(50));
    }
    expect(effects).toContainEqual(expect.objectContaining({ kind: "close", learner: 2, reason: expect.stringContaining("acknowledged") }));
  });

  test("who takes in a long stream says nothing meanwhile, and is cut off only initLimit after it has stopped to take it in", () => {
    const scene = new Scene().establish();
    scene.join(3);
    const kept: LeaderEffect[] = [];
    for (let round = 0; round < 30; round++) {
      scene.receive(2, { kind: "ping", zxid: z(3, 0), touched: [] });
      scene.step({ kind: "streamed", learner: 3 });
      kept.push(...scene.pass(100));
    }
    expect(kept).not.toContainEqual(expect.objectContaining({ kind: "close" }));
    const gone: LeaderEffect[] = [];
    for (let round = 0; round < 9; round++) {
      scene.receive(2, { kind: "ping", zxid: z(3, 0), touched: [] });
      gone.push(...scene.pass(100));
    }
    expect(gone).toContainEqual(expect.objectContaining({ kind: "close", learner: 3, reason: expect.stringContaining("silent") }));
    // It may have gone before its last chunk was told of.
    expect(scene.step({ kind: "streamed", learner: 3 })).toEqual([]);
  });

  test("a follower that lags behind steadily, but goes on, is kept; its synchronization is no lag", () => {
    const scene = new Scene().establish();
    scene.propose(1);
    scene.join(3);
    const effects: LeaderEffect[] = [];
    const wait = (learner: number): void => {
      for (let round = 0; round < 8; round++) {
        scene.receive(learner, { kind: "ping", zxid: z(3, 0), touched: [] });
        effects.push(...scene.pass(50));
      }
    };
    scene.ack(2, z(3, 1));
    wait(2);
    scene.ack(3, z(3, 0));
    wait(3);
    scene.propose(2);
    scene.ack(3, z(3, 1));
    wait(3);
    expect(effects.filter((effect) => effect.kind === "close" && effect.learner === 3)).toEqual([]);
    scene.receive(3, { kind: "ping", zxid: z(3, 0), touched: [] });
    expect(scene.pass(100)).toContainEqual(expect.objectContaining({ kind: "close", learner: 3, reason: expect.stringContaining("acknowledged") }));
  });

  test("a leader that is established leads on, however long", () => {
    const scene = new Scene().establish();
    for (let round = 0; round < 100; round++) {
      scene.receive(2, { kind: "ping", zxid: z(3, 0), touched: [] });
      expect(scene.pass(50)).toEqual([send(2, { kind: "ping", zxid: z(3, 0) })]);
    }
  });

  test("an acknowledgement of what was never proposed ends the connection", () => {
    expect(new Scene().establish().ack(2, z(3, 1))).toEqual([expect.objectContaining({ kind: "close" })]);
  });

  test("a gap between proposals is a broken invariant", () => {
    expect(() => new Scene().establish().propose(2)).toThrow(/without a gap/);
  });
});
