import { execFileSync } from "node:child_process";
import { gzipSync } from "node:zlib";
import * as fc from "fast-check";
import { compressFrameSync } from "lz4-napi";
import { compressSync as snappySync } from "snappy";
import { describe, expect, test } from "vitest";
import { Codec } from "./batch.ts";
import { compress, decompress } from "./compression.ts";
import { descriptorChecksum, oldDescriptorChecksum, walkLz4Frame } from "./compression/lz4-frame.ts";
import { xxhash32 } from "./compression/xxhash32.ts";

const ALL = Object.entries(Codec);
const MIB = 1024 * 1024;
const limits = { magic: 2, bytesMax: 64 * MIB };
/** Equality of large buffers without a difference of large buffers. */
const expectSame = (back: Buffer | string, bytes: Buffer): void => expect(Buffer.isBuffer(back) ? back.equals(bytes) : back).toBe(true);
const text = (bytes: number): Buffer => Buffer.from("a line of a log that compresses well, and another\n".repeat(Math.ceil(bytes / 50))).subarray(0, bytes);

test("xxHash32 gives what its specification says of short inputs", () => {
  expect(xxhash32(Buffer.alloc(0))).toBe(0x02cc_5d05);
  expect(xxhash32(Buffer.from("a"))).toBe(0x550d_7456);
  expect(xxhash32(Buffer.from("abc"))).toBe(0x32d1_53ff);
  expect(xxhash32(Buffer.from("abcdefgh"))).toBe(0x0bb3_c6bb);
  expect(xxhash32(Buffer.from("abcdefghijklmno"))).toBe(0xb918_a375);
});

describe("each codec", () => {
  for (const [name, codec] of ALL) {
    for (const magic of [0, 1, 2]) {
      test(`${name} gives back what it packed for format ${magic}`, () => {
        for (const size of [0, 1, 100, 32 * 1024, 32 * 1024 + 1, 300_000, 5 * MIB]) {
          const bytes = text(size);
          const back = decompress(codec, compress(codec, bytes, magic), { magic, bytesMax: size });
          expectSame(back, bytes);
        }
      });
    }

    test(`${name}: one byte more than the bound is refused`, () => {
      for (const size of [100, 300_000]) expect(decompress(codec, compress(codec, text(size), 2), { magic: 2, bytesMax: size - 1 })).toBe("too large");
    });
  }

  test("a codec that there isn't is corrupt", () => {
    for (const codec of [5, 6, 7]) expect(decompress(codec, Buffer.alloc(10), limits)).toBe("corrupt");
  });

  for (const [name, codec] of ALL.filter(([, number]) => number !== Codec.none)) {
    test(`${name}: a bomb is refused before it is unpacked`, () => {
      const bomb = compress(codec, Buffer.alloc(64 * MIB), 2);
      const before = process.memoryUsage().rss;
      expect(decompress(codec, bomb, { magic: 2, bytesMax: MIB })).toBe("too large");
      expect(process.memoryUsage().rss - before).toBeLessThan(40 * MIB);
    });

    test(`${name}: anything gives a value, bounded, and never throws`, () => {
      const packed = compress(codec, text(5000), 1);
      fc.assert(
        fc.property(fc.integer({ min: 0, max: packed.length }), fc.uint8Array({ maxLength: 60 }), fc.boolean(), (at, noise, cut) => {
          const damaged = cut ? Buffer.concat([packed.subarray(0, at), noise]) : Buffer.from(packed);
          if (!cut) damaged.set(noise.subarray(0, packed.length - at), at);
          for (const magic of [0, 1]) {
            const back = decompress(codec, damaged, { magic, bytesMax: 10_000 });
            if (typeof back !== "string") expect(back.length).toBeLessThanOrEqual(10_000);
          }
        }),
        { numRuns: 300 },
      );
    });

    test(`${name}: what is cut off is corrupt`, () => {
      const packed = compress(codec, text(100_000), 1);
      for (const bytes of [0, 3, 20, packed.length >> 1, packed.length - 1]) {
        expect(decompress(codec, packed.subarray(0, bytes), limits), `${bytes} of ${packed.length}`).toBe("corrupt");
      }
    });
  }
});

describe("what others write", () => {
  const lz4 = (bytes: Buffer, ...flags: string[]): Buffer => execFileSync("lz4", ["-c", "-q", ...flags], { input: bytes, maxBuffer: 100 * MIB });

  for (const flags of [["-B4"], ["-B7", "-9"], ["-BD", "-B4"], ["-BX", "-B4"], ["--content-size", "-B5"], ["--no-frame-crc"]]) {
    test(`LZ4 as the lz4 command writes it with ${flags.join(" ")}`, () => {
      const bytes = text(1_000_000);
      let packed: Buffer;
      try {
        packed = lz4(bytes, ...flags);
      } catch {
        // The command is no part of this package; without it the golden records still hold Java's frames.
        return;
      }
      for (const magic of [0, 1, 2]) {
        const back = decompress(Codec.lz4, packed, { magic, bytesMax: bytes.length });
        expectSame(back, bytes);
      }
    });
  }

  test("LZ4 with a content size and block checksums, and with a wrong one", () => {
    const packed = compressFrameSync(text(200_000), { blockChecksums: true, contentChecksum: true });
    expectSame(decompress(Codec.lz4, packed, limits), text(200_000));
    packed.writeUInt8(packed.readUInt8(packed.length - 1) ^ 1, packed.length - 1);
    expect(decompress(Codec.lz4, packed, limits)).toBe("corrupt");
  });

  test("LZ4 in format 0 has the checksum that Kafka's old clients computed, over the magic number too; in format 1 the right one", () => {
    for (const [magic, checksum] of [[0, oldDescriptorChecksum], [1, descriptorChecksum], [2, descriptorChecksum]] as const) {
      const packed = compress(Codec.lz4, text(100), magic);
      const frame = walkLz4Frame(packed);
      expect(packed[frame?.checksumAt ?? 0]).toBe(checksum(packed, frame?.checksumAt ?? 0));
    }
    // As Java 2.7.1 writes FLG 0x60, BD 0x40.
    expect(compress(Codec.lz4, text(10), 0).subarray(0, 7).toString("hex")).toBe("04224d1860401a");
    expect(compress(Codec.lz4, text(10), 1).subarray(0, 7).toString("hex")).toBe("04224d18604082");
  });

  test("LZ4 in format 0 is read whatever its checksum, in format 1 only with the right one", () => {
    for (const magic of [0, 1]) {
      const packed = compress(Codec.lz4, text(100), 1);
      packed.writeUInt8(0x77, 6);
      expect(decompress(Codec.lz4, packed, { magic, bytesMax: MIB })).toEqual(magic === 0 ? text(100) : "corrupt");
    }
  });

  test("reading does not change what was read", () => {
    const packed = compress(Codec.lz4, text(100), 0);
    const copy = Buffer.from(packed);
    decompress(Codec.lz4, packed, { magic: 0, bytesMax: MIB });
    expect(packed).toEqual(copy);
  });

  test("snappy: a bare block, and two framed streams one behind the other", () => {
    expectSame(decompress(Codec.snappy, snappySync(text(100_000)), limits), text(100_000));
    const two = Buffer.concat([compress(Codec.snappy, text(50_000), 2), compress(Codec.snappy, text(10), 2)]);
    expectSame(decompress(Codec.snappy, two, limits), Buffer.concat([text(50_000), text(10)]));
  });

  test("snappy is framed in blocks of 32 KiB, as snappy-java does it", () => {
    const packed = compress(Codec.snappy, text(70_000), 2);
    expect(packed.subarray(0, 16).toString("hex")).toBe("82534e41505059000000000100000001");
    let blocks = 0;
    for (let at = 16; at < packed.length; at += 4 + packed.readInt32BE(at)) blocks++;
    expect(blocks).toBe(3);
  });

  test("gzip: members one behind the other read as one", () => {
    expectSame(decompress(Codec.gzip, Buffer.concat([gzipSync(text(1000)), gzipSync(text(10))]), limits), Buffer.concat([text(1000), text(10)]));
  });

  test("zstd: frames one behind the other, and one to be skipped", () => {
    const skipped = Buffer.from("5a2a4d1803000000414243", "hex");
    const frames = Buffer.concat([compress(Codec.zstd, text(1000), 2), skipped, compress(Codec.zstd, text(10), 2)]);
    expectSame(decompress(Codec.zstd, frames, limits), Buffer.concat([text(1000), text(10)]));
  });

  test("the same bytes are packed the same every time", () => {
    for (const [, codec] of ALL) expectSame(compress(codec, text(70_000), 2), compress(codec, text(70_000), 2));
  });
});
