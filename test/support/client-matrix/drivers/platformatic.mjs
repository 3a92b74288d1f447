// @platformatic/kafka's part in the client matrix, on Node 24: `platformatic.mjs <create|produce|consume|committed|administer> <options as JSON>`.
// `produce` reads a JSON object a line, {"key", "value"}; `consume` prints one for each of its events, until SIGTERM;
// `administer` sets a group's offsets, lists, describes and deletes it, and prints what it saw.
import { text } from "node:stream/consumers";
import { Admin, Consumer, ProduceAcks, Producer, stringDeserializers, stringSerializers } from "@platformatic/kafka";

const [command, json] = process.argv.slice(2);
const options = JSON.parse(json);
// It must outlast a leader whose end is noticed after 6 s.
const client = { clientId: "platformatic", bootstrapBrokers: options.bootstrap.split(","), retries: 100, retryDelay: 250 };

function tell(event, fields) {
  console.log(JSON.stringify({ event, ...fields }));
}

async function withAdmin(use) {
  const admin = new Admin(client);
  await use(admin);
  await admin.close();
}

const commands = {
  create: () => withAdmin((admin) => admin.createTopics({ topics: [options.topic], partitions: options.partitions, replicas: options.replicas })),

  async produce() {
    const messages = (await text(process.stdin)).trimEnd().split("\n").map((line) => ({ topic: options.topic, ...JSON.parse(line) }));
    const producer = new Producer({ ...client, serializers: stringSerializers });
    await producer.send({ messages, acks: ProduceAcks.ALL, compression: options.codec });
    await producer.close();
  },

  async consume() {
    const instance = options.instanceId === undefined ? {} : { groupInstanceId: options.instanceId };
    const consumer = new Consumer({ ...client, ...instance, groupId: options.group, deserializers: stringDeserializers, sessionTimeout: 6000, rebalanceTimeout: 10_000, heartbeatInterval: 500, maxWaitTime: 300 });
    let assigned = [];
    consumer.on("consumer:group:rebalance", () => tell("revoked", { partitions: assigned.splice(0) }));
    consumer.on("consumer:group:join", ({ assignments }) => {
      assigned = assignments?.find(({ topic }) => topic === options.topic)?.partitions ?? [];
      tell("assigned", { partitions: assigned });
    });
    const stream = await consumer.consume({ topics: [options.topic], mode: "committed", fallbackMode: "earliest", autocommit: 200 });
    stream.on("autocommit", (error, offsets) => {
      if (error) tell("error", { message: String(error) });
      // What it commits is the last offset that it has seen, and one more on the wire.
      else tell("committed", { offsets: Object.fromEntries((offsets ?? []).map(({ partition, offset }) => [partition, Number(offset)])) });
    });
    stream.on("error", (error) => tell("error", { message: String(error) }));
    stream.on("data", ({ partition, offset, key, value }) => tell("record", { partition, offset: Number(offset), key: key ?? null, value }));
    process.once("SIGTERM", () => void consumer.close(true).then(() => process.exit(0)));
  },

  committed: () =>
    withAdmin(async (admin) => {
      const [group] = await admin.listConsumerGroupOffsets({ groups: [options.group] });
      const stored = group.topics.find(({ name }) => name === options.topic)?.partitions ?? [];
      console.log(JSON.stringify(Object.fromEntries(stored.map(({ partitionIndex, committedOffset }) => [partitionIndex, Number(committedOffset)]))));
    }),

  administer: () =>
    withAdmin(async (admin) => {
      const { groupId, topic } = options;
      const listed = async () => (await admin.listGroups()).has(groupId);
      await admin.alterConsumerGroupOffsets({ groupId, topics: [{ name: topic, partitionOffsets: [{ partition: 0, offset: 5n }, { partition: 1, offset: 7n }, { partition: 2, offset: 9n }] }] });
      await admin.deleteConsumerGroupOffsets({ groupId, topics: [{ name: topic, partitionIndexes: [2] }] });
      const before = await listed();
      const groups = await admin.describeGroups({ groups: [groupId], includeAuthorizedOperations: true });
      await admin.deleteGroups({ groups: [groupId] });
      console.log(JSON.stringify({ listed: before, state: groups.get(groupId).state, listedStill: await listed() }));
    }),
};

await commands[command]();
