import { paths } from "../../src/kafka/znodes/paths.ts";
import { decodePartitionState, decodeTopic, type LeaderAndIsr } from "../../src/kafka/znodes/topic.ts";
import { partitionName } from "../../src/kafka/log/names.ts";
import { toHex } from "../../src/zookeeper/protocol/ids.ts";
import { OpCode } from "../../src/zookeeper/protocol/op-codes.ts";
import type { Transaction, TxnBody } from "../../src/zookeeper/protocol/transactions.ts";
import { Violation } from "../zookeeper/violation.ts";

/** What the members' transaction logs say that the cluster has done. */
export interface ZnodeHistory {
  readonly elections: number;
  readonly uncleanElections: number;
  readonly shrinks: number;
  readonly expansions: number;
  /** Controllers that there were. */
  readonly controllers: number;
  readonly topicsMade: number;
  /** In the end, by topic: the replicas of each partition. */
  readonly topics: ReadonlyMap<string, ReadonlyMap<number, readonly number[]>>;
  /** In the end, by partition's name. */
  readonly states: ReadonlyMap<string, LeaderAndIsr>;
  /** Whether an unclean election ever fell on the partition. */
  readonly unclean: ReadonlySet<string>;
}

const STATE = /^\/brokers\/topics\/([^/]+)\/partitions\/(\d+)\/state$/;
const TOPIC = /^\/brokers\/topics\/([^/]+)$/;

/** Reads every change of leadership there ever was, and holds each against the one before. */
export function readZnodes(transactions: readonly Transaction[], options: { readonly chroot: string; readonly mayBeUnclean: (topic: string) => boolean }): ZnodeHistory {
  const reading = new Reading(options.mayBeUnclean);
  for (const { header, body } of transactions) {
    for (const single of body.type === OpCode.multi ? body.record.txns : [body]) {
      const change = changeOf(single);
      if (change === undefined || !change.path.startsWith(`${options.chroot}/`)) continue;
      try {
        reading.apply({ ...change, path: change.path.slice(options.chroot.length) });
      } catch (error) {
        if (error instanceof Violation) error.message += ` (zxid 0x${toHex(header.zxid)})`;
        throw error;
      }
    }
  }
  return reading;
}

interface Change {
  readonly kind: "create" | "set" | "delete";
  readonly path: string;
  readonly data: Buffer | null;
  readonly version: number;
}

function changeOf(body: TxnBody): Change | undefined {
  switch (body.type) {
    case OpCode.create:
    case OpCode.create2:
      return { kind: "create", path: body.record.path, data: body.record.data, version: 0 };
    case OpCode.setData:
      return { kind: "set", path: body.record.path, data: body.record.data, version: body.record.version };
    case OpCode.delete:
      return { kind: "delete", path: body.record.path, data: null, version: -1 };
    default:
      return undefined;
  }
}

class Reading implements ZnodeHistory {
  elections = 0;
  uncleanElections = 0;
  shrinks = 0;
  expansions = 0;
  controllers = 0;
  topicsMade = 0;
  readonly topics = new Map<string, Map<number, readonly number[]>>();
  readonly states = new Map<string, LeaderAndIsr>();
  readonly unclean = new Set<string>();
  readonly #mayBeUnclean: (topic: string) => boolean;
  #controllerEpoch = 0;

  constructor(mayBeUnclean: (topic: string) => boolean) {
    this.#mayBeUnclean = mayBeUnclean;
  }

  apply(change: Change): void {
    const [, stateTopic, partition] = STATE.exec(change.path) ?? [];
    const topic = TOPIC.exec(change.path)?.[1];
    if (stateTopic !== undefined) this.#state(stateTopic, Number(partition), change);
    else if (topic !== undefined) this.#topic(topic, change);
    else if (change.path === paths.controllerEpoch) this.#epoch(change);
  }

  #topic(topic: string, { kind, data }: Change): void {
    if (kind === "delete") this.topics.delete(topic);
    else this.topics.set(topic, new Map([...decodeTopic(topic, data).partitions].map(([partition, { replicas }]) => [partition, replicas])));
    if (kind === "create") this.topicsMade += 1;
  }

  #epoch({ kind, data }: Change): void {
    const epoch = Number(data?.toString());
    if (kind !== "delete" && epoch !== this.#controllerEpoch + 1 && !(kind === "create" && epoch <= 1)) throw new Violation("controller epochs count up", `${epoch} comes after ${this.#controllerEpoch}`);
    this.#controllerEpoch = epoch;
    this.controllers = epoch;
  }

  #state(topic: string, partition: number, { kind, path, data, version }: Change): void {
    const name = partitionName(topic, partition);
    if (kind === "delete") {
      this.states.delete(name);
      return;
    }
    const next = decodePartitionState(path, data, version);
    const before = this.states.get(name);
    this.states.set(name, next);
    const say = (rule: string): never => {
      throw new Violation(rule, `${name} goes from ${JSON.stringify(before)} to ${JSON.stringify(next)}`);
    };
    const replicas = this.topics.get(topic)?.get(partition) ?? [];
    if (next.isr.length === 0 || new Set(next.isr).size !== next.isr.length || next.isr.some((id) => !replicas.includes(id))) say("the ISR is a part of the replicas");
    if (next.leader !== -1 && !next.isr.includes(next.leader)) say("a leader is in sync");
    if (next.controllerEpoch > this.#controllerEpoch) say("only a controller writes states");
    if (before === undefined) return;
    if (next.zkVersion <= before.zkVersion) say("versions rise");
    if (next.controllerEpoch < before.controllerEpoch) say("an earlier controller writes nothing");
    if (next.leaderEpoch < before.leaderEpoch) say("leader epochs never go back");
    if (next.leader !== before.leader && next.leaderEpoch === before.leaderEpoch) say("a leader has an epoch of its own");
    const [gained, lost] = [next.isr.filter((id) => !before.isr.includes(id)), before.isr.filter((id) => !next.isr.includes(id))];
    if (next.leaderEpoch === before.leaderEpoch) {
      if (gained.length > 0) this.expansions += 1;
      if (lost.length > 0) this.shrinks += 1;
      return;
    }
    if (next.leader !== before.leader) this.elections += 1;
    if (gained.length === 0) return;
    if (!this.#mayBeUnclean(topic)) say("who is elected was in sync");
    this.uncleanElections += 1;
    this.unclean.add(name);
  }
}
