import type { Host } from "../../src/host/host.ts";
import { must } from "../../src/lib/assert.ts";
import type { Prng } from "../../src/lib/prng.ts";
import { partitionName } from "../../src/kafka/log/names.ts";
import { checkRead, checkWritten, type FinalLog } from "../../sim/kafka/check-records.ts";
import { ClusterClient, orUndefined } from "../../sim/kafka/client.ts";
import { complaintOf } from "../../sim/kafka/convergence.ts";
import { IdempotentProducer, PlainProducer, type ProducerOptions } from "../../sim/kafka/producers.ts";
import { PartitionReader } from "../../sim/kafka/reader.ts";
import { checkEqual, endOf, recordsOf, storedLogs } from "../../sim/kafka/stored-logs.ts";
import { makeTopic } from "../../sim/kafka/topic-churn.ts";
import { eventually } from "../support/processes.ts";
import type { ServerCluster } from "./server-cluster.ts";

/** Acks=all on a topic that wants two in sync, acks=1 on one that wants one. */
const [SAFE, LOOSE] = ["nemesis-safe", "nemesis-loose"] as const;
const PARTITIONS: Readonly<Record<string, number>> = { [SAFE]: 3, [LOOSE]: 2 };
const REPLICAS = 3;
const PACE = { window: 4, pauseMsMax: 20, valueBytesMax: 800, largeBytes: 60_000 } as const;
const TIMEOUT_MS = 4000;
/** Sessions of 4 s, lags of 3 s, elections, and a rebalance of leaders each 5 s. */
const TOGETHER_MS_MAX = 60_000;

/** The simulation's producers and readers, and its judgement, on real processes. */
export class RecordsWork {
  readonly #cluster: ServerCluster;
  readonly #host: Host;
  readonly #draws: Prng;
  readonly #judge: ClusterClient;
  readonly #producers: (IdempotentProducer | PlainProducer)[] = [];
  readonly #readers: PartitionReader[] = [];

  constructor(cluster: ServerCluster, host: Host, draws: Prng) {
    this.#cluster = cluster;
    this.#host = host;
    this.#draws = draws;
    this.#judge = this.#client("judge");
  }

  async begin(): Promise<void> {
    for (const [name, partitions] of Object.entries(PARTITIONS)) {
      await makeTopic(this.#judge, { name, partitions, replicas: REPLICAS, settings: { "min.insync.replicas": name === SAFE ? "2" : "1", "segment.bytes": "200000" } });
      for (let partition = 0; partition < partitions; partition++) this.#beginOn(name, partition);
    }
  }

  #beginOn(topic: string, partition: number): void {
    const name = partitionName(topic, partition);
    const options: ProducerOptions = { ...PACE, name: `${name}/writer`, topic, partition };
    const client = this.#client(options.name);
    const producer = topic === SAFE ? new IdempotentProducer(client, options) : new PlainProducer(client, options);
    const reader = new PartitionReader(this.#client(`${name}/reader`), { topic, partition, retained: false, mayGo: false, maxWaitMs: 200, maxBytes: 100_000 });
    this.#producers.push(producer);
    this.#readers.push(reader);
    producer.start();
    reader.start();
  }

  #client(name: string): ClusterClient {
    return new ClusterClient({ host: this.#host, name, brokers: this.#cluster.network.addresses, draws: this.#draws.fork(name), timeoutMs: TIMEOUT_MS });
  }

  get acknowledged(): number {
    return this.#producers.reduce((sum, producer) => sum + producer.acknowledged.size, 0);
  }

  get read(): number {
    return this.#readers.reduce((sum, reader) => sum + reader.seen.size, 0);
  }

  /** As a client has heard last. */
  get controller(): number | undefined {
    return this.#judge.controllerId < 0 ? undefined : this.#judge.controllerId;
  }

  get leader(): number | undefined {
    const leader = this.#judge.partition(SAFE, 0)?.leader ?? -1;
    return leader < 0 ? undefined : leader;
  }

  /** Asks who is what, so that faults find them. */
  async look(): Promise<void> {
    await this.#judge.refresh(SAFE);
  }

  /** Every broker says the same: all replicas are in sync, preferred ones lead, and every producer goes on. */
  async together(): Promise<void> {
    let complaint: string | undefined = "no answer";
    const agreed = async (): Promise<boolean> => {
      const answers = await Promise.all(this.#cluster.servers.map((id) => orUndefined(this.#judge.describe(id, null))));
      const controllers = new Set(answers.map((answer) => answer?.controllerId));
      complaint = answers
        .map((answer, index) => (answer === undefined ? `broker ${index + 1} does not answer` : complaintOf(answer, index + 1, REPLICAS, true)))
        .find((one) => one !== undefined);
      if (complaint === undefined && controllers.size > 1) complaint = `the controller is ${[...controllers].join(" or ")}`;
      return complaint === undefined;
    };
    await eventually("the cluster comes together", agreed, TOGETHER_MS_MAX).catch((error: unknown) => {
      throw new Error(`${String(error)}: ${complaint}`);
    });
    const before = this.#producers.map(({ acknowledged }) => acknowledged.size);
    await eventually("every producer goes on", () => this.#producers.every(({ acknowledged }, index) => acknowledged.size >= (before[index] ?? 0) + 10));
  }

  /** Everything is acknowledged and read. */
  async rest(): Promise<void> {
    await Promise.all(this.#producers.map((producer) => producer.rest()));
    const wanted = (reader: PartitionReader): number => Math.max(0, ...this.#producers.filter(({ options }) => options.topic === reader.options.topic && options.partition === reader.options.partition).flatMap(({ acknowledged }) => [...acknowledged.values()])) + 1;
    await eventually("all that was acknowledged is read", () => this.#readers.every((reader) => reader.position >= wanted(reader)));
    await this.#together();
    await Promise.all(this.#readers.map((reader) => reader.rest()));
    await this.#judge.close();
  }

  /** What was never acknowledged may stand behind the rest: it is read too. */
  async #together(): Promise<void> {
    const ends = (): string => this.#readers.map(({ position }) => position).join();
    let [before, since] = [ends(), performance.now()];
    await eventually("readers are at the end", () => {
      const now = ends();
      if (now !== before) [before, since] = [now, performance.now()];
      return performance.now() - since > 1500;
    });
  }

  /** Once all brokers have stopped: replicas are equal, and hold what was told to those who wrote and read. */
  check(): void {
    const stored = this.#cluster.servers.map((server) => storedLogs(this.#cluster.files(server)));
    for (const producer of this.#producers) {
      const { topic, partition } = producer.options;
      const name = partitionName(topic, partition);
      const replicas = stored.map((logs) => must(logs.get(name), name));
      checkEqual(replicas.map((log) => [log, 0]));
      const [log] = replicas;
      const final: FinalLog = { topic, partition, name, startOffset: 0, endOffset: endOf(must(log, name)), records: recordsOf(must(log, name)) };
      checkWritten(final, [producer], { unclean: false, retained: false });
      checkRead(final, must(this.#readers.find(({ options }) => options.topic === topic && options.partition === partition), `reader of ${name}`), { mayGo: false });
    }
  }
}
