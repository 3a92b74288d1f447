import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { SparseBytes } from "./sparse-bytes.ts";

const positions = fc.oneof(fc.nat(200), fc.nat(30_000), fc.constantFrom(0, 4095, 4096, 4097, 8192));
const edits = fc.array(
  fc.oneof(
    fc.record({ kind: fc.constant("write" as const), at: positions, length: positions, byte: fc.constantFrom(0, 1, 255) }),
    fc.record({ kind: fc.constant("resize" as const), at: positions }),
    fc.record({ kind: fc.constant("zero" as const), at: positions, length: positions }),
    fc.record({ kind: fc.constant("move" as const), at: positions, length: positions }),
  ),
  { maxLength: 30 },
);

describe("SparseBytes", () => {
  test("reads back as plain bytes would, after any writes, resizes, zeroings and copies by pieces", () => {
    fc.assert(
      fc.property(edits, (plan) => {
        const sparse = new SparseBytes();
        let plain = Buffer.alloc(0);
        const grow = (size: number): void => {
          plain = size > plain.length ? Buffer.concat([plain, Buffer.alloc(size - plain.length)]) : plain;
        };
        for (const edit of plan) {
          if (edit.kind === "write") {
            const bytes = Buffer.alloc(edit.length, edit.byte);
            sparse.write(bytes, edit.at);
            grow(edit.at + edit.length);
            bytes.copy(plain, edit.at);
          } else if (edit.kind === "resize") {
            sparse.resize(edit.at);
            plain = Buffer.from(plain.subarray(0, edit.at));
            grow(edit.at);
          } else {
            const [from, to] = [edit.at, Math.min(edit.at + edit.length, plain.length)];
            const pieces = sparse.extract(from, to);
            sparse.zero(from, to);
            if (edit.kind === "zero") plain.fill(0, Math.min(from, plain.length), Math.max(to, 0));
            else for (const piece of pieces) sparse.write(piece.bytes, piece.position);
          }
          expect(sparse.size).toBe(plain.length);
          const into = Buffer.alloc(plain.length + 10, 7);
          expect(sparse.read(into, 0)).toBe(plain.length);
          expect(into.subarray(0, plain.length).equals(plain)).toBe(true);
        }
      }),
    );
  });

  test("keeps no zeros: a preallocated file of 64 MiB costs its first pages only", () => {
    const sparse = new SparseBytes();
    sparse.write(Buffer.alloc(64 << 20), 0);
    expect(sparse.allocatedBytes).toBe(0);
    sparse.write(Buffer.from("header"), 0);
    sparse.write(Buffer.alloc(1), (1 << 30) - 1);
    expect([sparse.size, sparse.allocatedBytes]).toEqual([1 << 30, 4096]);
    const tail = Buffer.alloc(10, 1);
    expect(sparse.read(tail, (1 << 30) - 4)).toBe(4);
    expect(tail.toString("hex")).toBe("00000000010101010101");
  });

  test("flips one bit", () => {
    const sparse = new SparseBytes();
    sparse.write(Buffer.from([0b1010]), 0);
    sparse.flipBit(0, 0);
    const byte = Buffer.alloc(1);
    sparse.read(byte, 0);
    expect(byte[0]).toBe(0b1011);
  });
});
