import { must } from "../../src/lib/assert.ts";
import { errorCode } from "../../src/lib/error.ts";
import type { Prng } from "../../src/lib/prng.ts";
import type { Host } from "../../src/host/host.ts";
import type { VersionBounds } from "../../src/kafka/client/api-negotiation.ts";
import { rangeAssignor, roundRobinAssignor } from "../../src/kafka/client/assignors.ts";
import { GroupMember, type Assignment } from "../../src/kafka/client/group-member.ts";
import type { KafkaClient, TopicPartition } from "../../src/kafka/client/kafka-client.ts";
import { partitionName } from "../../src/kafka/log/names.ts";
import { ErrorCode } from "../../src/kafka/protocol/error-codes.ts";
import { fetch } from "../../src/kafka/protocol/messages/fetch.ts";
import { batchBaseOffset, wholeBatchSize } from "../../src/kafka/records/batch.ts";
import { RecordCursor } from "../../src/kafka/records/record-cursor.ts";
import { Violation } from "../zookeeper/violation.ts";
import { identityOf } from "./producers.ts";

/** What the members of one group have read, together, and which commits they have numbered. */
export class Ledger {
  readonly group: string;
  /** By partition's name: what each offset held. */
  readonly read = new Map<string, Map<number, string>>();
  readonly #numbers = new Map<string, number>();
  readonly #lasting: (topic: string) => boolean;

  /** `lasting`: topics that stay, so that an offset stands for one record. */
  constructor(group: string, lasting: (topic: string) => boolean) {
    this.group = group;
    this.#lasting = lasting;
  }

  nextNumber(name: string): number {
    const number = (this.#numbers.get(name) ?? 0) + 1;
    this.#numbers.set(name, number);
    return number;
  }

  note({ topic, partition }: TopicPartition, offset: number, value: string): void {
    if (!this.#lasting(topic)) return;
    const name = partitionName(topic, partition);
    const values = this.read.get(name) ?? new Map<number, string>();
    this.read.set(name, values);
    const before = values.get(offset);
    if (before !== undefined && before !== value) throw new Violation("an offset has one value", `${this.group} read ${value} at ${offset} of ${name}, where ${before} was before`);
    values.set(offset, value);
  }

  /** Where a member begins: everything before was read by the group. */
  checkStart({ topic, partition }: TopicPartition, committed: number): void {
    if (!this.#lasting(topic)) return;
    const values = this.read.get(partitionName(topic, partition));
    for (let offset = 0; offset < committed; offset++) {
      if (values?.has(offset) !== true) throw new Violation("nothing is skipped between two generations", `${this.group} goes on at ${committed} of ${partitionName(topic, partition)}, and nobody has read ${offset}`);
    }
  }
}

export interface ConsumerOptions {
  readonly ledger: Ledger;
  readonly topics: readonly string[];
  readonly instanceId?: string | undefined;
  readonly sessionTimeoutMs: number;
  readonly rebalanceTimeoutMs: number;
  readonly commitEveryMs: number;
  readonly joinVersions: VersionBounds | undefined;
  readonly prefersRoundRobin: boolean;
}

const ROUND_MS = 100;
const RETRY_MS = 80;
const TEND_MS = 200;
const FETCH_BYTES = 20_000;

/** One process of one consumer: joins, reads what it owns, commits, until it leaves or its process ends. */
export class Consumer {
  readonly options: ConsumerOptions;
  readonly client: KafkaClient;
  /** As long as it owns it. */
  assignment: Assignment | undefined;
  /** Another process took its place. */
  fenced = false;
  commits = 0;
  /** Commits no more, but goes on. */
  quiet = false;
  readonly #member: GroupMember;
  readonly #draws: Prng;
  readonly #cursor = new RecordCursor();
  #stillUntilMs = 0;
  #leaves = false;
  #rejoins = false;
  #ended: Promise<void> = Promise.resolve();

  constructor(client: KafkaClient, draws: Prng, options: ConsumerOptions) {
    this.client = client;
    this.options = options;
    this.#draws = draws;
    const { ledger, topics, instanceId, sessionTimeoutMs, rebalanceTimeoutMs, joinVersions, prefersRoundRobin } = options;
    const assignors = prefersRoundRobin ? [roundRobinAssignor, rangeAssignor] : [rangeAssignor, roundRobinAssignor];
    this.#member = new GroupMember(client, { groupId: ledger.group, topics, instanceId, sessionTimeoutMs, rebalanceTimeoutMs, assignors, ...(joinVersions !== undefined && { joinVersions }) });
  }

  start(): void {
    this.#ended = this.#run();
    this.#ended.catch((error: unknown) => this.client.host.fail(error as Error));
  }

  /** As a poll that takes too long: no heartbeat, no read, no commit. */
  standStill(ms: number): void {
    this.#stillUntilMs = this.client.host.clock.monotonicMs() + ms;
  }

  wake(): void {
    this.#stillUntilMs = 0;
  }

  /** It has not noticed yet that it has to join again. */
  get rejoins(): boolean {
    return this.#rejoins;
  }

  subscribe(topics: readonly string[]): void {
    this.#member.subscribe(topics);
    this.#rejoins = true;
  }

  /** Says goodbye, where it is no static member. */
  async leave(): Promise<void> {
    this.#leaves = true;
    await this.#ended;
    await passing(this.client, this.#member.leave());
    await this.client.close();
  }

  /** As its process ends without a word. */
  async die(): Promise<void> {
    await this.client.close();
    await this.#ended;
  }

  async #run(): Promise<void> {
    while (!this.#leaves && !this.fenced) {
      try {
        await this.#life();
      } catch (error) {
        this.assignment = undefined;
        const code = errorCode(error);
        if (code === undefined) throw error;
        if (code === "ECONNABORTED") return;
        if (code === "FENCED_INSTANCE_ID") this.fenced = true;
        // Its process may end meanwhile.
        else if ((await this.client.pause(RETRY_MS).catch(errorCode)) === "ECONNABORTED") return;
      }
    }
  }

  /** From joining until it has to join again. */
  async #life(): Promise<void> {
    this.#rejoins = false;
    this.assignment = undefined;
    const assignment = await this.#member.join();
    const positions = await this.#begin(assignment);
    this.assignment = assignment;
    const beating = this.#beat(assignment);
    // What it rejects with is told below, once reading has ended.
    beating.catch(() => undefined);
    try {
      await this.#work(assignment, positions);
    } finally {
      this.#rejoins = true;
      this.assignment = undefined;
    }
    await beating;
  }

  async #begin({ partitions }: Assignment): Promise<Map<string, { readonly at: TopicPartition; position: number }>> {
    const committed = partitions.length === 0 ? [] : await this.#member.committed(partitions);
    return new Map(
      committed.map(({ topic, partition, offset }) => {
        this.options.ledger.checkStart({ topic, partition }, offset);
        return [partitionName(topic, partition), { at: { topic, partition }, position: Math.max(0, offset) }];
      }),
    );
  }

  async #beat(assignment: Assignment): Promise<void> {
    const { sessionTimeoutMs, rebalanceTimeoutMs } = this.options;
    while (this.#isIn(assignment)) {
      if (!this.#standsStill && (await this.#member.heartbeat()) === "rejoin") {
        this.#rejoins = true;
        return;
      }
      await this.client.pause(Math.min(sessionTimeoutMs / 4, rebalanceTimeoutMs / 5));
    }
  }

  async #work(assignment: Assignment, positions: ReadonlyMap<string, { readonly at: TopicPartition; position: number }>): Promise<void> {
    const { clock } = this.client.host;
    let commitMs = clock.monotonicMs() + this.options.commitEveryMs;
    while (this.#isIn(assignment)) {
      if (!this.#standsStill) {
        for (const owned of positions.values()) owned.position = await this.#read(owned.at, owned.position);
        if (clock.monotonicMs() >= commitMs && !this.quiet) {
          await this.#commit([...positions]);
          commitMs = clock.monotonicMs() + this.options.commitEveryMs;
        }
      }
      await this.client.pause(ROUND_MS);
    }
    // Many a client does so before it gives up what it owns.
    if (!this.quiet && this.#draws.chance(1, 2)) await this.#commit([...positions]);
  }

  #isIn(assignment: Assignment): boolean {
    return !this.#rejoins && !this.#leaves && this.#member.generation === assignment.generation;
  }

  get #standsStill(): boolean {
    return this.client.host.clock.monotonicMs() < this.#stillUntilMs;
  }

  /** The position after what it got. */
  async #read(at: TopicPartition, position: number): Promise<number> {
    const { topic, partition } = at;
    const asked = (_version: number, currentLeaderEpoch: number) => ({
      maxWaitMs: 0,
      minBytes: 0,
      maxBytes: FETCH_BYTES,
      topics: [{ topic, partitions: [{ partition, currentLeaderEpoch, fetchOffset: position, partitionMaxBytes: FETCH_BYTES }] }],
      forgottenTopicsData: [],
    });
    const answer = await passing(this.client, this.client.sendToLeader(at, fetch, asked, ({ responses }) => responses[0]?.partitions[0]?.errorCode ?? ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, { versions: { last: LAST_BY_NAME }, timeoutMs: 600, retryTimeoutMs: 300 }));
    const told = answer?.response.responses[0]?.partitions[0];
    // The topic is another one by now.
    if (told?.errorCode === ErrorCode.OFFSET_OUT_OF_RANGE) return 0;
    return told?.errorCode === ErrorCode.NONE ? this.#take(at, position, Buffer.concat(told.records ?? [])) : position;
  }

  #take(at: TopicPartition, from: number, bytes: Buffer): number {
    let position = from;
    for (let start = 0, size = wholeBatchSize(bytes, start, bytes.length); size > 0; start += size, size = wholeBatchSize(bytes, start, bytes.length)) {
      this.#cursor.open(bytes, start, size);
      while (this.#cursor.next()) {
        const offset = batchBaseOffset(bytes, start) + this.#cursor.offsetDelta;
        if (offset < position) continue;
        if (offset !== position) throw new Violation("no offset is left out", `${this.options.ledger.group} got ${offset} of ${partitionName(at.topic, at.partition)} where ${position} comes next`);
        this.options.ledger.note(at, offset, identityOf(must(this.#cursor.value(), "value")));
        position = offset + 1;
      }
    }
    return position;
  }

  async #commit(positions: readonly (readonly [name: string, { readonly at: TopicPartition; readonly position: number }])[]): Promise<void> {
    if (positions.length === 0) return;
    const offsets = positions.map(([name, { at, position }]) => ({ ...at, offset: position, metadata: String(this.options.ledger.nextNumber(name)) }));
    try {
      await this.#member.commit(offsets);
      this.commits += 1;
    } catch (error) {
      const code = errorCode(error) ?? "";
      if (code === "ECONNABORTED" || code === "FENCED_INSTANCE_ID" || errorCode(error) === undefined) throw error;
      if (REJOIN.has(code)) this.#rejoins = true;
    }
  }
}

/** Fetch names topics by their ids from the next version on. */
const LAST_BY_NAME = 12;
const REJOIN: ReadonlySet<string> = new Set(["ILLEGAL_GENERATION", "UNKNOWN_MEMBER_ID", "REBALANCE_IN_PROGRESS"]);

/** Undefined for a failure that may be over the next time. */
export async function passing<T>(client: KafkaClient, promise: Promise<T>): Promise<T | undefined> {
  try {
    return await promise;
  } catch (error) {
    if (client.isPassing(error)) return undefined;
    throw error;
  }
}

export interface CrewOptions {
  readonly group: string;
  readonly members: number;
  readonly topics: readonly string[];
  /** Topics that a member may subscribe to beside them, now and then. */
  readonly alsoTopics: readonly string[];
  /** Members are static, by their places. */
  readonly isStatic: boolean;
  readonly sessionTimeoutMs: number;
  readonly rebalanceTimeoutMs: number;
  readonly commitEveryMs: number;
  /** Between two incidents. */
  readonly incidentMsMax: number;
  readonly lasting: (topic: string) => boolean;
}

/** The processes of one group: they come and go, until they are told to be calm. */
export class Crew {
  readonly options: CrewOptions;
  readonly ledger: Ledger;
  readonly #host: Host;
  readonly #draws: Prng;
  readonly #open: () => KafkaClient;
  /** By place; undefined where nobody is for a while. */
  readonly #places: (Consumer | undefined)[];
  /** Processes beside those: of the same instance as one of them. */
  readonly #rivals: Consumer[] = [];
  #isCalm = false;
  #isOver = false;
  #running: Promise<void> = Promise.resolve();
  incidents = 0;
  #commits = 0;

  constructor(host: Host, draws: Prng, open: () => KafkaClient, options: CrewOptions) {
    this.options = options;
    this.ledger = new Ledger(options.group, options.lasting);
    this.#host = host;
    this.#draws = draws;
    this.#open = open;
    this.#places = Array.from({ length: options.members }, () => undefined);
  }

  get consumers(): readonly Consumer[] {
    return this.#places.flatMap((consumer) => consumer ?? []);
  }

  /** Of static members, by their places. */
  get instanceIds(): readonly string[] {
    return this.options.isStatic ? [...this.#places.keys()].map((place) => `${this.options.group}-i${place}`) : [];
  }

  get commits(): number {
    return this.#commits + this.consumers.reduce((sum, { commits }) => sum + commits, 0);
  }

  start(): void {
    for (const place of this.#places.keys()) this.#fill(place);
    this.#running = this.#live();
    this.#running.catch((error: unknown) => this.#host.fail(error as Error));
  }

  /** Nobody comes or goes any more, and everybody is there. */
  async calm(): Promise<void> {
    this.#isCalm = true;
    await this.#running;
    for (const rival of this.#rivals.splice(0)) await rival.die();
    for (const [place, consumer] of this.#places.entries()) {
      if (consumer === undefined) this.#fill(place);
      this.#places[place]?.wake();
      this.#places[place]?.subscribe(this.options.topics);
    }
    this.#running = this.#tend();
    this.#running.catch((error: unknown) => this.#host.fail(error as Error));
  }

  /** Who was fenced by another that is gone by now may hear of it late. */
  async #tend(): Promise<void> {
    while (!this.#isOver) {
      for (const [place, consumer] of this.#places.entries()) {
        if (consumer?.fenced !== true) continue;
        await this.#end(place, (gone) => gone.die());
        this.#fill(place);
      }
      await this.#pause(TEND_MS);
    }
  }

  silence(): void {
    for (const consumer of this.consumers) consumer.quiet = true;
  }

  async leave(): Promise<void> {
    this.#isOver = true;
    await this.#running;
    await Promise.all(this.consumers.map((consumer) => consumer.leave()));
  }

  #fill(place: number): void {
    this.#places[place] = this.#make(place);
  }

  #make(place: number): Consumer {
    const draws = this.#draws;
    const { isStatic, topics, sessionTimeoutMs, rebalanceTimeoutMs, commitEveryMs } = this.options;
    const joinVersions = isStatic ? draws.pick([undefined, { first: 5, last: 8 }, { first: 5, last: 5 }]) : draws.pick([undefined, undefined, { last: 0 }, { last: 3 }, { last: 4 }, { last: 8 }]);
    const consumer = new Consumer(this.#open(), draws, { ledger: this.ledger, topics, instanceId: this.instanceIds[place], sessionTimeoutMs, rebalanceTimeoutMs, commitEveryMs, joinVersions, prefersRoundRobin: draws.chance(1, 4) });
    consumer.start();
    return consumer;
  }

  async #live(): Promise<void> {
    const draws = this.#draws;
    const { incidentMsMax, alsoTopics, topics, sessionTimeoutMs } = this.options;
    while (!this.#isCalm) {
      await this.#pause(draws.between(50, incidentMsMax));
      const place = draws.below(this.#places.length);
      const consumer = this.#places[place];
      this.incidents += 1;
      if (consumer === undefined || consumer.fenced) {
        await this.#end(place, (gone) => gone.die());
        this.#fill(place);
        continue;
      }
      switch (draws.below(6)) {
        case 0:
          await this.#end(place, (gone) => gone.leave());
          break;
        case 1:
          await this.#end(place, (gone) => gone.die());
          break;
        case 2:
          await this.#end(place, (gone) => (draws.chance(1, 2) ? gone.die() : gone.leave()));
          this.#fill(place);
          break;
        case 3:
          consumer.standStill((sessionTimeoutMs * draws.between(2, 8)) / 4);
          break;
        case 4:
          consumer.subscribe(draws.chance(1, 2) ? [...topics, ...alsoTopics] : topics);
          break;
        default:
          if (this.options.isStatic && this.#rivals.length < 2) this.#rivals.push(this.#make(place));
      }
    }
  }

  async #end(place: number, how: (consumer: Consumer) => Promise<void>): Promise<void> {
    const consumer = this.#places[place];
    this.#places[place] = undefined;
    if (consumer === undefined) return;
    await how(consumer);
    this.#commits += consumer.commits;
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.#host.timers.after(ms, resolve);
    });
  }
}
