import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { expect, test } from "vitest";
import { eventually, freePort, run, temporaryDirectory } from "../support/processes.ts";
import { startOurZooKeeper } from "../support/zookeeper-member.ts";

const SCRIPT = resolve(import.meta.dirname, "../../bin/kafka-server-start.sh");

test("kafka-server-start.sh -daemon takes --override over what the file says, and prints to LOG_DIR/kafkaServer.out", async () => {
  const zookeeper = await startOurZooKeeper();
  const place = temporaryDirectory();
  const { path } = place;
  const [config, log, port] = [join(path, "server.properties"), join(path, "kafkaServer.out"), await freePort()];
  writeFileSync(config, `broker.id=1\nlisteners=PLAINTEXT://127.0.0.1:1\nlog.dirs=${path}/logs\nzookeeper.connect=127.0.0.1:${zookeeper.port}\n`);
  const overrides = ["--override", "broker.id=9", "--override", `listeners=PLAINTEXT://127.0.0.1:${port}`];
  expect(await run("env", [`LOG_DIR=${path}`, SCRIPT, "-daemon", config, ...overrides])).toEqual({ code: 0, stdout: "", stderr: "" });
  const pid = await eventually("the broker", async () => (await run("pgrep", ["-f", `kafka.Kafka ${config}`])).stdout.trim() || undefined);
  try {
    await eventually("it serves", () => existsSync(log) && readFileSync(log, "utf8").includes(`broker 9 serves PLAINTEXT://127.0.0.1:${port}`));
  } finally {
    await run("kill", ["-9", pid]);
    await zookeeper.stop();
    place.remove();
  }
});

test("kafka-server-start.sh refuses words and overrides that it can't read, with 1", async () => {
  expect(await run(SCRIPT, [])).toMatchObject({ code: 1, stdout: "" });
  expect(await run(SCRIPT, ["/nowhere/server.properties"])).toMatchObject({ code: 1, stderr: expect.stringContaining("/nowhere/server.properties") as string });
  expect((await run(SCRIPT, ["/nowhere/server.properties", "--override", "broker.id"])).code).toBe(1);
});
