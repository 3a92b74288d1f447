import { describe, expect, test } from "vitest";
import { formatLeaderEpochs, formatOffsets, parseLeaderEpochs, parseOffsets } from "./checkpoint.ts";
import { deletedDirectoryName, parsePartitionDirectory, parseSegmentFile, segmentFileName } from "./names.ts";

describe("checkpoints", () => {
  test("offsets are a line each: topic, partition, offset", () => {
    const offsets = new Map([
      ["a-topic-3", 42],
      ["b-0", 0],
    ]);
    expect(formatOffsets(offsets)).toBe("0\n2\na-topic 3 42\nb 0 0\n");
    expect(parseOffsets(formatOffsets(offsets), "x")).toEqual(offsets);
    expect(formatOffsets(new Map())).toBe("0\n0\n");
  });

  test("leader epochs are a line each: epoch, start offset", () => {
    const entries = [
      { epoch: 0, startOffset: 0 },
      { epoch: 7, startOffset: 12_345_678_901 },
    ];
    expect(formatLeaderEpochs(entries)).toBe("0\n2\n0 0\n7 12345678901\n");
    expect(parseLeaderEpochs("0\r\n2\r\n0  0\r\n7 12345678901", "x")).toEqual(entries);
  });

  test("an empty file has no entries", () => {
    for (const text of ["", "0", "0\n"]) expect(parseOffsets(text, "x").size).toBe(0);
  });

  test("another version, a wrong count and a broken line say which file is wrong and how", () => {
    for (const [text, why] of [
      ["1\n0\n", "version 1"],
      ["0\n2\na 0 1\n", "2 entries and has 1"],
      ["0\n1\na 0\n", "3 fields"],
      ["0\n1\na 0 x\n", "not a whole number"],
      ["0\nx\n", "not a whole number"],
    ] as const) {
      expect(() => parseOffsets(text, "/d/file")).toThrow("/d/file");
      expect(() => parseOffsets(text, "/d/file")).toThrow(why);
    }
  });
});

describe("names", () => {
  test("directories: the partition stands behind the last dash, marks behind the last dot", () => {
    const id = "0123456789abcdef0123456789abcdef";
    expect(parsePartitionDirectory("my-topic.x-12", "/d")).toEqual({ topic: "my-topic.x", partition: 12, kind: "current" });
    expect(parsePartitionDirectory(deletedDirectoryName("t", 1, id), "/d")).toEqual({ topic: "t", partition: 1, kind: "delete" });
    expect(parsePartitionDirectory(`a.b-1.${id}-future`, "/d")).toEqual({ topic: "a.b", partition: 1, kind: "future" });
    expect(deletedDirectoryName("t".repeat(249), 11, id)).toHaveLength(255);
  });

  test("what no broker would have named is refused, with what to do", () => {
    for (const name of ["lost+found", "t", "-0", "t-", "t-x", "t-0-delete", "t-0-future", "snapshot-2024-01-01b", ".git", "t-99999999999"]) {
      expect(() => parsePartitionDirectory(name, "/d")).toThrow(`/d/${name}`);
    }
  });

  test("segment files: twenty digits, a kind, perhaps a stage", () => {
    expect(segmentFileName(42, "timeindex")).toBe("00000000000000000042.timeindex");
    expect(parseSegmentFile("00000000000000000042.log")).toEqual({ offset: 42, kind: "log", stage: "live" });
    expect(parseSegmentFile("00000000000000000042.index.swap")).toEqual({ offset: 42, kind: "index", stage: "swap" });
    for (const name of ["leader-epoch-checkpoint", "partition.metadata", "x.log", "1.log.old"]) expect(parseSegmentFile(name)).toBeUndefined();
  });
});
