import type { SimNode } from "../../../host/sim/node.ts";
import { World } from "../../../host/sim/world.ts";
import { defaultLogConfig, type LogConfig } from "../../log/log-config.ts";
import { createLog } from "../../log/open-log.ts";
import { testBatch, testContext, type TestBatch, type TestContext } from "../../log/testing.ts";
import type { FetchClock } from "../leader-state.ts";
import { Partition, type Leadership } from "../partition.ts";
import type { IsrPort, IsrProposal, IsrSubject } from "../ports.ts";

/** replica.lag.time.max.ms of the bench. */
export const LAG_MS = 10_000;
/** A batch of so many bytes is not written in the turn of its append. */
export const SLOW_BYTES = 100_000;

/** For tests: partitions of broker 1 on a simulated machine, and what their leaders ask the controller for. */
export class PartitionBench implements IsrPort {
  readonly world: World;
  readonly node: SimNode;
  readonly context: TestContext;
  readonly partitions = new Map<string, Partition>();
  /** Not withdrawn and not decided. */
  readonly proposed = new Map<IsrSubject, IsrProposal>();
  #zkVersion = 100;

  constructor(options: { readonly tailBytesMax?: number } = {}) {
    this.world = new World({ seed: 1 });
    this.node = this.world.addNode("broker");
    this.context = testContext(this.node.host, options);
  }

  /** With an empty log, in the place of one of the same name. */
  create(topic = "t", index = 0, config: Partial<LogConfig> = {}): Partition {
    const { clock, log: logger } = this.node.host;
    const name = `${topic}-${index}`;
    const directory = this.partitions.has(name) ? `again-${name}` : name;
    const log = createLog(this.context, { topic, partition: index, logDirectory: "/data", name: directory, config: { ...defaultLogConfig, ...config } });
    const partition = new Partition({ localId: 1, log, clock, logger, lagMsMax: LAG_MS, isr: this });
    this.partitions.set(name, partition);
    return partition;
  }

  /** A partition that broker 1 leads in epoch 0, alone in sync unless told otherwise. */
  led(leadership: Partial<Leadership> = {}, topic = "t", index = 0, config: Partial<LogConfig> = {}): Partition {
    const partition = this.create(topic, index, config);
    partition.become({ leader: 1, leaderEpoch: 0, isr: [1], replicas: [1, 2, 3], zkVersion: 0, ...leadership });
    return partition;
  }

  propose(subject: IsrSubject, proposal: IsrProposal): void {
    this.proposed.set(subject, proposal);
  }

  withdraw(subject: IsrSubject): void {
    this.proposed.delete(subject);
  }

  /** The controller agrees to what is proposed. */
  commit(partition: Partition): void {
    const proposal = this.proposed.get(partition);
    if (proposal === undefined) throw new Error("nothing is proposed");
    this.proposed.delete(partition);
    partition.isrDecided(proposal, { kind: "state", leaderEpoch: proposal.leaderEpoch, isr: proposal.isr, zkVersion: ++this.#zkVersion });
  }

  get nowMs(): number {
    return this.node.host.clock.monotonicMs();
  }

  settle<T>(promise: Promise<T>): Promise<T> {
    return this.world.settle(promise);
  }

  run(ms: number): Promise<void> {
    return this.world.run({ forMs: ms });
  }
}

/** Appends as a leader; the offset behind it. Written at once, but for `SLOW_BYTES`. */
export function append(partition: Partition, batch: TestBatch = {}): number {
  const appended = partition.append(testBatch(batch), { origin: "client", inSyncMin: 0 }, () => undefined);
  if (appended.kind === "refused") throw new Error(appended.message);
  return appended.requiredOffset;
}

/** A follower's session of one partition: its fetches are noted as sessions do it. */
export class FollowerClock {
  readonly clock: FetchClock = { ms: Number.NEGATIVE_INFINITY };
  readonly #bench: PartitionBench;
  readonly #broker: number;

  constructor(bench: PartitionBench, broker: number) {
    this.#bench = bench;
    this.#broker = broker;
  }

  fetch(partition: Partition, fetchOffset: number): boolean {
    const isReplica = partition.fetchedBy(this.#broker, { fetchOffset, logStartOffset: 0, clock: this.clock });
    this.clock.ms = this.#bench.nowMs;
    return isReplica;
  }
}

/** An outcome, or that there is none yet. */
export class Outcome<T> {
  value: T | "waiting" = "waiting";

  static of<T>(promise: T | Promise<T>): Outcome<T> {
    const outcome = new Outcome<T>();
    void Promise.resolve(promise).then((value) => (outcome.value = value));
    return outcome;
  }
}

