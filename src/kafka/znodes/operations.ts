import { must } from "../../lib/assert.ts";
import { OperationalError } from "../../lib/error.ts";
import { encodeBrokerRegistration, type BrokerRegistration } from "./broker.ts";
import { decodeClusterId, decodeProducerIdBlock, encodeClusterId, encodeProducerIdBlock, producerIdBlockSize, type ProducerIdBlock } from "./cluster.ts";
import { decodeConfig, encodeConfig, encodeConfigChange, type ConfigEntity, type EntityConfig } from "./config.ts";
import { badZnode } from "./json.ts";
import { checkPath } from "./names.ts";
import { encodeLogDirEvent } from "./notifications.ts";
import { paths, persistentPaths } from "./paths.ts";
import { ask, askOne, create, exists, expectCode, getData, remove, setData, ZkCode, type Step, type ZkReply, type ZkRequest } from "./requests.ts";
import { decodeTopic } from "./topic.ts";

/** Steps that every broker takes, controller or not. Source: core/src/main/scala/kafka/zk/KafkaZkClient.scala. */

/** Creates a persistent znode and, without data, the parents that it lacks. The code is OK or NODE_EXISTS. */
export function* createWithParents(path: string, data: Buffer | null): Step<number> {
  const request = create(path, data);
  const reply = expectCode(request, yield* askOne(request), ZkCode.NODE_EXISTS, ZkCode.NO_NODE);
  if (reply.code !== ZkCode.NO_NODE) return reply.code;
  const parent = path.slice(0, path.lastIndexOf("/"));
  if (parent === "") throw new OperationalError("ERR_ZOOKEEPER", `ZooKeeper has no root to create ${path} in; create the chroot of zookeeper.connect`);
  yield* createWithParents(parent, null);
  return expectCode(request, yield* askOne(request), ZkCode.NODE_EXISTS).code;
}

/** In two batches, whatever is missing: one round trip, and no write, where a broker has made them before. */
export function* createPersistentPaths(): Step<void> {
  const wanted = [...new Set(persistentPaths.flatMap(withParents))];
  const looked = yield wanted.map((path) => exists(path));
  const missing = wanted.filter((path, index) => expectCode(exists(path), must(looked[index], path), ZkCode.NO_NODE).code === ZkCode.NO_NODE);
  const made = yield* ask(missing.map((path) => create(path, null)));
  for (const [index, path] of missing.entries()) {
    // Without the chroot, say: what creates one by one tells what is wrong.
    const { code } = expectCode(create(path, null), must(made[index], path), ZkCode.NODE_EXISTS, ZkCode.NO_NODE);
    if (code === ZkCode.NO_NODE) yield* createWithParents(path, null);
  }
}

/** `/a/b/c` gives `/a`, `/a/b` and itself. */
function withParents(path: string): string[] {
  const names = path.split("/").slice(1);
  return names.map((_, index) => `/${names.slice(0, index + 1).join("/")}`);
}

/** The cluster's id: `proposed` where there is none yet. */
export function* createOrGetClusterId(proposed: string): Step<string> {
  const request = getData(paths.clusterId);
  const found = expectCode(request, yield* askOne(request), ZkCode.NO_NODE);
  if (found.code === ZkCode.OK) return decodeClusterId(found.data);
  if ((yield* createWithParents(paths.clusterId, encodeClusterId(proposed))) === ZkCode.OK) return proposed;
  return decodeClusterId(expectCode(request, yield* askOne(request)).data);
}

/** A number that no other broker has been given, from 1: the version of /brokers/seqid after a write. */
export function* generateBrokerId(): Step<number> {
  const request = setData(paths.brokerSequenceId, Buffer.alloc(0));
  let reply = expectCode(request, yield* askOne(request), ZkCode.NO_NODE);
  if (reply.code === ZkCode.NO_NODE) {
    yield* createWithParents(paths.brokerSequenceId, Buffer.alloc(0));
    reply = expectCode(request, yield* askOne(request));
  }
  return must(reply.stat, "stat of /brokers/seqid").version;
}

export interface Session {
  readonly id: bigint;
  /** The broker's own sessions before this one, in which it has registered or was about to. */
  readonly earlier: readonly bigint[];
}

/**
 * Registers the broker and returns its epoch, the czxid of /brokers/ids/N. A znode that an earlier session has left is
 * replaced; one of another owner is ERR_BROKER_ID_IN_USE.
 */
export function* registerBroker(broker: BrokerRegistration, timestampMs: number, session: Session): Step<number> {
  const path = paths.broker(broker.id);
  // The czxid comes with setData's stat, which is why the znode is created without data first.
  const multi: ZkRequest = { op: "multi", ops: [create(path, null, "ephemeral"), setData(path, encodeBrokerRegistration(broker, timestampMs), 0)] };
  for (;;) {
    const reply = expectCode(multi, yield* askOne(multi), ZkCode.NODE_EXISTS);
    if (reply.code === ZkCode.OK) return must(reply.results[1]?.stat, `stat of ${path}`).czxid;
    const read = getData(path);
    const existing = expectCode(read, yield* askOne(read), ZkCode.NO_NODE);
    if (existing.code === ZkCode.NO_NODE) continue;
    const stat = must(existing.stat, `stat of ${path}`);
    if (stat.ephemeralOwner === session.id) return stat.czxid;
    if (!session.earlier.includes(stat.ephemeralOwner)) {
      throw new OperationalError("ERR_BROKER_ID_IN_USE", `broker ${broker.id} is registered by another process (${path}); stop that one, or wait until its session has ended`);
    }
    const removal = remove(path);
    expectCode(removal, yield* askOne(removal), ZkCode.NO_NODE);
  }
}

/** Takes the next producer ids for this broker. Throws ERR_ZNODE where they have run out. */
export function* takeProducerIdBlock(brokerId: number): Step<ProducerIdBlock> {
  const path = paths.producerIdBlock;
  for (;;) {
    const read = getData(path);
    const current = expectCode(read, yield* askOne(read));
    const last = current.data === null || current.data.length === 0 ? -1 : decodeProducerIdBlock(current.data).last;
    const block: ProducerIdBlock = { brokerId, first: last + 1, last: last + producerIdBlockSize };
    if (!Number.isSafeInteger(block.last)) throw badZnode(path, `no producer ids are left after ${last}`);
    const write = setData(path, encodeProducerIdBlock(block), must(current.stat, `stat of ${path}`).version);
    const reply: ZkReply = expectCode(write, yield* askOne(write), ZkCode.BAD_VERSION);
    // After BAD_VERSION another broker, or a write of ours whose reply was lost, has taken the block: skip it.
    if (reply.code === ZkCode.OK) return block;
  }
}

/** Whether the znode is there or not. */
function* writeOrCreate(path: string, data: Buffer): Step<void> {
  const write = setData(path, data);
  const first = expectCode(write, yield* askOne(write), ZkCode.NO_NODE);
  if (first.code === ZkCode.OK) return;
  if ((yield* createWithParents(path, data)) === ZkCode.OK) return;
  expectCode(write, yield* askOne(write));
}

/** Replaces an entity's overrides. Source: KafkaZkClient.setOrCreateEntityConfigs. */
export function* writeConfig(entity: ConfigEntity, config: EntityConfig): Step<void> {
  yield* writeOrCreate(paths.config(entity.type, entity.name), encodeConfig(config));
}

/** An entity's overrides; none where it has no znode. Throws ERR_ZNODE. */
export function* readConfig(entity: ConfigEntity): Step<EntityConfig> {
  const path = paths.config(entity.type, entity.name);
  const request = getData(path);
  return decodeConfig(path, expectCode(request, yield* askOne(request), ZkCode.NO_NODE).data);
}

/**
 * Replaces an entity's overrides by what `change` makes of them, and tells every broker; `change` may be called again
 * with later ones, and says that nothing is to be written by undefined.
 */
export function* changeConfig(entity: ConfigEntity, change: (current: EntityConfig) => EntityConfig | undefined): Step<void> {
  const path = paths.config(entity.type, entity.name);
  for (let written: Buffer | undefined; ; ) {
    const read = getData(path);
    const found = expectCode(read, yield* askOne(read), ZkCode.NO_NODE);
    // A write of ours whose reply was lost.
    if (written !== undefined && found.data?.equals(written) === true) break;
    const next = change(decodeConfig(path, found.data));
    if (next === undefined) return;
    written = encodeConfig(next);
    if (found.code === ZkCode.NO_NODE) {
      if ((yield* createWithParents(path, written)) === ZkCode.OK) break;
      continue;
    }
    const write = setData(path, written, must(found.stat, `stat of ${path}`).version);
    if (expectCode(write, yield* askOne(write), ZkCode.BAD_VERSION, ZkCode.NO_NODE).code === ZkCode.OK) break;
  }
  yield* announceConfigChange(entity);
}

/** How many partitions the topic has; undefined where there is no such topic. Source: KafkaZkClient.getTopicPartitionCount. */
export function* countPartitions(topic: string): Step<number | undefined> {
  const request = getData(paths.topic(topic));
  const found = expectCode(request, yield* askOne(request), ZkCode.NO_NODE);
  return found.code === ZkCode.NO_NODE ? undefined : decodeTopic(topic, found.data).partitions.size;
}

/** Throws ERR_ZNODE_NAME where no znode can bear the group's name. Source: KafkaZkClient.setOrCreateConsumerOffset. */
export function* writeConsumerOffset(group: string, topic: string, partition: number, offset: number): Step<void> {
  yield* writeOrCreate(checkPath(paths.consumerOffset(group, topic, partition)), Buffer.from(String(offset)));
}

/**
 * Undefined where none is stored. Throws ERR_ZNODE_NAME where no znode can bear the group's name, ERR_ZNODE where the
 * znode holds no offset. Source: KafkaZkClient.getConsumerOffset.
 */
export function* readConsumerOffset(group: string, topic: string, partition: number): Step<number | undefined> {
  const path = checkPath(paths.consumerOffset(group, topic, partition));
  const request = getData(path);
  const { data } = expectCode(request, yield* askOne(request), ZkCode.NO_NODE);
  if (data === null) return undefined;
  const text = data.toString();
  if (!/^[+-]?\d+$/.test(text) || !Number.isSafeInteger(Number(text))) throw badZnode(path, "not an offset");
  return Number(text);
}

/** Asks the controller to delete a topic; asking twice is the same. False where there is no such topic. */
export function* queueTopicDeletion(topic: string): Step<boolean> {
  const request = exists(paths.topic(topic));
  const found = expectCode(request, yield* askOne(request), ZkCode.NO_NODE);
  if (found.code === ZkCode.NO_NODE) return false;
  yield* createWithParents(paths.deleteTopic(topic), null);
  return true;
}

/** Tells every broker to read an entity's configuration again. */
export function* announceConfigChange(entity: ConfigEntity): Step<void> {
  const request = create(paths.newConfigChange, encodeConfigChange(entity), "persistentSequential");
  expectCode(request, yield* askOne(request));
}

/** Tells the controller that this broker has lost a log directory. Source: KafkaZkClient.propagateLogDirEvent. */
export function* announceLogDirFailure(brokerId: number): Step<void> {
  const request = create(paths.newLogDirEvent, encodeLogDirEvent(brokerId), "persistentSequential");
  expectCode(request, yield* askOne(request));
}
