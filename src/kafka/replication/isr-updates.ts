import type { Decoded, Input } from "../../codec/schema.ts";
import type { Timer, Timers } from "../../host/clock.ts";
import type { Logger } from "../../host/log.ts";
import type { TaskGroup } from "../../lib/task-group.ts";
import { partitionName } from "../log/names.ts";
import { ErrorCode, errorName } from "../protocol/error-codes.ts";
import { toBrokerId } from "../protocol/ids.ts";
import { alterIsr, type alterIsrRequest, type alterIsrResponse } from "../protocol/messages/alter-isr.ts";
import type { IsrAnswer, IsrPort, IsrProposal, IsrSubject, ToController } from "./ports.ts";

type Response = Decoded<typeof alterIsrResponse>;
type TopicData = Input<typeof alterIsrRequest>["topics"][number];

/** What is proposed meanwhile goes with the first one; nor does a controller that refuses hear of it more often. */
const LINGER_MS = 50;
const VERSION = 0;

export interface IsrUpdatesOptions {
  readonly timers: Timers;
  readonly log: Logger;
  readonly tasks: TaskGroup;
  readonly brokerId: number;
  /** The czxid of this broker's registration. */
  brokerEpoch(): number;
  readonly controller: ToController;
}

interface Item {
  readonly subject: IsrSubject;
  readonly proposal: IsrProposal;
}

/**
 * Takes the changes of ISRs that the leaders on this broker ask for to the controller: one pending a partition, all of
 * them in each request, one request at a time, until each is decided or withdrawn. An answer counts for the very
 * proposal that was sent (in 2.7.1 for whatever is pending for the partition then).
 * Source: kafka/server/AlterIsrManager.scala.
 */
export class IsrUpdates implements IsrPort {
  readonly #options: IsrUpdatesOptions;
  readonly #pending = new Map<IsrSubject, IsrProposal>();
  #timer: Timer | undefined;
  #sending = false;
  #closed = false;

  constructor(options: IsrUpdatesOptions) {
    this.#options = options;
  }

  propose(subject: IsrSubject, proposal: IsrProposal): void {
    this.#pending.set(subject, proposal);
    this.#sendSoon();
  }

  withdraw(subject: IsrSubject): void {
    this.#pending.delete(subject);
  }

  /** Nothing more is sent; the request under way ends with the way to the controller. */
  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
  }

  #sendSoon(): void {
    if (this.#timer !== undefined || this.#sending || this.#closed || this.#pending.size === 0) return;
    const { timers, tasks } = this.#options;
    this.#timer = timers.after(LINGER_MS, () => {
      this.#timer = undefined;
      if (this.#pending.size === 0) return;
      this.#sending = true;
      tasks.run(() => this.#send());
    });
  }

  async #send(): Promise<void> {
    const { brokerId, controller } = this.#options;
    const brokerEpoch = this.#options.brokerEpoch();
    const items = [...this.#pending].map(([subject, proposal]) => ({ subject, proposal }));
    try {
      const response = await controller.send(alterIsr, VERSION, { brokerId, brokerEpoch, topics: topicsOf(items) }, isNoController);
      this.#sending = false;
      this.#onResponse(items, response);
    } catch (error) {
      this.#sending = false;
      if (!this.#closed) throw error;
    }
    this.#sendSoon();
  }

  #onResponse(items: readonly Item[], response: Response): void {
    const { log } = this.#options;
    if (response.errorCode !== ErrorCode.NONE) {
      log.warn("ISR change sent again", { partitions: items.length, error: errorName(response.errorCode) });
      return;
    }
    const answers = answersOf(response);
    for (const { subject, proposal } of items) {
      if (this.#pending.get(subject) !== proposal) continue;
      const answer = answers.get(partitionName(subject.topic, subject.partition));
      if (answer === undefined) {
        log.warn("ISR change sent again", { partition: partitionName(subject.topic, subject.partition), error: "the controller's answer lacks it" });
        continue;
      }
      this.#pending.delete(subject);
      const outcome = subject.isrDecided(proposal, answer);
      // What it has proposed meanwhile goes first.
      if (outcome === "again" && !this.#pending.has(subject)) this.#pending.set(subject, proposal);
    }
  }
}

function topicsOf(items: readonly Item[]): TopicData[] {
  const topics = new Map<string, { name: string; partitions: TopicData["partitions"][number][] }>();
  for (const { subject, proposal } of items) {
    let topic = topics.get(subject.topic);
    if (topic === undefined) topics.set(subject.topic, (topic = { name: subject.topic, partitions: [] }));
    topic.partitions.push({ partitionIndex: subject.partition, leaderEpoch: proposal.leaderEpoch, newIsr: proposal.isr.map(toBrokerId), currentIsrVersion: proposal.zkVersion });
  }
  return [...topics.values()];
}

function answersOf({ topics }: Response): Map<string, IsrAnswer> {
  const answers = new Map<string, IsrAnswer>();
  for (const { name, partitions } of topics) {
    for (const { partitionIndex, errorCode, leaderEpoch, isr, currentIsrVersion } of partitions) {
      const answer: IsrAnswer = errorCode === ErrorCode.NONE ? { kind: "state", leaderEpoch, isr, zkVersion: currentIsrVersion } : { kind: "error", error: errorCode as ErrorCode };
      answers.set(partitionName(name, partitionIndex), answer);
    }
  }
  return answers;
}

/** A broker that is not the controller says so of everything; some say it of each partition. */
function isNoController({ errorCode, topics }: Response): boolean {
  return errorCode === ErrorCode.NOT_CONTROLLER || topics.some(({ partitions }) => partitions.some((partition) => partition.errorCode === ErrorCode.NOT_CONTROLLER));
}
