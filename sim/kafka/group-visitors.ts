import { errorCode } from "../../src/lib/error.ts";
import type { Prng } from "../../src/lib/prng.ts";
import { GroupAdmin } from "../../src/kafka/client/group-admin.ts";
import { commitOffsets, fetchOffsets } from "../../src/kafka/client/group-offsets.ts";
import type { KafkaClient, TopicPartition } from "../../src/kafka/client/kafka-client.ts";
import { partitionName } from "../../src/kafka/log/names.ts";
import { ErrorCode, errorName } from "../../src/kafka/protocol/error-codes.ts";
import { offsetCommit } from "../../src/kafka/protocol/messages/offset-commit.ts";
import { Violation } from "../zookeeper/violation.ts";
import { Ledger, passing } from "./group-workload.ts";

/** Who asks the coordinator without being a member: each does the next thing after a pause, until it is told to rest. */
abstract class Visitor {
  readonly client: KafkaClient;
  protected readonly draws: Prng;
  readonly #pauseMsMax: number;
  #isOver = false;
  #running: Promise<void> = Promise.resolve();

  constructor(client: KafkaClient, draws: Prng, pauseMsMax: number) {
    this.client = client;
    this.draws = draws;
    this.#pauseMsMax = pauseMsMax;
  }

  start(): void {
    this.#running = this.#run();
    this.#running.catch((error: unknown) => this.client.host.fail(error as Error));
  }

  async rest(): Promise<void> {
    this.#isOver = true;
    await this.#running;
    await this.client.close();
  }

  protected abstract act(): Promise<void>;

  async #run(): Promise<void> {
    while (!this.#isOver) {
      await this.client.pause(this.draws.between(10, this.#pauseMsMax));
      await passing(this.client, this.act());
    }
  }
}

/** Commits for a group that has no members, and looks at what there is now and then. */
export class SimpleCommitter extends Visitor {
  commits = 0;
  readonly #ledger: Ledger;
  readonly #partitions: readonly TopicPartition[];
  readonly #retentionMs: number | undefined;
  #offset = 0;

  /** `retentionMs`: as old clients could ask for. */
  constructor(client: KafkaClient, draws: Prng, options: { readonly group: string; readonly partitions: readonly TopicPartition[]; readonly pauseMsMax: number; readonly retentionMs?: number | undefined }) {
    super(client, draws, options.pauseMsMax);
    this.#ledger = new Ledger(options.group, () => false);
    this.#partitions = options.partitions;
    this.#retentionMs = options.retentionMs;
  }

  protected async act(): Promise<void> {
    const { group } = this.#ledger;
    if (this.draws.chance(1, 3)) {
      await fetchOffsets(this.client, group, this.draws.chance(1, 2) ? null : this.#partitions);
      return;
    }
    this.#offset += 1;
    const codes = this.#retentionMs === undefined ? await this.#commit() : [await this.#commitFor(this.#retentionMs)];
    if (codes.every((code) => code === ErrorCode.NONE)) this.commits += 1;
  }

  #commit(): Promise<number[]> {
    const wanted = this.#partitions.filter(() => this.draws.chance(2, 3));
    const offsets = (wanted.length === 0 ? this.#partitions : wanted).map((at) => ({ ...at, offset: this.#offset, metadata: this.#number(at) }));
    return commitOffsets(this.client, this.#ledger.group, offsets, { memberId: "", generation: -1 });
  }

  async #commitFor(retentionTimeMs: number): Promise<number> {
    const { group: groupId } = this.#ledger;
    const at = this.draws.pick(this.#partitions);
    const partition = { partitionIndex: at.partition, committedOffset: this.#offset, committedMetadata: this.#number(at) };
    const { response } = await this.client.sendToCoordinator(
      groupId,
      offsetCommit,
      () => ({ groupId, retentionTimeMs, topics: [{ name: at.topic, partitions: [partition] }] }),
      ({ topics }) => topics[0]?.partitions[0]?.errorCode ?? ErrorCode.NONE,
      { versions: { first: 2, last: 4 } },
    );
    return response.topics[0]?.partitions[0]?.errorCode ?? ErrorCode.NONE;
  }

  #number({ topic, partition }: TopicPartition): string {
    return String(this.#ledger.nextNumber(partitionName(topic, partition)));
  }
}

const STATES = new Set(["Empty", "PreparingRebalance", "CompletingRebalance", "Stable"]);
/** What an administrator may be refused with while things move. */
const MOVING = new Set<number>([ErrorCode.NONE, ErrorCode.NON_EMPTY_GROUP, ErrorCode.GROUP_ID_NOT_FOUND, ErrorCode.GROUP_SUBSCRIBED_TO_TOPIC, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, ErrorCode.COORDINATOR_NOT_AVAILABLE, ErrorCode.NOT_COORDINATOR, ErrorCode.COORDINATOR_LOAD_IN_PROGRESS]);

/** Lists and describes, and deletes groups and offsets that may go. */
export class GroupVisitor extends Visitor {
  deleted = 0;
  readonly #admin: GroupAdmin;
  readonly #groups: readonly string[];
  readonly #mayGo: readonly string[];
  readonly #offsetsThatMayGo: readonly TopicPartition[];

  /** `mayGo`: groups that may be deleted, and those of which single offsets may. */
  constructor(client: KafkaClient, draws: Prng, options: { readonly groups: readonly string[]; readonly mayGo: readonly string[]; readonly offsetsThatMayGo: readonly TopicPartition[]; readonly pauseMsMax: number }) {
    super(client, draws, options.pauseMsMax);
    this.#admin = new GroupAdmin(client);
    this.#groups = options.groups;
    this.#mayGo = options.mayGo;
    this.#offsetsThatMayGo = options.offsetsThatMayGo;
  }

  protected async act(): Promise<void> {
    const { draws } = this;
    switch (draws.below(4)) {
      case 0:
        for (const { groupId, state } of await this.#admin.list()) if (!STATES.has(state)) throw new Violation("groups are listed", `${groupId} is ${state}`);
        return;
      case 1: {
        const [described] = await this.#admin.describe([draws.pick(this.#groups)]);
        if (described?.errorCode === ErrorCode.NONE && described.groupState === "Stable" && described.members.length === 0) throw new Violation("a stable group has members", described.groupId);
        return;
      }
      case 2: {
        const [code = ErrorCode.NONE] = await this.#admin.delete([draws.pick(this.#mayGo)]);
        this.#check("DeleteGroups", code);
        if (code === ErrorCode.NONE) this.deleted += 1;
        return;
      }
      default:
        await this.#deleteOffset();
    }
  }

  async #deleteOffset(): Promise<void> {
    try {
      for (const code of await this.#admin.deleteOffsets(this.draws.pick(this.#mayGo), [this.draws.pick(this.#offsetsThatMayGo)])) this.#check("OffsetDelete", code);
    } catch (error) {
      const refused = [...MOVING].some((code) => errorName(code) === errorCode(error));
      if (!refused) throw error;
    }
  }

  #check(what: string, code: number): void {
    if (!MOVING.has(code)) throw new Violation("administration", `${what} is answered with ${errorName(code)}`);
  }
}
