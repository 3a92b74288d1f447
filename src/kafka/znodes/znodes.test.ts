import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { errorCode } from "../../lib/error.ts";
import { ZooKeeperModel } from "../controller/testing/zookeeper-model.ts";
import { decodeBrokerRegistration, encodeBrokerRegistration, type BrokerRegistration } from "./broker.ts";
import {
  decodeClusterId, decodeController, decodeControllerEpoch, decodeFeatureZnode, decodeProducerIdBlock, encodeClusterId, encodeController, encodeControllerEpoch, encodeFeatureZnode, encodeProducerIdBlock,
} from "./cluster.ts";
import { ConfigChangeReader } from "./config-changes.ts";
import { decodeConfig, decodeConfigChange, encodeConfig, encodeConfigChange } from "./config.ts";
import { desanitizeName, sanitizeName } from "./names.ts";
import { decodeIsrChange, decodeLogDirEvent, decodePreferredElection, encodeIsrChange, encodeLogDirEvent, encodePreferredElection } from "./notifications.ts";
import {
  announceConfigChange, announceLogDirFailure, countPartitions, createOrGetClusterId, createPersistentPaths, generateBrokerId, queueTopicDeletion, readConsumerOffset, registerBroker,
  takeProducerIdBlock, writeConfig, writeConsumerOffset,
} from "./operations.ts";
import { brokerOfPath, paths, persistentPaths, topicOfPath } from "./paths.ts";
import { create, setData, type Step, type ZkRequest } from "./requests.ts";
import { topicId } from "./topic-id.ts";
import { decodePartitionState, decodeTopic, encodePartitionState, encodeTopic, isBeingReassigned, targetReplicas } from "./topic.ts";

const text = (value: string | object): Buffer => Buffer.from(typeof value === "string" ? value : JSON.stringify(value));
const json = (data: Buffer): unknown => JSON.parse(data.toString());

function failureOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    return `${errorCode(error)} ${error instanceof Error ? error.message : ""}`;
  }
  return "no failure";
}

describe("a broker's registration", () => {
  const broker: BrokerRegistration = {
    id: 3,
    endpoints: [
      { listenerName: "INTERNAL", host: "::1", port: 9093, securityProtocol: "SASL_SSL" },
      { listenerName: "EXTERNAL", host: "host", port: 9092, securityProtocol: "PLAINTEXT" },
    ],
    rack: "r1",
    jmxPort: -1,
    features: new Map([["f", { min: 1, max: 2 }]]),
  };

  test("is written in version 5, with the first plaintext endpoint as host and port", () => {
    expect(json(encodeBrokerRegistration(broker, 12))).toEqual({
      version: 5,
      host: "host",
      port: 9092,
      endpoints: ["INTERNAL://[::1]:9093", "EXTERNAL://host:9092"],
      jmx_port: -1,
      timestamp: "12",
      rack: "r1",
      listener_security_protocol_map: { INTERNAL: "SASL_SSL", EXTERNAL: "PLAINTEXT" },
      features: { f: { min_version: 1, max_version: 2 } },
    });
    const secure = { ...broker, endpoints: broker.endpoints.slice(0, 1), rack: null, features: new Map() };
    expect(json(encodeBrokerRegistration(secure, 12))).toEqual({
      version: 5, host: null, port: -1, endpoints: ["INTERNAL://[::1]:9093"], jmx_port: -1, timestamp: "12", listener_security_protocol_map: { INTERNAL: "SASL_SSL" }, features: {},
    });
    expect(decodeBrokerRegistration(3, encodeBrokerRegistration(broker, 12))).toEqual(broker);
    expect(decodeBrokerRegistration(3, encodeBrokerRegistration(secure, 12))).toEqual(secure);
  });

  test("is read in versions 1 to 5", () => {
    const plaintext = { listenerName: "PLAINTEXT", host: "localhost", port: 9092, securityProtocol: "PLAINTEXT" };
    const common = { jmx_port: 9999, timestamp: "2233345666" };
    const read = (value: object): BrokerRegistration => decodeBrokerRegistration(1, text({ ...common, ...value }));
    expect(read({ version: 1, host: "localhost", port: 9092 })).toMatchObject({ endpoints: [plaintext], rack: null, jmxPort: 9999 });
    expect(read({ version: 2, host: "x", port: 1, endpoints: ["PLAINTEXT://localhost:9092", "ssl://host1:9093"] }).endpoints).toEqual([
      plaintext,
      { listenerName: "SSL", host: "host1", port: 9093, securityProtocol: "SSL" },
    ]);
    expect(read({ version: 3, host: "x", port: 1, endpoints: ["PLAINTEXT://:9092"], rack: "dc1" })).toMatchObject({ rack: "dc1", endpoints: [{ host: "" }] });
    const four = { version: 4, host: "x", port: 1, endpoints: ["client://host1:9092"], listener_security_protocol_map: { CLIENT: "SSL" }, rack: null };
    expect(read(four)).toMatchObject({ rack: null, endpoints: [{ listenerName: "CLIENT", securityProtocol: "SSL" }], features: new Map() });
    expect(read({ ...four, version: 5, features: { feature: { min_version: 1, first_active_version: 2, max_version: 3 } } }).features).toEqual(new Map([["feature", { min: 1, max: 3 }]]));
  });

  test.each([
    ["version 0", { version: 0 }],
    ["no version", { host: "x" }],
    ["an endpoint that is none", { version: 2, endpoints: ["localhost"] }],
    ["a listener without a protocol", { version: 4, endpoints: ["A://h:1"], listener_security_protocol_map: {} }],
    ["an unknown protocol", { version: 2, endpoints: ["A://h:1"] }],
    ["endpoints that are no list", { version: 2, endpoints: "PLAINTEXT://h:1" }],
  ])("with %s is an operational failure that names the znode", (_what, value) => {
    expect(failureOf(() => decodeBrokerRegistration(7, text(value)))).toContain("ERR_ZNODE znode /brokers/ids/7: ");
  });
});

describe("a topic's znode", () => {
  test("is written in version 2, partitions by number, and read in versions 1 to 3", () => {
    const partitions = new Map([[1, { replicas: [3, 1, 2], adding: [3], removing: [2] }], [0, { replicas: [1], adding: [], removing: [] }]]);
    expect(encodeTopic({ partitions, rest: {} }).toString()).toBe('{"version":2,"partitions":{"0":[1],"1":[3,1,2]},"adding_replicas":{"1":[3]},"removing_replicas":{"1":[2]}}');
    expect(decodeTopic("t", encodeTopic({ partitions, rest: {} })).partitions).toEqual(partitions);
    expect(decodeTopic("t", text({ version: 1, partitions: { 10: [1], 9: [2] } })).partitions).toEqual(new Map([[9, { replicas: [2], adding: [], removing: [] }], [10, { replicas: [1], adding: [], removing: [] }]]));
    expect(targetReplicas({ replicas: [3, 1, 2], adding: [3], removing: [2] })).toEqual([3, 1]);
    expect([isBeingReassigned({ replicas: [1], adding: [], removing: [] }), isBeingReassigned({ replicas: [1, 2], adding: [], removing: [2] })]).toEqual([false, true]);
  });

  test("keeps what it does not know when it is written again", () => {
    const data = text({ version: 3, topic_id: "Zm9vYmFyYmF6cXV4cXV1eA", partitions: { 0: [1] }, adding_replicas: {}, removing_replicas: {}, "__proto__": { a: 1 }, later: [{ b: null }] });
    const { rest, partitions } = decodeTopic("t", data);
    expect(json(encodeTopic({ partitions: new Map([...partitions, [1, { replicas: [2], adding: [], removing: [] }]]), rest }))).toEqual({
      ...(json(data) as object),
      partitions: { 0: [1], 1: [2] },
    });
  });

  test.each(["", "{", "[]", '"x"', "null", '{"partitions":[]}', '{"partitions":{"-1":[1]}}', '{"partitions":{"0":["1"]}}', '{"partitions":{"0":[1.5]}}', '{"partitions":{"99999999999":[1]}}', '{"partitions":{},"adding_replicas":3}'])(
    "that holds %s is an operational failure that names it",
    (data) => {
      expect(failureOf(() => decodeTopic("orders", text(data)))).toContain("ERR_ZNODE znode /brokers/topics/orders: ");
    },
  );
});

test("a partition's state carries the znode's version as its token", () => {
  const path = paths.partitionState("t", 4);
  const state = { leader: -1, leaderEpoch: 7, isr: [3, 1], controllerEpoch: 2 };
  expect(path).toBe("/brokers/topics/t/partitions/4/state");
  expect(json(encodePartitionState(state))).toEqual({ controller_epoch: 2, leader: -1, version: 1, leader_epoch: 7, isr: [3, 1] });
  expect(decodePartitionState(path, encodePartitionState(state), 5)).toEqual({ ...state, zkVersion: 5 });
  expect(decodePartitionState(path, text({ ...(json(encodePartitionState(state)) as object), leader_recovery_state: 0 }), 5)).toEqual({ ...state, zkVersion: 5 });
  expect(failureOf(() => decodePartitionState(path, text({ leader: 1 }), 5))).toBe(`ERR_ZNODE znode ${path}: no "leader_epoch"; correct the znode or remove it`);
});

test("the znodes of the cluster and the controller", () => {
  expect(encodeController(3, 12).toString()).toBe('{"version":1,"brokerid":3,"timestamp":"12"}');
  expect(decodeController(text('{"version":2,"brokerid":3,"timestamp":"12","kraftControllerEpoch":-1}'))).toBe(3);
  expect([encodeControllerEpoch(9).toString(), decodeControllerEpoch(text("9"))]).toEqual(["9", 9]);
  expect(failureOf(() => decodeControllerEpoch(text("-9")))).toContain("/controller_epoch");
  expect(encodeClusterId("abc").toString()).toBe('{"version":"1","id":"abc"}');
  expect(decodeClusterId(encodeClusterId("abc"))).toBe("abc");
  const block = { brokerId: 1, first: 2000, last: 2999 };
  expect(json(encodeProducerIdBlock(block))).toEqual({ version: 1, broker: 1, block_start: "2000", block_end: "2999" });
  expect(decodeProducerIdBlock(encodeProducerIdBlock(block))).toEqual(block);
  expect(failureOf(() => decodeProducerIdBlock(text({ broker: 1, block_start: "0", block_end: "9223372036854775807" })))).toContain("/latest_producer_id_block");
  const feature = { enabled: true, features: new Map([["f", { min: 1, max: 2 }]]) };
  expect(json(encodeFeatureZnode(feature))).toEqual({ version: 1, status: 1, features: { f: { min_version_level: 1, max_version_level: 2 } } });
  expect(decodeFeatureZnode(encodeFeatureZnode(feature))).toEqual(feature);
  for (const bad of [{ version: 0, status: 1, features: {} }, { version: 1, status: 2, features: {} }, { version: 1, status: 1 }]) expect(failureOf(() => decodeFeatureZnode(text(bad)))).toContain("/feature");
});

test("configurations and the announcement of their changes", () => {
  const config = new Map([["a", "1"], ["__proto__", "2"]]);
  expect(encodeConfig(config).toString()).toBe('{"version":1,"config":{"a":"1","__proto__":"2"}}');
  expect(decodeConfig("/config/topics/t", encodeConfig(config))).toEqual(config);
  for (const nothing of [null, text(""), text("{}"), text('{"version":1,"config":null}')]) expect(decodeConfig("/config/topics/t", nothing)).toEqual(new Map());
  expect(failureOf(() => decodeConfig("/config/topics/t", text('{"config":{"a":1}}')))).toContain("/config/topics/t");
  const entity = { type: "users", name: "u%40x/clients/<default>" } as const;
  expect(encodeConfigChange(entity).toString()).toBe('{"version":2,"entity_path":"users/u%40x/clients/<default>"}');
  expect(decodeConfigChange("/c", encodeConfigChange(entity))).toEqual(entity);
  expect(decodeConfigChange("/c", text('{"version":1,"entity_type":"topics","entity_name":"t"}'))).toEqual({ type: "topics", name: "t" });
  for (const bad of ['{"version":1,"entity_type":"users","entity_name":"u"}', '{"version":2,"entity_path":"topics"}', '{"version":2,"entity_path":"topics/"}', '{"version":2,"entity_path":"/t"}', '{"version":3}']) {
    expect(failureOf(() => decodeConfigChange("/c", text(bad)))).toContain("ERR_ZNODE znode /c: ");
  }
});

test("notifications and the preferred election name partitions", () => {
  const partitions = [{ topic: "a", partition: 1 }, { topic: "b", partition: 0 }];
  expect(encodeIsrChange(partitions).toString()).toBe('{"version":1,"partitions":[{"topic":"a","partition":1},{"topic":"b","partition":0}]}');
  expect(decodeIsrChange("/n", encodeIsrChange(partitions))).toEqual(partitions);
  expect(decodePreferredElection(encodePreferredElection(partitions))).toEqual(partitions);
  expect(failureOf(() => decodeIsrChange("/n", text('{"partitions":[{"topic":"a"}]}')))).toBe('ERR_ZNODE znode /n: no "partitions[0].partition"; correct the znode or remove it');
  expect(encodeLogDirEvent(4).toString()).toBe('{"version":1,"broker":4,"event":1}');
  expect(decodeLogDirEvent("/n", encodeLogDirEvent(4))).toBe(4);
});

describe("names", () => {
  test("are encoded as Kafka's Sanitizer does", () => {
    expect(sanitizeName("CN=a b,O=*+ü~(!)'")).toBe("CN%3Da%20b%2CO%3D%2A%2B%C3%BC%7E%28%21%29%27");
    expect(sanitizeName("a-Z_0.9")).toBe("a-Z_0.9");
    expect(desanitizeName("a+b%2A")).toBe("a b*");
    expect(failureOf(() => desanitizeName("%zz"))).toContain("ERR_ZNODE_NAME");
  });

  test("come back as they were", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (name) => {
        expect(desanitizeName(sanitizeName(name))).toBe(name);
      }),
    );
  });

  test("of brokers and topics are found in paths", () => {
    expect([brokerOfPath("/brokers/ids/12"), brokerOfPath("/brokers/ids/x"), brokerOfPath("/brokers/ids")]).toEqual([12, undefined, undefined]);
    expect([topicOfPath("/brokers/topics/a.b"), topicOfPath("/brokers/topics"), topicOfPath("/brokers/topics/t/partitions")]).toEqual(["a.b", undefined, undefined]);
  });
});

describe("a topic's id", () => {
  test("is the same everywhere, another one for another cluster, topic or czxid, and looks like a random UUID", () => {
    const seen = new Set<string>();
    for (const cluster of ["a", "b"]) {
      for (let czxid = 1; czxid < 400; czxid++) {
        const id = topicId(cluster, "orders", czxid, {});
        expect(topicId(cluster, "orders", czxid, {})).toBe(id);
        expect(id).toMatch(/^[A-Za-z0-9_][A-Za-z0-9_-]{21}$/);
        const bytes = Buffer.from(id, "base64url");
        expect([bytes.length, (bytes[6] ?? 0) >> 4, (bytes[8] ?? 0) >> 6]).toEqual([16, 4, 2]);
        seen.add(id);
      }
    }
    expect(seen.size).toBe(2 * 399);
    expect(topicId("a", "b", 1, {})).not.toBe(topicId("ab", "", 1, {}));
    expect(topicId("a", "orders", 1, {})).toBe("LntSSYoTRKiqL6JXdwzArw");
  });

  test("is the znode's own where it has one, but for reserved ids and what is no id", () => {
    const derived = topicId("a", "orders", 1, {});
    expect(topicId("a", "orders", 1, { topic_id: "Zm9vYmFyYmF6cXV4cXV1eA" })).toBe("Zm9vYmFyYmF6cXV4cXV1eA");
    for (const given of ["AAAAAAAAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAAAAAAAQ", "short", "Zm9vYmFyYmF6cXV4cXV1eB", 5, null]) expect(topicId("a", "orders", 1, { topic_id: given })).toBe(derived);
  });
});

describe("steps", () => {
  function world(): { zk: ZooKeeperModel; run: <T>(step: Step<T>, session?: ReturnType<ZooKeeperModel["connect"]>) => T } {
    const zk = new ZooKeeperModel();
    const run = <T>(step: Step<T>, session?: ReturnType<ZooKeeperModel["connect"]>): T => {
      let result = step.next();
      while (result.done !== true) result = step.next(result.value.map((request) => zk.apply(request, session)));
      return result.value;
    };
    run(createPersistentPaths());
    return { zk, run };
  }
  const broker: BrokerRegistration = { id: 1, endpoints: [], rack: null, jmxPort: -1, features: new Map() };

  test("make the persistent paths, also where others make them at once; a second time nothing is written", () => {
    const { zk } = world();
    for (const path of persistentPaths) expect(zk.data(path)).toBeNull();
    const again = createPersistentPaths();
    const looks = again.next().value as readonly ZkRequest[];
    expect(new Set(looks.map(({ op }) => op))).toEqual(new Set(["exists"]));
    expect(again.next(looks.map((request) => zk.apply(request))).done).toBe(true);
    const [fresh, racing] = [new ZooKeeperModel(), createPersistentPaths()];
    const seen = (racing.next().value as readonly ZkRequest[]).map((request) => fresh.apply(request));
    const writes = racing.next(seen).value as readonly ZkRequest[];
    for (const request of writes) fresh.apply(request);
    expect(racing.next(writes.map((request) => fresh.apply(request))).done).toBe(true);
    for (const path of persistentPaths) expect(fresh.data(path)).toBeNull();
  });

  test("give every broker the first cluster id, and each a number of its own", () => {
    const { run } = world();
    expect([run(createOrGetClusterId("one")), run(createOrGetClusterId("two"))]).toEqual(["one", "one"]);
    expect([run(generateBrokerId()), run(generateBrokerId())]).toEqual([1, 2]);
  });

  test("register a broker: data in version 1, the czxid as epoch, an old session's znode replaced, another's respected", () => {
    const { zk, run } = world();
    const [first, second, thief] = [zk.connect(() => undefined), zk.connect(() => undefined), zk.connect(() => undefined)];
    const epoch = run(registerBroker(broker, 1, { id: first.id, earlier: [] }), first);
    expect([epoch, zk.version(paths.broker(1)), zk.owner(paths.broker(1))]).toEqual([zk.czxid(paths.broker(1)), 1, first.id]);
    expect(run(registerBroker(broker, 1, { id: first.id, earlier: [] }), first)).toBe(epoch);
    expect(run(registerBroker(broker, 1, { id: second.id, earlier: [first.id] }), second)).toBeGreaterThan(epoch);
    expect(zk.owner(paths.broker(1))).toBe(second.id);
    expect(failureOf(() => run(registerBroker(broker, 1, { id: thief.id, earlier: [] }), thief))).toContain("ERR_BROKER_ID_IN_USE");
  });

  test("take producer ids in blocks that follow each other; a block that somebody else has taken is skipped", () => {
    const { zk, run } = world();
    expect(run(takeProducerIdBlock(1))).toEqual({ brokerId: 1, first: 0, last: 999 });
    const step = takeProducerIdBlock(2);
    step.next();
    const read = zk.apply({ op: "getData", path: paths.producerIdBlock, watch: false });
    run(takeProducerIdBlock(3));
    let result = step.next([read]);
    while (result.done !== true) result = step.next(result.value.map((request) => zk.apply(request)));
    expect(result.value).toEqual({ brokerId: 2, first: 2000, last: 2999 });
    zk.apply(setData(paths.producerIdBlock, encodeProducerIdBlock({ brokerId: 1, first: 0, last: Number.MAX_SAFE_INTEGER - 5 })));
    expect(failureOf(() => run(takeProducerIdBlock(1)))).toContain("no producer ids are left");
  });

  test("queue a topic's deletion once, and none of a topic that does not exist", () => {
    const { zk, run } = world();
    expect(run(queueTopicDeletion("t"))).toBe(false);
    zk.apply(create(paths.topic("t"), text("{}")));
    expect([run(queueTopicDeletion("t")), run(queueTopicDeletion("t"))]).toEqual([true, true]);
    expect(zk.children(paths.deleteTopics)).toEqual(["t"]);
  });

  test("announce each failure of a log directory in a znode of its own, as the controller reads it", () => {
    const { zk, run } = world();
    run(announceLogDirFailure(7));
    run(announceLogDirFailure(7));
    const names = zk.children(paths.logDirEvents).toSorted();
    expect(names).toEqual(["log_dir_event_0000000000", "log_dir_event_0000000001"]);
    for (const name of names) {
      const path = `${paths.logDirEvents}/${name}`;
      expect(decodeLogDirEvent(path, zk.data(path) ?? null)).toBe(7);
      expect(zk.owner(path)).toBe(0n);
    }
  });

  test("count a topic's partitions as its znode has them", () => {
    const { zk, run } = world();
    expect(run(countPartitions("t"))).toBeUndefined();
    zk.apply(create(paths.topic("t"), text({ version: 1, partitions: { 0: [1], 1: [1], 7: [2] } })));
    expect(run(countPartitions("t"))).toBe(3);
  });

  test("write a consumer's offset as decimal text, parents and all, and read it back", () => {
    const { zk, run } = world();
    expect(run(readConsumerOffset("g", "t", 3))).toBeUndefined();
    run(writeConsumerOffset("g", "t", 3, 12));
    expect(zk.data("/consumers/g/offsets/t/3")?.toString()).toBe("12");
    run(writeConsumerOffset("g", "t", 3, 9_007_199_254_740_991));
    expect(run(readConsumerOffset("g", "t", 3))).toBe(9_007_199_254_740_991);
    run(writeConsumerOffset("a/b", "t", 0, 1));
    expect(zk.has("/consumers/a/b/offsets/t/0")).toBe(true);
    zk.apply(setData("/consumers/g/offsets/t/3", null));
    expect(run(readConsumerOffset("g", "t", 3))).toBeUndefined();
  });

  test("of two that write a consumer's first offset at once, the later one's stays, whichever makes the znode", () => {
    const { zk, run } = world();
    const path = paths.consumerOffset("g", "t", 0);
    // Both are told that there is no znode; each then goes on behind the other.
    for (const order of [["4", "5"], ["5", "4"]]) {
      zk.apply({ op: "delete", path, version: -1 });
      const steps = order.map((offset) => writeConsumerOffset("g", "t", 0, Number(offset)));
      const asked = steps.map((step) => step.next());
      const told = asked.map((result) => (result.done === true ? [] : result.value.map((request) => zk.apply(request))));
      for (const [index, step] of steps.entries()) {
        let result = step.next(told[index] ?? []);
        while (result.done !== true) result = step.next(result.value.map((request) => zk.apply(request)));
      }
      expect(run(readConsumerOffset("g", "t", 0))).toBe(Number(order[1]));
    }
  });

  test("take no group whose name no znode can bear, and no text that is no offset", () => {
    const { zk, run } = world();
    for (const group of ["", ".", "..", "a//b", "/a", "a/", "../brokers", "a\u0000", "\ud83d\ude00"]) {
      expect(failureOf(() => run(writeConsumerOffset(group, "t", 0, 1)))).toContain("ERR_ZNODE_NAME");
      expect(failureOf(() => run(readConsumerOffset(group, "t", 0)))).toContain("ERR_ZNODE_NAME");
    }
    expect(zk.children("/consumers")).toEqual([]);
    run(writeConsumerOffset("g", "t", 0, 1));
    for (const bad of ["", "x", "1.5", " 1", "1e3", "9007199254740992"]) {
      zk.apply(setData("/consumers/g/offsets/t/0", text(bad)));
      expect(failureOf(() => run(readConsumerOffset("g", "t", 0)))).toContain("ERR_ZNODE znode /consumers/g/offsets/t/0");
    }
    zk.apply(setData("/consumers/g/offsets/t/0", text("-7")));
    expect(run(readConsumerOffset("g", "t", 0))).toBe(-7);
  });

  test("follow configuration changes: in order, each once, with what is configured now; old ones are removed", () => {
    const { zk, run } = world();
    const reader = new ConfigChangeReader();
    const fired: string[] = [];
    const session = zk.connect((event) => fired.push(event.path));
    const orders = { type: "topics", name: "orders" } as const;
    run(writeConfig(orders, new Map([["retention.ms", "1"]])));
    run(announceConfigChange(orders));
    run(writeConfig(orders, new Map([["retention.ms", "2"]])));
    run(announceConfigChange({ type: "brokers", name: "<default>" }));
    expect(run(reader.read(zk.nowMs), session)).toEqual({
      changes: [{ entity: orders, config: new Map([["retention.ms", "2"]]) }, { entity: { type: "brokers", name: "<default>" }, config: new Map() }],
      errors: [],
    });
    expect(run(reader.read(zk.nowMs), session).changes).toEqual([]);
    zk.nowMs += 15 * 60_000;
    zk.apply(create(paths.newConfigChange, text("not json"), "persistentSequential"));
    expect(fired).toEqual([paths.configChanges]);
    const { changes, errors } = run(reader.read(zk.nowMs + 1), session);
    expect([changes, errors.map((error) => error.message)]).toEqual([[], [`znode ${paths.configChanges}/config_change_0000000002: not JSON; correct the znode or remove it`]]);
    expect(zk.children(paths.configChanges)).toEqual(["config_change_0000000002"]);
  });
});
