/**
 * The 32-bit hash by which Kafka's producers choose partitions (MurmurHash2 with its own seed), signed as Java's int.
 * Source: clients/…/common/utils/Utils.java, murmur2.
 */
export function murmur2(bytes: Buffer): number {
  const { length } = bytes;
  let hash = SEED ^ length;
  const whole = length - (length % 4);
  for (let at = 0; at < whole; at += 4) hash = Math.imul(hash, MIX) ^ mixed(bytes.readInt32LE(at));
  if (whole < length) {
    for (let at = length - 1; at >= whole; at--) hash ^= (bytes[at] as number) << (8 * (at - whole));
    hash = Math.imul(hash, MIX);
  }
  hash = Math.imul(hash ^ (hash >>> 13), MIX);
  return hash ^ (hash >>> 15);
}

/** The partition of a record with a key: the same for every client that hashes as Apache's does. */
export function partitionFor(key: Buffer, count: number): number {
  return (murmur2(key) & 0x7fff_ffff) % count;
}

const SEED = 0x9747b28c | 0;
const MIX = 0x5bd1e995;

function mixed(word: number): number {
  const product = Math.imul(word, MIX);
  return Math.imul(product ^ (product >>> 24), MIX);
}

/**
 * Where records without a key go: all to one partition until it has a full batch, then to another one, so that batches
 * fill (KIP-480). Source: clients/…/producer/internals/StickyPartitionCache.java.
 */
export class StickyPartition {
  readonly #random: { below(bound: number): number };
  /** -1: none yet. */
  current = -1;

  constructor(random: { below(bound: number): number }) {
    this.#random = random;
  }

  /** Of those that have a leader, or of all where none has, one that is not the last one if there is any other. */
  moveOn(all: readonly number[], available: readonly number[]): number {
    const eligible = available.length > 0 ? available : all;
    const others = eligible.filter((partition) => partition !== this.current);
    const choice = others.length > 0 ? others : eligible;
    this.current = choice[choice.length === 1 ? 0 : this.#random.below(choice.length)] ?? 0;
    return this.current;
  }
}
