import { assert } from "../../lib/assert.ts";
import type { Brand } from "../../lib/brand.ts";

/** A transaction's number: the leader's epoch in the upper 32 bits, a counter in the lower. Safe while the epoch is below 2^21. */
export type Zxid = Brand<number, "Zxid">;
export type SessionId = Brand<bigint, "SessionId">;

const COUNTER_RANGE = 0x1_0000_0000;
/** At this counter the leader gives up, so that a new epoch begins. Source: Leader.propose. */
export const COUNTER_MAX = COUNTER_RANGE - 1;

export function zxid(value: number): Zxid {
  if (!Number.isSafeInteger(value)) assert(false, `zxid ${value} is not a safe integer`);
  return value as Zxid;
}

export const ZXID_ZERO = zxid(0);
/** Where a packet or a reply has no zxid. */
export const NO_ZXID = zxid(-1);

export function makeZxid(epoch: number, counter: number): Zxid {
  assert(counter >= 0 && counter <= COUNTER_MAX, "the counter fits a zxid");
  return zxid(epoch * COUNTER_RANGE + counter);
}

export function epochOf(id: Zxid): number {
  return Math.floor(id / COUNTER_RANGE);
}

export function counterOf(id: Zxid): number {
  return id - epochOf(id) * COUNTER_RANGE;
}

export function nextZxid(id: Zxid): Zxid {
  assert(counterOf(id) < COUNTER_MAX, "the zxid is not the last of its epoch");
  return zxid(id + 1);
}

export function sessionId(value: bigint): SessionId {
  return BigInt.asIntN(64, value) as SessionId;
}

export const NO_SESSION = sessionId(0n);

/** As in logs, four-letter words and file names: hexadecimal of the 64 bits, without a prefix. */
export function toHex(value: number | bigint): string {
  return BigInt.asUintN(64, BigInt(value)).toString(16);
}
