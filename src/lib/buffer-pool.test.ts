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

  test("lends one of up to twice the size where there is none that fits better", () => {
    const pool = new BufferPool();
    const [larger, tooLarge] = [pool.take(200_000), pool.take(300_000)];
    pool.release(tooLarge);
    pool.release(larger);
    expect(pool.take(110_000).buffer).toBe(larger.buffer);
    const taken = pool.take(110_000);
    expect([taken.length, taken.buffer === tooLarge.buffer]).toEqual([110_000, false]);
  });

  test("lets go of what nobody has wanted for a while, and then asks for no more time", () => {
    const asked: (() => void)[] = [];
    const pool = new BufferPool({ later: (callback) => void asked.push(callback) });
    const three = [pool.take(100_000), pool.take(100_000), pool.take(100_000)];
    for (const each of three) pool.release(each);
    asked.shift()?.();
    expect([pool.freeBytes > 200_000, pool.freeBytes < 300_000, asked.length], "the first lay there all the time").toEqual([true, true, 1]);
    pool.release(pool.take(100_000));
    asked.shift()?.();
    expect([pool.freeBytes > 100_000, pool.freeBytes < 200_000, asked.length], "one of both was wanted").toEqual([true, true, 1]);
    asked.shift()?.();
    expect([pool.freeBytes, asked.length]).toEqual([0, 0]);
    pool.release(pool.take(100_000));
    expect(asked.length).toBe(1);
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

  test("keeps 64 MB at most, however much is given back, of whatever sizes", () => {
    const pool = new BufferPool();
    const prng = new Prng(7);
    const held: Buffer[] = [];
    for (let times = 0; times < 3000; times++) {
      if (held.length < 400 && prng.chance(1, 2)) held.push(pool.take(prng.between(1, 1_500_000)));
      else pool.release(held.splice(prng.below(Math.max(1, held.length)), 1)[0] ?? Buffer.alloc(0));
      expect(pool.freeBytes).toBeLessThanOrEqual(64 * 1024 * 1024);
    }
    for (const buffer of held) pool.release(buffer);
    expect(pool.freeBytes).toBeGreaterThan(40 * 1024 * 1024);
    expect(pool.freeBytes).toBeLessThanOrEqual(64 * 1024 * 1024);
  });
});
