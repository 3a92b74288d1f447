import { expect, test } from "vitest";
import { PrintedIo } from "../../../test/support/admin-io.ts";
import { SimulatedBrokers } from "../../../test/support/simulated-brokers.ts";
import { ClusterAdmin } from "../../kafka/client/cluster-admin.ts";
import { Consumer } from "../../kafka/client/consumer.ts";
import { GroupAdmin } from "../../kafka/client/group-admin.ts";
import { produce } from "../../kafka/protocol/messages/produce.ts";
import { buildBatch } from "../../kafka/records/build.ts";
import { kafkaConsumerGroups } from "./consumer-groups.ts";

const BOOTSTRAP = ["--bootstrap-server", "kafka1:9092"];
const RECORDS = 7;

/** Topics t, with two partitions and seven records in the first, one each second, and u, with none. */
async function stage() {
  const brokers = await SimulatedBrokers.start(1);
  const { world } = brokers;
  const { host } = brokers.clientNode;
  const client = brokers.client();
  const settle = <T>(promise: Promise<T>): Promise<T> => world.settle(promise);
  for (const [name, partitions] of [["t", 2], ["u", 1]] as const) await settle(new ClusterAdmin(client).createTopic({ name, partitions, replicationFactor: 1 }));
  const groups = new GroupAdmin(client);
  /** Makes the coordinator ready too. */
  await settle(groups.resetOffsets("g", [{ topic: "t", partition: 0, offset: 3 }]));
  for (let at = 0; at < RECORDS; at++) {
    const records = buildBatch([{ key: null, value: Buffer.from(String(at)), timestamp: START + at * 1000 }]);
    await settle(client.sendToLeader({ topic: "t", partition: 0 }, produce, () => ({ transactionalId: null, acks: 1, timeoutMs: 1000, topicData: [{ name: "t", partitionData: [{ index: 0, records: [records] }] }] }), ({ responses }) => responses[0]?.partitionResponses[0]?.errorCode ?? -1));
  }
  const run = async (...argv: string[]): Promise<{ readonly code: number; readonly out: string; readonly err: string }> => {
    const io = new PrintedIo(host);
    const code = await settle(kafkaConsumerGroups([...BOOTSTRAP, ...argv], io));
    return { code, out: io.stdout, err: io.stderr };
  };
  const join = async (group: string, clientId: string, instanceId?: string): Promise<Consumer> => {
    const consumer = new Consumer(brokers.client({ clientId }), {
      source: { kind: "group", groupId: group, topics: ["t"], sessionTimeoutMs: 10_000, heartbeatMs: 3000, pollIntervalMsMax: 300_000, instanceId },
      reset: "latest", readCommitted: false, fetchBytesMin: 1, fetchBytesMax: 1_000_000, fetchWaitMs: 100, partitionBytesMax: 100_000, metadataMaxAgeMs: 60_000,
    });
    await settle(consumer.poll(500));
    return consumer;
  };
  const committed = async (group: string): Promise<string[]> => (await settle(groups.offsets(group))).map(({ topic, partition, offset }) => `${topic}-${partition}@${offset}`).toSorted();
  return { brokers, host, settle, groups, run, join, committed };
}

const START = Date.UTC(2026, 10, 22, 12, 0, 0);
const RESET_HEADER = `\n${"GROUP".padEnd(30)} ${"TOPIC".padEnd(30)} PARTITION  NEW-OFFSET     \n`;
const resetRow = (group: string, topic: string, partition: number, offset: number): string => `${group.padEnd(30)} ${topic.padEnd(30)} ${String(partition).padEnd(10)} ${String(offset).padEnd(15)}\n`;

test("wrong arguments are told on stderr with 1, before anything is asked", async () => {
  const reset = ["--reset-offsets", "--group", "g"];
  const wrong: readonly (readonly string[])[] = [
    [], ["--list"], [...BOOTSTRAP], [...BOOTSTRAP, "--list", "--describe"], [...BOOTSTRAP, "--describe"], [...BOOTSTRAP, "--describe", "--group", "g", "--all-groups"], [...BOOTSTRAP, "--describe", "--group", "g", "--members", "--offsets"],
    [...BOOTSTRAP, "--describe", "--group", "g", "--state", "Stable"], [...BOOTSTRAP, "--list", "--state", "nosuch"], [...BOOTSTRAP, "--list", "--members"], [...BOOTSTRAP, "--delete", "--group", "g", "--topic", "t"], [...BOOTSTRAP, "--delete-offsets", "--group", "g"],
    [...BOOTSTRAP, ...reset, "--topic", "t"], [...BOOTSTRAP, ...reset, "--to-earliest"], [...BOOTSTRAP, ...reset, "--to-earliest", "--to-latest", "--topic", "t"], [...BOOTSTRAP, ...reset, "--to-earliest", "--topic", "t", "--all-topics"],
    [...BOOTSTRAP, ...reset, "--to-earliest", "--topic", "t", "--dry-run", "--execute"],
    [...BOOTSTRAP, ...reset, "--to-offset", "9007199254740993", "--topic", "t"],
  ];
  for (const argv of wrong) {
    const io = new PrintedIo({ clock: { wallMs: () => 0 } } as never);
    expect([argv, await kafkaConsumerGroups(argv, io), io.stdout, io.stderr !== ""]).toEqual([argv, 1, "", true]);
  }
});

test("a time that can't be read is a failure like any other, told on stdout with 0, as Apache's", async () => {
  for (const time of [["--to-datetime", "2026-11-22T12:00:00"], ["--by-duration", "1h"]]) {
    const io = new PrintedIo({ clock: { wallMs: () => 0 } } as never);
    expect([time, await kafkaConsumerGroups([...BOOTSTRAP, "--reset-offsets", "--group", "g", "--topic", "t", ...time], io), io.stdout]).toEqual([time, 0, expect.stringMatching(/^\nError: Executing consumer group command failed due to "/)]);
  }
});

test("groups are listed and described, with members and without; one that is not there is told of, with 0", async () => {
  const { run, join } = await stage();
  expect(await run("--list")).toEqual({ code: 0, out: "g\n", err: "" });
  expect(await run("--list", "--state", "stable, Empty")).toEqual({ code: 0, out: "GROUP           STATE\ng               Empty\n", err: "" });
  expect(await run("--list", "--state", "Stable")).toEqual({ code: 0, out: "GROUP           STATE\n", err: "" });
  expect(await run("--describe", "--group", "g")).toEqual({
    code: 0,
    out: "\nGROUP           TOPIC           PARTITION  CURRENT-OFFSET  LOG-END-OFFSET  LAG             CONSUMER-ID     HOST            CLIENT-ID\ng               t               0          3               7               4               -               -               -\n",
    err: "\nConsumer group 'g' has no active members.\n",
  });
  expect(await run("--describe", "--group", "g", "--members")).toEqual({ code: 0, out: "", err: "\nConsumer group 'g' has no active members.\n" });
  expect(await run("--describe", "--group", "none")).toEqual({ code: 0, out: "\nError: Consumer group 'none' does not exist.\n", err: "" });

  await join("g", "reader", "static-1");
  const described = await run("--describe", "--group", "g", "--offsets");
  const id = /static-1-[0-9a-f-]{36}/.exec(described.out)?.[0] ?? "";
  const host = /\/\S+/.exec(described.out)?.[0] ?? "";
  const head = ["GROUP".padEnd(15), "TOPIC".padEnd(15), "PARTITION  CURRENT-OFFSET  LOG-END-OFFSET  LAG            ", "CONSUMER-ID".padEnd(id.length), "HOST".padEnd(Math.max(15, host.length)), "CLIENT-ID"].join(" ");
  const tail = `${id} ${host.padEnd(15)} reader`;
  expect(described).toEqual({
    code: 0,
    out: `\n${head}\n${"g".padEnd(15)} ${"t".padEnd(15)} 0          3               7               4               ${tail}\n${"g".padEnd(15)} ${"t".padEnd(15)} 1          -               0               -               ${tail}\n`,
    err: "",
  });
  expect((await run("--describe", "--group", "g", "--members", "--verbose")).out).toBe(
    `\n${"GROUP".padEnd(15)} ${"CONSUMER-ID".padEnd(id.length)} GROUP-INSTANCE-ID ${"HOST".padEnd(15)} ${"CLIENT-ID".padEnd(15)} #PARTITIONS     ASSIGNMENT\n${"g".padEnd(15)} ${id} ${"static-1".padEnd(17)} ${host.padEnd(15)} ${"reader".padEnd(15)} 2               t(0,1)\n`,
  );
  expect((await run("--describe", "--all-groups", "--state")).out).toBe(
    "\nGROUP                     COORDINATOR (ID)          ASSIGNMENT-STRATEGY  STATE           #MEMBERS\ng                         kafka1:9092 (1)           range                Stable          1\n",
  );
});

test("each scenario says where a group would go on, and sets it only with --execute", async () => {
  const { run, committed } = await stage();
  const reset = (...argv: string[]) => run("--reset-offsets", "--group", "g", ...argv);
  const dry = await reset("--topic", "t", "--to-earliest");
  expect([dry.code, dry.out, dry.err.startsWith("WARN: ")]).toEqual([0, RESET_HEADER + resetRow("g", "t", 0, 0) + resetRow("g", "t", 1, 0), true]);
  expect(await committed("g")).toEqual(["t-0@3"]);
  const planned = async (...argv: string[]): Promise<readonly [string, string]> => {
    const { out, err } = await reset("--topic", "t:0", "--dry-run", ...argv);
    return [out.replace(RESET_HEADER, "").split(/\s+/)[3] ?? "", err];
  };
  expect(await planned("--to-latest")).toEqual(["7", ""]);
  expect(await planned("--to-current")).toEqual(["3", ""]);
  expect(await planned("--to-offset", "5")).toEqual(["5", ""]);
  expect(await planned("--to-offset", "9")).toEqual(["7", "New offset (9) is higher than latest offset for topic partition t-0. Value will be set to 7\n"]);
  expect(await planned("--shift-by", "-2")).toEqual(["1", ""]);
  expect(await planned("--shift-by", "-9")).toEqual(["0", "New offset (-6) is lower than earliest offset for topic partition t-0. Value will be set to 0\n"]);
  expect(await planned("--to-datetime", "2026-11-22T12:00:01.500")).toEqual(["2", ""]);
  expect(await planned("--to-datetime", "2027-11-22T12:00:01.500")).toEqual(["7", ""]);
  expect(await planned("--by-duration", "P36500D")).toEqual(["0", ""]);
  expect((await reset("--topic", "t:1", "--shift-by", "1")).code).toBe(1);
  expect(await reset("--topic", "nosuch", "--to-latest", "--dry-run")).toMatchObject({ code: 0, out: expect.stringMatching(/^\nError: Executing consumer group command failed due to .*UNKNOWN_TOPIC_OR_PARTITION/) });
  expect(await reset("--topic", "t", "--topic", "u", "--to-latest", "--execute")).toEqual({ code: 0, out: RESET_HEADER + resetRow("g", "t", 0, 7) + resetRow("g", "t", 1, 0) + resetRow("g", "u", 0, 0), err: "" });
  expect(await committed("g")).toEqual(["t-0@7", "t-1@0", "u-0@0"]);
  // A group that nobody has heard of is made by it.
  await run("--reset-offsets", "--group", "new", "--topic", "t:0", "--to-offset", "2", "--execute");
  expect(await committed("new")).toEqual(["t-0@2"]);
});

test("a plan is exported, and done from the file", async () => {
  const { host, run, committed } = await stage();
  const write = (text: string): void => {
    host.disk.makeDirectorySync("/plan");
    const file = host.disk.openSync("/plan/plan.csv", "truncate");
    file.writeSync([Buffer.from(text)], 0);
    file.closeSync();
  };
  const exported = await run("--reset-offsets", "--group", "g", "--all-topics", "--to-offset", "5", "--export", "--dry-run");
  expect(exported).toEqual({ code: 0, out: "t,0,5\n\n", err: "" });
  write(exported.out);
  expect(await run("--reset-offsets", "--group", "g", "--from-file", "/plan/plan.csv", "--execute")).toEqual({ code: 0, out: RESET_HEADER + resetRow("g", "t", 0, 5), err: "" });
  expect(await committed("g")).toEqual(["t-0@5"]);
  expect((await run("--reset-offsets", "--group", "g", "--group", "h", "--topic", "t:1", "--to-latest", "--export", "--dry-run")).out).toBe("g,t,1,0\nh,t,1,0\n\n");
  write("h,t,1,0\n");
  expect(await run("--reset-offsets", "--group", "g", "--group", "h", "--from-file", "/plan/plan.csv", "--dry-run")).toEqual({ code: 0, out: `\nError: No reset plan for group g found\n${RESET_HEADER}${resetRow("h", "t", 1, 0)}`, err: "" });
  write("t,0\n");
  expect(await run("--reset-offsets", "--group", "g", "--from-file", "/plan/plan.csv", "--dry-run")).toMatchObject({ code: 0, out: expect.stringContaining("/plan/plan.csv:1") });
});

test("a group with members is neither reset nor deleted; the others are", async () => {
  const { run, join, groups, settle, committed } = await stage();
  await join("busy", "reader");
  await settle(groups.resetOffsets("h", [{ topic: "t", partition: 0, offset: 1 }]));
  expect(await run("--reset-offsets", "--all-groups", "--topic", "t:0", "--to-latest", "--execute")).toEqual({
    code: 0,
    out: `\nError: Assignments can only be reset if the group 'busy' is inactive, but the current state is Stable.\n${RESET_HEADER}${resetRow("g", "t", 0, 7)}${resetRow("h", "t", 0, 7)}`,
    err: "",
  });
  expect(await run("--delete-offsets", "--group", "busy", "--topic", "t:0")).toMatchObject({ code: 0, out: expect.stringMatching(/^\nError: Encounter some partition level error, see the follow-up details:\n\nTOPIC .*\nt +0 +Error: GROUP_SUBSCRIBED_TO_TOPIC *\n$/) });
  expect(await run("--delete", "--group", "busy", "--group", "h")).toEqual({ code: 0, out: "\nError: Deletion of some consumer groups failed:\n* Group 'busy' could not be deleted due to: NON_EMPTY_GROUP\n\nThese consumer groups were deleted successfully: 'h'\n", err: "" });
  expect((await run("--delete-offsets", "--group", "g", "--topic", "t", "--topic", "nosuch")).out).toBe(
    `Request succeed for deleting offsets with topic t, nosuch group g\n\n${"TOPIC".padEnd(30)} PARTITION       STATUS         \n${"nosuch".padEnd(30)} Not Provided    Error: UNKNOWN_TOPIC_OR_PARTITION\n${"t".padEnd(30)} 0               Successful     \n${"t".padEnd(30)} 1               Successful     \n`,
  );
  expect(await committed("g")).toEqual([]);
  expect(await run("--delete", "--all-groups")).toMatchObject({ code: 0, out: expect.stringContaining("* Group 'busy'") });
});

test("no broker: told on stdout after --timeout, with 0", async () => {
  const { brokers, run } = await stage();
  brokers.kill(1);
  const from = brokers.world.nowMs;
  expect(await run("--list", "--timeout", "2000")).toMatchObject({ code: 0, out: expect.stringMatching(/^\nError: Executing consumer group command failed due to no broker answers at kafka1:9092 within 2 s/) });
  expect(brokers.world.nowMs - from).toBeLessThan(3000);
});
