/**
 * Java's `String.hashCode`: a signed 32-bit sum over UTF-16 units, by which Kafka spreads names over fetchers and
 * over partitions of its own topics.
 */
export function javaHash(text: string): number {
  let hash = 0;
  for (let at = 0; at < text.length; at++) hash = (Math.imul(31, hash) + text.charCodeAt(at)) | 0;
  return hash;
}

/** Kafka's absolute value of a 32-bit integer: the least one, which has none, counts as 0. Source: Utils.abs. */
export function javaAbs(value: number): number {
  return value === -0x8000_0000 ? 0 : Math.abs(value);
}

/**
 * The keys in the order in which a java.util.HashMap gives them that got them in this order; `capacity` as for its
 * constructor. No bucket may hold so many that Java makes a tree of it (8), where order is by hash.
 */
export function javaHashMapOrder(keys: readonly string[], capacity = 16): string[] {
  let buckets = 1;
  while (buckets < capacity) buckets *= 2;
  while (keys.length > 0.75 * buckets) buckets *= 2;
  const bucketOf = (key: string): number => {
    const hash = javaHash(key);
    return (hash ^ (hash >>> 16)) & (buckets - 1);
  };
  return keys.toSorted((a, b) => bucketOf(a) - bucketOf(b));
}
