import { must } from "../../src/lib/assert.ts";
import { errorCode } from "../../src/lib/error.ts";
import { CLEAN_SHUTDOWN_FILE, partitionName } from "../../src/kafka/log/names.ts";
import type { Partition } from "../../src/kafka/replication/partition.ts";
import { filesOfNode } from "../stored-files.ts";
import { Violation } from "../zookeeper/violation.ts";
import type { FinalLog } from "./check-records.ts";
import { orUndefined, type ClusterClient, type ClusterMetadata } from "./client.ts";
import { LOG_DIRECTORY, type ClusterWorld } from "./cluster-world.ts";
import type { RunningBroker } from "./invariants.ts";
import { checkEqual, endOf, exchangeUnderWay, isCompacted, partitionDirectories, recordsOf, storedLogs } from "./stored-logs.ts";
import { readZnodes, type ZnodeHistory } from "./znode-history.ts";

/** All that has to be over once nothing is wrong any more is over by then. */
const CONVERGE_MS_MAX = 120_000;

export interface ConvergenceOptions {
  readonly cluster: ClusterWorld;
  readonly client: ClusterClient;
  /** Those that stay; of any other nothing is to be left. */
  readonly topics: readonly string[];
  readonly mayBeUnclean: (topic: string) => boolean;
}

/** How a cluster in which nothing is wrong any more comes together, and what it looks like then. */
export class Convergence {
  readonly #options: ConvergenceOptions;

  constructor(options: ConvergenceOptions) {
    this.#options = options;
  }

  /** Those that serve. */
  get running(): RunningBroker[] {
    const { cluster } = this.#options;
    return cluster.brokerIds.flatMap((id) => {
      const broker = cluster.running(id);
      return broker === undefined ? [] : [{ id, life: cluster.node(id).lives, partitions: broker.partitions }];
    });
  }

  /** Waits, where it has to say in the end what it waited for. */
  async within(rule: string, promise: Promise<unknown>, waitsFor: () => string, withinMs = CONVERGE_MS_MAX): Promise<void> {
    try {
      await this.#options.cluster.world.settle(promise, withinMs);
    } catch (error) {
      if (errorCode(error) === "ETIMEDOUT") throw new Violation(rule, `not within ${withinMs} ms: ${waitsFor()}\n${(error as Error).message}`);
      throw error;
    }
  }

  /** Waits until what `complaint` says is undefined. */
  async until(rule: string, complaint: () => string | undefined, withinMs = CONVERGE_MS_MAX): Promise<void> {
    const { client } = this.#options;
    const wait = async (): Promise<void> => {
      while (complaint() !== undefined) await client.pause(50);
    };
    await this.within(rule, wait(), () => complaint() ?? "it came too late", withinMs);
  }

  /** Every broker says the same: all replicas are in sync, the preferred ones lead. */
  async agreed(options: { readonly preferred: boolean }): Promise<void> {
    const { cluster, client, topics } = this.#options;
    let waitsFor = "an answer";
    const wait = async (): Promise<void> => {
      for (;;) {
        const answers = await Promise.all(cluster.brokerIds.map((id) => orUndefined(client.describe(id, topics))));
        const complaints = answers.map((answer, index) => (answer === undefined ? `broker ${index + 1} does not answer` : complaintOf(answer, index + 1, cluster.brokers.length, options.preferred)));
        const controllers = new Set(answers.map((answer) => answer?.controllerId));
        const complaint = complaints.find((one) => one !== undefined) ?? (controllers.size === 1 ? undefined : `the controller is ${[...controllers].join(" or ")}`);
        if (complaint === undefined) return;
        waitsFor = complaint;
        await client.pause(250);
      }
    };
    await this.within("the cluster comes together", wait(), () => waitsFor);
  }

  /** Nobody writes any more: all replicas have everything and know it, and of topics that are gone nothing is left. */
  async quiet(): Promise<void> {
    await this.until("followers hear all, and what is deleted goes", () => this.#unrest());
  }

  leaderOf(topic: string, partition: number): Partition {
    for (const { partitions } of this.running) {
      for (const one of partitions) if (one.topic === topic && one.partition === partition && one.isLeader) return one;
    }
    throw new Violation("one leader", `nobody leads ${partitionName(topic, partition)}`);
  }

  #unrest(): string | undefined {
    const { cluster, topics } = this.#options;
    for (const { id, partitions } of this.running) {
      for (const { topic, partition, log } of partitions) {
        if (!topics.includes(topic)) return `broker ${id} still has ${partitionName(topic, partition)}`;
        const leader = this.leaderOf(topic, partition).log;
        const [ours, theirs] = [log, leader].map(({ endOffset, highWatermark, writtenOffset }) => `${endOffset} ${highWatermark} ${writtenOffset}`);
        if (ours !== theirs || log.highWatermark !== log.endOffset) return `broker ${id} has ${partitionName(topic, partition)} at ${ours}, and its leader at ${theirs}`;
      }
      const files = filesOfNode(cluster.node(id));
      const passing = partitionDirectories(files).find((name) => name.endsWith("-delete") || !topics.some((topic) => name.startsWith(`${topic}-`)));
      if (passing !== undefined) return `broker ${id} still has the directory ${passing}`;
      const exchanged = exchangeUnderWay(files);
      if (exchanged !== undefined) return `broker ${id} exchanges segments of ${exchanged}`;
    }
    return undefined;
  }

  /** All that ZooKeeper was ever told of the topics, checked. */
  znodes(): ZnodeHistory {
    const { cluster, topics, mayBeUnclean } = this.#options;
    const znodes = readZnodes(must(cluster.histories.all().get(1), "history"), { chroot: cluster.shape.chroot, mayBeUnclean });
    for (const topic of znodes.topics.keys()) if (!topics.includes(topic)) throw new Violation("what is deleted goes", `ZooKeeper still has ${topic}`);
    return znodes;
  }

  /** Where each replica's log starts, by broker and partition. */
  starts(): ReadonlyMap<string, number> {
    return new Map(this.running.flatMap(({ id, partitions }) => [...partitions].map(({ topic, partition, log }) => [`${id} ${partitionName(topic, partition)}`, log.startOffset] as const)));
  }

  /** Holds all replicas' bytes against each other, but those of compacted topics; what each partition holds, as its leader has it. */
  checkLogs(znodes: ZnodeHistory, starts: ReadonlyMap<string, number>): FinalLog[] {
    const { cluster } = this.#options;
    const stored = cluster.brokers.map((node) => storedLogs(filesOfNode(node)));
    const finals: FinalLog[] = [];
    for (const [topic, partitions] of znodes.topics) {
      for (const [partition, replicas] of partitions) {
        const name = partitionName(topic, partition);
        if (isCompacted(name)) continue;
        const { leader } = must(znodes.states.get(name), `state of ${name}`);
        const logOf = (id: number) => must(stored[id - 1]?.get(name), `${name} on broker ${id}`);
        // Retention begins 30 s after a broker's start: it may come between the look at the start and the look at the disk.
        const startOf = (id: number): number => Math.max(must(starts.get(`${id} ${name}`), `start of ${name} on broker ${id}`), logOf(id).baseOffset);
        checkEqual([leader, ...replicas.filter((id) => id !== leader)].map((id) => [logOf(id), startOf(id)]));
        const startOffset = startOf(leader);
        const records = recordsOf(logOf(leader));
        for (const offset of records.keys()) if (offset < startOffset) records.delete(offset);
        finals.push({ topic, partition, name, startOffset, endOffset: Math.max(startOffset, endOf(logOf(leader))), records });
      }
    }
    return finals;
  }

  /** All brokers stop at the same time, and leave the marks of a clean stop. */
  async stopAll(): Promise<void> {
    const { cluster } = this.#options;
    await cluster.stopBrokers(CONVERGE_MS_MAX);
    for (const node of cluster.brokers) {
      if (node.disk.peek(`${LOG_DIRECTORY}/${CLEAN_SHUTDOWN_FILE}`) === undefined) throw new Violation("a stop is clean", `${node.name} has no ${CLEAN_SHUTDOWN_FILE}`);
    }
  }
}

/** What is not as it is to be in the end. */
export function complaintOf({ topics, brokers }: ClusterMetadata, id: number, count: number, preferred: boolean): string | undefined {
  if (brokers.length !== count) return `broker ${id} knows ${brokers.length} brokers`;
  for (const { name, errorCode: error, partitions } of topics) {
    if (error !== 0) return `broker ${id} says ${error} of ${name}`;
    for (const { partitionIndex, leaderId, replicaNodes, isrNodes } of partitions) {
      if (leaderId < 0 || (preferred && leaderId !== replicaNodes[0])) return `broker ${id} says that ${leaderId} leads ${name}-${partitionIndex} on ${replicaNodes.join()}`;
      if (isrNodes.length !== replicaNodes.length) return `broker ${id} says that ${isrNodes.join()} of ${replicaNodes.join()} are in sync for ${name}-${partitionIndex}`;
    }
  }
  return undefined;
}
