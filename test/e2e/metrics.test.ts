import { readFileSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Kafka, logLevel } from "kafkajs";
import { parseExposition, sampleOf, type ExposedFamily } from "../support/exposition.ts";
import { freePlace, up, type Place, type Ready } from "../support/local-cluster.ts";
import { eventually, ServerProcess, temporaryDirectory } from "../support/processes.ts";

/** /metrics and /ready, from dist/, as a scraper and a probe see them. */

async function scrape(port: number): Promise<Map<string, ExposedFamily>> {
  const response = await fetch(`http://localhost:${port}/metrics`);
  expect([response.status, response.headers.get("content-type")]).toEqual([200, "text/plain; version=0.0.4; charset=utf-8"]);
  return parseExposition(await response.text());
}

async function ready(port: number): Promise<string> {
  const response = await fetch(`http://localhost:${port}/ready`);
  return `${response.status} ${(await response.text()).trim()}`;
}

describe("odradek up --metrics-port", () => {
  let place: Place;
  let running: { readonly process: ServerProcess; readonly ready: Ready };
  const ports = (): number[] => [0, 1, 2].map((at) => place.metricsPort + at);

  beforeAll(async () => {
    place = await freePlace();
    running = await up({ ...place, flags: [...place.flags, "--metrics-port", String(place.metricsPort)] });
  });
  afterAll(async () => {
    // In good order: nodes whose supervisor is killed end a moment later, and write until then.
    await running?.process.stop("SIGTERM");
    place?.remove();
  });

  test("each node has its port, tells of its broker, its member and both event loops, and is ready", async () => {
    for (const port of ports()) {
      expect(await ready(port)).toBe("200 ready");
      const families = await scrape(port);
      for (const sample of ["kafka_server_kafkaserver_brokerstate", "znode_count", "process_resident_memory_bytes"]) expect(sampleOf(families, sample)).toBeGreaterThan(0);
      for (const loop of ["broker", "member"]) {
        expect(sampleOf(families, `nodejs_eventloop_lag_p99_seconds{loop="${loop}"}`)).toBeGreaterThanOrEqual(0);
        expect(sampleOf(families, `odradek_callback_seconds_count{loop="${loop}"}`)).toBeGreaterThan(0);
        expect(sampleOf(families, `odradek_callback_max_seconds{loop="${loop}"}`)).toBeGreaterThan(0);
      }
    }
    expect(readFileSync(`${place.directory}/node-2/config/server.properties`, "utf8")).toContain(`odradek.metrics.port=${place.metricsPort + 1}`);
  });

  test("what kafkajs writes shows on the leaders, once", async () => {
    const kafka = new Kafka({ brokers: [...running.ready.kafka], logLevel: logLevel.NOTHING });
    const admin = kafka.admin();
    await admin.connect();
    await admin.createTopics({ topics: [{ topic: "counted", numPartitions: 6 }], waitForLeaders: true });
    await admin.disconnect();
    const producer = kafka.producer();
    await producer.connect();
    await producer.send({ topic: "counted", messages: Array.from({ length: 60 }, (_, n) => ({ key: String(n), value: "x" })) });
    await producer.disconnect();
    const all = await Promise.all(ports().map(scrape));
    const sum = (sample: string): number => all.reduce((total, families) => total + (sampleOf(families, sample) ?? 0), 0);
    expect(sum('kafka_server_brokertopicmetrics_messagesin_total{topic="counted"}')).toBe(60);
    expect(sum("kafka_controller_kafkacontroller_activecontrollercount")).toBe(1);
    expect(sum('odradek_member_state{state="leader"}')).toBe(1);
    expect(sum('kafka_network_requestmetrics_totaltimems_count{request="Produce"}')).toBeGreaterThan(0);
  });

  test("other paths and methods are told what there is", async () => {
    const [port] = ports();
    expect((await fetch(`http://localhost:${port}/`)).status).toBe(404);
    expect((await fetch(`http://localhost:${port}/constructor`)).status).toBe(404);
    expect((await fetch(`http://localhost:${port}/metrics`, { method: "POST" })).status).toBe(405);
    const head = await fetch(`http://localhost:${port}/metrics`, { method: "HEAD" });
    expect([head.status, await head.text()]).toEqual([200, ""]);
  });

  test("a node whose ensemble has lost its quorum is not ready, and says which part is not", async () => {
    const { nodes } = running.ready.pids;
    const others = ["2", "3"].map((id) => nodes[id] ?? Number.NaN);
    for (const pid of others) process.kill(pid, "SIGSTOP");
    try {
      await eventually("node 1 not to be ready", async () => /^503 .*the member is not ready: it has no quorum/s.test(await ready(place.metricsPort)));
      expect(await ready(place.metricsPort)).toContain("the broker is not ready: it has no connection to ZooKeeper");
    } finally {
      for (const pid of others) process.kill(pid, "SIGCONT");
    }
    await eventually("node 1 to be ready again", async () => (await ready(place.metricsPort)) === "200 ready");
  });
});

test("a member by itself serves its metrics where ZooKeeper 3.6's would", async () => {
  const place = await freePlace();
  const directory = temporaryDirectory();
  const file = `${directory.path}/zookeeper.properties`;
  const lines = [`dataDir=${directory.path}/data`, `clientPort=${place.kafkaPort}`, "metricsProvider.className=org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider", `metricsProvider.httpPort=${place.metricsPort}`];
  writeFileSync(file, lines.join("\n"));
  const member = new ServerProcess(resolve(import.meta.dirname, "../../bin/zookeeper-server-start.sh"), [file]);
  try {
    await eventually("it to be ready", async () => (await ready(place.metricsPort).catch(() => "")) === "200 ready");
    expect(sampleOf(await scrape(place.metricsPort), "znode_count")).toBeGreaterThan(0);
  } finally {
    await member.stop("SIGTERM");
    directory.remove();
    place.remove();
  }
});
