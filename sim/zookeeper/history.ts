import { must } from "../../src/lib/assert.ts";
import { counterOf, epochOf, toHex, zxid as zxidOf, ZXID_ZERO, type Zxid } from "../../src/zookeeper/protocol/ids.ts";
import { decodeTransaction, type Transaction } from "../../src/zookeeper/protocol/transactions.ts";
import type { StoredFiles } from "../stored-files.ts";
import { Violation } from "./violation.ts";

/** Where a member keeps its log and its snapshots. */
export interface MemberDisk {
  readonly id: number;
  readonly files: StoredFiles;
  readonly logs: string;
  readonly snapshots: string;
}

/** What a learner got from a leader instead of single transactions: all that was the leader's up to `zxid`. */
interface Inheritance {
  readonly zxid: Zxid;
  readonly history: readonly Zxid[];
}

const LOG_HEADER_BYTES = 16;
const ENTRY_HEAD_BYTES = 12;

/**
 * Every member's history, as its disk tells it: the transactions in its logs; before those what came with a leader's
 * snapshot, which is the leader's own history of that moment; and what its own snapshots hold that its log had not
 * written yet. Nothing purges in these runs, so that the logs go back to the beginning.
 */
export class Histories {
  readonly #members: readonly MemberDisk[];
  /** Every transaction ever seen in a log. */
  readonly #known = new Map<Zxid, Transaction>();
  readonly #inherited = new Map<number, Inheritance[]>();

  constructor(members: readonly MemberDisk[]) {
    this.#members = members;
  }

  /** A leader begins to send its snapshot to a learner. */
  snapshotSent(leader: number, learner: number, zxid: Zxid): void {
    const list = this.#inherited.get(learner) ?? [];
    this.#inherited.set(learner, list);
    list.push({ zxid, history: must(this.#zxids().get(leader), `member ${leader}`).filter((id) => id <= zxid) });
  }

  /**
   * Where nobody heard what leaders sent: a snapshot whose last transaction the member has not logged is a leader's. Those
   * of an epoch's beginning are left out: nobody logs that.
   */
  snapshotsOnDisk(): void {
    const logged = this.#members.map((member) => ({ member, zxids: new Set(this.#readLogs(member)) }));
    const taken = logged.flatMap(({ member, zxids }) => {
      const snapshots = numbersIn(member.files, member.snapshots, "snapshot").filter((zxid) => !zxids.has(zxid) && isComplete(member, zxid));
      return snapshots.map((zxid) => ({ learner: member.id, zxid }));
    });
    for (const { learner, zxid } of taken.toSorted((a, b) => a.zxid - b.zxid)) {
      const leader = logged.find(({ member, zxids }) => member.id !== learner && zxids.has(zxid));
      if (leader !== undefined) this.snapshotSent(leader.member.id, learner, zxid);
    }
  }

  /** By member, each in zxid order. */
  all(): Map<number, Transaction[]> {
    return new Map([...this.#zxids()].map(([id, zxids]) => [id, zxids.map((zxid) => must(this.#known.get(zxid), "transaction"))]));
  }

  /** By member, once all logs are read: what one lacks, others know. */
  #zxids(): Map<number, Zxid[]> {
    const logged = this.#members.map((member) => [member, this.#readLogs(member)] as const);
    return new Map(logged.map(([member, zxids]) => [member.id, this.#whole(member, zxids)]));
  }

  /** With what the member has besides its logs. */
  #whole(member: MemberDisk, logged: readonly Zxid[]): Zxid[] {
    const inheritance = this.#inherited.get(member.id)?.findLast(({ zxid }) => isComplete(member, zxid));
    if (inheritance === undefined) return this.#withSnapshots(member, logged);
    const { zxid, history } = inheritance;
    return this.#withSnapshots(member, [...history, ...this.#between(history.at(-1) ?? ZXID_ZERO, zxid), ...logged.filter((id) => id > zxid)]);
  }

  /** A member may apply what a quorum has committed, and take a snapshot with it, before its own log has it; the end of an epoch, too. */
  #withSnapshots(member: MemberDisk, zxids: readonly Zxid[]): Zxid[] {
    const whole: Zxid[] = [];
    for (const next of [...zxids, undefined]) {
      const last = whole.at(-1) ?? ZXID_ZERO;
      if (next !== last + 1) {
        const snapshots = numbersIn(member.files, member.snapshots, "snapshot").filter((zxid) => zxid > last && (next === undefined || zxid < next));
        for (const zxid of snapshots) if (isComplete(member, zxid)) whole.push(...this.#between(whole.at(-1) ?? ZXID_ZERO, zxid));
      }
      if (next !== undefined) whole.push(next);
    }
    return whole;
  }

  /** What was committed in the epoch of `upTo`: whoever has that has taken all before it. */
  #between(after: Zxid, upTo: Zxid): Zxid[] {
    const missing = [...this.#known.keys()].filter((zxid) => zxid > after && zxid <= upTo && epochOf(zxid) === epochOf(upTo));
    return missing.toSorted((a, b) => a - b);
  }

  #readLogs(member: MemberDisk): Zxid[] {
    const files = numbersIn(member.files, member.logs, "log");
    const zxids = new Set<Zxid>();
    for (const first of files) {
      for (const transaction of readLog(must(member.files.read(`${member.logs}/log.${toHex(first)}`), "log file"))) {
        zxids.add(transaction.header.zxid);
        this.#remember(member, transaction);
      }
    }
    return [...zxids].toSorted((a, b) => a - b);
  }

  #remember(member: MemberDisk, transaction: Transaction): void {
    const { zxid } = transaction.header;
    const known = this.#known.get(zxid);
    if (known === undefined) this.#known.set(zxid, { ...transaction, payload: Buffer.from(transaction.payload) });
    else if (!known.payload.equals(transaction.payload)) throw new Violation("one proposal a zxid", `${member.files.name} has another transaction 0x${toHex(zxid)} than others have, or had`);
  }
}

export function follows(last: Zxid, next: Zxid): boolean {
  return next === last + 1 || (epochOf(next) > epochOf(last) && counterOf(next) === 1);
}

/** Ascending. */
function numbersIn(files: StoredFiles, path: string, kind: "log" | "snapshot"): Zxid[] {
  return files
    .list(path)
    .map(({ name }) => /^(log|snapshot)\.([0-9a-f]+)$/.exec(name))
    .filter((match) => match?.[1] === kind)
    .map((match) => zxidOf(Number.parseInt(match?.[2] ?? "", 16)))
    .toSorted((a, b) => a - b);
}

/** Up to the first entry that is not whole. */
function readLog(bytes: Buffer): Transaction[] {
  const transactions: Transaction[] = [];
  for (let at = LOG_HEADER_BYTES; at + ENTRY_HEAD_BYTES < bytes.length; ) {
    const length = bytes.readInt32BE(at + 8);
    const end = at + ENTRY_HEAD_BYTES + length;
    if (length <= 0 || end >= bytes.length) break;
    const payload = bytes.subarray(at + ENTRY_HEAD_BYTES, end);
    const transaction = bytes.readUInt32BE(at) === 0 && bytes.readUInt32BE(at + 4) === adler32(payload) && bytes[end] === 0x42 ? decodeTransaction(payload) : undefined;
    if (transaction === undefined) break;
    transactions.push(transaction);
    at = end + 1;
  }
  return transactions;
}

function isComplete(member: MemberDisk, zxid: Zxid): boolean {
  const bytes = member.files.read(`${member.snapshots}/snapshot.${toHex(zxid)}`);
  if (bytes === undefined || bytes.length < 29) return false;
  const sealAt = bytes.length - 13;
  return bytes.readUInt32BE(sealAt + 4) === adler32(bytes.subarray(0, sealAt)) && bytes.subarray(-5).equals(Buffer.from("000000012f", "hex"));
}

/** So many bytes add up to less than 2^32 in either sum. */
const ADLER_BYTES_MAX = 5552;

/** RFC 1950. */
function adler32(bytes: Buffer): number {
  let a = 1;
  let b = 0;
  for (let from = 0; from < bytes.length; from += ADLER_BYTES_MAX) {
    const to = Math.min(bytes.length, from + ADLER_BYTES_MAX);
    for (let at = from; at < to; at++) {
      a += bytes[at] as number;
      b += a;
    }
    a %= 65521;
    b %= 65521;
  }
  return ((b << 16) | a) >>> 0;
}
