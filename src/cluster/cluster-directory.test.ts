import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, unlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { realDisk } from "../host/real/disk.ts";
import { loadBrokerConfig } from "../kafka/config/load.ts";
import { errorCode, toError } from "../lib/error.ts";
import { loadMemberConfig } from "../zookeeper/config/load.ts";
import { newListens, openCluster, type ClusterFlags, type Listen } from "./cluster-directory.ts";

const root = mkdtempSync(join(tmpdir(), "odradek-cluster-"));
afterAll(() => rmSync(root, { recursive: true }));

let count = 0;
function newPath(): string {
  count += 1;
  return join(root, `c${count}`);
}

async function newCluster(flags: ClusterFlags = {}): Promise<string> {
  const path = newPath();
  await openCluster(path, flags);
  return path;
}

function edit(path: string, from: string | RegExp, to: string): void {
  const text = readFileSync(path, "utf8");
  const edited = text.replace(from, to);
  expect(edited).not.toBe(text);
  writeFileSync(path, edited);
}

async function refusal(path: string, flags: ClusterFlags, code: string): Promise<string> {
  const error = await openCluster(path, flags).then(() => undefined, toError);
  expect({ code: errorCode(error), message: error?.message }).toMatchObject({ code });
  return error?.message ?? "";
}

describe("a new directory", () => {
  test.each<ClusterFlags>([{}, { nodes: 1, kafkaPort: 9192 }, { host: "0.0.0.0", advertise: "here.example.org" }])("%j: the ports that it will need are known before anything is written", async (flags) => {
    const path = newPath();
    const listens = await newListens(path, flags);
    expect(existsSync(path)).toBe(false);
    const order = (some: readonly Listen[]): string[] => some.map(({ flag, host, port }) => `${flag} ${host}:${port}`).toSorted();
    expect(order(listens)).toEqual(order((await openCluster(path, flags)).nodes.flatMap((node) => node.listens)));
    expect(await newListens(path, flags)).toEqual([]);
  });

  test("becomes a cluster as the guide lays one out, in whose files all defaults stand", async () => {
    const path = newPath();
    const cluster = await openCluster(path, {});
    expect(readdirSync(path).toSorted()).toEqual(["node-1", "node-2", "node-3", "odradek.json"]);
    expect(readdirSync(`${path}/node-2`, { recursive: true }).map(String).toSorted()).toEqual([
      "config", "config/server.properties", "config/zookeeper.properties", "log", "log/zookeeper", "logs", "zookeeper", "zookeeper/myid",
    ]);
    expect(cluster.warnings).toEqual([]);
    expect(cluster.nodes[1]).toEqual({
      id: 2,
      directory: `${path}/node-2`,
      zookeeperProperties: `${path}/node-2/config/zookeeper.properties`,
      serverProperties: `${path}/node-2/config/server.properties`,
      logFile: `${path}/node-2/node.log`,
      kafka: { host: "localhost", port: 9093 },
      zookeeper: { host: "localhost", port: 2182 },
      listens: [
        { flag: "--kafka-port", host: "localhost", port: 9093 },
        { flag: "--zookeeper-port", host: "localhost", port: 2182 },
        { flag: "--quorum-port", host: "localhost", port: 2889 },
        { flag: "--election-port", host: "localhost", port: 3889 },
      ],
    });
  });

  test.each([1, 3])("of %i nodes has files that warn of nothing but transactions, which are still to come", async (nodes) => {
    for (const node of (await openCluster(newPath(), { nodes })).nodes) {
      expect((await loadMemberConfig(realDisk, node.zookeeperProperties)).warnings).toEqual([]);
      const { warnings } = await loadBrokerConfig(realDisk, node.serverProperties, []);
      expect(warnings.filter((warning) => !warning.includes("transaction.state.log"))).toEqual([]);
    }
  });

  test("may be there, empty but for the supervisor's own files", async () => {
    const path = newPath();
    mkdirSync(path);
    writeFileSync(`${path}/odradek.lock`, "1");
    expect((await openCluster(path, { nodes: 1 })).nodes).toHaveLength(1);
  });

  test("of a cluster for other machines: listens everywhere, clients are told the advertised address", async () => {
    const cluster = await openCluster(newPath(), { nodes: 2, host: "0.0.0.0", advertise: "192.168.1.5" });
    expect(cluster.nodes[0]).toMatchObject({ kafka: { host: "192.168.1.5", port: 9092 }, zookeeper: { host: "192.168.1.5", port: 2181 } });
    expect(cluster.nodes[0]?.listens[0]).toEqual({ flag: "--kafka-port", host: "0.0.0.0", port: 9092 });
    expect(cluster.warnings).toHaveLength(1);
  });

  test("is not made where the flags can't be carried out", async () => {
    const path = newPath();
    expect(await refusal(path, { nodes: 0 }, "ERR_USAGE")).toContain("--nodes 0");
    expect(readdirSync(root)).not.toContain(path.slice(root.length + 1));
  });

  test("is refused where it holds something else, or is a file", async () => {
    const path = newPath();
    mkdirSync(path);
    for (const name of ["a", "b", "c", "d"]) writeFileSync(`${path}/${name}`, "");
    expect(await refusal(path, {}, "ERR_CLUSTER_DIRECTORY")).toBe(`${path} holds something else than a cluster (a, b, c and 1 more, but no odradek.json): choose an empty or a new directory with --dir`);
    expect(readdirSync(path)).toEqual(["a", "b", "c", "d"]);
    expect(await refusal(`${path}/a`, {}, "ERR_CLUSTER_DIRECTORY")).toContain("is a file");
  });

  test("that an interrupted start left half made is completed", async () => {
    const path = await newCluster();
    const whole = readFileSync(`${path}/node-3/config/server.properties`, "utf8");
    unlinkSync(`${path}/odradek.json`);
    unlinkSync(`${path}/node-3/config/server.properties`);
    writeFileSync(`${path}/node-3/config/server.properties.tmp`, "half");
    expect((await openCluster(path, {})).nodes).toHaveLength(3);
    expect(readFileSync(`${path}/node-3/config/server.properties`, "utf8")).toBe(whole);
  });

  test("with nodes that others wrote, and no odradek.json, is refused and left as it is", async () => {
    const path = await newCluster();
    unlinkSync(`${path}/odradek.json`);
    edit(`${path}/node-2/config/server.properties`, "9093", "9393");
    const before = readFileSync(`${path}/node-2/config/server.properties`, "utf8");
    expect(await refusal(path, {}, "ERR_CLUSTER_DIRECTORY")).toMatch(/node-2\/config\/server\.properties stands there already.*odradek\.json/);
    expect(readFileSync(`${path}/node-2/config/server.properties`, "utf8")).toBe(before);
  });
});

describe("a cluster that stands", () => {
  test("is what its files say, edited ones too, without any flag or with flags that say the same", async () => {
    const path = await newCluster({ nodes: 1, kafkaPort: 19_092 });
    edit(`${path}/node-1/config/zookeeper.properties`, "clientPort=2181", "clientPort=12181");
    const cluster = await openCluster(path, {});
    expect(cluster.nodes[0]).toMatchObject({ kafka: { port: 19_092 }, zookeeper: { port: 12_181 } });
    expect(await openCluster(path, { nodes: 1, kafkaPort: 19_092, zookeeperPort: 12_181, host: "localhost" })).toEqual(cluster);
  });

  test("with metrics has their ports among those it listens on", async () => {
    const path = await newCluster({ nodes: 2, metricsPort: 9404 });
    const cluster = await openCluster(path, { metricsPort: 9404 });
    expect(cluster.nodes.map(({ listens }) => listens.find(({ flag }) => flag === "--metrics-port"))).toEqual([9404, 9405].map((port) => ({ flag: "--metrics-port", host: "localhost", port })));
    expect(await refusal(path, { metricsPort: 9504 }, "ERR_USAGE")).toContain("odradek.metrics.port=9404 contradicts --metrics-port 9504");
  });

  test.each<[ClusterFlags, string]>([
    [{ nodes: 5 }, "odradek.json:1: the cluster has 3 nodes, which --nodes 5 contradicts"],
    [{ kafkaPort: 9192 }, "node-1/config/server.properties:8: listeners=PLAINTEXT://localhost:9092 contradicts --kafka-port 9192"],
    [{ zookeeperPort: 2281 }, "node-1/config/zookeeper.properties:6: clientPort=2181 contradicts --zookeeper-port 2281"],
    [{ quorumPort: 2988 }, "node-1/config/zookeeper.properties:18: server.1=localhost:2888:3888 contradicts --quorum-port 2988"],
    [{ electionPort: 3988 }, "node-1/config/zookeeper.properties:18: server.1=localhost:2888:3888 contradicts --election-port 3988"],
    [{ metricsPort: 9404 }, "node-1/config/server.properties sets no odradek.metrics.port, which --metrics-port 9404 contradicts: leave the flag out, or add odradek.metrics.port=9404"],
    [{ host: "127.0.0.1" }, "node-1/config/server.properties:8: listeners=PLAINTEXT://localhost:9092 contradicts --host 127.0.0.1"],
    [{ advertise: "example" }, "node-1/config/server.properties:9: advertised.listeners=PLAINTEXT://localhost:9092 contradicts --advertise example"],
  ])("refuses a flag that contradicts it, naming file, line and flag: %j", async (flags, message) => {
    const path = await newCluster();
    expect(await refusal(path, flags, "ERR_USAGE")).toContain(`${path}/${message}`);
  });

  test("says which port a later node would have by the flag", async () => {
    const path = await newCluster();
    edit(`${path}/node-3/config/server.properties`, /localhost:9094$/gm, "localhost:9999");
    expect(await refusal(path, { kafkaPort: 9092 }, "ERR_USAGE")).toMatch(/node-3\/config\/server\.properties:8: .*9999 contradicts --kafka-port 9092, by which this node would have 9094/);
  });

  test("names file, line and key of what can't be read in its nodes' files", async () => {
    const path = await newCluster();
    edit(`${path}/node-2/config/server.properties`, "broker.id=2", "broker.id=two");
    expect(await refusal(path, {}, "ERR_CONFIG")).toContain(`${path}/node-2/config/server.properties:2: broker.id=two: expected`);
    rmSync(`${path}/node-1/config/zookeeper.properties`);
    expect(await refusal(path, {}, "ERR_CONFIG_FILE")).toContain(`${path}/node-1/config/zookeeper.properties`);
  });

  test.each(["", "{", "[]", '{"version": 2, "nodes": 3}', '{"version": 1, "nodes": 0}', '{"version": 1, "nodes": "3"}', '{"version": 1, "nodes": 3, "x": 1}'])("refuses odradek.json that holds %j", async (text) => {
    const path = await newCluster();
    writeFileSync(`${path}/odradek.json`, text);
    expect(await refusal(path, {}, "ERR_CLUSTER_DIRECTORY")).toMatch(/odradek\.json can't be understood: .*Expected such as/);
  });

  test("refuses a node's copy that still goes by the other's name, files or ports", async () => {
    const path = await newCluster();
    const [one, two] = [`${path}/node-1/config/server.properties`, `${path}/node-2/config/server.properties`];
    writeFileSync(two, readFileSync(one));
    expect(await refusal(path, {}, "ERR_CLUSTER_DIRECTORY")).toBe(`${two}:2: broker.id=1: ${one}:2: broker.id=1 says the same, and no two nodes may have one broker.id 1`);
    edit(two, "broker.id=1", "broker.id=2");
    expect(await refusal(path, {}, "ERR_CLUSTER_DIRECTORY")).toContain(`${two}:3: log.dirs=`);
    edit(two, "node-1/logs", "node-2/logs");
    expect(await refusal(path, {}, "ERR_CLUSTER_DIRECTORY")).toContain(`${two}:8: listeners=`);
  });

  test("needs ports that can be told to clients", async () => {
    const path = await newCluster();
    edit(`${path}/node-1/config/server.properties`, /localhost:9092$/gm, "localhost:0");
    expect(await refusal(path, {}, "ERR_CLUSTER_DIRECTORY")).toMatch(/server\.properties:8: listeners=.*name one/);
  });
});
