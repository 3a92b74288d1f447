import { expect, test } from "vitest";
import { PrintedIo } from "../../../test/support/admin-io.ts";
import { SimulatedBrokers } from "../../../test/support/simulated-brokers.ts";
import { ClusterAdmin } from "../../kafka/client/cluster-admin.ts";
import { kafkaConfigs } from "./configs.ts";

const BOOTSTRAP = ["--bootstrap-server", "kafka1:9092"];

async function stage() {
  const brokers = await SimulatedBrokers.start(2, ["log.retention.ms=7000000"]);
  const { host } = brokers.clientNode;
  /** Exit code and stdout; stderr of what failed. */
  const run = async (...argv: string[]): Promise<readonly [number, string]> => {
    const io = new PrintedIo(host);
    const code = await brokers.world.settle(kafkaConfigs([...BOOTSTRAP, ...argv], io));
    return [code, code === 0 ? io.stdout : io.stdout + io.stderr];
  };
  await brokers.world.settle(new ClusterAdmin(brokers.client()).createTopic({ name: "t", partitions: 1, replicationFactor: 1 }));
  await brokers.world.run({ forMs: 1000 });
  return { brokers, host, run };
}

test("wrong arguments are told on stderr with 1, before anything is asked", async () => {
  const topic = ["--entity-type", "topics", "--entity-name", "t"];
  const wrong: readonly (readonly string[])[] = [
    [], ["--describe", "--topic", "t"], [...BOOTSTRAP, "--describe"], [...BOOTSTRAP, ...topic], [...BOOTSTRAP, ...topic, "--describe", "--alter", "--add-config", "a=1"], [...BOOTSTRAP, ...topic, "--alter"],
    [...BOOTSTRAP, ...topic, "--alter", "--add-config", "a"], [...BOOTSTRAP, ...topic, "--alter", "--add-config", "a=1", "--add-config-file", "f"], [...BOOTSTRAP, ...topic, "--describe", "--delete-config", "a"],
    [...BOOTSTRAP, "--entity-type", "topics", "--alter", "--add-config", "a=1"], [...BOOTSTRAP, "--entity-type", "topics", "--entity-default", "--alter", "--add-config", "a=1"], [...BOOTSTRAP, "--entity-type", "brokers", "--entity-name", "x", "--describe"],
    [...BOOTSTRAP, "--entity-type", "users", "--describe"], [...BOOTSTRAP, "--user", "u", "--describe"], [...BOOTSTRAP, "--topic", "t", "--entity-type", "topics", "--describe"], [...BOOTSTRAP, "--topic", "t", "--broker", "1", "--describe"],
    [...BOOTSTRAP, "--entity-type", "broker-loggers", "--describe"], ["--zookeeper", "z:2181", ...topic, "--describe"], [...BOOTSTRAP, ...topic, "--alter", "--all", "--add-config", "a=1"],
  ];
  for (const argv of wrong) {
    const io = new PrintedIo(undefined as never);
    expect([argv, await kafkaConfigs(argv, io), io.stdout, io.stderr !== ""]).toEqual([argv, 1, "", true]);
  }
});

test("a topic's settings are set, told with where they come from, and taken back", async () => {
  const { brokers, host, run } = await stage();
  expect(await run("--alter", "--entity-type", "topics", "--entity-name", "t", "--add-config", "retention.ms=1000,cleanup.policy=[delete]")).toEqual([0, "Completed updating config for topic t.\n"]);
  await brokers.world.run({ forMs: 500 });
  const told =
    "Dynamic configs for topic t are:\n" +
    "  cleanup.policy=delete sensitive=false synonyms={DYNAMIC_TOPIC_CONFIG:cleanup.policy=delete, DEFAULT_CONFIG:log.cleanup.policy=delete}\n" +
    "  retention.ms=1000 sensitive=false synonyms={DYNAMIC_TOPIC_CONFIG:retention.ms=1000, STATIC_BROKER_CONFIG:log.retention.ms=7000000, DEFAULT_CONFIG:log.retention.hours=168}\n";
  expect(await run("--describe", "--topic", "t")).toEqual([0, told]);
  expect(await run("--describe", "--entity-type", "topics")).toEqual([0, told]);
  const [, all] = await run("--describe", "--topic", "t", "--all");
  expect([all.startsWith("All configs for topic t are:\n  cleanup.policy=delete "), all.includes("\n  segment.bytes=1073741824 sensitive=false synonyms={DEFAULT_CONFIG:log.segment.bytes=1073741824}\n")]).toEqual([true, true]);
  expect(await run("--alter", "--topic", "t", "--delete-config", "segment.bytes,retention.ms")).toEqual([1, "Invalid config(s): segment.bytes\n"]);
  host.disk.makeDirectorySync("/c");
  const file = host.disk.openSync("/c/f", "truncate");
  file.writeSync([Buffer.from("segment.bytes=100000\n")], 0);
  file.closeSync();
  expect(await run("--alter", "--topic", "t", "--add-config-file", "/c/f", "--delete-config", "retention.ms,cleanup.policy")).toEqual([0, "Completed updating config for topic t.\n"]);
  await brokers.world.run({ forMs: 500 });
  expect((await run("--describe", "--topic", "t"))[1].split("\n").map((line) => line.split(" sensitive")[0])).toEqual(["Dynamic configs for topic t are:", "  segment.bytes=100000", ""]);
  expect((await run("--alter", "--topic", "t", "--add-config", "nosuch=1"))[0]).toBe(1);
  expect(await run("--describe", "--topic", "none")).toEqual([1, "Dynamic configs for topic none are:\nUNKNOWN_TOPIC_OR_PARTITION\n"]);
  expect((await run("--alter", "--topic", "t", "--add-config-file", "/nosuch"))[0]).toBe(1);
});

test("what one broker has, and what all share", async () => {
  const { brokers, run } = await stage();
  expect(await run("--alter", "--broker", "2", "--add-config", "log.cleaner.backoff.ms=20000")).toEqual([0, "Completed updating config for broker 2.\n"]);
  expect(await run("--alter", "--entity-type", "brokers", "--entity-default", "--add-config", "log.cleaner.backoff.ms=16000")).toEqual([0, "Completed updating default config for brokers in the cluster.\n"]);
  await brokers.world.run({ forMs: 500 });
  expect(await run("--describe", "--entity-type", "brokers")).toEqual([
    0,
    "Dynamic configs for broker 1 are:\n" +
      "Dynamic configs for broker 2 are:\n  log.cleaner.backoff.ms=20000 sensitive=false synonyms={DYNAMIC_BROKER_CONFIG:log.cleaner.backoff.ms=20000, DYNAMIC_DEFAULT_BROKER_CONFIG:log.cleaner.backoff.ms=16000, DEFAULT_CONFIG:log.cleaner.backoff.ms=15000}\n" +
      "Default configs for brokers in the cluster are:\n  log.cleaner.backoff.ms=16000 sensitive=false synonyms={DYNAMIC_DEFAULT_BROKER_CONFIG:log.cleaner.backoff.ms=16000}\n",
  ]);
  expect(await run("--alter", "--broker-defaults", "--delete-config", "log.cleaner.backoff.ms")).toEqual([0, "Completed updating default config for brokers in the cluster.\n"]);
  await brokers.world.run({ forMs: 500 });
  expect(await run("--describe", "--broker-defaults")).toEqual([0, "Default configs for brokers in the cluster are:\n"]);
});
