import { expect, test } from "vitest";
import { PrintedIo } from "../../../test/support/admin-io.ts";
import { SimulatedBrokers } from "../../../test/support/simulated-brokers.ts";
import { kafkaTopics } from "./topics.ts";

const BOOTSTRAP = ["--bootstrap-server", "kafka1:9092,kafka2:9092"];

async function stage(count = 2, settings: readonly string[] = []) {
  const brokers = await SimulatedBrokers.start(count, settings);
  /** Exit code and stdout. */
  const run = async (...argv: string[]): Promise<readonly [number, string]> => {
    const io = new PrintedIo(brokers.clientNode.host);
    const code = await brokers.world.settle(kafkaTopics([...BOOTSTRAP, ...argv], io));
    expect([argv, code === 0 || io.stderr !== ""]).toEqual([argv, true]);
    return [code, io.stdout];
  };
  return { brokers, run };
}

async function usage(...argv: string[]): Promise<readonly [number, string, boolean]> {
  const io = new PrintedIo(undefined as never);
  return [await kafkaTopics(argv, io), io.stdout, io.stderr !== ""];
}

test("wrong arguments are told on stderr with 1, before anything is asked; so is the usage where there are none; help goes to stdout", async () => {
  const wrong: readonly (readonly string[])[] = [
    [], ["--list"], [...BOOTSTRAP], [...BOOTSTRAP, "--list", "--create"], [...BOOTSTRAP, "--create"], [...BOOTSTRAP, "--alter", "--topic", "t"], [...BOOTSTRAP, "--list", "--partitions", "3"],
    [...BOOTSTRAP, "--create", "--topic", "t", "--partitions", "x"], [...BOOTSTRAP, "--create", "--topic", "t", "--replica-assignment", "1", "--partitions", "1"],
    [...BOOTSTRAP, "--describe", "--if-exists"], [...BOOTSTRAP, "--describe", "--unavailable-partitions", "--topics-with-overrides"], [...BOOTSTRAP, "--alter", "--topic", "t", "--partitions", "2", "--config", "a=b"],
    [...BOOTSTRAP, "--alter", "--topic", "t", "--partitions", "2", "--delete-config", "a"], ["--zookeeper", "z:2181", ...BOOTSTRAP, "--list"], [...BOOTSTRAP, "--create", "--topic", "t", "--config", "a"],
    [...BOOTSTRAP, "--list", "--topic", "a("],
  ];
  for (const argv of wrong) expect([argv, await usage(...argv)]).toEqual([argv, [1, "", true]]);
  expect((await usage("--help"))[1]).toContain("--replication-factor <value>");
  expect(await usage("--version")).toEqual([0, "2.7.1 (Odradek 0.1.0)\n", false]);
});

test("topics are made, listed, described, altered and deleted", async () => {
  const { brokers, run } = await stage(2, ["log.segment.bytes=1073741824"]);
  expect(await run("--list")).toEqual([0, "\n"]);
  expect(await run("--create", "--topic", "b", "--partitions", "2", "--replication-factor", "1", "--config", "retention.ms=1000", "--config", "cleanup.policy=delete")).toEqual([0, "Created topic b.\n"]);
  expect(await run("--create", "--topic", "a.a", "--replica-assignment", "1:2,2:1")).toEqual([0, "WARNING: Due to limitations in metric names, topics with a period ('.') or underscore ('_') could collide. To avoid issues it is best to use either, but not both.\nCreated topic a.a.\n"]);
  expect(await run("--create", "--topic", "b", "--if-not-exists")).toEqual([0, ""]);
  const [code, text] = await run("--create", "--topic", "b");
  expect([code, text.startsWith("Error while executing topic command : ")]).toEqual([1, true]);
  expect((await run("--create", "--topic", "c", "--replication-factor", "0"))[0]).toBe(1);
  expect((await run("--create", "--topic", "c", "--partitions", "0"))[0]).toBe(1);
  expect((await run("--create", "--topic", "c", "--config", "nosuch=1"))[0]).toBe(1);
  await brokers.world.run({ forMs: 1000 });
  expect(await run("--list")).toEqual([0, "a.a\nb\n"]);
  expect(await run("--list", "--topic", "b|x")).toEqual([0, "b\n"]);
  expect(await run("--describe", "--topic", "a\\.a")).toEqual([
    0,
    "Topic: a.a\tPartitionCount: 2\tReplicationFactor: 2\tConfigs: segment.bytes=1073741824\n\tTopic: a.a\tPartition: 0\tLeader: 1\tReplicas: 1,2\tIsr: 1,2\n\tTopic: a.a\tPartition: 1\tLeader: 2\tReplicas: 2,1\tIsr: 2,1\n",
  ]);
  expect((await run("--describe", "--topics-with-overrides", "--topic", "b"))[1]).toBe("Topic: b\tPartitionCount: 2\tReplicationFactor: 1\tConfigs: cleanup.policy=delete,segment.bytes=1073741824,retention.ms=1000\n");
  expect(await run("--alter", "--topic", "b", "--partitions", "3")).toEqual([0, ""]);
  expect((await run("--alter", "--topic", "b", "--partitions", "2"))[0]).toBe(1);
  expect(await run("--alter", "--topic", "a.a", "--partitions", "3", "--replica-assignment", "1:2,2:1,2:1")).toEqual([0, ""]);
  await brokers.world.run({ forMs: 1000 });
  expect((await run("--describe", "--topic", "a.a"))[1].split("\n")[3]).toBe("\tTopic: a.a\tPartition: 2\tLeader: 2\tReplicas: 2,1\tIsr: 2,1");
  expect((await run("--describe", "--topic", "b"))[1].split("\n")).toHaveLength(5);
  for (const action of ["--delete", "--describe", "--alter"]) {
    const more = action === "--alter" ? ["--partitions", "9"] : [];
    expect(await run(action, "--topic", "none", ...more)).toEqual([1, "Error while executing topic command : Topic 'none' does not exist as expected\n"]);
    expect(await run(action, "--topic", "none", "--if-exists", ...more)).toEqual([0, ""]);
  }
  expect(await run("--delete", "--topic", "a.*,b")).toEqual([0, ""]);
  await brokers.world.run({ forMs: 2000 });
  expect(await run("--list")).toEqual([0, "\n"]);
});

test("partitions in trouble alone, without topic lines, while a broker is away", async () => {
  const { brokers, run } = await stage(2, ["auto.leader.rebalance.enable=false"]);
  await run("--create", "--topic", "one", "--replica-assignment", "2,1");
  await run("--create", "--topic", "two", "--replica-assignment", "1:2", "--config", "min.insync.replicas=2");
  await brokers.world.run({ forMs: 1000 });
  for (const flag of ["--under-replicated-partitions", "--unavailable-partitions", "--under-min-isr-partitions"]) expect(await run("--describe", flag)).toEqual([0, ""]);
  expect(await run("--describe", "--at-min-isr-partitions", "--topic", "two")).toEqual([0, "\tTopic: two\tPartition: 0\tLeader: 1\tReplicas: 1,2\tIsr: 1,2\n"]);
  brokers.kill(2);
  await brokers.world.run({ forMs: 40_000 });
  expect(await run("--describe", "--unavailable-partitions")).toEqual([0, "\tTopic: one\tPartition: 0\tLeader: none\tReplicas: 2\tIsr: 2\n"]);
  expect(await run("--describe", "--under-replicated-partitions")).toEqual([0, "\tTopic: two\tPartition: 0\tLeader: 1\tReplicas: 1,2\tIsr: 1\n"]);
  expect((await run("--describe", "--under-min-isr-partitions"))[1].split("\n").toSorted()).toEqual(["", "\tTopic: one\tPartition: 0\tLeader: none\tReplicas: 2\tIsr: 2", "\tTopic: two\tPartition: 0\tLeader: 1\tReplicas: 1,2\tIsr: 1"]);
});

test("--zookeeper tells where the brokers are, which is said, and all goes on as with --bootstrap-server", async () => {
  const { brokers } = await stage(2);
  const run = async (...argv: string[]): Promise<readonly [number, string, string]> => {
    const io = new PrintedIo(brokers.clientNode.host);
    return [await brokers.world.settle(kafkaTopics(argv, io)), io.stdout, io.stderr];
  };
  const said = "--zookeeper only tells where the brokers are: they are asked, as with --bootstrap-server kafka1:9092,kafka2:9092\n";
  expect(await run("--zookeeper", "zookeeper:2181", "--create", "--topic", "t", "--partitions", "2", "--replication-factor", "2")).toEqual([0, "Created topic t.\n", said]);
  await brokers.world.run({ forMs: 1000 });
  expect(await run("--list", "--zookeeper=elsewhere:2181,zookeeper:2181")).toEqual([0, "t\n", said]);
  expect(await run("--zookeeper", "zookeeper:2181/kafka", "--list")).toEqual([1, expect.stringMatching(/^Error while executing topic command : no broker with a PLAINTEXT listener has registered in \/brokers\/ids at zookeeper:2181\/kafka/), expect.anything()]);
  expect(await run("--zookeeper", "zookeeper:2181:1", "--list")).toEqual([1, "", expect.stringContaining('"zookeeper:2181:1" in the ZooKeeper connect string')]);
  expect((await run("--zookeeper", "elsewhere:2181", "--list"))[1]).toBe("Error while executing topic command : no ZooKeeper member answers at elsewhere:2181 within 60 s\n");
});

test("brokers that can't be reached are told of, and the command ends with 1", async () => {
  const { brokers, run } = await stage(1);
  brokers.kill(1);
  const [code, text] = await run("--list");
  expect([code, text]).toEqual([1, expect.stringMatching(/^Error while executing topic command : no broker answers at kafka1:9092, kafka2:9092 within 60 s/)]);
});
