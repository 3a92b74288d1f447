import { covers, type Field, type Fields, type Type } from "../../src/codec/model.ts";
import type { Schema } from "../../src/codec/schema.ts";
import { Prng } from "../../src/lib/prng.ts";
import { must } from "../../src/lib/assert.ts";

/** What asks for so many logs: thousands are a fair wish, and take their time. */
const NUMBERS_OF_PARTITIONS = new Set(["numPartitions", "count"]);

/** Draws messages that are well formed and make no sense: what a client that is broken, or bent on harm, may send. */
export class MessageDraw {
  readonly #prng: Prng;
  readonly #texts: readonly string[];
  readonly #batches: readonly Buffer[];

  /** `texts`: names that mean something where the messages go; `batches`: records that are as they should be. */
  constructor(seed: number, texts: readonly string[], batches: readonly Buffer[]) {
    this.#prng = new Prng(seed);
    this.#batches = batches;
    this.#texts = [...texts, "", ".", "..", "a b", "é😀", "x".repeat(300), "__consumer_offsets", "no-such-thing"];
  }

  get prng(): Prng {
    return this.#prng;
  }

  message(schema: Schema<Fields>, version: number): Record<string, unknown> {
    return this.#struct(schema.fields, version);
  }

  /** The same bytes with some of them changed, cut off or added. */
  damage(bytes: Buffer): Buffer {
    const damaged = Buffer.from(bytes);
    switch (this.#prng.below(4)) {
      case 0:
        return damaged.subarray(0, this.#prng.below(damaged.length + 1));
      case 1:
        return Buffer.concat([damaged, this.#prng.bytes(1 + this.#prng.below(64))]);
      default:
        for (let times = 1 + this.#prng.below(4); times > 0 && damaged.length > 0; times--) damaged[this.#prng.below(damaged.length)] = this.#pick([0, 1, 0x7f, 0x80, 0xff, this.#prng.below(256)]);
        return damaged;
    }
  }

  #struct(fields: Fields, version: number): Record<string, unknown> {
    const value: Record<string, unknown> = {};
    for (const [name, field] of Object.entries(fields)) value[name] = NUMBERS_OF_PARTITIONS.has(name) ? this.#pick([-1, 0, 1, 3, 2_147_483_647]) : this.#field(field, version);
    return value;
  }

  #field(field: Field, version: number): unknown {
    if (covers(field.nullable, version) && this.#prng.chance(1, 5)) return null;
    return this.#value(field.type, version);
  }

  #value(type: Type, version: number): unknown {
    switch (type.kind) {
      case "struct":
        return this.#struct(type.fields, version);
      case "array":
        return Array.from({ length: this.#pick([0, 1, 1, 1, 2, 5]) }, () => this.#value(type.element, version));
      case "bool":
        return this.#prng.chance(1, 2);
      case "int8":
        return this.#pick([-128, -1, 0, 1, 2, 127]);
      case "int16":
        return this.#pick([-32_768, -1, 0, 1, 2, 3, 100, 32_767]);
      case "uint16":
        return this.#pick([0, 1, 9092, 65_535]);
      case "int32":
        return this.#pick([-2_147_483_648, -1, 0, 1, 2, 3, 1000, 30_000, 2_147_483_647]);
      case "uint32":
        return this.#pick([0, 1, 4_294_967_295]);
      case "int64":
      case "timestamp":
        return this.#pick([-Number.MAX_SAFE_INTEGER, -2, -1, 0, 1, 5, 1000, Number.MAX_SAFE_INTEGER]);
      case "int64Exact":
        return this.#pick([-(2n ** 63n), -1n, 0n, 1n, 2n ** 63n - 1n]);
      case "float64":
        return this.#pick([-1, 0, 0.5, Number.MAX_VALUE]);
      case "uuid":
        return this.#pick(["AAAAAAAAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAAAAAAAQ", this.#prng.bytes(16).toString("base64url")]);
      case "string":
        return this.#pick(this.#texts);
      case "bytes":
        return this.#prng.bytes(this.#pick([0, 1, 7, 60, 200]));
      case "records":
        return [this.#records()];
    }
  }

  #records(): Buffer {
    const batch = this.#pick(this.#batches);
    return this.#pick([() => Buffer.from(batch), () => this.damage(batch), () => Buffer.concat([batch, batch]), () => this.#prng.bytes(this.#pick([0, 12, 61, 120]))])();
  }

  #pick<T>(choices: readonly T[]): T {
    return must(choices[this.#prng.below(choices.length)], "a choice");
  }
}
