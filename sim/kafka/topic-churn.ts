import { errorCode } from "../../src/lib/error.ts";
import { toBrokerId } from "../../src/kafka/protocol/ids.ts";
import { ErrorCode } from "../../src/kafka/protocol/error-codes.ts";
import { createTopics } from "../../src/kafka/protocol/messages/create-topics.ts";
import { deleteTopics } from "../../src/kafka/protocol/messages/delete-topics.ts";
import { produce } from "../../src/kafka/protocol/messages/produce.ts";
import { buildBatch } from "../../src/kafka/records/build.ts";
import { Violation } from "../zookeeper/violation.ts";
import { orUndefined, type ClusterClient } from "./client.ts";
import { valueOf } from "./producers.ts";

export interface TopicToMake {
  readonly name: string;
  readonly partitions: number;
  readonly replicas: number;
  /** By partition, the preferred leader first; without it the controller chooses. */
  readonly assignments?: readonly (readonly number[])[] | undefined;
  readonly settings?: Readonly<Record<string, string>>;
}

const RETRY_MS = 100;
const ADMIN_TIMEOUT_MS = 3000;

/** What a controller may answer where it is busy, or new, or too few brokers live. */
const TRANSIENT = new Set<number>([ErrorCode.NOT_CONTROLLER, ErrorCode.REQUEST_TIMED_OUT, ErrorCode.INVALID_REPLICATION_FACTOR]);

/** Asks whoever is the controller, until the topic is there. */
export async function makeTopic(client: ClusterClient, topic: TopicToMake, isOver: () => boolean = () => false): Promise<boolean> {
  const configs = Object.entries(topic.settings ?? {}).map(([name, value]) => ({ name, value }));
  const assignments = topic.assignments?.map((brokerIds, partitionIndex) => ({ partitionIndex, brokerIds: brokerIds.map(toBrokerId) }));
  const asked = { name: topic.name, numPartitions: assignments ? -1 : topic.partitions, replicationFactor: assignments ? -1 : topic.replicas, assignments: assignments ?? [], configs };
  return untilDone(client, isOver, async (controller) => {
    const answer = await client.send(controller, createTopics, 4, { topics: [asked], timeoutMs: ADMIN_TIMEOUT_MS });
    const code = answer.topics[0]?.errorCode ?? -1;
    return code === ErrorCode.NONE || code === ErrorCode.TOPIC_ALREADY_EXISTS ? "done" : check("CreateTopics", code);
  });
}

/** The same, until it is gone, as far as the controller knows. */
export async function removeTopic(client: ClusterClient, name: string, isOver: () => boolean = () => false): Promise<boolean> {
  return untilDone(client, isOver, async (controller) => {
    const answer = await client.send(controller, deleteTopics, 5, { topics: [], topicNames: [name], timeoutMs: ADMIN_TIMEOUT_MS });
    const code = answer.responses[0]?.errorCode ?? -1;
    return code === ErrorCode.NONE || code === ErrorCode.UNKNOWN_TOPIC_OR_PARTITION ? "done" : check("DeleteTopics", code);
  });
}

function check(what: string, code: number): "again" {
  if (!TRANSIENT.has(code)) throw new Violation("topics", `${what} is answered with ${code}`);
  return "again";
}

async function untilDone(client: ClusterClient, isOver: () => boolean, ask: (controller: number) => Promise<"done" | "again">): Promise<boolean> {
  while (!isOver()) {
    try {
      await client.describe(client.anyBroker(), []);
      if (client.controllerId >= 0 && (await ask(client.controllerId)) === "done") return true;
    } catch (error) {
      if (errorCode(error) === undefined) throw error;
    }
    await client.pause(RETRY_MS);
  }
  return false;
}

/** Makes topics, writes a little to them and deletes them again, under few names. */
export class TopicChurn {
  readonly names: readonly string[] = ["passing-a", "passing-b"];
  made = 0;
  deleted = 0;
  readonly #client: ClusterClient;
  readonly #pauseMsMax: number;
  readonly #brokers: number;
  #over = false;
  #running: Promise<void> | undefined;

  constructor(client: ClusterClient, options: { readonly brokers: number; readonly pauseMsMax: number }) {
    this.#client = client;
    this.#brokers = options.brokers;
    this.#pauseMsMax = options.pauseMsMax;
  }

  start(): void {
    this.#running = this.#run();
    this.#running.catch((error: unknown) => this.#client.host.fail(error as Error));
  }

  /** Fulfilled when nothing is under way; topics may be left. */
  async rest(): Promise<void> {
    this.#over = true;
    await this.#running;
    await this.#client.close();
  }

  async #run(): Promise<void> {
    const client = this.#client;
    const { draws } = client;
    const isOver = (): boolean => this.#over;
    while (!this.#over) {
      const topic: TopicToMake = { name: draws.pick(this.names), partitions: draws.between(1, 4), replicas: draws.between(1, this.#brokers) };
      if (await makeTopic(client, topic, isOver)) this.made += 1;
      if (draws.chance(2, 3)) await this.#write(topic);
      await client.pause(draws.below(this.#pauseMsMax + 1));
      if (await removeTopic(client, topic.name, isOver)) this.deleted += 1;
      client.forget(topic.name);
    }
  }

  /** What becomes of it does not matter: another topic may be meant already. */
  async #write({ name, partitions }: TopicToMake): Promise<void> {
    await this.#client.refresh(name);
    for (let partition = 0; partition < partitions; partition++) {
      const leader = this.#client.partition(name, partition)?.leader ?? -1;
      if (leader < 0) continue;
      const batch = buildBatch([{ key: null, value: valueOf(name, this.made, this.#client.draws.between(20, 3000)), timestamp: this.#client.host.clock.wallMs() }]);
      await orUndefined(this.#client.send(leader, produce, 8, { transactionalId: null, acks: -1, timeoutMs: 500, topicData: [{ name, partitionData: [{ index: partition, records: [batch] }] }] }));
    }
  }
}
