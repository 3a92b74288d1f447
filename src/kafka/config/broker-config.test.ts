import { describe, expect, test } from "vitest";
import { longMax } from "../../lib/config/key.ts";
import { ConfigError } from "../../lib/config/read.ts";
import { mergeProperties, parseProperties } from "../../lib/properties.ts";
import { readBrokerConfig, type BrokerConfig } from "./broker-config.ts";
import { formatEndpoint } from "./listeners.ts";
import { parseOverrides } from "./load.ts";

function config(text: string, ...args: string[]): BrokerConfig {
  return readBrokerConfig(mergeProperties(parseProperties(`zookeeper.connect=z:2181\n${text}`, "server.properties"), parseOverrides(args)), "server.properties").config;
}

function problems(text: string, ...args: string[]): string[] {
  try {
    config(text, ...args);
    return [];
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.problems.map((problem) => problem.message);
  }
}

/** The broker's file of the cluster guide, with its own addresses. */
const guide = `# With the same id
broker.id=1
# Change the IP address to your own
listeners=PLAINTEXT://172.31.57.62:9092
# logs dir
log.dirs=/opt/kafka/logs

zookeeper.connect=172.31.57.62:2181,172.31.57.63:2181,172.31.57.64:2181
`;

describe("the guide's server.properties", () => {
  const reading = readBrokerConfig(parseProperties(guide, "config/server.properties"), "config/server.properties");

  test("is read as it stands, without a warning", () => {
    expect(reading.warnings).toEqual([]);
    expect(reading.config).toMatchObject({
      brokerId: 1,
      listeners: [{ listenerName: "PLAINTEXT", host: "172.31.57.62", port: 9092, securityProtocol: "PLAINTEXT" }],
      advertisedListeners: [{ host: "172.31.57.62", port: 9092 }],
      interBrokerListenerName: "PLAINTEXT",
      logDirs: ["/opt/kafka/logs"],
      zookeeperConnect: "172.31.57.62:2181,172.31.57.63:2181,172.31.57.64:2181",
    });
  });

  test("leaves Kafka's defaults for the rest", () => {
    expect(reading.config).toMatchObject({
      zookeeperSessionTimeoutMs: 18_000,
      zookeeperConnectionTimeoutMs: 18_000,
      defaultReplicationFactor: 1,
      minInsyncReplicas: 1,
      offsetsTopicReplicationFactor: 3,
      replicaLagTimeMaxMs: 30_000,
      interBrokerProtocolVersion: "2.7-IV2",
    });
    expect(reading.config.topicDefaults).toMatchObject({
      segmentBytes: 1_073_741_824,
      segmentMs: 604_800_000,
      retentionMs: 604_800_000,
      flushMessages: longMax,
      flushMs: longMax,
      cleanupPolicy: ["delete"],
      compressionType: "producer",
      messageFormatVersion: "2.7-IV2",
    });
  });
});

describe("precedence", () => {
  test("log.retention.ms wins over minutes, minutes over hours", () => {
    expect(config("log.retention.hours=1").topicDefaults.retentionMs).toBe(3_600_000);
    expect(config("log.retention.hours=1\nlog.retention.minutes=2").topicDefaults.retentionMs).toBe(120_000);
    expect(config("log.retention.minutes=2\nlog.retention.ms=7").topicDefaults.retentionMs).toBe(7);
  });

  test("a negative retention means for ever, zero is refused", () => {
    expect(config("log.retention.ms=-5").topicDefaults.retentionMs).toBe(-1);
    expect(config("log.retention.hours=-1").topicDefaults.retentionMs).toBe(-1);
    expect(problems("log.retention.minutes=0")).toEqual(["server.properties:2: log.retention.minutes=0: expected at least 1, or -1 to keep records for ever"]);
  });

  test("log.roll.ms wins over hours, jitter likewise, log.flush.interval.ms over the scheduler's interval", () => {
    expect(config("log.roll.hours=2\nlog.roll.jitter.hours=1\nlog.flush.scheduler.interval.ms=9").topicDefaults).toMatchObject({ segmentMs: 7_200_000, segmentJitterMs: 3_600_000, flushMs: 9 });
    expect(config("log.roll.hours=2\nlog.roll.ms=5\nlog.roll.jitter.ms=3\nlog.flush.interval.ms=4").topicDefaults).toMatchObject({ segmentMs: 5, segmentJitterMs: 3, flushMs: 4 });
  });

  test("log.dirs wins over log.dir, and the connection timeout follows the session's unless it is set", () => {
    expect(config("log.dir=/a").logDirs).toEqual(["/a"]);
    expect(config("log.dir=/a\nlog.dirs= /b , /c").logDirs).toEqual(["/b", "/c"]);
    expect(config("zookeeper.session.timeout.ms=9").zookeeperConnectionTimeoutMs).toBe(9);
    expect(config("zookeeper.session.timeout.ms=9\nzookeeper.connection.timeout.ms=8").zookeeperConnectionTimeoutMs).toBe(8);
  });

  test("--override wins over the file and is named in errors", () => {
    expect(config("broker.id=1", "--override", "broker.id=2", "--override=broker.rack=a=b").brokerId).toBe(2);
    expect(config("", "--override=broker.rack=a=b").brokerRack).toBe("a=b");
    expect(problems("broker.id=1", "--override", "broker.id=x")).toEqual(["--override: broker.id=x: expected a whole number from -2147483648 to 2147483647"]);
    expect(() => config("", "--replace", "a=b")).toThrow("--replace: expected --override key=value");
  });
});

describe("listeners", () => {
  const endpoint = (text: string): string[] => config(text).listeners.map((listener) => `${listener.listenerName} ${listener.host} ${listener.port} ${listener.securityProtocol}`);

  test("default to PLAINTEXT on every address, or on host.name and port", () => {
    expect(endpoint("")).toEqual(["PLAINTEXT  9092 PLAINTEXT"]);
    expect(endpoint("host.name=h\nport=1")).toEqual(["PLAINTEXT h 1 PLAINTEXT"]);
    expect(endpoint("host.name=h\nport=1\nlisteners=plaintext://i:2")).toEqual(["PLAINTEXT i 2 PLAINTEXT"]);
  });

  test("may have names of their own, IPv6 addresses and free ports", () => {
    const text = "listeners=inside://[::1]:0,OUTSIDE://:0\nlistener.security.protocol.map=Inside:PLAINTEXT,outside:PLAINTEXT\ninter.broker.listener.name=inside";
    expect(endpoint(text)).toEqual(["INSIDE ::1 0 PLAINTEXT", "OUTSIDE  0 PLAINTEXT"]);
    expect(config(text).interBrokerListenerName).toBe("INSIDE");
    expect(config(text).listeners.map(formatEndpoint)).toEqual(["INSIDE://[::1]:0", "OUTSIDE://:0"]);
  });

  test("are refused where names or ports repeat, a name has no protocol or the form is wrong", () => {
    expect(problems("listeners=PLAINTEXT://a:1,PLAINTEXT://b:1")).toEqual([
      "server.properties:2: listeners=PLAINTEXT://a:1,PLAINTEXT://b:1: more than one listener is named PLAINTEXT; more than one listener has the port 1",
    ]);
    expect(problems("listeners=PLAINTEXT://a:1,CLIENT://b:2,c:3,PLAINTEXT://d:70000")).toEqual([
      "server.properties:2: listeners=PLAINTEXT://a:1,CLIENT://b:2,c:3,PLAINTEXT://d:70000: " +
        "listener.security.protocol.map has no security protocol for CLIENT; c:3 is not NAME://host:port; PLAINTEXT://d:70000 is not NAME://host:port",
    ]);
    expect(problems("listeners=")).toEqual(["server.properties:2: listeners=: at least one listener is needed, such as PLAINTEXT://:9092"]);
  });

  test("that ask for TLS or SASL are refused instead of being served in the clear", () => {
    expect(problems("listeners=SSL://:1,PLAINTEXT://:2")).toEqual([
      "server.properties:2: listeners=SSL://:1,PLAINTEXT://:2: SSL asks for SSL, and listeners with TLS or SASL are still to come",
    ]);
  });

  test("are advertised as they are, or as advertised.listeners or the older keys say", () => {
    const advertised = (text: string): string[] => config(text).advertisedListeners.map((listener) => `${listener.host}:${listener.port}`);
    expect(advertised("listeners=PLAINTEXT://a:1")).toEqual(["a:1"]);
    expect(advertised("listeners=PLAINTEXT://0.0.0.0:1\nadvertised.listeners=PLAINTEXT://b:2")).toEqual(["b:2"]);
    expect(advertised("host.name=h\nport=1\nadvertised.port=3")).toEqual(["h:3"]);
    expect(advertised("port=1\nadvertised.host.name=i")).toEqual(["i:1"]);
  });

  test("must be advertised under an address and a name that exist", () => {
    expect(problems("listeners=PLAINTEXT://0.0.0.0:1")[0]).toContain("0.0.0.0 is no address to connect to");
    const map = "listener.security.protocol.map=A:PLAINTEXT,B:PLAINTEXT,C:PLAINTEXT\ninter.broker.listener.name=A";
    expect(problems(`${map}\nlisteners=A://a:1,B://a:2\nadvertised.listeners=A://a:1,C://a:1`)).toEqual([
      "server.properties:5: advertised.listeners=A://a:1,C://a:1: the broker has no listener C, only A, B",
    ]);
    expect(problems(`${map}\nlisteners=A://a:1,B://a:2\nadvertised.listeners=B://a:1`)).toEqual([
      "server.properties:3: inter.broker.listener.name=A: brokers need a listener A among the advertised ones, which are B",
    ]);
  });

  test("for the controller must be advertised and not the brokers' own", () => {
    const text = "listener.security.protocol.map=A:PLAINTEXT,B:PLAINTEXT\ninter.broker.listener.name=A\nlisteners=A://a:1,B://a:2\ncontrol.plane.listener.name=";
    expect(config(`${text}b`).controlPlaneListenerName).toBe("B");
    expect(problems(`${text}A`)[0]).toContain("the controller needs one of its own");
    expect(problems(`${text}C`)[0]).toContain("the advertised listeners are A, B");
  });

  test("name their settings with a prefix, which is checked by the setting's own rules", () => {
    expect([...config("listener.name.plaintext.max.connections=5").listenerConnectionsMax]).toEqual([["PLAINTEXT", 5]]);
    expect(problems("listener.name.plaintext.max.connections=-1")).toEqual([
      "server.properties:2: listener.name.plaintext.max.connections=-1: expected a whole number from 0 to 2147483647",
    ]);
    const rest = ["nonsense=1", "max.connection.creation.rate=9", "plain.sasl.jaas.config=x", "num.partitions=2"].map((line) => `listener.name.plaintext.${line}`);
    const { warnings } = readBrokerConfig(parseProperties(["zookeeper.connect=z", ...rest].join("\n"), "f"), "f");
    expect(warnings.toSorted()).toEqual([
      "f:2: unknown key listener.name.plaintext.nonsense: it is ignored",
      "f:3: listener.name.plaintext.max.connection.creation.rate=9: has no effect: still to come",
      "f:4: listener.name.plaintext.plain.sasl.jaas.config=[hidden]: has no effect: listeners with SASL are still to come",
      "f:5: listener.name.plaintext.num.partitions=2: has no effect: no listener has this setting for itself",
    ]);
  });

  test("of brokers are named by one of two keys, not by both", () => {
    expect(problems("inter.broker.listener.name=PLAINTEXT\nsecurity.inter.broker.protocol=PLAINTEXT")).toEqual([
      "server.properties:2: inter.broker.listener.name=PLAINTEXT, server.properties:3: security.inter.broker.protocol=PLAINTEXT: only one of the two may be set",
    ]);
  });
});

describe("checks of several keys", () => {
  test.each([
    ["broker.id=1001", "expected at most reserved.broker.max.id, which is 1000: larger numbers are drawn from ZooKeeper"],
    ["broker.id=-2", "expected at least -1"],
    ["broker.id.generation.enable=false", "expected at least 0"],
    ["log.cleaner.threads=128", "expected more than 1 MiB for each thread"],
    ["replica.fetch.wait.max.ms=30001\nreplica.lag.time.max.ms=40000", "a follower must wait at least as long"],
    ["replica.lag.time.max.ms=499", "would fall out of sync"],
    ["offsets.commit.required.acks=2", "expected -1, 0 or 1: with any other number every commit would fail"],
    ["offsets.commit.required.acks=-2", "expected -1, 0 or 1"],
    ["log.cleanup.policy=compact", "compaction is still to come for all but the brokers' own topics"],
    ["log.cleanup.policy=delete,compact", "use delete"],
    ["queued.max.request.bytes=5", "the largest request must fit into the queue"],
    ["max.connections.per.ip=0", "0 is possible only where max.connections.per.ip.overrides lets some address in"],
    ["max.connections.per.ip.overrides=a:b", "a:b is not address:number"],
    ["connections.max.idle.ms=100", "before its connection counts as idle"],
    ["log.message.format.version=2.0\ninter.broker.protocol.version=0.10.2", "can't copy so new a format"],
    ["log.roll.ms=0", "expected at least 1"],
    ["log.dirs=,", "at least one log directory is needed"],
  ])("%j is refused", (text, message) => {
    const found = problems(text);
    expect(found).toHaveLength(1);
    expect(found[0]).toContain(message);
  });

  test("broker.id may be any number where none are drawn", () => {
    expect(config("broker.id=5000\nbroker.id.generation.enable=false").brokerId).toBe(5000);
  });

  test("addresses may have limits of their own", () => {
    expect(config("max.connections.per.ip=0\nmax.connections.per.ip.overrides=10.0.0.1:5, ::1:7").maxConnectionsPerIpOverrides).toEqual(
      new Map([["10.0.0.1", 5], ["::1", 7]]),
    );
  });

  test("a version may be short or full, and names another of the same line", () => {
    expect(config("inter.broker.protocol.version=2.4").interBrokerProtocolVersion).toBe("2.4-IV1");
    expect(config("inter.broker.protocol.version=2.7.1").interBrokerProtocolVersion).toBe("2.7-IV2");
    expect(config("log.message.format.version=0.10.1-IV0").topicDefaults.messageFormatVersion).toBe("0.10.1-IV0");
    expect(problems("inter.broker.protocol.version=2.8")[0]).toContain("expected a version such as 2.7 or 2.7-IV2, up to 2.7");
  });
});

test("what an operator meant to close is refused, what merely has no effect is warned about", () => {
  expect(problems("authorizer.class.name=kafka.security.authorizer.AclAuthorizer\nzookeeper.set.acl=true")).toEqual([
    "server.properties:3: zookeeper.set.acl=true: only false is possible: it needs a ZooKeeper login, which is still to come",
    "server.properties:2: authorizer.class.name=kafka.security.authorizer.AclAuthorizer: can't be set: authorization is still to come, and without it every client may do everything",
  ]);
  const { warnings } = readBrokerConfig(parseProperties("zookeeper.connect=z\nnum.io.threads=16\nnum.network.threads=3\nlog.dir.=x", "f"), "f");
  expect(warnings).toEqual(["f:2: num.io.threads=16: has no effect: one event loop does this work", "f:4: unknown key log.dir.: it is ignored; did you mean log.dir?"]);
});

test("zookeeper.connect names members, then a path if wanted", () => {
  for (const text of ["a", "a:1,", "a:1, b:2 ,[::1]:3", "a:1,b:2/kafka/one"]) expect(problems(`zookeeper.connect=${text}`)).toEqual([]);
  for (const text of ["", ",", "/kafka", "a:x", "a b:1", "a:123456"]) expect(problems(`zookeeper.connect=${text}`)[0]).toContain("expected host:port,host:port,… and a path");
});

test("a file without zookeeper.connect says what is missing", () => {
  expect(() => readBrokerConfig(parseProperties("", "server.properties"), "server.properties")).toThrow(/server\.properties: zookeeper\.connect is missing, expected host:port/);
});

test("this project's own settings are read, checked with all others, and not named as unknown", () => {
  expect(config("").metricsAddress).toBeUndefined();
  expect(config("odradek.metrics.port=9404").metricsAddress).toEqual({ host: undefined, port: 9404 });
  expect(config("odradek.metrics.port=9404\nodradek.metrics.host=localhost").metricsAddress).toEqual({ host: "localhost", port: 9404 });
  expect(problems("odradek.metrics.port=x")).toEqual([expect.stringMatching(/:2: odradek\.metrics\.port=x: expected /)]);
});
