import { describe, expect, test } from "vitest";
import { BufferPool } from "../../lib/buffer-pool.ts";
import { TailBudget, TailCache } from "./tail-cache.ts";
import { testBatch } from "./testing.ts";

const BATCH = testBatch({ bytes: 5000 });

function stage(batches: number) {
  const pool = new BufferPool({ poisons: true });
  const budget = new TailBudget(batches * BATCH.length, pool);
  const tail = new TailCache(budget, 0);
  let offset = 0;
  /** As a request brings it: the request's hold on it ends at once. */
  const append = (batch = pool.copyOf(BATCH)): (() => void) => {
    batch.writeBigInt64BE(BigInt(offset), 0);
    const written = tail.add(batch, offset++);
    pool.release(batch);
    return written;
  };
  const read = (from: number) => tail.read({ offset: from, maxBytes: 1e6, maxOffset: offset, minOneMessage: true });
  return { pool, tail, append, read };
}

describe("the memory of a tail", () => {
  test("is given back when the budget drops what is written", () => {
    const { pool, append } = stage(3);
    for (let times = 0; times < 3; times++) append()();
    expect(pool.freeBytes).toBe(0);
    append()();
    expect(pool.freeBytes).toBeGreaterThan(BATCH.length);
  });

  test("is kept while it is still to be written, though a truncation has dropped it", () => {
    const { pool, tail, append } = stage(3);
    const written = append();
    tail.truncateTo(0);
    expect(pool.freeBytes).toBe(0);
    written();
    expect(pool.freeBytes).toBeGreaterThan(BATCH.length);
  });

  test("is kept for whoever has read it, until that one releases it", () => {
    const { pool, append, read } = stage(1);
    append()();
    const chunk = read(0)?.chunks[0] ?? Buffer.alloc(0);
    const before = Buffer.from(chunk);
    append()();
    expect([pool.freeBytes, chunk.equals(before)]).toEqual([0, true]);
    pool.release(chunk);
    expect(pool.freeBytes).toBeGreaterThan(BATCH.length);
  });

  test("of a small part of a large request is a copy, and the request's own is held until the part is written", () => {
    const { pool, tail, read } = stage(9);
    const request = pool.take(20 * BATCH.length);
    BATCH.copy(request);
    const written = tail.add(request.subarray(0, BATCH.length), 0);
    pool.release(request);
    expect(pool.freeBytes).toBe(0);
    written();
    expect(pool.freeBytes).toBeGreaterThanOrEqual(20 * BATCH.length);
    tail.startOffset = 0;
    expect(tail.read({ offset: 0, maxBytes: 1e6, maxOffset: 1, minOneMessage: true })?.chunks[0]?.equals(BATCH)).toBe(true);
    expect(read(0)).toBeDefined();
  });
});
