import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { JavaTools, JVM } from "../support/client-matrix/drivers/java.ts";
import { hasKcat } from "../support/client-matrix/drivers/kcat.ts";
import { hasConfluentKafka, PYTHON } from "../support/client-matrix/drivers/python.ts";
import { StartedCluster } from "../support/local-cluster.ts";
import { run, temporaryDirectory, type Finished } from "../support/processes.ts";
import { forBrokers, readmeBlock } from "../support/readme.ts";

/** README.md's blocks for clients that npm does not bring, as they stand there; test/e2e/newcomer.test.ts runs the others. */

const HEADING = "Use it from your client";
const releases = [await JavaTools.of("reference"), await JavaTools.of("newest")].filter((tools) => tools !== undefined);

describe("README.md's clients", () => {
  let cluster: StartedCluster;
  const place = temporaryDirectory();

  beforeAll(async () => {
    cluster = await StartedCluster.start();
  });
  afterAll(async () => {
    await cluster?.close();
    place.remove();
  });

  const block = (language: string, word?: string): string => forBrokers(readmeBlock(HEADING, language, word), cluster.brokers.map(({ bootstrap }) => bootstrap));
  const shell = (text: string, cwd?: string): Promise<Finished> => run("sh", ["-e", "-c", text], { timeoutMs: 90_000, ...(cwd === undefined ? {} : { cwd }) });

  test.runIf(hasKcat)("kcat", async () => {
    const { code, stdout } = await shell(block("sh", "kcat"));
    expect([code, stdout]).toEqual([0, Array.from({ length: 1000 }, (_, at) => `${at + 1}\n`).join("")]);
  });

  test.runIf(hasConfluentKafka)("Python", async () => {
    expect(await run(PYTHON, ["-c", block("python")], { timeoutMs: 60_000 })).toMatchObject({ code: 0, stdout: "Python\n" });
  });

  test.each(releases)("Apache's scripts of $release.version, told the brokers by Java's properties too", { timeout: 180_000 }, async (tools) => {
    const { version, topicCommand, consoleProducer, consoleConsumer, consumerGroupCommand, readerProperty } = tools.release;
    const directory = join(place.path, version);
    mkdirSync(join(directory, "bin"), { recursive: true });
    const scripts = { "kafka-topics": topicCommand, "kafka-console-producer": consoleProducer, "kafka-console-consumer": consoleConsumer, "kafka-consumer-groups": consumerGroupCommand };
    // As Apache's own, with the class path of this machine.
    for (const [name, mainClass] of Object.entries(scripts)) writeFileSync(join(directory, "bin", `${name}.sh`), `#!/bin/sh\nexec java ${JVM.join(" ")} -cp '${tools.classPath}' ${mainClass} "$@"\n`, { mode: 0o755 });
    const topic = `letters-${version}`;
    const lines = block("sh", "kafka-topics.sh").replaceAll("letters", topic).replaceAll("--group scripts", `--group scripts-${version}`);
    const { code, stdout, stderr } = await shell(lines, directory);
    expect({ code, stderr }).toMatchObject({ code: 0 });
    // Apache's prompts, whoever types.
    expect(stdout.replaceAll(">", "")).toMatch(new RegExp(`^hello$[^]*\\nscripts-${version} +${topic} +\\d +1 +1 +0 `, "m"));
    writeFileSync(join(directory, "client.properties"), block("properties"));
    const option = readerProperty === "--property" ? "--producer.config" : "--command-config";
    const [first = ""] = cluster.bootstrap.split(",");
    expect((await shell(`echo again | bin/kafka-console-producer.sh --bootstrap-server ${first} --topic ${topic} ${option} client.properties`, directory)).code).toBe(0);
    expect((await shell(`bin/kafka-console-consumer.sh --bootstrap-server ${first} --topic ${topic} --from-beginning --max-messages 2`, directory)).stdout.split("\n").toSorted()).toEqual(["", "again", "hello"]);
  });
});
