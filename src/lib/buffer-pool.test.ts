import { describe, expect, test } from "vitest";
import { BufferPool } from "./buffer-pool.ts";
import { Prng } from "./prng.ts";

describe("a pool of buffers", () => {
  test("lends a buffer again when its last holder has released it, by whatever view", () => {
    const pool = new BufferPool();
    const first = pool.take(100_000);
    pool.retain(first.subarray(5, 10));
    pool.release(first);
    expect(pool.take(100_000).buffer).not.toBe(first.buffer);
    pool.release(first.subarray(99, 99));
    expect(pool.freeBytes).toBeGreaterThanOrEqual(100_000);
    expect(pool.take(99_000).buffer).toBe(first.buffer);
    expect(pool.freeBytes).toBe(0);
  });

  test("gives at most a quarter more than was asked for, and never less", () => {
    const pool = new BufferPool();
    for (let bytes = 4096; bytes < 3_000_000; bytes = Math.ceil(bytes * 1.013)) {
      const taken = pool.take(bytes);
      expect(taken.length).toBe(bytes);
      expect(taken.buffer.byteLength).toBeGreaterThanOrEqual(bytes);
      expect(taken.buffer.byteLength).toBeLessThanOrEqual(bytes * 1.25);
    }
  });

  test("lets buffers be that it has not lent, and small ones", () => {
    const pool = new BufferPool({ poisons: true });
    const [own, small] = [Buffer.from("own"), pool.take(100)];
    small.fill(1);
    for (const buffer of [own, small, Buffer.alloc(10_000)]) {
      pool.retain(buffer);
      pool.release(buffer);
      pool.release(buffer);
    }
    expect([String(own), small[99], pool.freeBytes]).toEqual(["own", 1, 0]);
  });

  test("what is given back twice, or retained afterwards, is a broken invariant", () => {
    const pool = new BufferPool();
    const taken = pool.take(10_000);
    pool.release(taken);
    expect(() => pool.release(taken)).toThrow("given back twice");
    expect(() => pool.retain(taken)).toThrow("was given back");
  });

  test("one that poisons overwrites what is given back, and nothing before", () => {
    const pool = new BufferPool({ poisons: true });
    const taken = pool.copyOf(Buffer.alloc(5000, 7));
    pool.retain(taken);
    pool.release(taken);
    expect(taken.every((byte) => byte === 7)).toBe(true);
    pool.release(taken);
    expect(taken.every((byte) => byte === 0xdb)).toBe(true);
  });

  test("keeps 16 MB at most, however much is given back, of whatever sizes", () => {
    const pool = new BufferPool();
    const prng = new Prng(7);
    const held: Buffer[] = [];
    for (let times = 0; times < 3000; times++) {
      if (held.length < 200 && prng.chance(1, 2)) held.push(pool.take(prng.between(1, 1_500_000)));
      else pool.release(held.splice(prng.below(Math.max(1, held.length)), 1)[0] ?? Buffer.alloc(0));
      expect(pool.freeBytes).toBeLessThanOrEqual(16 * 1024 * 1024);
    }
    for (const buffer of held) pool.release(buffer);
    expect(pool.freeBytes).toBeGreaterThan(10 * 1024 * 1024);
    expect(pool.freeBytes).toBeLessThanOrEqual(16 * 1024 * 1024);
  });
});
