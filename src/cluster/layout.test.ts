import { describe, expect, test } from "vitest";
import { must } from "../lib/assert.ts";
import { errorCode, toError } from "../lib/error.ts";
import { parseProperties } from "../lib/properties.ts";
import { nodeCountWarnings, nodeFiles, planNodes, type ClusterPlan } from "./layout.ts";

const plan: ClusterPlan = { directory: "/c", nodes: 3, kafkaPort: 9092, zookeeperPort: 2181, quorumPort: 2888, electionPort: 3888, metricsPort: undefined, host: "localhost", advertise: undefined };

function filesOf(changed: Partial<ClusterPlan>, id: number): { path: string; values: Record<string, string>; text: string }[] {
  const whole = { ...plan, ...changed };
  const node = must(planNodes(whole)[id - 1], "node");
  return nodeFiles(whole, node).map(({ path, text }) => ({ path, text, values: Object.fromEntries([...parseProperties(text, path)].map(([key, { value }]) => [key, value])) }));
}

function refusal(changed: Partial<ClusterPlan>): string {
  try {
    planNodes({ ...plan, ...changed });
  } catch (error) {
    expect(errorCode(error)).toBe("ERR_USAGE");
    return toError(error).message;
  }
  return "";
}

test("node i has the directory node-i, and of each kind the first port plus i - 1", () => {
  expect(planNodes(plan)[2]).toEqual({ id: 3, directory: "/c/node-3", kafkaPort: 9094, zookeeperPort: 2183, quorumPort: 2890, electionPort: 3890, metricsPort: undefined });
});

describe("a node's files", () => {
  test("are the guide's, with what keeps three replicas safe", () => {
    const [zookeeper, server, myid] = filesOf({}, 2);
    expect([zookeeper?.path, server?.path, myid?.path]).toEqual(["/c/node-2/config/zookeeper.properties", "/c/node-2/config/server.properties", "/c/node-2/zookeeper/myid"]);
    expect(zookeeper?.values).toEqual({
      dataDir: "/c/node-2/zookeeper",
      dataLogDir: "/c/node-2/log/zookeeper",
      clientPort: "2182",
      clientPortAddress: "localhost",
      maxClientCnxns: "0",
      "admin.enableServer": "false",
      "4lw.commands.whitelist": "*",
      tickTime: "2000",
      initLimit: "10",
      syncLimit: "5",
      "server.1": "localhost:2888:3888",
      "server.2": "localhost:2889:3889",
      "server.3": "localhost:2890:3890",
    });
    expect(server?.values).toEqual({
      "broker.id": "2",
      "log.dirs": "/c/node-2/logs",
      "zookeeper.connect": "localhost:2181,localhost:2182,localhost:2183",
      "zookeeper.session.timeout.ms": "6000",
      listeners: "PLAINTEXT://localhost:9093",
      "advertised.listeners": "PLAINTEXT://localhost:9093",
      "default.replication.factor": "3",
      "min.insync.replicas": "2",
      "offsets.topic.replication.factor": "3",
      "transaction.state.log.replication.factor": "3",
      "transaction.state.log.min.isr": "2",
      "group.initial.rebalance.delay.ms": "0",
    });
    expect(myid?.text).toBe("2\n");
  });

  test.each([
    [1, "1", "1"],
    [2, "2", "1"],
    [5, "3", "2"],
  ])("of %i nodes keep %s replicas, %s of them in sync", (nodes, replicas, inSync) => {
    expect(filesOf({ nodes }, 1)[1]?.values).toMatchObject({ "default.replication.factor": replicas, "offsets.topic.replication.factor": replicas, "min.insync.replicas": inSync, "transaction.state.log.min.isr": inSync });
  });

  test("of one node name no ensemble, which would only be warned about", () => {
    expect(filesOf({ nodes: 1 }, 1)[0]?.text).not.toContain("server.");
  });

  test("listen everywhere and tell clients the advertised address, while nodes meet on localhost", () => {
    const [zookeeper, server] = filesOf({ host: "0.0.0.0", advertise: "192.168.1.5" }, 1);
    expect(server?.values).toMatchObject({ listeners: "PLAINTEXT://0.0.0.0:9092", "advertised.listeners": "PLAINTEXT://192.168.1.5:9092", "zookeeper.connect": "localhost:2181,localhost:2182,localhost:2183" });
    expect(zookeeper?.values).not.toHaveProperty("clientPortAddress");
  });

  test("put IPv6 addresses in brackets", () => {
    const [zookeeper, server] = filesOf({ host: "::1" }, 1);
    expect(server?.values).toMatchObject({ listeners: "PLAINTEXT://[::1]:9092", "zookeeper.connect": "[::1]:2181,[::1]:2182,[::1]:2183" });
    expect(zookeeper?.values["server.1"]).toBe("[::1]:2888:3888");
  });

  test("keep paths that properties would change: backslashes and letters beyond ASCII", () => {
    expect(filesOf({ directory: "/ü \\n" }, 1)[1]?.values["log.dirs"]).toBe("/ü \\n/node-1/logs");
  });
});

test("a node serves metrics on its own port of those that follow --metrics-port, at --host, and not at all without it", () => {
  const keys = ["odradek.metrics.port", "odradek.metrics.host"];
  const of = (changed: Partial<ClusterPlan>): unknown[] => keys.map((key) => filesOf(changed, 1)[1]?.values[key]);
  expect(of({})).toEqual([undefined, undefined]);
  expect(of({ metricsPort: 9404 })).toEqual(["9404", "localhost"]);
  expect(filesOf({ metricsPort: 9404 }, 3)[1]?.values["odradek.metrics.port"]).toBe("9406");
  expect(of({ metricsPort: 9404, host: "0.0.0.0", advertise: "a" })).toEqual(["9404", undefined]);
});

describe("refused, with the flag's name", () => {
  test.each<[Partial<ClusterPlan>, RegExp]>([
    [{ nodes: 0 }, /^--nodes 0: expected/],
    [{ nodes: 1.5 }, /^--nodes 1.5: expected/],
    [{ kafkaPort: 0 }, /^--kafka-port 0: expected/],
    [{ electionPort: 65_534 }, /^--election-port 65534: node 3 would have the port 65536/],
    [{ quorumPort: 3886 }, /^--quorum-port 3886 and --election-port 3888: .*overlap/],
    [{ kafkaPort: 2183 }, /^--kafka-port 2183 and --zookeeper-port 2181: .*overlap/],
    [{ metricsPort: 9094 }, /^--kafka-port 9092 and --metrics-port 9094: .*overlap/],
    [{ host: "0.0.0.0" }, /^--host 0\.0\.0\.0: .*--advertise/],
    [{ host: "::" }, /^--host ::: .*--advertise/],
    [{ host: "a b" }, /^--host a b: expected/],
    [{ host: "0.0.0.0", advertise: "0.0.0.0" }, /^--advertise 0\.0\.0\.0: no address to connect to/],
    [{ directory: "/a,b" }, /^--dir \/a,b: a comma/],
  ])("%j", (changed, message) => {
    expect(refusal(changed)).toMatch(message);
  });

  test("ranges that only touch, and the last port of all, are fine", () => {
    expect(refusal({ quorumPort: 3885, kafkaPort: 65_533 })).toBe("");
  });
});

test("even numbers of nodes are warned about, odd ones are not", () => {
  expect([1, 2, 3, 4, 5].map((nodes) => nodeCountWarnings(nodes).length)).toEqual([0, 1, 0, 1, 0]);
});
