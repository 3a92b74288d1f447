import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { apacheKafkaClassPath } from "../support/apache-kafka.ts";
import { eventually, freePort, run, ServerProcess, temporaryDirectory } from "../support/processes.ts";
import { connectClient } from "../support/zookeeper-clients.ts";
import { ZooKeeperEnsemble } from "../support/zookeeper-ensemble.ts";
import { startOurZooKeeper } from "../support/zookeeper-member.ts";

const classPath = (await apacheKafkaClassPath("2.7.1")) ?? "";

interface ZooKeeper {
  readonly connect: string;
  interrupt(): Promise<void>;
  stop(): Promise<void>;
}

async function member(): Promise<ZooKeeper> {
  const server = await startOurZooKeeper();
  return {
    connect: `127.0.0.1:${server.port}`,
    interrupt: async () => {
      await server.kill();
      await server.start();
    },
    stop: () => server.stop(),
  };
}

async function ensemble(): Promise<ZooKeeper> {
  const members = await ZooKeeperEnsemble.plan(["odradek", "odradek", "odradek"]);
  await members.start();
  return { connect: members.connect(), interrupt: async () => (await members.leader()).kill(), stop: () => members.close() };
}

test.runIf(classPath !== "").each([
  ["our member, through a restart of the member too", member],
  ["three members of ours, through kill -9 of their leader too", ensemble],
] as const)("Apache Kafka 2.7.1 lives on %s", { timeout: 120_000 }, async (_name, startZooKeeper) => {
  const directory = temporaryDirectory();
  const zookeeper = await startZooKeeper();
  const port = await freePort();
  const properties = join(directory.path, "server.properties");
  mkdirSync(join(directory.path, "logs"));
  writeFileSync(properties, `broker.id=1\nlisteners=PLAINTEXT://127.0.0.1:${port}\nlog.dirs=${directory.path}/logs\nzookeeper.connect=${zookeeper.connect}/kafka\n`);
  const broker = new ServerProcess("java", ["-Xmx512m", "-cp", classPath, "kafka.Kafka", properties]);
  const client = await connectClient(`${zookeeper.connect}/kafka`);
  const topics = async (...args: readonly string[]): Promise<string> => {
    const { stdout, stderr } = await run("java", ["-cp", classPath, "kafka.admin.TopicCommand", "--bootstrap-server", `127.0.0.1:${port}`, ...args]);
    return stdout + stderr;
  };
  const exists = async (path: string): Promise<boolean> => {
    await client.sync(path);
    return (await client.exists(path)).ok;
  };
  try {
    await eventually("the broker registers and becomes the controller", async () => {
      if (!broker.running) throw new Error(`the broker ended:\n${broker.output}`);
      return (await exists("/brokers/ids/1")) && (await exists("/controller"));
    });
    expect(await topics("--create", "--topic", "first", "--partitions", "3")).toContain("Created topic first.");
    expect((await client.getChildren("/brokers/topics/first/partitions")).ok).toBe(true);

    await zookeeper.interrupt();
    expect(await topics("--create", "--topic", "second")).toContain("Created topic second.");
    await topics("--delete", "--topic", "first");
    await eventually("the topic is gone", async () => !(await exists("/brokers/topics/first")));
    expect(await topics("--list")).toContain("second");

    await broker.stop();
    expect(await exists("/brokers/ids/1")).toBe(false);
    expect(broker.output).not.toMatch(/ (ERROR|FATAL) /);
  } finally {
    await broker.stop("SIGKILL");
    await client.abandon();
    await zookeeper.stop();
    directory.remove();
  }
});
