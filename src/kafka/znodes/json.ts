import { OperationalError } from "../../lib/error.ts";

export type Json = null | boolean | number | string | readonly Json[] | JsonObject;
export interface JsonObject {
  readonly [key: string]: Json;
}

const int32Min = -(2 ** 31);
const int32Max = 2 ** 31 - 1;

/** What a znode holds is not what Kafka writes there: ERR_ZNODE, with the znode's path in the message. */
export function badZnode(path: string, problem: string, cause?: unknown): OperationalError {
  return new OperationalError("ERR_ZNODE", `znode ${path}: ${problem}; correct the znode or remove it`, { cause });
}

/** Compact JSON in UTF-8, as every znode of Kafka's has it. */
export function encodeJson(value: JsonObject): Buffer {
  return Buffer.from(JSON.stringify(value));
}

/** The object in a znode's data. Throws ERR_ZNODE where there is none. */
export function decodeJson(path: string, data: Buffer | null): ZnodeObject {
  if (data === null || data.length === 0) throw badZnode(path, "no data");
  let value: Json;
  try {
    value = JSON.parse(data.toString()) as Json;
  } catch (error) {
    throw badZnode(path, "not JSON", error);
  }
  return new ZnodeObject(path, "", value);
}

function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Typed reading of one JSON object; whatever is missing or of another type is ERR_ZNODE. */
export class ZnodeObject {
  readonly #path: string;
  readonly #where: string;
  readonly value: JsonObject;

  constructor(path: string, where: string, value: Json) {
    if (!isObject(value)) throw badZnode(path, `${where === "" ? "not" : `"${where}" is not`} a JSON object`);
    this.#path = path;
    this.#where = where;
    this.value = value;
  }

  has(key: string): boolean {
    return Object.hasOwn(this.value, key) && this.value[key] !== null;
  }

  keys(): string[] {
    return Object.keys(this.value);
  }

  int(key: string): number {
    const value = this.#get(key);
    if (!isInt32(value)) throw this.bad(key, "a 32-bit integer");
    return value;
  }

  ints(key: string): number[] {
    const value = this.#get(key);
    if (!Array.isArray(value) || !value.every(isInt32)) throw this.bad(key, "a list of 32-bit integers");
    return value;
  }

  text(key: string): string {
    const value = this.#get(key);
    if (typeof value !== "string") throw this.bad(key, "a string");
    return value;
  }

  texts(key: string): string[] {
    const value = this.#get(key);
    if (!Array.isArray(value) || !value.every((item): item is string => typeof item === "string")) throw this.bad(key, "a list of strings");
    return value;
  }

  object(key: string): ZnodeObject {
    return new ZnodeObject(this.#path, this.#name(key), this.#get(key));
  }

  objects(key: string): ZnodeObject[] {
    const value = this.#get(key);
    if (!Array.isArray(value)) throw this.bad(key, "a list");
    return value.map((item: Json, index) => new ZnodeObject(this.#path, `${this.#name(key)}[${index}]`, item));
  }

  bad(key: string, expected: string): OperationalError {
    return badZnode(this.#path, `"${this.#name(key)}" is not ${expected}`);
  }

  #get(key: string): Json {
    const value = Object.hasOwn(this.value, key) ? this.value[key] : undefined;
    if (value === undefined) throw badZnode(this.#path, `no "${this.#name(key)}"`);
    return value;
  }

  #name(key: string): string {
    return this.#where === "" ? key : `${this.#where}.${key}`;
  }
}

function isInt32(value: Json): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= int32Min && value <= int32Max;
}
