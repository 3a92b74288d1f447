import { partitionName } from "../../src/kafka/log/names.ts";
import type { Partition } from "../../src/kafka/replication/partition.ts";
import { Violation } from "../zookeeper/violation.ts";

/** A broker that runs, in the life that it is in. */
export interface RunningBroker {
  readonly id: number;
  readonly life: number;
  readonly partitions: Iterable<Partition>;
}

interface Replica {
  readonly broker: RunningBroker;
  readonly partition: Partition;
}

/** What must hold at every moment across the brokers that run; looked at again and again, it remembers who led when. */
export class Invariants {
  /** How often anything was compared. */
  comparisons = 0;
  /** How often a follower had bytes that were not written yet. */
  asynchronousAppends = 0;
  /** Who led, by partition and epoch, and the high watermark then. */
  readonly #leaders = new Map<string, { readonly broker: number; readonly life: number; highWatermark: number; readonly partition: Partition }>();
  /** By partition: the greatest high watermark that any leader ever had, and the last epoch in which there was one. */
  readonly #committed = new Map<string, { readonly offset: number; readonly epoch: number }>();
  readonly #lasting: (topic: string) => boolean;
  readonly #keeps: (topic: string) => boolean;

  /**
   * `lasting`: topics that are not deleted and made again, so that an epoch stands for one leader; `keeps`: those of
   * them of which nothing is ever lost that a leader has counted as committed.
   */
  constructor(lasting: (topic: string) => boolean, keeps: (topic: string) => boolean) {
    this.#lasting = lasting;
    this.#keeps = keeps;
  }

  look(brokers: Iterable<RunningBroker>): void {
    const byName = new Map<string, Replica[]>();
    for (const broker of brokers) {
      for (const partition of broker.partitions) {
        if (!this.#lasting(partition.topic)) continue;
        const name = partitionName(partition.topic, partition.partition);
        const replicas = byName.get(name) ?? [];
        byName.set(name, replicas);
        replicas.push({ broker, partition });
      }
    }
    for (const [name, replicas] of byName) this.#compare(name, replicas);
  }

  #compare(name: string, replicas: readonly Replica[]): void {
    for (const replica of replicas) this.#checkOffsets(name, replica);
    const leaders = replicas.filter(({ partition }) => partition.isLeader);
    for (const leader of leaders) this.#checkLeader(name, leader);
    const latest = leaders.toSorted((a, b) => b.partition.leaderEpoch - a.partition.leaderEpoch)[0];
    if (latest === undefined) return;
    this.#checkFollowers(name, latest, replicas);
    if (this.#keeps(latest.partition.topic)) this.#checkCommitted(name, latest, replicas);
  }

  #checkOffsets(name: string, { broker, partition: { log } }: Replica): void {
    const { startOffset, highWatermark, writtenOffset, endOffset } = log;
    if (startOffset <= highWatermark && highWatermark <= endOffset && writtenOffset <= endOffset) return;
    throw new Violation("offsets are in order", `broker ${broker.id} has ${name} from ${startOffset} to ${endOffset}, written to ${writtenOffset}, with the high watermark ${highWatermark}`);
  }

  /** One leader an epoch; its high watermark never falls while it leads, and it counts itself in. */
  #checkLeader(name: string, { broker, partition }: Replica): void {
    const { leaderEpoch, log, inSync } = partition;
    const key = `${name} ${leaderEpoch}`;
    const known = this.#leaders.get(key);
    if (known !== undefined && known.broker !== broker.id) throw new Violation("one leader an epoch", `brokers ${known.broker} and ${broker.id} led ${name} in epoch ${leaderEpoch}`);
    if (known !== undefined && known.partition === partition && known.highWatermark > log.highWatermark) {
      throw new Violation("a leader's high watermark only rises", `broker ${broker.id} had ${known.highWatermark} for ${name} in epoch ${leaderEpoch}, and now ${log.highWatermark}`);
    }
    if (!inSync.includes(broker.id)) throw new Violation("a leader is in sync", `broker ${broker.id} leads ${name} in epoch ${leaderEpoch} with the ISR ${inSync.join()}`);
    if (log.highWatermark > log.writtenOffset) throw new Violation("a leader counts what is written", `broker ${broker.id} has ${log.writtenOffset} of ${name} written and the high watermark ${log.highWatermark}`);
    this.#leaders.set(key, { broker: broker.id, life: broker.life, highWatermark: log.highWatermark, partition });
    this.comparisons += 1;
  }

  /** What any leader has committed, its successors have, and all in sync with them. */
  #checkCommitted(name: string, leader: Replica, replicas: readonly Replica[]): void {
    const { leaderEpoch, inSync, log } = leader.partition;
    const before = this.#committed.get(name) ?? { offset: 0, epoch: 0 };
    // Who does not know yet that it leads no more has nothing to say.
    if (leaderEpoch < before.epoch) return;
    const committed = Math.max(log.highWatermark, before.offset);
    this.#committed.set(name, { offset: committed, epoch: leaderEpoch });
    for (const { broker, partition } of replicas) {
      if (partition.leaderEpoch !== leaderEpoch || !inSync.includes(broker.id)) continue;
      if (partition.log.endOffset < committed) {
        throw new Violation("who is in sync has all that was ever committed", `broker ${broker.id} has ${name} up to ${partition.log.endOffset} in epoch ${leaderEpoch}, led by ${leader.broker.id}, and ${committed} was committed`);
      }
    }
  }

  /** What is committed, everybody in sync has written. */
  #checkFollowers(name: string, leader: Replica, replicas: readonly Replica[]): void {
    const { leaderEpoch, inSync, log } = leader.partition;
    for (const { broker, partition } of replicas) {
      if (broker === leader.broker || partition.leaderEpoch !== leaderEpoch) continue;
      if (partition.log.writtenOffset < partition.log.endOffset) this.asynchronousAppends += 1;
      if (!inSync.includes(broker.id)) continue;
      this.comparisons += 1;
      if (partition.log.writtenOffset < log.highWatermark) {
        throw new Violation("what is committed is on all in sync", `broker ${leader.broker.id} has the high watermark ${log.highWatermark} of ${name} in epoch ${leaderEpoch} and the ISR ${inSync.join()}, and broker ${broker.id} has ${partition.log.writtenOffset}`);
      }
    }
  }
}
