import process from "node:process";
import { realHost } from "../../src/host/real/host.ts";
import { GroupMember, type Assignment } from "../../src/kafka/client/group-member.ts";
import { KafkaClient } from "../../src/kafka/client/kafka-client.ts";
import { spread } from "../statistics.ts";

/**
 * members= of one group, each with connections of its own: how long until each of them has its share where all join at
 * once, and until the rest has it again where one has left; of several groups the median. Members hear of a rebalance by
 * heartbeats each 10 ms, of one that leaves by one that is due when it has left; then they join at once.
 */
const HEARTBEAT_MS = 10;
/** A client that has just started is slower than any broker. */
const WARM_UPS = 5;
const GROUPS = 9;
const LIMIT_MS = 60_000;

const given = new Map(process.argv.slice(2).map((argument) => [argument.slice(0, argument.indexOf("=")), argument.slice(argument.indexOf("=") + 1)]));
const [bootstrap, topic, group] = [given.get("bootstrap") ?? "", given.get("topic") ?? "", given.get("group") ?? ""];
const [count, partitions] = [Number(given.get("members")), Number(given.get("partitions"))];
const host = realHost({ logLevel: "silent" });
const brokers = bootstrap.split(",").map((address) => ({ host: address.slice(0, address.lastIndexOf(":")), port: Number(address.slice(address.lastIndexOf(":") + 1)) }));

class Member {
  readonly #client: KafkaClient;
  readonly #member: GroupMember;
  #assignment: Assignment | undefined;
  #stopped = false;
  #ended: Promise<void> = Promise.resolve();
  #wake: () => void = () => undefined;

  constructor(index: number, groupId: string) {
    this.#client = new KafkaClient({ host, bootstrap: brokers, clientId: `bench-${index}`, requestTimeoutMs: LIMIT_MS, random: host.random });
    this.#member = new GroupMember(this.#client, { groupId, topics: [topic], sessionTimeoutMs: 10_000, rebalanceTimeoutMs: 10_000 });
  }

  get assignment(): Assignment | undefined {
    return this.#assignment;
  }

  /** Knows its coordinator, and is connected. */
  async prepare(): Promise<void> {
    await this.#client.metadata([topic]);
    await this.#member.committed([{ topic, partition: 0 }]);
  }

  start(): void {
    this.#ended = this.#run();
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      this.#assignment = await this.#member.join();
      while (!this.#stopped && (await this.#member.heartbeat()) === "ok") await this.#pause();
      this.#assignment = undefined;
    }
  }

  /** The next heartbeat is due now. */
  beat(): void {
    this.#wake();
  }

  #pause(): Promise<void> {
    if (this.#stopped) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, HEARTBEAT_MS);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  async leave(): Promise<void> {
    this.#stopped = true;
    this.#wake();
    await this.#ended;
    await this.#member.leave();
    await this.#client.close();
  }
}

/** Ms until all of them share all partitions in one generation. */
async function settled(members: readonly Member[], beganMs: number): Promise<number> {
  for (;;) {
    const assignments = members.flatMap(({ assignment }) => (assignment === undefined ? [] : [assignment]));
    const shared = assignments.reduce((sum, { partitions: own }) => sum + own.length, 0);
    const nowMs = performance.now();
    if (assignments.length === members.length && new Set(assignments.map(({ generation }) => generation)).size === 1 && shared === partitions) return nowMs - beganMs;
    if (nowMs - beganMs > LIMIT_MS) throw new Error(`after ${LIMIT_MS} ms ${assignments.length} of ${members.length} members have ${shared} of ${partitions} partitions`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

async function once(groupId: string): Promise<{ readonly joinMs: number; readonly leaveMs: number }> {
  const members = Array.from({ length: count }, (_, index) => new Member(index, groupId));
  await Promise.all(members.map((member) => member.prepare()));
  let beganMs = performance.now();
  for (const member of members) member.start();
  const joinMs = await settled(members, beganMs);
  const [first, ...rest] = members;
  beganMs = performance.now();
  await first?.leave();
  for (const member of rest) member.beat();
  const leaveMs = await settled(rest, beganMs);
  await Promise.all(rest.map((member) => member.leave()));
  return { joinMs, leaveMs };
}

for (let each = 0; each < WARM_UPS; each++) await once(`${group}-warm-up-${each}`);
const all: { readonly joinMs: number; readonly leaveMs: number }[] = [];
for (let each = 0; each < GROUPS; each++) all.push(await once(`${group}-${each}`));
console.log(JSON.stringify({ joinMs: spread(all.map((each) => each.joinMs)).median, leaveMs: spread(all.map((each) => each.leaveMs)).median }));
process.exit(0);
