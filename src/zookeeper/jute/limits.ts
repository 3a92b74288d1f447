/**
 * The bounds that ZooKeeper puts on what it reads: `jute.maxbuffer` limits a client's frame, and with
 * `zookeeper.jute.maxbuffer.extrasize` on top a string or buffer in files and between servers.
 * Source: BinaryInputArchive.checkLength.
 */
export interface JuteLimits {
  readonly frameBytesMax: number;
  /** Longest string or buffer in a log, a snapshot or a quorum packet. */
  readonly fieldBytesMax: number;
  /** Longest transaction: a multi may take more bytes in the log than in its request, by suffixes and expanded ACLs. */
  readonly transactionBytesMax: number;
}

const MAX_BUFFER = 0xfffff;
const EXTRA_SIZE_MIN = 1024;
const TRANSACTION_EXTRA_BYTES = 512 * 1024;

export function juteLimits(maxBuffer = MAX_BUFFER, extraSize = maxBuffer): JuteLimits {
  const fieldBytesMax = maxBuffer + Math.max(extraSize, EXTRA_SIZE_MIN);
  return { frameBytesMax: maxBuffer, fieldBytesMax, transactionBytesMax: Math.max(fieldBytesMax, 2 * maxBuffer + TRANSACTION_EXTRA_BYTES) };
}
