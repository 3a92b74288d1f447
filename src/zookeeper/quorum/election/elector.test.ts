import { describe, expect, test } from "vitest";
import type { Connection } from "../../../host/net.ts";
import type { SimNode } from "../../../host/sim/node.ts";
import { withTripwires } from "../../../host/sim/tripwires.ts";
import { World } from "../../../host/sim/world.ts";
import { must } from "../../../lib/assert.ts";
import { FrameDecoder } from "../../../lib/frames.ts";
import { formatEnsemble, type Ensemble } from "../../config/ensemble.ts";
import type { Candidacy } from "./election.ts";
import { Elector } from "./elector.ts";
import { decodeNotification, encodeInitialMessage, encodeNotification, type Notification, type PeerState } from "./notification.ts";
import { ensembleOf } from "./testing.ts";

const own: Candidacy = { lastZxid: 10, currentEpoch: 1 };

function electorOn(node: SimNode, id: number, ensemble: Ensemble, onNewerConfig?: (text: string) => void): Elector {
  const hook = onNewerConfig === undefined ? {} : { onNewerConfig };
  return new Elector({ host: node.host, id, ensemble, listenOnAllAddresses: false, connectTimeoutMs: 5000, handshakeTimeoutMs: 10_000, bindTries: 3, ...hook });
}

interface Stage {
  readonly world: World;
  readonly nodes: readonly SimNode[];
  readonly begin: (id: number, ensemble: Ensemble, onNewerConfig?: (text: string) => void) => Promise<Elector>;
  /** Speaks as member `id`, which is larger than the one that is called. */
  readonly speakAs: (id: number, to: number) => Promise<Voice>;
}

class Voice {
  readonly heard: Notification[] = [];
  readonly #connection: Connection;

  constructor(connection: Connection, id: number) {
    this.#connection = connection;
    const decoder = new FrameDecoder({ frameBytesMax: 10_000 });
    connection.start({ data: (chunk) => void decoder.push(chunk, (frame) => this.heard.push(must(decodeNotification(frame), "notification"))), close: () => undefined });
    connection.write(encodeInitialMessage(id, { host: `n${id}`, port: 3888 }));
  }

  say(state: PeerState, [leader, zxid, round, peerEpoch]: readonly [number, number, number, number], config = ""): void {
    this.#connection.write(encodeNotification(state, { leader, zxid, round, peerEpoch }, Buffer.from(config)));
  }

  saySomethingElse(): void {
    this.#connection.write(Buffer.from("0000000501020304ff", "hex"));
  }
}

function play(act: (stage: Stage) => Promise<void>): Promise<void> {
  return withTripwires(async () => {
    const world = new World({ seed: 11 });
    const nodes = [1, 2, 3, 4].map((id) => world.addNode(`n${id}`));
    const nodeOf = (id: number): SimNode => must(nodes[id - 1], "node");
    await act({
      world,
      nodes,
      begin: async (id, ensemble, onNewerConfig) => {
        const elector = electorOn(nodeOf(id), id, ensemble, onNewerConfig);
        await world.settle(elector.listen());
        return elector;
      },
      speakAs: (id, to) =>
        world.settle(
          nodeOf(id)
            .host.net.connect({ host: `n${to}`, port: 3888, timeoutMs: 1000 })
            .then((connection) => new Voice(connection, id)),
        ),
    });
  });
}

describe("elect", () => {
  test("of three that begin together takes little more than the 200 ms of silence, and all agree", () =>
    play(async ({ world, begin }) => {
      const ensemble = ensembleOf(3);
      const electors = [await begin(1, ensemble), await begin(2, ensemble), await begin(3, ensemble)];
      const beganMs = world.nowMs;
      const elected = await world.settle(Promise.all(electors.map((elector, index) => elector.elect(index === 1 ? { ...own, lastZxid: 11 } : own))));
      const vote = { leader: 2, zxid: 11, round: 1, peerEpoch: 1 };
      expect(elected).toEqual([
        { state: "following", vote },
        { state: "leading", vote },
        { state: "following", vote },
      ]);
      expect(world.nowMs - beganMs).toBeLessThan(300);
      expect(electors.map(({ state }) => state)).toEqual(["following", "leading", "following"]);
    }));

  test("goes on without those that are not there, and a late one joins without moving anybody", () =>
    play(async ({ world, begin }) => {
      const ensemble = ensembleOf(3);
      const [one, two] = [await begin(1, ensemble), await begin(2, ensemble)];
      expect(await world.settle(Promise.all([one.elect(own), two.elect(own)]))).toMatchObject([{ state: "following" }, { state: "leading" }]);
      for (const elector of [one, two]) elector.synced(2);
      const three = await begin(3, ensemble);
      expect(await world.settle(three.elect({ lastZxid: 99, currentEpoch: 1 }))).toEqual({ state: "following", vote: { leader: 2, zxid: 10, round: 1, peerEpoch: 2 } });
      expect(two.state).toBe("leading");
    }));

  test("is given up on close, also where it begins after it; nothing stays open", () =>
    play(async ({ world, nodes, begin }) => {
      const elector = await begin(1, ensembleOf(3));
      const outcome = elector.elect(own).catch((error: unknown) => error);
      await world.run({ forMs: 1000 });
      await world.settle(elector.close());
      expect(await outcome).toMatchObject({ code: "ECANCELED" });
      await expect(elector.elect(own)).rejects.toMatchObject({ code: "ECANCELED" });
      await world.run({ forMs: 10_000 });
      expect(nodes[0]!.resources).toMatchObject({ connections: 0, listeners: 0 });
    }));

  test("is held once at a time, by members of the ensemble", () =>
    play(async ({ nodes, begin }) => {
      const elector = await begin(1, ensembleOf(3));
      const first = elector.elect(own);
      expect(() => elector.elect(own)).toThrow("one election at a time");
      await elector.close();
      await expect(first).rejects.toMatchObject({ code: "ECANCELED" });
      expect(() => electorOn(nodes[3]!, 4, ensembleOf(3))).toThrow("member 4");
    }));
});

describe("over the wire", () => {
  test("a notification carries the configuration, an answer the elected round; garbage is passed over", () =>
    play(async ({ world, begin, speakAs }) => {
      const ensemble = ensembleOf(3);
      const elector = await begin(1, ensemble);
      const electing = elector.elect(own);
      const three = await speakAs(3, 1);
      three.saySomethingElse();
      three.say("looking", [3, 10, 1, 1]);
      const vote = { leader: 3, zxid: 10, round: 1, peerEpoch: 1 };
      expect(await world.settle(electing)).toEqual({ state: "following", vote });
      const config = formatEnsemble(ensemble);
      expect(three.heard).toEqual([
        { state: "looking", vote: { ...vote, leader: 1 }, version: 2, config },
        { state: "looking", vote, version: 2, config },
      ]);
      elector.synced(2);
      three.say("looking", [3, 10, 7, 1]);
      await world.run({ forMs: 100 });
      expect(three.heard.at(-1)).toEqual({ state: "following", vote: { ...vote, peerEpoch: 2 }, version: 2, config });
    }));

  test("a newer configuration is reported while looking only, and counts once it is handed in", () =>
    play(async ({ world, begin, speakAs }) => {
      const texts: string[] = [];
      const newer: Ensemble = { ...ensembleOf(4), version: 0x100000005 };
      const elector = await begin(1, ensembleOf(3), (text) => texts.push(text));
      const electing = elector.elect(own);
      const four = await speakAs(4, 1);
      four.say("looking", [4, 10, 1, 1], formatEnsemble({ ...newer, version: 0 }));
      four.say("looking", [4, 10, 1, 1], "no version");
      await world.run({ forMs: 100 });
      expect(texts).toEqual([]);
      four.say("looking", [4, 10, 1, 1], formatEnsemble(newer));
      await world.run({ forMs: 100 });
      expect(texts).toEqual([formatEnsemble(newer)]);
      elector.reconfigure(newer);
      expect(elector.round).toBe(2);
      const three = await speakAs(3, 1);
      for (const voice of [three, four]) voice.say("looking", [4, 10, 2, 1], formatEnsemble(newer));
      expect(await world.settle(electing)).toMatchObject({ state: "following", vote: { leader: 4 } });
      expect(four.heard.at(-1)?.config).toBe(formatEnsemble(newer));
      four.say("looking", [4, 10, 3, 1], formatEnsemble({ ...newer, version: 0x100000006 }));
      await world.run({ forMs: 100 });
      expect(texts.length).toBe(1);
    }));

  test("members that could not be reached are tried again in time, and told of the vote", () =>
    play(async ({ world, nodes, begin }) => {
      const elector = await begin(2, ensembleOf(3));
      const electing = elector.elect(own).catch(() => undefined);
      await world.run({ forMs: 1000 });
      const chunks: Buffer[] = [];
      await world.settle(nodes[0]!.host.net.listen({ port: 3888 }, (connection) => connection.start({ data: (chunk) => chunks.push(chunk), close: () => undefined })));
      await world.run({ forMs: 3000 });
      const config = Buffer.from(formatEnsemble(ensembleOf(3)));
      const notification = encodeNotification("looking", { leader: 2, zxid: 10, round: 1, peerEpoch: 1 }, config);
      const greeting = encodeInitialMessage(2, { host: "n2", port: 3888 });
      expect(Buffer.concat(chunks).subarray(0, greeting.length + notification.length)).toEqual(Buffer.concat([greeting, notification]));
      await elector.close();
      await electing;
    }));

  test("what arrived while the process stood still is heard before silence is concluded from", () =>
    play(async ({ world, nodes, begin, speakAs }) => {
      const elector = await begin(1, ensembleOf(3));
      const electing = elector.elect(own);
      const [two, three] = [await speakAs(2, 1), await speakAs(3, 1)];
      two.say("looking", [2, 10, 1, 1]);
      await world.run({ forMs: 100 });
      nodes[0]!.pause();
      three.say("looking", [3, 10, 1, 1]);
      await world.run({ forMs: 1000 });
      nodes[0]!.resume();
      await world.run({ forMs: 100 });
      expect(elector.state).toBe("looking");
      expect(await world.settle(electing)).toMatchObject({ vote: { leader: 3 } });
    }));
});
