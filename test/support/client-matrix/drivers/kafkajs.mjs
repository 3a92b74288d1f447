// kafkajs's part in the client matrix: `kafkajs.mjs <create|produce|consume|committed|administer> <options as JSON>`.
// `produce` reads a JSON object a line, {"key", "value"}; `consume` prints one for each of its events, until SIGTERM;
// `administer` sets a group's offsets, lists, describes and deletes it, and prints what it saw.
import { text } from "node:stream/consumers";
import kafkajs from "kafkajs";
import snappyCodec from "kafkajs-snappy";
import lz4 from "lz4-napi";
import { Decoder, Encoder } from "@toondepauw/node-zstd";

const { CompressionCodecs, CompressionTypes, Kafka, logLevel } = kafkajs;
CompressionCodecs[CompressionTypes.Snappy] = snappyCodec;
CompressionCodecs[CompressionTypes.LZ4] = () => ({ compress: async ({ buffer }) => lz4.compressFrameSync(buffer), decompress: async (bytes) => lz4.decompressFrameSync(bytes) });
CompressionCodecs[CompressionTypes.ZSTD] = () => ({ compress: async ({ buffer }) => new Encoder(3).encodeSync(buffer), decompress: async (bytes) => new Decoder().decodeSync(bytes) });

const CODECS = { none: CompressionTypes.None, gzip: CompressionTypes.GZIP, snappy: CompressionTypes.Snappy, lz4: CompressionTypes.LZ4, zstd: CompressionTypes.ZSTD };
const [command, json] = process.argv.slice(2);
const options = JSON.parse(json);
const kafka = new Kafka({ clientId: "kafkajs", brokers: options.bootstrap.split(","), logLevel: logLevel.ERROR, retry: { initialRetryTime: 100, maxRetryTime: 1000, retries: 20 } });

function tell(event, fields) {
  console.log(JSON.stringify({ event, ...fields }));
}

async function withAdmin(use) {
  const admin = kafka.admin();
  await admin.connect();
  await use(admin);
  await admin.disconnect();
}

const commands = {
  create: () => withAdmin((admin) => admin.createTopics({ waitForLeaders: true, topics: [{ topic: options.topic, numPartitions: options.partitions, replicationFactor: options.replicas }] })),

  async produce() {
    const messages = (await text(process.stdin)).trimEnd().split("\n").map((line) => JSON.parse(line));
    const producer = kafka.producer({ createPartitioner: kafkajs.Partitioners.DefaultPartitioner });
    await producer.connect();
    await producer.send({ topic: options.topic, acks: -1, compression: CODECS[options.codec], messages });
    await producer.disconnect();
  },

  async consume() {
    const consumer = kafka.consumer({ groupId: options.group, sessionTimeout: 6000, rebalanceTimeout: 10_000, heartbeatInterval: 500, maxWaitTimeInMs: 300 });
    let assigned = [];
    consumer.on(consumer.events.REBALANCING, () => tell("revoked", { partitions: assigned.splice(0) }));
    consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
      assigned = payload.memberAssignment[options.topic] ?? [];
      tell("assigned", { partitions: assigned });
    });
    consumer.on(consumer.events.COMMIT_OFFSETS, ({ payload }) => {
      tell("committed", { offsets: Object.fromEntries(payload.topics.flatMap(({ partitions }) => partitions.map(({ partition, offset }) => [partition, Number(offset)]))) });
    });
    consumer.on(consumer.events.CRASH, ({ payload }) => tell("error", { message: String(payload.error) }));
    process.once("SIGTERM", () => void consumer.disconnect().then(() => process.exit(0)));
    await consumer.connect();
    await consumer.subscribe({ topics: [options.topic], fromBeginning: true });
    await consumer.run({
      autoCommitInterval: 200,
      eachMessage: async ({ partition, message }) => tell("record", { partition, offset: Number(message.offset), key: message.key?.toString() ?? null, value: message.value.toString() }),
    });
  },

  committed: () =>
    withAdmin(async (admin) => {
      const [topic] = await admin.fetchOffsets({ groupId: options.group, topics: [options.topic] });
      const stored = topic.partitions.filter(({ offset }) => offset !== "-1");
      console.log(JSON.stringify(Object.fromEntries(stored.map(({ partition, offset }) => [partition, Number(offset)]))));
    }),

  administer: () =>
    withAdmin(async (admin) => {
      const { groupId, topic } = options;
      const listed = async () => (await admin.listGroups()).groups.some((group) => group.groupId === groupId);
      await admin.setOffsets({ groupId, topic, partitions: [{ partition: 0, offset: "5" }, { partition: 1, offset: "7" }] });
      const before = await listed();
      const { groups } = await admin.describeGroups([groupId]);
      await admin.deleteGroups([groupId]);
      console.log(JSON.stringify({ listed: before, state: groups[0].state, listedStill: await listed() }));
    }),
};

await commands[command]();
