import { OperationalError } from "../../../lib/error.ts";
import type { Zxid } from "../../protocol/ids.ts";
import { SNAPSHOT_SIGNATURE, snapshotSignature } from "../../protocol/quorum.ts";
import { TreeReader } from "../../store/snapshot-format.ts";
import type { DataTree } from "../../tree/tree.ts";

const SIGNATURE_BYTES = snapshotSignature.encode({ text: SNAPSHOT_SIGNATURE }).length;

/** The snapshot that follows a SNAP packet in the stream. Source: Learner.syncWithLeader. */
export class SnapshotReceiver {
  readonly tree: DataTree;
  readonly zxid: Zxid;
  readonly #reader: TreeReader;
  /** What came after the tree. */
  #tail: Buffer | undefined;

  constructor(tree: DataTree, zxid: Zxid, fieldBytesMax: number) {
    this.tree = tree;
    this.zxid = zxid;
    this.#reader = new TreeReader(tree, fieldBytesMax);
  }

  /**
   * Returns the bytes behind the snapshot once it is whole, undefined until then. ZK_PACKET where what comes is no
   * snapshot. The chunk belongs to the receiver.
   */
  push(chunk: Buffer): Buffer | undefined {
    if (this.#tail === undefined) {
      this.#reader.push(chunk);
      if (this.#reader.problem !== undefined) throw malformed(this.#reader.problem);
      if (!this.#reader.done) return undefined;
      this.#tail = this.#reader.rest();
    } else this.#tail = Buffer.concat([this.#tail, chunk]);
    if (this.#tail.length < SIGNATURE_BYTES) return undefined;
    if (snapshotSignature.decode(this.#tail.subarray(0, SIGNATURE_BYTES))?.text !== SNAPSHOT_SIGNATURE) throw malformed("its end mark is missing");
    this.#reader.finish(this.zxid);
    return this.#tail.subarray(SIGNATURE_BYTES);
  }
}

function malformed(what: string): OperationalError {
  return new OperationalError("ZK_PACKET", `the leader's snapshot can't be read: ${what}`);
}
