import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "vitest";
import { GroupAdmin } from "../../src/kafka/client/group-admin.ts";
import type { KafkaClient } from "../../src/kafka/client/kafka-client.ts";
import type { Consumer } from "./client-matrix/client.ts";
import { hasKcat } from "./client-matrix/drivers/kcat.ts";
import { confluentKafka } from "./client-matrix/drivers/python.ts";
import { ownClient } from "./own-client.ts";
import { eventually, run } from "./processes.ts";
import { hasConfluentKafka, ProducerHistory } from "./producer-history.ts";

const PARTITIONS = 3;
const REPLICAS = 3;
const [IDEMPOTENT, PLAIN, GROUP] = ["idempotent", "plain", "readers"] as const;
const OFFSETS_TOPIC = "__consumer_offsets";
/** Where all of a partition's replicas have to be for nothing to be lost with any one broker. */
export const FAULT_TOPICS: readonly string[] = [IDEMPOTENT, PLAIN, OFFSETS_TOPIC];

/** A group is behind its producers by a rebalance and what a coordinator takes to move. */
const GROUP_MS_MAX = 60_000;

export const hasFaultClients = hasConfluentKafka && hasKcat;

interface Stored {
  readonly offset: number;
  /** `partition number`, with which a producer's value begins. */
  readonly record: string;
}

/**
 * What works on a cluster while its processes die: an idempotent producer and a plain one with acks=all, each on a topic
 * of its own, and a group of two that reads the idempotent one's; and the check of what they were told.
 */
export class FaultWorkload {
  readonly #bootstrap: string;
  readonly #producers: { readonly idempotent: ProducerHistory; readonly plain: ProducerHistory };
  readonly #members: readonly Consumer[];
  readonly #committed: CommittedOffsets;

  private constructor(bootstrap: string) {
    const producer = { bootstrap, partitions: PARTITIONS, pauseMs: 20 };
    const client = confluentKafka(bootstrap);
    this.#bootstrap = bootstrap;
    this.#producers = {
      idempotent: new ProducerHistory({ ...producer, topic: IDEMPOTENT, requestsInFlight: 1, idempotent: true }),
      plain: new ProducerHistory({ ...producer, topic: PLAIN, requestsInFlight: 1, idempotent: false }),
    };
    this.#members = [1, 2].map(() => client.consumer(IDEMPOTENT, GROUP, { commitsOneByOne: true }));
    this.#committed = new CommittedOffsets(bootstrap, GROUP);
  }

  /** Makes the topics, on all of three brokers. */
  static async begin(bootstrap: string): Promise<FaultWorkload> {
    const known = async (topics: readonly string[]): Promise<void> => {
      for (const address of bootstrap.split(",")) await eventually(`the broker at ${address} knows all brokers, and topics ${topics.join()}`, () => knows(address, topics));
    };
    await known([]);
    for (const topic of [IDEMPOTENT, PLAIN]) await confluentKafka(bootstrap).create?.(topic, PARTITIONS, REPLICAS);
    // librdkafka's producer takes a broker at its word that has not heard of them yet.
    await known([IDEMPOTENT, PLAIN]);
    return new FaultWorkload(bootstrap);
  }

  /** Resolves when each producer had so many more acknowledged in every partition than now, and the group has committed its part of them. */
  async more(count: number): Promise<void> {
    const { idempotent, plain } = this.#producers;
    const goals = idempotent.acknowledged.map(({ length }) => length + count);
    await Promise.all([idempotent.more(count), plain.more(count)]);
    await this.#groupIsAt(goals);
  }

  async #groupIsAt(goals: readonly number[]): Promise<void> {
    const reached = (): boolean => goals.every((goal, partition) => (this.#committed.latest[partition] ?? 0) >= goal);
    await eventually("the group has committed what it was sent", reached, GROUP_MS_MAX).catch((error: unknown) => {
      throw new Error(`${String(error)}: wanted ${goals.join()}, have ${this.#committed.latest.join()}; ${this.#committed.lastError}; ${this.#members.flatMap(({ errors }) => errors.slice(-3)).join("; ")}`);
    });
  }

  /** Ends the producers. What was acknowledged is there in order, once each for the idempotent one; the group has seen and committed all of it, and never went back. */
  async expectKept(): Promise<void> {
    const { idempotent, plain } = this.#producers;
    await Promise.all([idempotent.finish(), plain.finish()]);
    expect([...idempotent.failures.slice(0, 3), ...plain.failures.slice(0, 3)]).toEqual([]);
    const inOrder = (history: ProducerHistory, partition: number): string[] => history.acknowledged[partition]?.toSorted((a, b) => a - b).map((n) => `${partition} ${n}`) ?? [];
    for (let partition = 0; partition < PARTITIONS; partition++) {
      const once = await this.#stored(IDEMPOTENT, partition);
      expect(once.map(({ record }) => record)).toEqual(inOrder(idempotent, partition));
      expect(once.map(({ offset }) => offset)).toEqual(once.map((_, index) => index));
      // What was sent twice stands twice, the second time perhaps behind what came between: the first times are in order.
      const repeated = await this.#stored(PLAIN, partition);
      expect([...new Set(repeated.map(({ record }) => record))]).toEqual(inOrder(plain, partition));

      expectWhereTold(idempotent, partition, once);
      expectWhereTold(plain, partition, repeated);

      await this.#groupIsAt(Array.from({ length: partition + 1 }, (_, at) => (at === partition ? once.length : 0)));
      const untold = (): readonly Stored[] => once.filter(({ offset }) => this.#seen()[partition]?.has(offset) !== true);
      await eventually(`the group has told of all of partition ${partition}`, () => untold().length === 0).catch((error: unknown) => {
        throw new Error(`${String(error)}: ${untold().length} of ${once.length} records, at ${untold().slice(0, 10).map(({ offset }) => offset).join()}; ${this.#members.flatMap(({ errors }) => errors).slice(-20).join("\n")}`);
      });
      const seen = this.#seen()[partition] ?? new Map<number, string>();
      expect(once.map(({ offset }) => ({ offset, record: seen.get(offset) }))).toEqual(once);
      expect(seen.size).toBe(once.length);
    }
    expect(this.#committed.wentBack).toEqual([]);
  }

  /** By partition, what stood at each offset; two members that saw something else there are a failure. */
  #seen(): Map<number, string>[] {
    const seen = Array.from({ length: PARTITIONS }, () => new Map<number, string>());
    for (const { partition, offset, value } of this.#members.flatMap(({ records }) => records)) {
      const record = recordOf(value);
      const before = seen[partition]?.get(offset) ?? record;
      if (before !== record) throw new Error(`the group was given two records at offset ${offset} of partition ${partition}: ${before} and ${record}`);
      seen[partition]?.set(offset, record);
    }
    return seen;
  }

  async #stored(topic: string, partition: number): Promise<Stored[]> {
    const { stdout } = await run("kcat", ["-C", "-b", this.#bootstrap, "-t", topic, "-p", String(partition), "-o", "beginning", "-e", "-q", "-f", "%o %s\\n"]);
    const lines = stdout.trimEnd().split("\n");
    return lines.map((line) => ({ offset: Number.parseInt(line, 10), record: recordOf(line.slice(line.indexOf(" ") + 1)) }));
  }

  /** The members leave, and nothing writes any more. */
  async leave(): Promise<void> {
    await Promise.all(this.#members.map((member) => member.stop()));
    await this.#committed.stop();
  }

  async kill(): Promise<void> {
    await this.#committed.stop();
    await Promise.all([...this.#members.map((member) => member.kill()), this.#producers.idempotent.kill(), this.#producers.plain.kill()]);
  }
}

/** Whether this broker tells of all brokers, and of a leader for every partition of the topics. */
async function knows(address: string, topics: readonly string[]): Promise<boolean> {
  // A client that has asked once knows the other brokers too.
  const client = ownClient(address);
  try {
    const told = await client.metadata(topics);
    return told.brokers.length >= REPLICAS && told.topics.every(({ errorCode, partitions }) => errorCode === 0 && partitions.length === PARTITIONS && partitions.every(({ leaderId }) => leaderId >= 0));
  } finally {
    await client.close();
  }
}

/** Every record is the one at the offset that its acknowledgement named. */
function expectWhereTold({ offsets }: ProducerHistory, partition: number, stored: readonly Stored[]): void {
  const at = new Map(stored.map(({ offset, record }) => [offset, record]));
  const elsewhere = [...(offsets[partition] ?? [])].filter(([n, offset]) => at.get(offset) !== `${partition} ${n}`);
  expect(offsets[partition]?.size).toBeGreaterThan(0);
  expect(elsewhere.slice(0, 3)).toEqual([]);
}

function recordOf(value: string): string {
  return value.split(" ", 2).join(" ");
}

/** What a group has committed of its only topic, asked again and again over the wire. */
class CommittedOffsets {
  /** By partition. */
  readonly latest: number[] = Array.from({ length: PARTITIONS }, () => 0);
  readonly wentBack: string[] = [];
  lastError = "";
  readonly #client: KafkaClient;
  readonly #watching: Promise<void>;
  #stopped = false;

  constructor(bootstrap: string, group: string) {
    this.#client = ownClient(bootstrap);
    this.#watching = this.#watch(new GroupAdmin(this.#client), group);
  }

  async #watch(admin: GroupAdmin, group: string): Promise<void> {
    while (!this.#stopped) {
      try {
        for (const { partition, offset } of await admin.offsets(group)) {
          const before = this.latest[partition] ?? 0;
          if (offset < before) this.wentBack.push(`partition ${partition} from ${before} to ${offset}`);
          this.latest[partition] = offset;
        }
      } catch (error) {
        // The coordinator is away.
        this.lastError = String(error);
      }
      await sleep(100);
    }
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#watching;
    await this.#client.close();
  }
}

/** By partition of the workload's topics and of the groups', the size and digest of each log directory's bytes. */
function replicas(logDirs: readonly string[]): Map<string, string[]> {
  const names = logDirs.flatMap((logDir) => readdirSync(logDir).filter((name) => FAULT_TOPICS.includes(name.slice(0, name.lastIndexOf("-")))));
  return new Map(
    [...new Set(names)].toSorted().map((name) => {
      const digests = logDirs.map((logDir) => {
        const bytes = logBytes(join(logDir, name));
        return `${bytes.length} ${createHash("sha256").update(bytes).digest("hex")}`;
      });
      return [name, digests];
    }),
  );
}

/** All segments, one after the other: replicas may have rolled at other offsets. */
function logBytes(directory: string): Buffer {
  const segments = readdirSync(directory).filter((name) => name.endsWith(".log")).toSorted();
  return Buffer.concat(segments.map((name) => readFileSync(join(directory, name))));
}

/** Once the workload has left: every partition's replicas hold the same bytes, and still do when `stop` has stopped all brokers. */
export async function expectIdenticalReplicas(logDirs: readonly string[], stop: () => Promise<void>): Promise<void> {
  const differing = (): [string, string[]][] => [...replicas(logDirs)].filter(([, digests]) => new Set(digests).size > 1);
  // Followers may be behind by what nobody waited for.
  await eventually("all replicas are identical", () => differing().length === 0).catch(() => expect(differing()).toEqual([]));
  await stop();
  expect(differing()).toEqual([]);
  for (const topic of [IDEMPOTENT, PLAIN]) {
    for (let partition = 0; partition < PARTITIONS; partition++) expect(Number.parseInt(replicas(logDirs).get(`${topic}-${partition}`)?.[0] ?? "", 10)).toBeGreaterThan(1000);
  }
}
