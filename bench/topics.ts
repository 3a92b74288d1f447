import { readdirSync } from "node:fs";
import { realHost } from "../src/host/real/host.ts";
import { BrokerConnection } from "../src/kafka/client/broker-connection.ts";
import { metadata } from "../src/kafka/protocol/messages/metadata.ts";
import { eventually } from "../test/support/processes.ts";
import type { Contestant } from "./contestants/contestant.ts";
import { replicasOf } from "./settings.ts";

const DISK_MS_MAX = 120_000;
const PARTITIONS_MS_MAX = 120_000;
const REQUEST_MS_MAX = 60_000;

/** The newest that Kafka 2.7.1 serves. */
const METADATA_VERSION = 9;

const host = realHost({ logLevel: "silent" });

async function requestTopic(contestant: Contestant, name: string, partitions: number): Promise<void> {
  const { code, message } = await contestant.admin.createTopic({ name, partitions, replicationFactor: replicasOf(contestant.topology), configs: new Map([["file.delete.delay.ms", "1000"]]) });
  if (code !== 0) throw new Error(`${contestant.name} refuses topic ${name}: error ${code} ${message ?? ""}`);
}

/** Resolves when every broker knows a leader of every partition, and all replicas are in sync. */
export async function createTopic(contestant: Contestant, name: string, partitions: number): Promise<void> {
  const replicationFactor = replicasOf(contestant.topology);
  await createPartitionsEverywhere(contestant, name, partitions);
  await eventually(`${contestant.name}: every replica of ${name} is in sync`, async () => {
    const topic = (await contestant.admin.topics({ internal: false })).find((each) => each.name === name);
    return topic?.partitions.length === partitions && topic.partitions.every(({ leader, isr }) => leader >= 0 && isr.length === replicationFactor);
  });
}

/** Resolves when each broker, asked alone, knows a leader of every partition. */
export async function createPartitionsEverywhere(contestant: Contestant, name: string, partitions: number): Promise<void> {
  const brokers = await Promise.all(contestant.bootstrap.split(",").map((broker) => BrokerConnection.connect(host, { ...endpoint(broker), clientId: "bench", connectTimeoutMs: 5000, requestTimeoutMs: REQUEST_MS_MAX })));
  try {
    await requestTopic(contestant, name, partitions);
    const knows = async (broker: BrokerConnection): Promise<boolean> => {
      const answer = await broker.send(metadata, METADATA_VERSION, { topics: [{ name }], allowAutoTopicCreation: false, includeClusterAuthorizedOperations: false, includeTopicAuthorizedOperations: false });
      const known = answer.topics[0]?.partitions ?? [];
      return known.length === partitions && known.every(({ leaderId }) => leaderId >= 0);
    };
    await Promise.all(brokers.map((broker) => eventually(`every broker of ${contestant.name} has every leader of ${name}`, () => knows(broker), PARTITIONS_MS_MAX)));
  } finally {
    for (const broker of brokers) broker.close();
  }
}

function endpoint(address: string): { host: string; port: number } {
  const [name = "", port] = address.split(":");
  return { host: name, port: Number(port) };
}

/** Resolves when no broker has a file of it and one of its name could be made again: what is left would be another's burden. */
export async function deleteTopic(contestant: Contestant, name: string): Promise<void> {
  const outcome = (await contestant.admin.deleteTopics([name])).get(name);
  if (outcome?.code !== 0) throw new Error(`${contestant.name} does not delete topic ${name}: error ${outcome?.code}`);
  await eventually(
    `${contestant.name}: the files of ${name} are gone`,
    () => contestant.logDirs.every((directory) => !readdirSync(directory).some((entry) => entry.startsWith(`${name}-`) || entry.startsWith(`${name}.`))),
    DISK_MS_MAX,
  );
  // The controller forgets it last, when the brokers have told it so.
  const free = async (): Promise<boolean> => (await contestant.admin.createTopic({ name, partitions: 1, replicationFactor: 1 }, { validateOnly: true })).code === 0;
  await eventually(`${contestant.name} has forgotten ${name}`, free, DISK_MS_MAX);
}

/** A topic for one run, whose replicas are all in sync. */
export function withTopic<T>(contestant: Contestant, name: string, partitions: number, use: () => Promise<T>): Promise<T> {
  return withoutTopicAfter(contestant, name, async () => {
    await createTopic(contestant, name, partitions);
    return use();
  });
}

/** For a run that makes such a topic, which goes also where the run fails. */
async function withoutTopicAfter<T>(contestant: Contestant, name: string, use: () => Promise<T>): Promise<T> {
  let used: T;
  try {
    used = await use();
  } catch (error) {
    // The run's fault is what counts; a second one of the cleaning would hide it.
    await deleteTopic(contestant, name).catch(() => undefined);
    throw error;
  }
  await deleteTopic(contestant, name);
  return used;
}
