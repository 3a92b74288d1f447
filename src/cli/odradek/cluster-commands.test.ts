import { Command, CommanderError } from "commander";
import { expect, test } from "vitest";
import { PrintedIo } from "../../../test/support/admin-io.ts";
import { SimulatedBrokers } from "../../../test/support/simulated-brokers.ts";
import { GroupAdmin } from "../../kafka/client/group-admin.ts";
import { errorCode } from "../../lib/error.ts";
import { addGroups } from "./groups.ts";
import { addTopics } from "./topics.ts";

/** `odradek topics …` and `odradek groups …`, from their arguments on. */
async function stage(count = 2) {
  const brokers = await SimulatedBrokers.start(count);
  const { host } = brokers.clientNode;
  const odradek = async (line: string): Promise<readonly [number | string | undefined, string, string]> => {
    const io = new PrintedIo(host);
    let code: number | string | undefined;
    const program = new Command("odradek").exitOverride().configureOutput({ writeOut: io.out, writeErr: io.err });
    const run = async (command: (io: PrintedIo) => Promise<number>): Promise<void> => {
      code = await command(io);
    };
    addTopics(program, "/nowhere", run);
    addGroups(program, "/nowhere", run);
    const words = line.split(" ");
    try {
      await brokers.world.settle(program.parseAsync([...words.slice(0, 2), "--bootstrap", "kafka1,kafka2:9092", ...words.slice(2)], { from: "user" }));
    } catch (error) {
      code = error instanceof CommanderError ? "usage" : errorCode(error);
    }
    return [code, io.stdout, io.stderr];
  };
  return { brokers, host, odradek };
}

test("topics: made, listed, described, changed, deleted; what is not there is told of, with 1", async () => {
  const { brokers, odradek } = await stage();
  expect(await odradek("topics list")).toEqual([0, "", ""]);
  expect(await odradek("topics create t --partitions 1 --replication-factor 2 --config retention.ms=1000")).toEqual([0, "created topic t\n", ""]);
  expect(await odradek("topics create t.a --replica-assignment 2:1,1:2 --json")).toEqual([0, '{"name":"t.a","created":true}\n', ""]);
  expect(await odradek("topics create t --if-not-exists")).toEqual([0, "topic t is there already\n", ""]);
  expect((await odradek("topics create t"))[0]).toBe("TOPIC_ALREADY_EXISTS");
  await brokers.world.run({ forMs: 1000 });
  expect(await odradek("topics list")).toEqual([0, "t\nt.a\n", ""]);
  expect(await odradek("topics list --json")).toEqual([0, '["t","t.a"]\n', ""]);
  const replicas = /Leader: (\d)\tReplicas: (\d,\d)/;
  const [code, text, told] = await odradek("topics describe t none");
  expect([code, text.replace(replicas, "Leader: 1\tReplicas: 1,2").replace(/Isr: \d,\d/, "Isr: 1,2"), told]).toEqual([
    1,
    "Topic: t\tPartitionCount: 1\tReplicationFactor: 2\tConfigs: retention.ms=1000\n\tTopic: t\tPartition: 0\tLeader: 1\tReplicas: 1,2\tIsr: 1,2\n",
    "topic none does not exist\n",
  ]);
  const [described] = JSON.parse((await odradek("topics describe t.a --json"))[1]) as unknown[];
  expect(described).toMatchObject({ name: "t.a", internal: false, configs: {}, partitions: [{ index: 0, leader: 2, replicas: [2, 1], isr: [2, 1] }, { index: 1, leader: 1, replicas: [1, 2] }] });
  expect(await odradek("topics describe --under-replicated")).toEqual([0, "", ""]);
  expect(await odradek("topics alter t --partitions 3 --set segment.bytes=100000 --unset retention.ms")).toEqual([0, "changed topic t\n", ""]);
  await brokers.world.run({ forMs: 1000 });
  expect((await odradek("topics describe t"))[1].split("\n")).toMatchObject({ 0: "Topic: t\tPartitionCount: 3\tReplicationFactor: 2\tConfigs: segment.bytes=100000", length: 5 });
  expect((await odradek("topics alter t --unset retention.ms"))[0]).toBe("INVALID_CONFIG");
  expect(await odradek("topics alter none --partitions 3")).toEqual([1, "", "topic none does not exist\n"]);
  expect(await odradek("topics delete t none")).toEqual([1, "deleted topic t\n", "topic none does not exist\n"]);
  await brokers.world.run({ forMs: 1000 });
  expect(await odradek("topics delete none --if-exists")).toEqual([0, "", ""]);
  // A name is a name, whatever it would match.
  expect(await odradek("topics delete t.*")).toEqual([1, "", "topic t.* does not exist\n"]);
  expect(await odradek("topics delete t.* --regex")).toEqual([0, "deleted topic t.a\n", ""]);
});

test("groups: listed, described, reset, deleted; what is not there or has members is told of, with 1", async () => {
  const { brokers, odradek } = await stage(1);
  await odradek("topics create t --partitions 1");
  const groups = new GroupAdmin(brokers.client());
  await brokers.world.settle(groups.resetOffsets("g", [{ topic: "t", partition: 0, offset: 3 }]));
  expect(await odradek("groups list")).toEqual([0, "g\n", ""]);
  expect(await odradek("groups list --state")).toEqual([0, "GROUP           STATE\ng               Empty\n", ""]);
  expect(await odradek("groups list --json")).toEqual([0, '[{"group":"g","state":"Empty"}]\n', ""]);
  expect(await odradek("groups describe g none")).toEqual([
    1,
    "\nGROUP           TOPIC           PARTITION  CURRENT-OFFSET  LOG-END-OFFSET  LAG             CONSUMER-ID     HOST            CLIENT-ID\ng               t               0          3               0               -3              -               -               -\n",
    "group g has no members\ngroup none does not exist\n",
  ]);
  expect(JSON.parse((await odradek("groups describe g --json"))[1])).toEqual([{ group: "g", coordinator: "kafka1:9092 (1)", strategy: "", state: "Empty", members: [], offsets: [{ topic: "t", partition: 0, committed: 3, end: 0 }] }]);
  const row = `\n${"GROUP".padEnd(30)} ${"TOPIC".padEnd(30)} PARTITION  NEW-OFFSET     \n${"g".padEnd(30)} ${"t".padEnd(30)} 0          0              \n`;
  expect(await odradek("groups reset g --topic t --to-earliest")).toEqual([0, row, "nothing is set yet: --execute does it\n"]);
  expect((await brokers.world.settle(groups.offsets("g"))).map(({ offset }) => offset)).toEqual([3]);
  expect(await odradek("groups reset g --all-topics --shift-by -1 --execute --json")).toEqual([0, '{"group":"g","executed":true,"offsets":[{"topic":"t","partition":0,"offset":0}]}\n', "New offset (2) is higher than latest offset for topic partition t-0. Value will be set to 0\n"]);
  expect((await brokers.world.settle(groups.offsets("g"))).map(({ offset }) => offset)).toEqual([0]);
  expect(await odradek("groups delete g --offsets --topic t:0 --json")).toEqual([0, '[{"topic":"t","partition":0}]\n', ""]);
  expect(await odradek("groups delete none")).toEqual([1, "", "group none can't be deleted: GROUP_ID_NOT_FOUND\n"]);
});

test("wrong usage is found before anything is asked", async () => {
  const { odradek } = await stage(1);
  for (const line of [
    "topics create t --partitions 0", "topics create", "topics nosuch", "topics create t --bogus", "topics create t --config a", "topics create t --replica-assignment 1 --partitions 1", "topics alter t", "topics describe --unavailable --at-min-isr",
    "groups reset g --to-earliest", "groups reset g --topic t", "groups reset g --topic t --to-earliest --to-latest", "groups reset g --topic t --to-offset x", "groups reset g --topic t --to-datetime yesterday", "groups reset g --topic t --by-duration 1h", "groups reset g --topic t --from-file /f", "groups delete g --offsets", "groups delete g h --offsets --topic t",
    "groups describe", "groups describe g --members --state", "groups reset g --from-file /nosuch",
  ]) {
    const [code, out] = await odradek(line);
    expect([line, code === "usage" || code === "ERR_USAGE", out]).toEqual([line, true, ""]);
  }
});
