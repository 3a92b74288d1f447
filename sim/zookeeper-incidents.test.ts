import { expect, test } from "vitest";
import { must } from "../src/lib/assert.ts";
import type { Host } from "../src/host/host.ts";
import type { Connection } from "../src/host/net.ts";
import type { SimNode } from "../src/host/sim/node.ts";
import { CreateFlag, ErrorCode } from "../src/zookeeper/client/vocabulary.ts";
import { juteLimits } from "../src/zookeeper/jute/limits.ts";
import { makeZxid } from "../src/zookeeper/protocol/ids.ts";
import { Connections } from "../src/zookeeper/quorum/election/connections.ts";
import { decodeNotification, encodeNotification, type PeerState, type Vote } from "../src/zookeeper/quorum/election/notification.ts";
import { encodeLeaderPacket, encodeLearnerPacket, PacketStream, type LeaderPacket, type LearnerPacket } from "../src/zookeeper/quorum/zab/packets.ts";
import { EnsembleScenario } from "./zookeeper/scenario.ts";

/** Published incidents of Apache's members, each named with what it was reported as; docs/simulation.md has the list. */

const SLOW: [number, number] = [3000, 3000];
const NEW = Buffer.from("new");
const LIMITS = juteLimits(0xfffff, 0xfffff);

/** The leader has a transaction on its disk that nobody else has, and is cut off. */
async function alone(s: EnsembleScenario): Promise<void> {
  const [leader, one, other] = s.roles;
  const client = s.client([leader]);
  await s.connected(client);
  const before = s.logged(leader);
  s.world.net.partition([leader], [one, other]);
  let answered = false;
  void client.setData("/value", Buffer.from("alone")).then((outcome) => (answered = outcome.ok));
  await s.until("the leader has logged it", () => s.logged(leader) > before);
  expect([s.logged(leader) > s.logged(one), answered]).toEqual([true, false]);
  await s.world.settle(client.abandon());
}

for (const written of [true, false]) {
  /** ZOOKEEPER-1154: what the next leader does not have must go from the log of whoever comes back, also where it has begun nothing new. */
  test(`a proposal that a leader had alone is gone when it comes back to another leader that has ${written ? "written since" : "written nothing yet"}`, async () => {
    await EnsembleScenario.play(async (s) => {
      const [leader, one, other] = s.roles;
      await alone(s);
      await s.until("another leads", () => s.roles[0] !== leader);
      await s.until("it has a quorum", () => s.syncs.some(({ leader: by, learner }) => [s.idOf(one), s.idOf(other)].includes(by) && learner !== s.idOf(leader)));
      if (written) {
        const client = s.client([one, other]);
        expect((await s.world.settle(client.setData("/value", NEW))).ok).toBe(true);
        await s.world.settle(client.abandon());
      } else await s.world.run({ forMs: 500 });
      s.syncs.length = 0;
      s.world.net.heal();
      await s.until("it is brought to the new history", () => s.syncs.some(({ learner }) => learner === s.idOf(leader)));
      // Cut, or replaced whole where the next leader's memory does not go back so far.
      expect(s.syncs.filter(({ learner, kind }) => learner === s.idOf(leader) && kind === "diff")).toEqual([]);
      expect(await s.finish()).toBe(written ? "new" : "first");
    });
  });
}

/** ZOOKEEPER-335: what was proposed and logged, and is in the history of the next leader, belongs to everybody's. */
test("a proposal that a leader had alone is everybody's when it comes back as one of the next quorum", async () => {
  await EnsembleScenario.play(async (s) => {
    const [leader, one, other] = s.roles;
    await alone(s);
    for (const member of [leader, one, other]) member.kill();
    s.world.net.heal();
    s.restart(leader);
    s.restart(one);
    expect(await s.read("/value", [one])).toBe("alone");
    expect(s.roles[0]).toBe(leader);
    leader.kill();
    s.restart(other);
    expect(await s.read("/value", [other])).toBe("alone");
    expect(await s.finish()).toBe("alone");
  });
});

/** ZOOKEEPER-417: a request that comes late, by way of the member that the client has left, must not be carried out. */
test("what a client asked of a member that it has left is not done any more once its session has moved to another", async () => {
  await EnsembleScenario.play(async (s) => {
    const [leader, left, joined] = s.roles;
    const before = s.client([left]);
    const session = await s.connected(before);
    s.world.net.clog(left, leader, 1500);
    void before.setData("/value", Buffer.from("stray"));
    await s.world.run({ forMs: 100 });
    await s.world.settle(before.abandon());
    const after = s.client([joined], { session });
    expect((await s.connected(after)).id).toBe(session.id);
    // A client counts its requests on from one member to the next: the second one has another number.
    expect((await s.world.settle(after.getData("/value"))).ok).toBe(true);
    expect((await s.world.settle(after.setData("/value", NEW))).ok).toBe(true);
    await s.world.run({ forMs: 3000 });
    await s.world.settle(after.abandon());
    expect(await s.finish()).toBe("new");
  });
});

/** ZOOKEEPER-1208: a create that is proposed behind the end of its session makes an ephemeral node that nobody removes. */
test("what a session asks for after it was declared dead, and before its end is committed, is not done", async () => {
  await EnsembleScenario.play(async (s) => {
    const [leader, near, other] = s.roles;
    const client = s.client([near], { sessionTimeoutMs: 1000 });
    let expired = 0;
    client.listen({ expired: () => (expired += 1) });
    const { id } = await s.connected(client);
    // The leader hears nothing of the session for longer than its timeout, and nobody acknowledges its end before that has passed.
    for (const member of [leader, other]) member.disk.options.syncMs = SLOW;
    s.world.net.clog(near, leader, 1800);
    const made = client.create("/mine", null, { flags: CreateFlag.ephemeral });
    await s.until("the session is over", () => expired === 1);
    expect(await s.world.settle(made)).toEqual({ ok: false, code: ErrorCode.sessionExpired });
    expect(client.session?.id).not.toBe(id);
    await s.world.settle(client.close());
    expect(await s.finish()).toBe("first");
    expect(await s.read("/mine")).toBeUndefined();
  });
});

/** Zab: a quorum's disks have it. The leader is one of them once its own has it, and not before. */
test("a leader does not count itself for what its own disk does not have: one follower of two is no quorum", async () => {
  await EnsembleScenario.play(async (s) => {
    const [leader, one, other] = s.roles;
    const client = s.client([leader]);
    await s.connected(client);
    leader.disk.options.syncMs = SLOW;
    s.world.net.partition([other], [leader, one]);
    let answered = false;
    const begunMs = s.world.nowMs;
    const written = client.setData("/value", NEW).then((outcome) => (answered = outcome.ok));
    await s.world.run({ forMs: 1500 });
    expect([s.logged(one) > s.logged(other), answered]).toEqual([true, false]);
    expect(await s.world.settle(written)).toBe(true);
    expect(s.world.nowMs - begunMs).toBeGreaterThan(2900);
    await s.world.settle(client.abandon());
    expect(await s.finish()).toBe("new");
  });
});

/** In a member's place: it says what the script says. */
function elector(host: Host, node: SimNode, id: number, s: EnsembleScenario, answer: (asked: Vote) => readonly [PeerState, Vote]): Connections {
  const connections: Connections = new Connections({
    host,
    id,
    address: { host: node.name, port: 3888 },
    listenHost: undefined,
    addressOf: (member) => ({ host: s.member(member).name, port: 3888 }),
    connectTimeoutMs: 1000,
    handshakeTimeoutMs: 1000,
    bindTries: 1,
    onMessage: (from, message) => {
      const { state, vote, config = "" } = must(decodeNotification(message), "notification");
      if (state === "looking") connections.send(from, encodeNotification(...answer(vote), Buffer.from(config)));
    },
  });
  return connections;
}

/** What comes on a quorum connection. */
function converse<P extends LeaderPacket | LearnerPacket>(connection: Connection, packets: PacketStream<P>, heard: (packet: P) => void, closed: () => void = () => undefined): void {
  connection.start({
    data: (chunk) => {
      packets.push(Buffer.from(chunk));
      for (let packet = packets.next(); packet !== undefined; packet = packets.next()) heard(packet);
    },
    close: closed,
  });
}

/** Two members end, and processes begin in their places that hold to no rule. */
function replaced(s: EnsembleScenario, ids: readonly number[]): void {
  for (const member of ids.map((id) => s.member(id))) {
    member.kill();
    member.start();
  }
}

/** Zab's discovery: who has promised a quorum a later epoch must not acknowledge what an earlier leader proposes. Learner.registerWithLeader refuses it. */
test("a member that has accepted a later epoch does not follow a leader of an earlier one, whoever votes for that", async () => {
  await EnsembleScenario.play(async (s) => {
    replaced(s, [2, 3]);
    const accepted: number[] = [];
    const acknowledged: number[] = [];
    let refused = 0;
    await s.world.settle(
      s.member(3).host.net.listen({ host: undefined, port: 2888 }, (connection) => {
        const epoch = accepted.length === 0 ? 9 : 7;
        converse(
          connection,
          PacketStream.ofLearner(LIMITS),
          (packet) => {
            if (packet.kind === "info") {
              accepted.push(packet.acceptedEpoch);
              for (const chunk of encodeLeaderPacket({ kind: "leaderInfo", epoch })) connection.write(chunk);
            } else if (packet.kind === "ackEpoch") {
              acknowledged.push(epoch);
              connection.destroy();
            }
          },
          () => (refused += 1),
        );
      }),
    );
    for (const [id, state] of [[2, "following"], [3, "leading"]] as const) {
      const vote = (asked: Vote): Vote => ({ ...asked, leader: 3, peerEpoch: 6, round: 1 });
      await s.world.settle(elector(s.member(id).host, s.member(id), id, s, (asked) => [state, vote(asked)]).listen());
    }
    await s.until("it has come back three times", () => accepted.length >= 4);
    expect(accepted.slice(1, 4)).toEqual([9, 9, 9]);
    expect(acknowledged).toEqual([9]);
    expect(refused).toBeGreaterThanOrEqual(2);
    // The two others alone would begin an epoch below the one that it has promised.
    for (const id of [2, 3]) s.member(id).kill();
    s.restart(s.member(2));
    expect(await s.read("/value", [s.member(1)])).toBe("first");
    expect(await s.finish()).toBe("first");
  });
});

/** Zab's discovery: a leader lets nobody follow who has more than it has. Leader.waitForEpochAck. */
test("a leader that meets a longer history than its own takes over nobody's follower: it does not cut what it does not know", async () => {
  await EnsembleScenario.play(async (s) => {
    replaced(s, [1, 2]);
    s.member(3).kill();
    s.restart(s.member(3));
    const { host } = s.member(1);
    await s.world.settle(elector(host, s.member(1), 1, s, (asked) => ["looking", { ...asked, leader: 3 }]).listen());
    const heard: string[] = [];
    const visit = async (): Promise<void> => {
      for (;;) {
        const connection = await host.net.connect({ host: s.member(3).name, port: 2888, timeoutMs: 1000 }).catch(() => undefined);
        if (connection === undefined) {
          await new Promise<void>((resolve) => void host.timers.after(50, resolve));
          continue;
        }
        const say = (packet: LearnerPacket): void => {
          for (const chunk of encodeLearnerPacket(packet)) connection.write(chunk);
        };
        say({ kind: "info", observer: false, acceptedEpoch: 7, serverId: 1, configVersion: 0 });
        return new Promise((resolve) => {
          converse(
            connection,
            PacketStream.ofLeader(LIMITS),
            (packet) => {
              heard.push(packet.kind);
              if (packet.kind === "leaderInfo") say({ kind: "ackEpoch", lastZxid: makeZxid(7, 5), currentEpoch: 7 });
              else connection.destroy();
            },
            resolve,
          );
        });
      }
    };
    await s.world.settle(visit());
    expect(heard).toEqual(["leaderInfo"]);
    for (const id of [1, 2]) s.member(id).kill();
    expect(await s.finish()).toBe("first");
  });
});
