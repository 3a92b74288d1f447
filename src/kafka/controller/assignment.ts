import type { Random } from "../../host/random.ts";
import { assert, must } from "../../lib/assert.ts";

/** A broker that replicas can be placed on. */
export interface Candidate {
  readonly id: number;
  readonly rack: string | null;
}

/**
 * `random` for a new topic. For partitions added to a topic: the place among the brokers to start at, which serves as
 * the shift too, and the first new partition.
 */
export type Placement = { readonly random: Pick<Random, "below"> } | { readonly start: number; readonly firstPartition: number };

/**
 * Why replicas can't be placed: `partitions` is INVALID_PARTITIONS, `replication`
 * INVALID_REPLICATION_FACTOR, `racks` UNKNOWN_SERVER_ERROR.
 */
export interface PlacementFailure {
  readonly reason: "partitions" | "replication" | "racks";
  readonly message: string;
}

/**
 * Spreads replicas over brokers, and over racks where every broker has one: partition by partition, in the order of
 * partitions. `brokers` in ascending order of ids. Source: AdminUtils.scala.
 */
export function placeReplicas(
  brokers: readonly Candidate[],
  partitions: number,
  replicationFactor: number,
  placement: Placement,
): { readonly replicas: number[][] } | { readonly failure: PlacementFailure } {
  if (partitions <= 0) return { failure: { reason: "partitions", message: `a topic can't have ${partitions} partitions` } };
  if (replicationFactor <= 0) return { failure: { reason: "replication", message: `a partition can't have ${replicationFactor} replicas` } };
  if (replicationFactor > brokers.length) {
    return { failure: { reason: "replication", message: `${replicationFactor} replicas need as many brokers; ${brokers.length} are available` } };
  }
  const racks = new Map(brokers.flatMap((broker) => (broker.rack === null ? [] : [[broker.id, broker.rack] as const])));
  if (racks.size > 0 && racks.size < brokers.length) {
    return { failure: { reason: "racks", message: "some brokers have broker.rack and some do not: replicas can't be spread over racks" } };
  }
  const order = racks.size === 0 ? brokers.map((broker) => broker.id) : alternateRacks(brokers);
  const rackCount = new Set(racks.values()).size;
  const start = "random" in placement ? placement.random.below(order.length) : placement.start;
  const firstPartition = "random" in placement ? 0 : placement.firstPartition;
  let shift = "random" in placement ? placement.random.below(order.length) : placement.start;
  const replicas: number[][] = [];
  for (let partition = firstPartition; partition < firstPartition + partitions; partition++) {
    if (partition > 0 && partition % order.length === 0) shift++;
    const first = (partition + start) % order.length;
    replicas.push(racks.size === 0 ? walk(order, first, shift, replicationFactor) : walkRacks(order, racks, rackCount, first, shift * rackCount, replicationFactor));
  }
  return { replicas };
}

/** Where to start for partitions added to a topic: the first broker not below partition 0's first replica, or else the first. */
export function growthStart(brokers: readonly Candidate[], firstReplica: number): number {
  return Math.max(0, brokers.findIndex((broker) => broker.id >= firstReplica));
}

function walk(order: readonly number[], first: number, shift: number, replicationFactor: number): number[] {
  const chosen = [must(order[first], "broker")];
  for (let step = 0; step < replicationFactor - 1; step++) chosen.push(nextBroker(order, first, shift, step));
  return chosen;
}

/** Passes over a rack that has a replica while another has none, and over a broker that has one while another has none. */
function walkRacks(order: readonly number[], racks: ReadonlyMap<number, string>, rackCount: number, first: number, shift: number, replicationFactor: number): number[] {
  const chosen = [must(order[first], "broker")];
  const used = new Set([racks.get(must(chosen[0], "broker"))]);
  for (let step = 0; chosen.length < replicationFactor; step++) {
    // Every broker comes round once in order.length - 1 steps, and a rack without a replica has a broker without one.
    assert(step < order.length * replicationFactor, "no broker is left for a replica");
    const broker = nextBroker(order, first, shift, step);
    const rack = racks.get(broker);
    if ((used.has(rack) && used.size < rackCount) || chosen.includes(broker)) continue;
    chosen.push(broker);
    used.add(rack);
  }
  return chosen;
}

function nextBroker(order: readonly number[], first: number, shift: number, step: number): number {
  return must(order[(first + 1 + ((shift + step) % (order.length - 1))) % order.length], "broker");
}

/** One broker of each rack in turn: racks in the order of their names, a rack's brokers in the order of their ids. */
function alternateRacks(brokers: readonly Candidate[]): number[] {
  const byRack = new Map<string, number[]>();
  for (const broker of brokers) {
    const rack = must(broker.rack, "rack");
    const ids = byRack.get(rack) ?? [];
    byRack.set(rack, ids);
    ids.push(broker.id);
  }
  const queues = [...byRack].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, ids]) => ids.toSorted((a, b) => a - b));
  const order: number[] = [];
  for (let round = 0; order.length < brokers.length; round++) {
    for (const queue of queues) {
      const id = queue[round];
      if (id !== undefined) order.push(id);
    }
  }
  return order;
}
