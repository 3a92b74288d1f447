import type { Znode } from "./nodes.ts";

/** From here on a directory is split: a Map that grows past it would stall for tens of milliseconds at once. */
const SPLIT_SIZE = 1 << 15;
const SHARDS = 256;

/**
 * The children of a znode by name, in no promised order. A huge directory is kept in many small maps, because a
 * single one copies all it holds whenever it doubles: 120 to 500 ms at a million names.
 */
export class NameMap {
  #maps: Map<string, Znode>[] = [new Map()];
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get(name: string): Znode | undefined {
    return this.#mapOf(name).get(name);
  }

  /** Adds a name that is not there yet. */
  add(name: string, node: Znode): void {
    this.#mapOf(name).set(name, node);
    this.#size += 1;
    if (this.#size === SPLIT_SIZE && this.#maps.length === 1) this.#split();
  }

  delete(name: string): void {
    if (this.#mapOf(name).delete(name)) this.#size -= 1;
  }

  /** May be left and taken up again while names come and go. */
  *values(): IterableIterator<Znode> {
    for (const map of this.#maps) yield* map.values();
  }

  names(): string[] {
    const names: string[] = [];
    for (const map of this.#maps) for (const name of map.keys()) names.push(name);
    return names;
  }

  #mapOf(name: string): Map<string, Znode> {
    return this.#maps[this.#maps.length === 1 ? 0 : hash(name) & (SHARDS - 1)] as Map<string, Znode>;
  }

  #split(): void {
    const whole = [...this.values()];
    this.#maps = Array.from({ length: SHARDS }, () => new Map<string, Znode>());
    for (const node of whole) this.#mapOf(node.name).set(node.name, node);
  }
}

function hash(name: string): number {
  let value = 0;
  for (let at = 0; at < name.length; at++) value = (Math.imul(value, 31) + name.charCodeAt(at)) | 0;
  return value ^ (value >>> 15);
}
