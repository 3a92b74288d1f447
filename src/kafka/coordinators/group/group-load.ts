import { batchBaseOffset, batchIsControl, batchIsTransactional, batchProducerId } from "../../records/batch.ts";
import { UNPACKED_BYTES_MAX } from "../../records/compression.ts";
import { readEndTxnMarker } from "../../records/control.ts";
import { RecordReader } from "../../records/record-reader.ts";
import { decodeRecord } from "./group-records.ts";
import type { CommittedOffset, LoadedGroup, LoadedOffset, StoredGroup } from "./types.ts";

/** By topic and partition. */
type Offsets = Map<string, Map<number, LoadedOffset>>;

interface Gathered {
  group: StoredGroup | undefined;
  readonly offsets: Offsets;
  /** Of transactions that are open, by producer id. */
  readonly transactional: Map<number, Offsets>;
}

/**
 * What a partition of the offsets topic says, batch by batch from its start: the last record of a key holds. Offsets
 * of a transaction count from its commit marker on, where no later commit is there. A group's tombstone leaves its
 * offsets: those may be a simple consumer's. What can't be read is skipped.
 * Source: GroupMetadataManager.doLoadGroupsAndOffsets, which ends at an unknown key and at damage.
 */
export class GroupLoad {
  readonly #records = new RecordReader();
  readonly #groups = new Map<string, Gathered>();
  /** One string for each topic, however many records name it. */
  readonly #topics = new Map<string, string>();
  /** Groups that a producer's open transaction has offsets for. */
  readonly #open = new Map<number, Set<Gathered>>();
  /** Records and batches that were skipped. */
  problems = 0;
  /** The first of them. */
  firstProblem: string | undefined;

  /** The whole batch of `size` bytes at `at`. */
  batch(bytes: Buffer, at: number, size: number): void {
    if (batchIsControl(bytes, at)) {
      this.#endTransaction(bytes, at, size);
      return;
    }
    const producerId = batchIsTransactional(bytes, at) ? batchProducerId(bytes, at) : undefined;
    const records = this.#records;
    records.open(bytes, at, size, UNPACKED_BYTES_MAX);
    let baseOffset: number | undefined;
    while (records.next()) {
      baseOffset ??= records.offset;
      this.#record(records.key(), records.value(), baseOffset, producerId);
    }
    if (records.problem !== undefined) this.#skip(batchBaseOffset(bytes, at), records.problem.message);
  }

  #record(key: Buffer | null, value: Buffer | null, baseOffset: number, producerId: number | undefined): void {
    const record = key === null ? ({ kind: "unknown", reason: "no key" } as const) : decodeRecord(key, value);
    if (record.kind === "unknown") {
      this.#skip(baseOffset, record.reason);
      return;
    }
    const gathered = this.#gathered(record.groupId);
    if (record.kind === "group") gathered.group = record.value ?? undefined;
    else if (producerId === undefined) this.#set(gathered.offsets, record.topic, record.partition, record.value, baseOffset);
    else this.#set(this.#openOffsets(gathered, producerId), record.topic, record.partition, record.value, baseOffset);
  }

  #gathered(groupId: string): Gathered {
    let gathered = this.#groups.get(groupId);
    if (gathered === undefined) this.#groups.set(groupId, (gathered = { group: undefined, offsets: new Map(), transactional: new Map() }));
    return gathered;
  }

  #openOffsets(gathered: Gathered, producerId: number): Offsets {
    const groups = this.#open.get(producerId);
    if (groups === undefined) this.#open.set(producerId, new Set([gathered]));
    else groups.add(gathered);
    let offsets = gathered.transactional.get(producerId);
    if (offsets === undefined) gathered.transactional.set(producerId, (offsets = new Map()));
    return offsets;
  }

  #set(offsets: Offsets, named: string, partition: number, committed: CommittedOffset | null, appendedOffset: number): void {
    let topic = this.#topics.get(named);
    if (topic === undefined) this.#topics.set(named, (topic = named));
    let partitions = offsets.get(topic);
    if (committed === null) {
      if (partitions?.delete(partition) === true && partitions.size === 0) offsets.delete(topic);
      return;
    }
    if (partitions === undefined) offsets.set(topic, (partitions = new Map()));
    partitions.set(partition, { topic, partition, committed, appendedOffset });
  }

  #endTransaction(bytes: Buffer, at: number, size: number): void {
    const marker = readEndTxnMarker(bytes, at, size);
    if (marker === undefined) return;
    const producerId = batchProducerId(bytes, at);
    for (const gathered of this.#open.get(producerId) ?? []) {
      if (marker.committed) this.#commit(gathered, producerId);
      gathered.transactional.delete(producerId);
    }
    this.#open.delete(producerId);
  }

  #commit(gathered: Gathered, producerId: number): void {
    for (const { topic, partition, committed, appendedOffset } of each(gathered.transactional.get(producerId))) {
      const known = gathered.offsets.get(topic)?.get(partition);
      if (known === undefined || known.appendedOffset < appendedOffset) this.#set(gathered.offsets, topic, partition, committed, appendedOffset);
    }
  }

  #skip(offset: number, reason: string): void {
    this.problems++;
    this.firstProblem ??= `at offset ${offset}: ${reason}`;
  }

  /** Groups of which nothing is left are not among them. */
  finish(): readonly LoadedGroup[] {
    const groups: LoadedGroup[] = [];
    for (const [groupId, { group, offsets, transactional }] of this.#groups) {
      const open = [...transactional].flatMap(([producerId, of]) => [...each(of)].map((offset) => ({ ...offset, producerId })));
      const loaded = { groupId, group, offsets: [...each(offsets)], transactional: open };
      if (group !== undefined || loaded.offsets.length > 0 || open.length > 0) groups.push(loaded);
    }
    return groups;
  }
}

function* each(offsets: Offsets | undefined): Generator<LoadedOffset> {
  for (const partitions of offsets?.values() ?? []) yield* partitions.values();
}
