import { expect, test } from "vitest";
import type { SimNode } from "../../../host/sim/node.ts";
import type { TraceEntry } from "../../../host/sim/schedule.ts";
import { withTripwires } from "../../../host/sim/tripwires.ts";
import { World } from "../../../host/sim/world.ts";
import { must } from "../../../lib/assert.ts";
import { ensembleOf, TestMember, type Stored } from "./testing.ts";

const HARM_MS = 30_000;
/** After a long silence a member speaks once a minute only. */
const HEAL_MS = 180_000;
const STABLE_MS = 5000;

interface Outcome {
  readonly hash: string;
  readonly epochs: number;
  readonly kills: number;
}

async function run(seed: number, shape: { readonly voters: number; readonly observers: number }, onEvent: (entry: TraceEntry) => void): Promise<Outcome> {
  const world = new World({ seed, clockSkewMsMax: 5000, clockDriftPpmMax: 200, timerLateMsMax: 5, net: { latencyMs: [0.1, 20], resetsPerMillion: 500 }, onEvent });
  const ensemble = ensembleOf(shape.voters, shape.observers);
  const draws = world.prng("members");
  const nodes = ensemble.members.map(({ host }) => world.addNode(host));
  const stored = ensemble.members.map((): Stored => {
    const epoch = draws.between(0, 2);
    return { lastZxid: epoch * 2 ** 32 + draws.below(3), currentEpoch: epoch, acceptedEpoch: epoch, acceptedFrom: 0 };
  });
  const begin = (node: SimNode, index: number): TestMember => new TestMember({ host: node.host, id: index + 1, ensemble, stored: must(stored[index], "disk") });
  const members = nodes.map(begin);
  const start = (index: number): void => {
    const node = must(nodes[index], "node");
    if (node.up) return;
    node.start();
    members[index] = begin(node, index);
  };

  // Whoever is in sync in an epoch is so with its one leader.
  const leaders = new Map<number, number>();
  let kills = 0;
  const look = (): void => {
    for (const [index, { established }] of members.entries()) {
      if (nodes[index]?.up !== true || established === undefined) continue;
      const { leader, epoch } = established;
      expect(leaders.get(epoch) ?? leader, `leader of epoch ${epoch}`).toBe(leader);
      if (!leaders.has(epoch)) world.mark(epoch * 10 + leader);
      leaders.set(epoch, leader);
    }
    world.after(50, look);
  };
  look();

  const faults = world.prng("faults");
  const harm = (): void => {
    const index = faults.below(nodes.length);
    const node = must(nodes[index], "node");
    const other = faults.pick(nodes);
    const acts: readonly (() => void)[] = [
      () => {
        node.kill();
        kills++;
      },
      () => node.powerLoss(),
      () => start(index),
      () => start(index),
      () => node.pause(),
      () => node.resume(),
      () => world.net.partition([node], [other]),
      () => world.net.partition([node], [other], { oneWay: true }),
      () => world.net.partition(faults.shuffle([...nodes]).slice(0, nodes.length >> 1), nodes, { oneWay: faults.chance(1, 2) }),
      () => world.net.isolate(node),
      () => world.net.heal(),
      () => world.net.heal(),
      () => world.net.clog(node, other, faults.below(1500)),
      () => void world.net.resetConnections(node, other),
    ];
    faults.pick(acts)();
    if (world.nowMs < HARM_MS) world.after(faults.between(20, 1500), harm);
  };
  world.after(faults.below(500), harm);
  await world.run({ untilMs: HARM_MS + 1600 });

  world.net.heal();
  for (const [index, node] of nodes.entries()) {
    node.resume();
    start(index);
  }
  const agreed = (): boolean => {
    const first = members[0]?.established;
    return first !== undefined && members.every(({ established, elector }) => established?.leader === first.leader && established.epoch === first.epoch && elector.vote?.leader === first.leader && elector.vote.peerEpoch === first.epoch);
  };
  // Right after the heal old agreement may be left that is about to break.
  let sinceMs = Infinity;
  const agreedForLong = (): boolean => {
    sinceMs = agreed() ? Math.min(sinceMs, world.nowMs) : Infinity;
    return world.nowMs - sinceMs > STABLE_MS;
  };
  await world.run({ until: agreedForLong, withinMs: HEAL_MS });
  const { leader } = must(members[0]?.established, "leader");
  for (const [index, { elector }] of members.entries()) expect(elector.state).toBe(index + 1 === leader ? "leading" : index < shape.voters ? "following" : "observing");

  // One who comes now joins them, whoever it is, and moves nobody.
  const late = draws.pick(nodes.filter((_, index) => index + 1 !== leader));
  late.kill();
  start(nodes.indexOf(late));
  sinceMs = Infinity;
  await world.run({ until: agreedForLong, withinMs: HEAL_MS });
  expect(members[0]?.established?.leader).toBe(leader);
  return { hash: world.hash, epochs: leaders.size, kills };
}

const shapes = { 3: { voters: 3, observers: 0 }, 5: { voters: 5, observers: 0 }, "3 voters and 2 observers of": { voters: 3, observers: 2 } };

test.each(Object.entries(shapes))("%s members, killed, cut off, paused, clogged and reset, agree on one leader once healed; a seed runs twice alike", async (_, shape) => {
  let epochs = 0;
  let kills = 0;
  for (let seed = 1; seed <= 20; seed++) {
    const traces: TraceEntry[][] = [[], []];
    const [one, two] = await withTripwires(async () => [await run(seed, shape, (entry) => traces[0]?.push(entry)), await run(seed, shape, (entry) => traces[1]?.push(entry))] as const);
    if (two.hash !== one.hash) {
      const first = traces[0]?.findIndex((entry, index) => JSON.stringify(entry) !== JSON.stringify(traces[1]?.[index])) ?? 0;
      expect({ seed, first, entries: traces[1]?.slice(first, first + 5) }).toEqual({ seed, first, entries: traces[0]?.slice(first, first + 5) });
    }
    expect(two.hash).toBe(one.hash);
    epochs += one.epochs;
    kills += one.kills;
  }
  // The runs were not idle.
  expect(epochs).toBeGreaterThan(40);
  expect(kills).toBeGreaterThan(40);
}, 300_000);
