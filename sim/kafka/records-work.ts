import { must } from "../../src/lib/assert.ts";
import { partitionName } from "../../src/kafka/log/names.ts";
import { Violation } from "../zookeeper/violation.ts";
import { checkRead, checkWritten, type FinalLog } from "./check-records.ts";
import type { HeardLine } from "./cluster-world.ts";
import type { Draw } from "./draw.ts";
import { Marks } from "./marks.ts";
import { IdempotentProducer, PlainProducer, type ProducerOptions } from "./producers.ts";
import { PartitionReader } from "./reader.ts";
import { known, type Stage } from "./stage.ts";
import { makeTopic, removeTopic, TopicChurn, type TopicToMake } from "./topic-churn.ts";

export type RecordsDraw = Pick<Draw, "unclean" | "retained" | "synced" | "producers" | "readers" | "churnPauseMsMax">;

export interface RecordsOutcome {
  readonly acknowledged: number;
  readonly read: number;
  readonly readFromFollowers: number;
  readonly topicsMade: number;
  readonly topicsDeleted: number;
  /** Answers to producers by error code. */
  readonly answers: Readonly<Record<string, number>>;
  /** How often brokers logged what only rare branches log. */
  readonly marks: Readonly<Record<string, number>>;
}

const SAFE = "safe";
const LOOSE = "loose";
export const RECORD_TOPICS: readonly string[] = [SAFE, LOOSE];
const REPLICAS_MAX = 3;

/** Whether records that consumers have read may be gone with a leader that was never in sync. */
export function mayBeUnclean(draw: Pick<Draw, "unclean">, topic: string): boolean {
  return topic === LOOSE && draw.unclean;
}

/** Producers of both kinds and readers on every partition of two topics, and topics that come and go. */
export class RecordsWork {
  readonly #stage: Stage;
  readonly #draw: RecordsDraw;
  readonly #topics: readonly TopicToMake[];
  readonly #producers: (IdempotentProducer | PlainProducer)[] = [];
  readonly #readers: PartitionReader[] = [];
  readonly #marks = new Marks();
  readonly #churn: TopicChurn;

  constructor(stage: Stage, draw: RecordsDraw) {
    this.#stage = stage;
    this.#draw = draw;
    const { brokers } = stage.cluster.shape;
    const replicas = Math.min(brokers, REPLICAS_MAX);
    const loose = { "min.insync.replicas": "1", "unclean.leader.election.enable": String(draw.unclean), ...(draw.retained && { "retention.bytes": "12000", "segment.bytes": "4096" }) };
    this.#topics = [
      { name: SAFE, partitions: 3, replicas, settings: { "min.insync.replicas": String(Math.min(2, replicas)) } },
      { name: LOOSE, partitions: 2, replicas, settings: loose },
    ];
    this.#churn = new TopicChurn(stage.client(stage.clientNode(0)), { brokers, pauseMsMax: draw.churnPauseMsMax });
    stage.hearers.push((line) => this.#hear(line));
  }

  async makeTopics(): Promise<void> {
    for (const topic of this.#topics) await this.#stage.world.settle(makeTopic(this.#stage.judgeClient, topic));
  }

  start(): void {
    const stage = this.#stage;
    const { producers, readers, unclean, retained } = this.#draw;
    const add = (producer: IdempotentProducer | PlainProducer): void => {
      this.#producers.push(producer);
      producer.start();
    };
    for (const { name: topic, partitions } of this.#topics) {
      const lossy = topic !== SAFE;
      for (let partition = 0; partition < partitions; partition++) {
        const options = (name: string): ProducerOptions => ({ ...producers, ...(lossy && retained && { largeBytes: 0, valueBytesMax: 700 }), name: `${partitionName(topic, partition)}/${name}`, topic, partition });
        if (!lossy || (!unclean && partition === 0)) add(new IdempotentProducer(stage.client(stage.clientNode(0)), options("all")));
        if (lossy) add(new PlainProducer(stage.client(stage.clientNode(0)), options("one")));
        const reader = new PartitionReader(stage.client(stage.clientNode(1)), { ...readers, topic, partition, retained: lossy && retained, mayGo: this.#mayGo(topic) });
        this.#readers.push(reader);
        reader.start();
      }
    }
    this.#churn.start();
    stage.keepKnowing(SAFE);
  }

  /** Of the first partition, as clients know it. */
  get leader(): number | undefined {
    return known(this.#stage.judgeClient.partition(SAFE, 0)?.leader);
  }

  /** Everybody who writes is heard. */
  async progress(): Promise<void> {
    const before = this.#producers.map((producer) => producer.acknowledged.size);
    await this.#stage.convergence.until("records are acknowledged", () => {
      const stuck = this.#producers.find((producer, index) => producer.acknowledged.size < (before[index] ?? 0) + 10);
      return stuck && `${stuck.options.name} (${JSON.stringify([...stuck.answers])})`;
    });
  }

  /** All come to rest, and everything is read. */
  async rest(): Promise<void> {
    const { convergence, judgeClient } = this.#stage;
    await convergence.within("clients come to rest", Promise.all([...this.#producers, this.#churn].map((one) => one.rest())), () => "a producer");
    for (const name of this.#churn.names) await convergence.within("topics can be deleted", removeTopic(judgeClient, name), () => name);
    await convergence.until("everything can be read", () => {
      const late = this.#readers.find(({ options, position }) => position < convergence.leaderOf(options.topic, options.partition).log.endOffset);
      return late && `${partitionName(late.options.topic, late.options.partition)} is read up to ${late.position}`;
    });
    await convergence.within("readers come to rest", Promise.all(this.#readers.map((reader) => reader.rest())), () => "a reader");
  }

  /** Holds what there is in the end against those who wrote and read. */
  check(finals: readonly FinalLog[]): void {
    const { unclean, retained } = this.#draw;
    for (const final of finals.filter(({ topic }) => RECORD_TOPICS.includes(topic))) {
      const promises = { unclean: final.topic !== SAFE && unclean, retained: final.topic !== SAFE && retained };
      const here = (options: { readonly topic: string; readonly partition: number }): boolean => options.topic === final.topic && options.partition === final.partition;
      checkWritten(final, this.#producers.filter((producer) => here(producer.options)), promises);
      checkRead(final, must(this.#readers.find((reader) => here(reader.options)), "reader"), { mayGo: this.#mayGo(final.topic) });
      this.#stage.world.mark(final.endOffset);
    }
  }

  get outcome(): RecordsOutcome {
    const answers: Record<string, number> = {};
    for (const producer of this.#producers) for (const [code, count] of producer.answers) answers[String(code ?? "none")] = (answers[String(code ?? "none")] ?? 0) + count;
    return {
      acknowledged: this.#producers.reduce((sum, producer) => sum + producer.acknowledged.size, 0),
      read: this.#readers.reduce((sum, reader) => sum + reader.seen.size, 0),
      readFromFollowers: this.#readers.reduce((sum, reader) => sum + reader.fromFollowers, 0),
      topicsMade: this.#churn.made,
      topicsDeleted: this.#churn.deleted,
      answers,
      marks: this.#marks.seen,
    };
  }

  #hear(line: HeardLine): void {
    this.#marks.hear(line);
    const partition = String(line.fields["partition"]);
    if (line.message !== "truncates below the high watermark" || !RECORD_TOPICS.some((topic) => partition.startsWith(`${topic}-`)) || this.#mayGo(partition)) return;
    this.#stage.fail(new Violation("what is committed stays", `broker ${line.broker} truncates ${JSON.stringify(line.fields)}`));
  }

  /**
   * Whether records that consumers have read may be gone: after an unclean election, or where a leader loses its power
   * before it has synced what all others have. What was acknowledged stays in the second case.
   */
  #mayGo(topic: string): boolean {
    return this.#draw.synced || (this.#draw.unclean && topic.startsWith(LOOSE));
  }
}
