import { buffer, int, juteRecord, long, longExact, ustring, vector } from "../../codec/jute.ts";
import type { Decoded } from "../../codec/schema.ts";
import { id, sessionIdField, zxidField } from "./records.ts";

/** Between members: packets have no outer length. Sources: zookeeper.jute (org.apache.zookeeper.server.quorum), Leader. */

export const PacketType = {
  request: 1,
  proposal: 2,
  ack: 3,
  commit: 4,
  ping: 5,
  revalidate: 6,
  sync: 7,
  inform: 8,
  commitAndActivate: 9,
  newLeader: 10,
  followerInfo: 11,
  upToDate: 12,
  diff: 13,
  trunc: 14,
  snap: 15,
  observerInfo: 16,
  leaderInfo: 17,
  ackEpoch: 18,
  informAndActivate: 19,
} as const;

export type PacketType = (typeof PacketType)[keyof typeof PacketType];

export const QUORUM_PROTOCOL_VERSION = 0x10000;
/** After the snapshot that follows a SNAP packet. */
export const SNAPSHOT_SIGNATURE = "BenWasHere";

export const quorumPacket = juteRecord("QuorumPacket", {
  type: int(),
  zxid: zxidField(),
  data: buffer({ nullable: true }),
  authinfo: vector(id, { nullable: true }),
});
export type QuorumPacket = Decoded<typeof quorumPacket>;

export const learnerInfo = juteRecord("LearnerInfo", { serverid: long(), protocolVersion: int(), configVersion: long() });
export const quorumAuthPacket = juteRecord("QuorumAuthPacket", { magic: longExact(), status: int(), token: buffer({ nullable: true }) });
export const QUORUM_AUTH_MAGIC = -0xa0dbcafecafe1234n;
export const QuorumAuthStatus = { inProgress: 0, success: 1, error: -1 } as const;

/** Stands at the head of a REQUEST packet's data; the request's body follows. */
export const learnerRequest = juteRecord("LearnerRequest", { sessionId: sessionIdField(), cxid: int(), type: int() });
/** The data of a REVALIDATE packet to the leader, and of each touched session in an answered PING. */
export const touchedSession = juteRecord("TouchedSession", { sessionId: sessionIdField(), timeOut: int() });
export const snapshotSignature = juteRecord("SnapshotSignature", { text: ustring() });
