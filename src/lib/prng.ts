import { createHash } from "node:crypto";
import { assert } from "./assert.ts";

const wordSpan = 0x1_0000_0000;

/**
 * A seeded generator of 32-bit words (sfc32, Chris Doty-Humphrey's PractRand): integer arithmetic only, so that a
 * seed gives the same run on every machine. The seed is 64 bits wide and printed as a decimal string.
 * `fork` derives a generator from the seed and a name, not from what was drawn so far: concerns that
 * each draw from their own fork do not shift each other.
 */
export class Prng {
  readonly seed: bigint;
  #a: number;
  #b: number;
  #c = 0;
  #counter = 1;

  constructor(seed: bigint | number | string) {
    this.seed = BigInt.asUintN(64, BigInt(seed));
    this.#a = Number(this.seed & 0xffff_ffffn) | 0;
    this.#b = Number(this.seed >> 32n) | 0;
    for (let round = 0; round < 15; round++) this.next();
  }

  fork(name: string): Prng {
    return new Prng(createHash("sha256").update(`${this.seed}/${name}`).digest().readBigUInt64LE());
  }

  /** A uniform word, 0 ≤ n < 2^32. */
  next(): number {
    const word = (((this.#a + this.#b) | 0) + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + word) | 0;
    return word >>> 0;
  }

  /** Uniform, 0 ≤ n < `bound` ≤ 2^32. */
  below(bound: number): number {
    assert(Number.isInteger(bound) && bound >= 1 && bound <= wordSpan, `a draw below ${bound}`);
    const fair = wordSpan - (wordSpan % bound);
    let word = this.next();
    while (word >= fair) word = this.next();
    return word % bound;
  }

  /** Uniform, `least` ≤ n ≤ `most`. */
  between(least: number, most: number): number {
    return least + this.below(most - least + 1);
  }

  /** True `times` out of `outOf`. */
  chance(times: number, outOf: number): boolean {
    return this.below(outOf) < times;
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)] as T;
  }

  shuffle<T>(items: T[]): T[] {
    for (let last = items.length - 1; last > 0; last--) {
      const other = this.below(last + 1);
      const item = items[last] as T;
      items[last] = items[other] as T;
      items[other] = item;
    }
    return items;
  }

  bytes(length: number): Buffer {
    const bytes = Buffer.allocUnsafe(length);
    let at = 0;
    for (; at + 4 <= length; at += 4) bytes.writeUInt32LE(this.next(), at);
    for (let word = this.next(); at < length; at++, word >>>= 8) bytes[at] = word & 0xff;
    return bytes;
  }
}
