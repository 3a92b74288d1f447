import { describe, expect, test } from "vitest";
import { must } from "../../../lib/assert.ts";
import { Codec, wholeBatchSize } from "../../records/batch.ts";
import { buildBatch, type BatchOptions, type RecordToWrite } from "../../records/build.ts";
import { compress } from "../../records/compression.ts";
import { buildEndTxnMarker } from "../../records/control.ts";
import { legacyMessage, type LegacyMagic } from "../../records/legacy.ts";
import { GroupLoad } from "./group-load.ts";
import { encodeRecord } from "./group-records.ts";
import type { LoadedGroup, LoadedOffset, StoredGroup, StoredRecord } from "./types.ts";

const WALL_MS = 1_700_000_000_000;

function offset(groupId: string, topic: string, partition: number, committed: number | null): StoredRecord {
  const value = committed === null ? null : { offset: committed, leaderEpoch: -1, metadata: "", commitWallMs: WALL_MS, expireWallMs: undefined };
  return { kind: "offset", groupId, topic, partition, value };
}

function group(groupId: string, generation: number | null): StoredRecord {
  const value: StoredGroup = { protocolType: "consumer", generation: generation ?? 0, protocolName: null, leaderId: null, stateWallMs: WALL_MS, members: [] };
  return { kind: "group", groupId, value: generation === null ? null : value };
}

function recordsOf(records: readonly StoredRecord[]): RecordToWrite[] {
  return records.map((record) => ({ ...must(encodeRecord(record), "a record that can be written"), timestamp: WALL_MS }));
}

/** A log of the offsets topic's partition, written batch after batch. */
class Story {
  readonly batches: Buffer[] = [];
  endOffset = 0;

  plain(...records: readonly StoredRecord[]): this {
    return this.raw(recordsOf(records));
  }

  transactional(producerId: number, ...records: readonly StoredRecord[]): this {
    return this.raw(recordsOf(records), { producerId, producerEpoch: 0, baseSequence: 0, transactional: true });
  }

  commits(producerId: number): this {
    return this.#marker(producerId, true);
  }

  aborts(producerId: number): this {
    return this.#marker(producerId, false);
  }

  raw(records: readonly RecordToWrite[], options: BatchOptions = {}): this {
    return this.#add(buildBatch(records, { ...options, baseOffset: this.endOffset }), records.length);
  }

  /** Messages of an old format, as brokers before 0.11 wrote them: each by itself, or packed in one wrapper. */
  legacy(magic: LegacyMagic, codec: number, ...records: readonly StoredRecord[]): this {
    const { endOffset } = this;
    const relative = magic === 1 && codec !== Codec.none;
    const common = { magic, codec: Codec.none, timestamp: WALL_MS, appendTime: false };
    const messages = recordsOf(records).map(({ key, value }, index) => legacyMessage({ ...common, offset: relative ? index : endOffset + index, key, value }));
    if (codec === Codec.none) {
      for (const message of messages) this.#add(message, 1);
      return this;
    }
    return this.#add(legacyMessage({ ...common, codec, offset: endOffset + records.length - 1, key: null, value: compress(codec, Buffer.concat(messages), magic) }), records.length);
  }

  #marker(producerId: number, committed: boolean): this {
    const batch = buildEndTxnMarker(producerId, 0, { committed, coordinatorEpoch: 0, timestamp: WALL_MS });
    batch.writeBigInt64BE(BigInt(this.endOffset), 0);
    return this.#add(batch, 1);
  }

  #add(batch: Buffer, count: number): this {
    this.batches.push(batch);
    this.endOffset += count;
    return this;
  }

  load(): GroupLoad {
    const load = new GroupLoad();
    const bytes = Buffer.concat(this.batches);
    for (let at = 0, size = wholeBatchSize(bytes, 0, bytes.length); size > 0; size = wholeBatchSize(bytes, at, bytes.length)) {
      load.batch(bytes, at, size);
      at += size;
    }
    return load;
  }

  /** As `topic-partition=offset@base`, transactional ones behind the producer's id. */
  told(): Record<string, string> {
    return Object.fromEntries(this.load().finish().map((loaded) => [loaded.groupId, toldOf(loaded)]));
  }
}

function toldOf({ group: stored, offsets, transactional }: LoadedGroup): string {
  const place = ({ topic, partition, committed, appendedOffset }: LoadedOffset): string => `${topic}-${partition}=${committed.offset}@${appendedOffset}`;
  return [...(stored === undefined ? [] : [`generation ${stored.generation}`]), ...offsets.map(place), ...transactional.map((open) => `${open.producerId}:${place(open)}`)].join(" ");
}

describe("the last record of a key holds", () => {
  test("for offsets, each with the base offset of its batch", () => {
    const story = new Story().plain(offset("g", "t", 0, 1), offset("g", "t", 1, 2), offset("h", "t", 0, 3)).plain(offset("h", "u", 0, 5), offset("g", "t", 0, 4));
    expect(story.told()).toEqual({ g: "t-0=4@3 t-1=2@0", h: "t-0=3@0 u-0=5@3" });
  });

  test("for groups, and of the two kinds neither touches the other", () => {
    const story = new Story().plain(group("g", 1), offset("g", "t", 0, 1)).plain(group("g", 2)).plain(group("h", 7));
    expect(story.told()).toEqual({ g: "generation 2 t-0=1@0", h: "generation 7" });
  });

  test("a tombstone too: an offset goes; a group goes, but not its offsets; either may come back", () => {
    const story = new Story().plain(group("g", 1), offset("g", "t", 0, 1), offset("g", "t", 1, 1), group("h", 1), group("i", 1), offset("i", "t", 0, 1));
    story.plain(group("g", null), offset("g", "t", 0, null), group("h", null), group("i", null), offset("i", "t", 0, null)).plain(group("i", 3), offset("i", "t", 0, 9));
    expect(story.told()).toEqual({ g: "t-1=1@0", i: "generation 3 t-0=9@11" });
  });
});

describe("batches of every kind are read", () => {
  const records = [offset("g", "t", 0, 1), group("g", 3), offset("g", "t", 1, 2)];

  test.each(Object.entries(Codec))("packed with %s, in format 2", (_name, codec) => {
    expect(new Story().plain(offset("h", "t", 0, 1)).raw(recordsOf(records), { codec }).told()).toEqual({ g: "generation 3 t-0=1@1 t-1=2@1", h: "t-0=1@0" });
  });

  test.each([0, 1] as const)("messages of format %s", (magic) => {
    expect(new Story().plain(offset("h", "t", 0, 1)).legacy(magic, Codec.none, ...records).told()).toEqual({ g: "generation 3 t-0=1@1 t-1=2@3", h: "t-0=1@0" });
  });

  test.each(([0, 1] as const).flatMap((magic) => [Codec.gzip, Codec.snappy, Codec.lz4].map((codec) => [magic, codec] as const)))("wrappers of format %s with codec %s", (magic, codec) => {
    expect(new Story().plain(offset("h", "t", 0, 1)).legacy(magic, codec, ...records).told()).toEqual({ g: "generation 3 t-0=1@1 t-1=2@1", h: "t-0=1@0" });
  });
});

describe("offsets of a transaction", () => {
  test("count from its commit marker on, for all the groups and batches of it", () => {
    const story = new Story().transactional(7, offset("g", "t", 0, 1), offset("h", "t", 0, 2)).transactional(7, offset("g", "t", 0, 3));
    expect(story.told()).toEqual({ g: "7:t-0=3@2", h: "7:t-0=2@0" });
    expect(story.commits(7).told()).toEqual({ g: "t-0=3@2", h: "t-0=2@0" });
  });

  test("are dropped by an abort, and the producer's next transaction begins with none", () => {
    const story = new Story().plain(offset("g", "t", 0, 1)).transactional(7, offset("g", "t", 0, 2)).aborts(7);
    expect(story.told()).toEqual({ g: "t-0=1@0" });
    expect(story.transactional(7, offset("g", "t", 1, 3)).commits(7).told()).toEqual({ g: "t-0=1@0 t-1=3@3" });
  });

  test("do not replace what was committed behind them, though the marker comes later", () => {
    const story = new Story().transactional(7, offset("g", "t", 0, 1), offset("g", "t", 1, 1)).plain(offset("g", "t", 0, 2)).commits(7);
    expect(story.told()).toEqual({ g: "t-0=2@2 t-1=1@0" });
  });

  test("are kept apart by producer, and end each with its own marker", () => {
    const story = new Story().transactional(7, offset("g", "t", 0, 1)).transactional(8, offset("g", "t", 0, 2), offset("g", "t", 1, 2)).commits(9).commits(8);
    expect(story.told()).toEqual({ g: "t-0=2@1 t-1=2@1 7:t-0=1@0" });
    expect(story.commits(7).told()).toEqual({ g: "t-0=2@1 t-1=2@1" });
  });

  test("go with a tombstone of the same transaction only", () => {
    const story = new Story().plain(offset("g", "t", 0, 1)).transactional(7, offset("g", "t", 0, 2), offset("g", "t", 1, 2), offset("g", "t", 0, null));
    expect(story.told()).toEqual({ g: "t-0=1@0 7:t-1=2@1" });
    expect(story.plain(offset("g", "t", 1, null)).told()).toEqual({ g: "t-0=1@0 7:t-1=2@1" });
  });
});

describe("what can't be read is skipped and counted", () => {
  const good = recordsOf([offset("g", "t", 0, 1), offset("g", "t", 1, 2)]);
  const [first, second] = [must(good[0], "a record"), must(good[1], "a record")];

  test("a later broker's key, a value that is cut, a record without a key: the others of the batch count", () => {
    const future = Buffer.from(first.key ?? []);
    future.writeInt16BE(3, 0);
    const story = new Story().raw([{ ...first, key: future }, { ...first, value: Buffer.from([0]) }, { ...first, key: null }, second]);
    expect(story.told()).toEqual({ g: "t-1=2@0" });
    const load = story.load();
    expect([load.problems, load.firstProblem]).toEqual([3, "at offset 0: a key of version 3"]);
  });

  test("a batch whose records do not fill it: what stands before counts, and so does what comes behind", () => {
    const story = new Story().raw(good).plain(offset("h", "t", 0, 5));
    const damaged = must(story.batches[0], "a batch");
    damaged.writeInt32BE(3, 57);
    const load = story.load();
    expect(load.finish().map(toldOf)).toEqual(["t-0=1@0 t-1=2@0", "t-0=5@2"]);
    expect([load.problems, load.firstProblem?.startsWith("at offset 0: ")]).toEqual([1, true]);
  });

  test("a batch that can't be unpacked: it counts as one, and what comes behind is read", () => {
    const story = new Story().raw(good, { codec: Codec.gzip }).plain(offset("h", "t", 0, 5));
    must(story.batches[0], "a batch").fill(0xff, 61);
    const load = story.load();
    expect([load.finish().map(toldOf), load.problems]).toEqual([["t-0=5@2"], 1]);
  });

  test("a control batch that compaction has emptied, or of another kind, ends no transaction", () => {
    const story = new Story().transactional(7, offset("g", "t", 0, 1)).commits(7);
    const marker = must(story.batches[1], "a marker");
    marker.writeInt32BE(0, 57);
    expect(story.told()).toEqual({ g: "7:t-0=1@0" });
  });
});
