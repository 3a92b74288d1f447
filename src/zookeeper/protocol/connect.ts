import { Reader } from "../../codec/reader.ts";
import type { Decoded, Input } from "../../codec/schema.ts";
import type { Writer } from "../../codec/writer.ts";
import { NO_SESSION, sessionId, type SessionId } from "./ids.ts";
import { connectRequest, connectResponse } from "./records.ts";

/** The first packet of a connection and what a session is made of. Sources: ZooKeeperServer, SessionTrackerImpl. */

/** Bytes of the length before every message. */
export const FRAME_HEADER_BYTES = 4;
export const PASSWORD_BYTES = 16;

export type ConnectRequest = Decoded<typeof connectRequest> & {
  /** Undefined where the client sent no such byte; the answer must then hold none either. */
  readonly readOnly: boolean | undefined;
};

export function decodeConnectRequest(body: Buffer): ConnectRequest | undefined {
  const reader = new Reader(body);
  const request = connectRequest.read(reader);
  const readOnly = !reader.bad && reader.remaining > 0 ? reader.bool() : undefined;
  return reader.bad ? undefined : { ...request, readOnly };
}

/** `readOnly` undefined leaves the byte out. */
export function writeConnectResponse(writer: Writer, response: Input<typeof connectResponse>, readOnly: boolean | undefined): void {
  connectResponse.write(writer, response);
  if (readOnly !== undefined) writer.bool(readOnly);
}

/** What a client with an expired session or a wrong password is told, before its connection is closed. */
export const INVALID_SESSION: Input<typeof connectResponse> = { protocolVersion: 0, timeOut: 0, sessionId: NO_SESSION, passwd: Buffer.alloc(PASSWORD_BYTES) };

const PASSWORD_SEED = 0xb3415c00n;
const RANDOM_MULTIPLIER = 0x5deece66dn;
const RANDOM_MASK = (1n << 48n) - 1n;

/**
 * Every member computes the same password from the id alone: 16 bytes of java.util.Random seeded with the id and
 * a constant, each 32-bit step low byte first. Source: ZooKeeperServer.generatePasswd.
 */
export function sessionPassword(session: SessionId): Buffer {
  const password = Buffer.alloc(PASSWORD_BYTES);
  let state = (BigInt.asUintN(64, session ^ PASSWORD_SEED) ^ RANDOM_MULTIPLIER) & RANDOM_MASK;
  for (let at = 0; at < PASSWORD_BYTES; at += 4) {
    state = (state * RANDOM_MULTIPLIER + 0xbn) & RANDOM_MASK;
    password.writeUInt32LE(Number(state >> 16n), at);
  }
  return password;
}

export function isPasswordOf(session: SessionId, password: Buffer | null): boolean {
  return session !== NO_SESSION && password !== null && password.equals(sessionPassword(session));
}

const CONTAINER_OWNER = 1n << 63n;

/**
 * The first id that a tracker hands out, each next one being one more: the server's low byte on top, then 40 bits
 * of the monotonic clock. Source: SessionTrackerImpl.initializeNextSession.
 */
export function firstSessionId(serverId: number, monotonicMs: number): SessionId {
  const clock = (BigInt.asUintN(64, BigInt(Math.floor(monotonicMs)) << 24n)) >> 8n;
  const id = BigInt.asUintN(64, clock | (BigInt(serverId) << 56n));
  return sessionId(id === CONTAINER_OWNER ? id + 1n : id);
}
