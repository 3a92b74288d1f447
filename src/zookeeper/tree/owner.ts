import { OperationalError } from "../../lib/error.ts";
import { sessionId, toHex, type SessionId } from "../protocol/ids.ts";

/**
 * What the 64-bit owner of a znode says: nothing, a session, a container, or a TTL. Source: EphemeralType.
 */
export type Ownership = "none" | "session" | "container" | "ttl";

export interface OwnerOptions {
  /** `zookeeper.extendedTypesEnabled`: without it an owner that encodes a TTL is taken for a session. */
  readonly extendedTypes: boolean;
  /** `zookeeper.emulate353TTLNodes`: every negative owner but the container's is a TTL. */
  readonly emulate353Ttl: boolean;
}

export const NO_OWNER = 0n;
export const CONTAINER_OWNER = -(1n << 63n);
/** 40 bits of milliseconds. */
export const TTL_MS_MAX = 0xff_ffff_ffff;

const TTL_MASK = BigInt(TTL_MS_MAX);
const EXTENDED = 0xffn;
const FEATURE_MASK = 0xffffn;

export function ownershipOf(owner: bigint, options: OwnerOptions): Ownership {
  if (owner === NO_OWNER) return "none";
  if (owner === CONTAINER_OWNER) return "container";
  if (options.extendedTypes && owner < 0n) {
    if (options.emulate353Ttl) return "ttl";
    const bits = BigInt.asUintN(64, owner);
    if (bits >> 56n === EXTENDED) {
      if (((bits >> 40n) & FEATURE_MASK) === 0n) return "ttl";
      throw new OperationalError("ZK_UNKNOWN_OWNER", `owner 0x${toHex(owner)} of a znode encodes an extended type that this version does not know`);
    }
  }
  return "session";
}

export function ttlOwner(ttlMs: number): bigint {
  return BigInt.asIntN(64, (EXTENDED << 56n) | BigInt(ttlMs));
}

export function ttlMsOf(owner: bigint): number {
  return Number(BigInt.asUintN(64, owner) & TTL_MASK);
}

export function sessionOf(owner: bigint): SessionId {
  return sessionId(owner);
}
