import { must } from "../../../lib/assert.ts";
import { readInt64, writeInt64 } from "../../../lib/int64.ts";
import type { Address } from "../../config/ensemble.ts";

/**
 * What goes over the election port: the initial message of whoever dials, then notifications both ways, each behind
 * an int32 length. All numbers are big-endian. Sources: server/quorum/{QuorumCnxManager,FastLeaderElection}.java.
 */

/** In the order of their numbers on the wire. */
const STATES = ["looking", "following", "leading", "observing"] as const;
export type PeerState = (typeof STATES)[number];

/** A vote: who should lead, what that member has (its last logged zxid, its currentEpoch file), and the round of election. */
export interface Vote {
  readonly leader: number;
  readonly zxid: number;
  /** The reference's electionEpoch, or logical clock. -1 where no round has been held. */
  readonly round: number;
  /** The leader's currentEpoch when it was voted for; once synced with it, the epoch that it began. */
  readonly peerEpoch: number;
}

export interface Notification {
  readonly state: PeerState;
  readonly vote: Vote;
  /** 0 before 3.4.6, 1 before 3.5, 2 since. */
  readonly version: number;
  /** The sender's committed configuration, as `formatEnsemble` writes it; undefined below version 2. */
  readonly config: string | undefined;
}

/** What an observer votes for, and what it has: less than anything (Long.MIN_VALUE, exact as a number). */
export const NOTHING = -(2 ** 63);

const VERSION = 2;
const HEAD_BYTES = 44;
/** The length of a message with a frame's length before it. */
export const FRAME_BYTES_MAX = 512 * 1024;

/** A frame: int32 length, then the notification. */
export function encodeNotification(state: PeerState, vote: Vote, config: Buffer): Buffer {
  const frame = Buffer.allocUnsafe(4 + HEAD_BYTES + config.length);
  frame.writeInt32BE(HEAD_BYTES + config.length, 0);
  frame.writeInt32BE(STATES.indexOf(state), 4);
  writeInt64(frame, vote.leader, 8);
  writeInt64(frame, vote.zxid, 16);
  writeInt64(frame, vote.round, 24);
  writeInt64(frame, vote.peerEpoch, 32);
  frame.writeInt32BE(VERSION, 40);
  frame.writeInt32BE(config.length, 44);
  config.copy(frame, 4 + HEAD_BYTES);
  return frame;
}

/**
 * Every length that 3.5.9 reads: 28 bytes end before the peer epoch (taken from the zxid then), 40 bytes count as
 * version 0 whatever the last four say, longer ones have a version and, above 1, a configuration. Undefined: malformed.
 */
export function decodeNotification(message: Buffer): Notification | undefined {
  const { length } = message;
  if (length !== 28 && length < 40) return undefined;
  const state = STATES[message.readInt32BE(0)];
  const zxid = readInt64(message, 12);
  const peerEpoch = length === 28 ? Math.floor(zxid / 0x1_0000_0000) : readInt64(message, 28);
  const vote: Vote = { leader: readInt64(message, 4), zxid, round: readInt64(message, 20), peerEpoch };
  if (state === undefined || !Number.isSafeInteger(vote.round) || !isSafe(vote.leader) || !isSafe(zxid) || !isSafe(length === 28 ? 0 : peerEpoch)) return undefined;
  const version = length > 40 ? message.readInt32BE(36) : 0;
  if (version < 2) return { state, vote, version, config: undefined };
  const configBytes = length >= HEAD_BYTES ? message.readInt32BE(40) : -1;
  if (configBytes < 0 || configBytes > length - HEAD_BYTES) return undefined;
  return { state, vote, version, config: message.toString("utf8", HEAD_BYTES, HEAD_BYTES + configBytes) };
}

function isSafe(value: number): boolean {
  return Number.isSafeInteger(value) || value === NOTHING;
}

/** Whether a vote wins against another: by peer epoch, then zxid, then id. */
export function beats(vote: Vote, other: Vote): boolean {
  if (vote.peerEpoch !== other.peerEpoch) return vote.peerEpoch > other.peerEpoch;
  if (vote.zxid !== other.zxid) return vote.zxid > other.zxid;
  return vote.leader > other.leader;
}

const INITIAL_VERSION = -65536;
const INITIAL_HEAD_BYTES = 20;
const ADDRESS_BYTES_MAX = 2048;

/** int64 -65536, int64 id, int32 length, `host:port` where the sender takes election connections. */
export function encodeInitialMessage(id: number, address: Address): Buffer {
  const text = Buffer.from(`${address.host.includes(":") ? `[${address.host}]` : address.host}:${address.port}`);
  const message = Buffer.allocUnsafe(INITIAL_HEAD_BYTES + text.length);
  writeInt64(message, INITIAL_VERSION, 0);
  writeInt64(message, id, 8);
  message.writeInt32BE(text.length, 16);
  text.copy(message, INITIAL_HEAD_BYTES);
  return message;
}

export type InitialMessage =
  | { readonly kind: "incomplete" }
  | { readonly kind: "malformed"; readonly why: string }
  /** `id` undefined: an observer without an id of its own. `address` undefined: the one in the configuration counts. */
  | { readonly kind: "complete"; readonly id: number | undefined; readonly address: Address | undefined; readonly bytes: number };

/** Reads the head of a stream. Before 3.5 the dialler sent its bare id. */
export function decodeInitialMessage(stream: Buffer): InitialMessage {
  if (stream.length < 8) return { kind: "incomplete" };
  const version = readInt64(stream, 0);
  if (version >= 0) return identified(stream, 0, { address: undefined, bytes: 8 });
  if (version !== INITIAL_VERSION) return { kind: "malformed", why: `protocol version ${version} is unknown` };
  if (stream.length < INITIAL_HEAD_BYTES) return { kind: "incomplete" };
  const length = stream.readInt32BE(16);
  if (length <= 0 || length > ADDRESS_BYTES_MAX) return { kind: "malformed", why: `${length} bytes of address` };
  const bytes = INITIAL_HEAD_BYTES + length;
  if (stream.length < bytes) return { kind: "incomplete" };
  const text = stream.toString("utf8", INITIAL_HEAD_BYTES, bytes);
  const match = /^(?:\[([^\]]+)\]|([^:]+)):([0-9]{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (match === null || port > 65_535) return { kind: "malformed", why: `${JSON.stringify(text)} is not host:port` };
  const host = must(match[1] ?? match[2], "host");
  return identified(stream, 8, { address: isWildcard(host) ? undefined : { host, port }, bytes });
}

function identified(stream: Buffer, at: number, rest: { address: Address | undefined; bytes: number }): InitialMessage {
  if (stream.readUInt32BE(at) === 0x7fff_ffff && stream.readUInt32BE(at + 4) === 0xffff_ffff) return { kind: "complete", id: undefined, ...rest };
  const id = readInt64(stream, at);
  return Number.isSafeInteger(id) ? { kind: "complete", id, ...rest } : { kind: "malformed", why: `${id} is no id` };
}

function isWildcard(host: string): boolean {
  return host === "0.0.0.0" || /^[0:]*:[0:]*$/.test(host);
}
