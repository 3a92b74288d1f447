import { expect, test } from "vitest";
import type { Decoded, Input } from "../../codec/schema.ts";
import { World } from "../../host/sim/world.ts";
import type { Host } from "../../host/host.ts";
import { assert, must } from "../../lib/assert.ts";
import { OperationalError } from "../../lib/error.ts";
import type { Prng } from "../../lib/prng.ts";
import { TaskGroup } from "../../lib/task-group.ts";
import type { Api } from "../protocol/api.ts";
import { ErrorCode } from "../protocol/error-codes.ts";
import type { LeaderLink } from "./replica-fetcher.ts";
import { ReplicaFetchers } from "./replica-fetchers.ts";
import { ModelLeader, ModelLog, ModelReplica, type ModelBatch } from "./testing/replica-model.ts";

/*
 * Three brokers, three partitions, each replicated to all and in sync with all, for good. Leaders change by clean
 * elections, of which brokers hear late; brokers die and come back with what was written; answers are late or lost.
 */

const BROKERS = [1, 2, 3];
const NAMES = ["t-0", "t-1", "u-0"];
const FAULTY_MS = 5000;

/** One partition on one broker. */
interface Part {
  replica: ModelReplica;
  leader: number;
  epoch: number;
  /** Where the others are, while it leads. */
  ends: Map<number, number>;
}

class Broker {
  readonly id: number;
  readonly cluster: Cluster;
  readonly node: World["nodes"][number];
  readonly server: ModelLeader;
  readonly parts = new Map<string, Part>();
  host: Host | undefined;
  fetchers: ReplicaFetchers | undefined;
  #turn = Promise.resolve();

  constructor(cluster: Cluster, id: number) {
    this.id = id;
    this.cluster = cluster;
    this.node = cluster.world.addNode(`broker${id}`);
    this.server = new ModelLeader((name) => this.#led(name), (name, replicaId, offset) => this.#acknowledged(name, replicaId, offset));
    for (const name of NAMES) this.parts.set(name, { replica: this.#replica(name, new ModelLog()), leader: -1, epoch: -1, ends: new Map() });
    this.begin(this.node.host);
  }

  part(name: string): Part {
    return must(this.parts.get(name), name);
  }

  #replica(name: string, log: ModelLog): ModelReplica {
    const [topic = "", partition = ""] = name.split("-");
    const replica = new ModelReplica(topic, Number(partition), log);
    replica.onDropped = (batches) => this.cluster.dropped(name, batches);
    return replica;
  }

  begin(host: Host): void {
    this.host = host;
    const tasks = new TaskGroup((error) => host.fail(error));
    const rules = { replicaId: this.id, maxWaitMs: 500, minBytes: 1, maxBytes: 1000, partitionMaxBytes: 100, backoffMs: 50 };
    this.fetchers = new ReplicaFetchers({ host, tasks, rules, fetchersPerLeader: 2, open: (leader) => this.cluster.open(this, leader) });
  }

  /** The process dies: what is not written is lost, the checkpointed high watermark is an older one. */
  kill(): void {
    this.node.kill();
    this.host = undefined;
    this.fetchers = undefined;
    this.#turn = Promise.resolve();
    this.server.forgetSessions();
    for (const [name, part] of this.parts) {
      const { log } = part.replica;
      part.replica.die();
      log.truncateTo(log.writtenOffset);
      log.setHighWatermark(log.startOffset + this.cluster.prng.below(Math.max(1, log.highWatermark - log.startOffset + 1)));
      this.parts.set(name, { replica: this.#replica(name, log), leader: -1, epoch: -1, ends: new Map() });
    }
  }

  /** LeaderAndIsr, one after the other: what is under way ends first. */
  become(name: string, leader: number, epoch: number): void {
    this.#turn = this.#become(this.#turn, name, leader, epoch);
  }

  async #become(before: Promise<void>, name: string, leader: number, epoch: number): Promise<void> {
    const { host } = this;
    await before;
    const part = this.part(name);
    if (this.host !== host || epoch <= part.epoch) return;
    await this.fetchers?.unfollow([name]);
    if (this.host !== host) return;
    const { replica } = part;
    replica.log.writtenOffset = replica.log.endOffset;
    Object.assign(part, { leader, epoch, ends: new Map() });
    replica.epoch = epoch;
    if (leader === this.id) replica.log.assignEpoch(epoch);
    else if (leader >= 0) this.fetchers?.follow(leader, [{ replica, leaderEpoch: epoch }]);
    this.fetchers?.closeIdle();
  }

  #led(name: string) {
    const { leader, epoch, replica } = this.part(name);
    return leader === this.id ? { log: replica.log, epoch } : ErrorCode.NOT_LEADER_OR_FOLLOWER;
  }

  produce(name: string, batch: Omit<ModelBatch, "offset" | "epoch">): void {
    const part = this.part(name);
    if (this.host === undefined || part.leader !== this.id) return;
    const { epoch, replica } = part;
    const { log } = replica;
    log.append({ ...batch, offset: log.endOffset, epoch });
    const end = log.endOffset;
    this.cluster.world.after(this.cluster.prng.below(3) === 0 ? this.cluster.prng.below(30) : 0, () => {
      const now = this.part(name);
      if (now.replica !== replica || now.epoch !== epoch) return;
      log.writtenOffset = Math.max(log.writtenOffset, end);
      this.#advance(name);
    });
  }

  #acknowledged(name: string, replicaId: number, offset: number): void {
    this.part(name).ends.set(replicaId, offset);
    this.#advance(name);
  }

  #advance(name: string): void {
    const { ends, replica } = this.part(name);
    const others = BROKERS.filter((id) => id !== this.id).map((id) => ends.get(id) ?? -1);
    const highWatermark = Math.min(replica.log.writtenOffset, ...others);
    if (highWatermark <= replica.log.highWatermark) return;
    replica.log.setHighWatermark(highWatermark);
    this.cluster.committed(name, replica.log);
  }
}

class Cluster {
  readonly world: World;
  readonly prng: Prng;
  readonly brokers: readonly Broker[];
  /** What the controller knows. */
  readonly states = new Map(NAMES.map((name) => [name, { leader: -1, epoch: 0 }]));
  /** Batches that all in-sync replicas had, by offset. */
  readonly #committed = new Map(NAMES.map((name) => [name, new Map<number, number>()]));
  lossPerMille = 30;
  removed = 0;
  #ids = 0;

  constructor(seed: number) {
    this.world = new World({ seed });
    this.prng = this.world.prng("cluster");
    this.brokers = BROKERS.map((id) => new Broker(this, id));
    for (const name of NAMES) this.elect(name);
  }

  broker(id: number): Broker {
    return must(this.brokers[id - 1], `broker ${id}`);
  }

  /** A way to a leader, on which requests and answers are late or lost; what a dead process waits for never comes. */
  open(from: Broker, leader: number): LeaderLink {
    const { host } = from;
    const { server } = this.broker(leader);
    const pending = new Set<(error: Error) => void>();
    const pass = (longerMs = 0): Promise<void> =>
      new Promise((resolve, reject) => {
        pending.add(reject);
        const lost = this.prng.below(1000) < this.lossPerMille;
        this.world.after(lost ? 150 : longerMs + 1 + this.prng.below(10), () => {
          pending.delete(reject);
          if (from.host !== host) return;
          if (lost || this.broker(leader).host === undefined) reject(new OperationalError("ETIMEDOUT", "lost"));
          else resolve();
        });
      });
    return {
      send: async <A extends Api>(api: A, version: number, request: Input<A["request"]>): Promise<Decoded<A["response"]>> => {
        await pass();
        const answer = server.answer(api, version, request);
        // A fetch that brings nothing waits.
        const { responses } = answer as { readonly responses?: readonly unknown[] };
        await pass(responses?.length === 0 ? 50 : 0);
        return answer;
      },
      close: () => {
        if (from.host !== host) return;
        for (const reject of pending) reject(new OperationalError("ECONNABORTED", "closed"));
      },
    };
  }

  /** A live replica leads, all being in sync; each live broker hears of it in its own time. */
  elect(name: string): void {
    const state = must(this.states.get(name), name);
    const live = this.brokers.filter((broker) => broker.host !== undefined);
    state.epoch++;
    state.leader = live.length === 0 ? -1 : this.prng.pick(live).id;
    for (const broker of live) this.tell(broker, name);
  }

  tell(broker: Broker, name: string): void {
    const { leader, epoch } = must(this.states.get(name), name);
    const { host } = broker;
    this.world.after(this.prng.chance(1, 4) ? this.prng.below(800) : this.prng.below(20), () => {
      if (broker.host === host && host !== undefined) broker.become(name, leader, epoch);
    });
  }

  kill(broker: Broker): void {
    if (broker.host === undefined) return;
    broker.kill();
    for (const [name, { leader }] of this.states) if (leader === broker.id) this.elect(name);
  }

  revive(broker: Broker): void {
    if (broker.host !== undefined) return;
    broker.begin(broker.node.start());
    for (const [name, { leader }] of this.states) {
      if (leader < 0) this.elect(name);
      else this.tell(broker, name);
    }
  }

  produce(name: string): void {
    // Whoever believes to lead: perhaps two.
    for (const broker of this.brokers) broker.produce(name, { count: 1 + this.prng.below(3), id: this.#ids++ });
  }

  /** All that is committed is in every log, written, for good. */
  committed(name: string, { batches, highWatermark }: ModelLog): void {
    const known = must(this.#committed.get(name), name);
    for (const { offset, count, id } of batches.filter((batch) => batch.offset + batch.count <= highWatermark)) {
      if (known.get(offset) === id) continue;
      assert(!known.has(offset), `${name}: two batches are committed at ${offset}`);
      known.set(offset, id);
      for (const broker of this.brokers) {
        const { log } = broker.part(name).replica;
        if (offset < log.startOffset) continue;
        assert(log.batches.some((batch) => batch.id === id) && log.writtenOffset >= offset + count, `${name}: ${offset} is committed, and broker ${broker.id} does not have it`);
      }
    }
  }

  dropped(name: string, batches: readonly ModelBatch[]): void {
    this.removed += batches.length;
    const known = must(this.#committed.get(name), name);
    for (const { offset, id } of batches) assert(known.get(offset) !== id, `${name}: the committed batch at ${offset} is truncated`);
  }

  checkOffsets(): void {
    for (const broker of this.brokers) {
      for (const name of NAMES) {
        let at = broker.part(name).replica.log.startOffset;
        for (const batch of broker.part(name).replica.log.batches) {
          // The log may start within its first batch.
          assert(batch.offset === at || (batch.offset < at && batch.offset + batch.count > at), `${name} on broker ${broker.id} goes from ${at} to ${batch.offset}`);
          at = batch.offset + batch.count;
        }
        assert(broker.part(name).replica.log.endOffset === at, `${name} on broker ${broker.id} ends behind ${at}`);
      }
    }
  }

  step(): void {
    const { prng } = this;
    const name = prng.pick(NAMES);
    const broker = prng.pick(this.brokers);
    const draw = prng.below(100);
    if (draw < 70) this.produce(name);
    else if (draw < 78) this.elect(name);
    else if (draw < 82) this.kill(broker);
    else if (draw < 90) this.revive(broker);
    else if (draw < 93) broker.server.forgetSessions();
    else if (draw < 95) broker.server.slots = !broker.server.slots;
    else if (draw < 97) for (const part of broker.parts.values()) part.replica.slow = !part.replica.slow;
    else this.moveStart(name);
  }

  /** Retention on a leader. */
  moveStart(name: string): void {
    const broker = this.brokers.find(({ id, parts }) => parts.get(name)?.leader === id);
    const log = broker?.part(name).replica.log;
    if (log !== undefined && log.highWatermark > log.startOffset) log.setStart(log.startOffset + 1 + this.prng.below(log.highWatermark - log.startOffset));
  }

  finishWrites(): void {
    for (const broker of this.brokers) {
      if (broker.host === undefined) continue;
      for (const { replica } of broker.parts.values()) if (this.prng.chance(1, 2)) replica.finish(1);
    }
  }

  report(): string {
    const lines = NAMES.map((name) => {
      const { leader, epoch } = must(this.states.get(name), name);
      const parts = this.brokers.map((broker) => {
        const part = broker.part(name);
        const { startOffset, highWatermark, writtenOffset, endOffset } = part.replica.log;
        return `  ${broker.id}: follows ${part.leader} in ${part.epoch}, ${startOffset} ${highWatermark} ${writtenOffset} ${endOffset}`;
      });
      return [`${name}: ${leader} in ${epoch}`, ...parts].join("\n");
    });
    return lines.join("\n");
  }

  /** Every partition has one leader, and the others all that it has. */
  get isQuiet(): boolean {
    return NAMES.every((name) => {
      const { leader, epoch } = must(this.states.get(name), name);
      if (leader < 0) return false;
      const { log } = this.broker(leader).part(name).replica;
      return this.brokers.every((broker) => {
        const { replica, ...part } = broker.part(name);
        return part.leader === leader && part.epoch === epoch && replica.log.endOffset === log.endOffset && replica.log.highWatermark === log.endOffset && replica.log.startOffset >= log.startOffset;
      });
    });
  }
}

async function run(seed: number): Promise<Cluster> {
  const cluster = new Cluster(seed);
  const { world, prng } = cluster;
  let faulty = true;
  const tick = (): void => {
    cluster.finishWrites();
    if (faulty) cluster.step();
    cluster.checkOffsets();
    world.after(1 + prng.below(20), tick);
  };
  tick();
  await world.run({ forMs: FAULTY_MS });
  faulty = false;
  cluster.lossPerMille = 0;
  for (const broker of cluster.brokers) cluster.revive(broker);
  await world.run({ forMs: 1000 });
  for (const name of NAMES) cluster.produce(name);
  await world.run({ until: () => cluster.isQuiet, withinMs: 20_000 }).catch((error: unknown) => {
    throw new Error(cluster.report(), { cause: error });
  });
  for (const name of NAMES) {
    // A leader may start before a follower that has followed another; none after.
    const logs = cluster.brokers.map((broker) => broker.part(name).replica.log);
    const start = Math.max(...logs.map((log) => log.startOffset));
    const [first, ...others] = logs.map(({ batches }) => batches.filter((batch) => batch.offset + batch.count > start));
    for (const batches of others) expect(batches).toEqual(first);
  }
  for (const broker of cluster.brokers) expect(broker.node.log.lines().filter((line) => line.includes("partition failed"))).toEqual([]);
  return cluster;
}

const SEEDS = 12;

test(`over ${SEEDS} seeds of elections, deaths and losses no committed record is truncated, no offset is skipped, and after quiet all logs are equal`, async () => {
  let removed = 0;
  const said = { older: 0, refused: 0, fenced: 0 };
  for (let seed = 1; seed <= SEEDS; seed++) {
    const cluster = await run(seed).catch((error: unknown) => {
      throw new Error(`seed ${seed}`, { cause: error });
    });
    removed += cluster.removed;
    for (const broker of cluster.brokers) {
      const lines = broker.node.log.lines();
      said.older += lines.filter((line) => line.includes("asks for an older leader epoch")).length;
      said.refused += lines.filter((line) => line.includes("fetch session refused")).length;
      said.fenced += lines.filter((line) => line.includes("fenced by its leader")).length;
    }
  }
  // The runs meet what they are for.
  expect(removed).toBeGreaterThan(SEEDS);
  expect(Math.min(said.older, said.refused, said.fenced)).toBeGreaterThan(SEEDS);
});
