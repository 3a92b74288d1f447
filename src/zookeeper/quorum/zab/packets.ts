import { boolean, int, juteRecord, longExact } from "../../../codec/jute.ts";
import { Reader } from "../../../codec/reader.ts";
import { Writer } from "../../../codec/writer.ts";
import { assertNever } from "../../../lib/assert.ts";
import { OperationalError } from "../../../lib/error.ts";
import type { JuteLimits } from "../../jute/limits.ts";
import { RecordStream } from "../../jute/stream.ts";
import { epochOf, makeZxid, NO_ZXID, ZXID_ZERO, type SessionId, type Zxid } from "../../protocol/ids.ts";
import { learnerInfo, learnerRequest, PacketType, QUORUM_PROTOCOL_VERSION, quorumPacket, touchedSession, type QuorumPacket } from "../../protocol/quorum.ts";
import { sessionIdField, type Id } from "../../protocol/records.ts";
import { decodeTransaction, type Transaction } from "../../protocol/transactions.ts";

/** What passes between a leader and its learners on the quorum port. Sources: Leader, LearnerHandler, Learner. */

export interface Touch {
  readonly sessionId: SessionId;
  readonly timeOut: number;
}

/** A client's request on its way to the leader; `ids` is null where a server made it. */
export interface ForwardedRequest {
  readonly sessionId: SessionId;
  readonly cxid: number;
  readonly type: number;
  readonly body: Buffer;
  readonly ids: readonly Id[] | null;
}

/** From a learner to its leader. */
export type LearnerPacket =
  /** `serverId` undefined: the learner does not say who it is. */
  | { readonly kind: "info"; readonly observer: boolean; readonly acceptedEpoch: number; readonly serverId: number | undefined; readonly configVersion: number }
  /** `currentEpoch` undefined: it had accepted this epoch before, and does not count. */
  | { readonly kind: "ackEpoch"; readonly lastZxid: Zxid; readonly currentEpoch: number | undefined }
  | { readonly kind: "ack"; readonly zxid: Zxid }
  | { readonly kind: "ping"; readonly zxid: Zxid; readonly touched: readonly Touch[] }
  | { readonly kind: "revalidate"; readonly sessionId: SessionId; readonly timeOut: number }
  | { readonly kind: "request"; readonly request: ForwardedRequest };

/** From a leader to a learner. After "snap" a snapshot follows in the stream, before the next packet. */
export type LeaderPacket =
  | { readonly kind: "leaderInfo"; readonly epoch: number }
  | { readonly kind: "diff" | "trunc" | "snap"; readonly zxid: Zxid }
  /** `config` is the text of the ensemble that the leader saw last. */
  | { readonly kind: "newLeader"; readonly epoch: number; readonly config: string | undefined }
  | { readonly kind: "upToDate" }
  | { readonly kind: "proposal" | "inform"; readonly transaction: Transaction }
  | { readonly kind: "commit"; readonly zxid: Zxid }
  | { readonly kind: "ping"; readonly zxid: Zxid }
  | { readonly kind: "revalidated"; readonly sessionId: SessionId; readonly alive: boolean }
  | { readonly kind: "sync" }
  | { readonly kind: "commitAndActivate"; readonly zxid: Zxid; readonly leader: bigint }
  | { readonly kind: "informAndActivate"; readonly transaction: Transaction; readonly leader: bigint };

const protocolVersion = juteRecord("LeaderInfo", { version: int() });
const currentEpochRecord = juteRecord("AckEpoch", { currentEpoch: int() });
const revalidation = juteRecord("Revalidation", { sessionId: sessionIdField(), alive: boolean() });
const designatedLeader = juteRecord("DesignatedLeader", { leader: longExact() });

const INFO_BYTES = 20;
const SERVER_ID_BYTES = 8;
const LEADER_ID_BYTES = 8;
/** Ids of clients and the other fields of a packet, beside its data. */
const PACKET_EXTRA_BYTES = 64 * 1024;
const NO_DATA = Buffer.alloc(0);

/**
 * The packets that arrive on one side of a connection: no length stands before them. Where the bytes hold no packet,
 * or one that makes no sense, `next` throws ZK_PACKET, and nothing after that can be read.
 */
export class PacketStream<P extends LearnerPacket | LeaderPacket> {
  readonly #packetBytesMax: number;
  readonly #decode: (packet: QuorumPacket) => P | undefined;
  #stream: RecordStream;

  private constructor(limits: JuteLimits, decode: (packet: QuorumPacket) => P | undefined) {
    this.#packetBytesMax = Math.max(limits.transactionBytesMax, limits.fieldBytesMax) + PACKET_EXTRA_BYTES;
    this.#decode = decode;
    this.#stream = new RecordStream(this.#packetBytesMax);
  }

  static ofLearner(limits: JuteLimits): PacketStream<LearnerPacket> {
    return new PacketStream(limits, decodeLearnerPacket);
  }

  static ofLeader(limits: JuteLimits): PacketStream<LeaderPacket> {
    return new PacketStream(limits, decodeLeaderPacket);
  }

  /** The chunk belongs to the stream from here on. */
  push(chunk: Buffer): void {
    this.#stream.push(chunk);
  }

  /** The next packet, or undefined until more bytes arrive. */
  next(): P | undefined {
    const packet = this.#stream.read(quorumPacket);
    if (packet === undefined) {
      if (this.#stream.malformed) throw malformed("what arrived is no quorum packet, or longer than jute.maxbuffer allows");
      return undefined;
    }
    const decoded = this.#decode(packet);
    if (decoded === undefined) throw malformed(`a quorum packet of type ${packet.type} does not hold what belongs to it`);
    return decoded;
  }

  /** Bytes not read yet: after "snap" the snapshot begins with them. What is left of them afterwards is pushed again. */
  takeRest(): Buffer {
    const rest = this.#stream.rest();
    this.#stream = new RecordStream(this.#packetBytesMax);
    return rest;
  }
}

function malformed(what: string): OperationalError {
  return new OperationalError("ZK_PACKET", `${what}: the connection is given up`);
}

/** Chunks for one gathered write. */
export function encodeLearnerPacket(packet: LearnerPacket): Buffer[] {
  switch (packet.kind) {
    case "info": {
      const data = learnerInfo.encode({ serverid: packet.serverId ?? -1, protocolVersion: QUORUM_PROTOCOL_VERSION, configVersion: packet.configVersion });
      return encode(packet.observer ? PacketType.observerInfo : PacketType.followerInfo, makeZxid(packet.acceptedEpoch, 0), data);
    }
    case "ackEpoch":
      return encode(PacketType.ackEpoch, packet.lastZxid, currentEpochRecord.encode({ currentEpoch: packet.currentEpoch ?? -1 }));
    case "ack":
      return encode(PacketType.ack, packet.zxid, null);
    case "ping": {
      const writer = new Writer();
      for (const touch of packet.touched) touchedSession.write(writer, touch);
      return encode(PacketType.ping, packet.zxid, packet.touched.length === 0 ? NO_DATA : writer.finishBuffer());
    }
    case "revalidate":
      return encode(PacketType.revalidate, NO_ZXID, touchedSession.encode(packet));
    case "request": {
      const { request } = packet;
      const writer = new Writer();
      learnerRequest.write(writer, request);
      writer.bytes(request.body);
      return encode(PacketType.request, NO_ZXID, writer.finishBuffer(), request.ids);
    }
    default:
      return assertNever(packet);
  }
}

export function encodeLeaderPacket(packet: LeaderPacket): Buffer[] {
  switch (packet.kind) {
    case "leaderInfo":
      return encode(PacketType.leaderInfo, makeZxid(packet.epoch, 0), protocolVersion.encode({ version: QUORUM_PROTOCOL_VERSION }));
    case "diff":
    case "trunc":
    case "snap":
    case "commit":
    case "ping":
      return encode(PacketType[packet.kind], packet.zxid, null);
    case "newLeader":
      return encode(PacketType.newLeader, makeZxid(packet.epoch, 0), packet.config === undefined ? null : Buffer.from(packet.config));
    case "upToDate":
      return encode(PacketType.upToDate, NO_ZXID, null);
    case "proposal":
    case "inform":
      return encodeProposed(packet.kind, packet.transaction.header.zxid, packet.transaction.payload);
    case "revalidated":
      return encode(PacketType.revalidate, NO_ZXID, revalidation.encode(packet));
    case "sync":
      return encode(PacketType.sync, ZXID_ZERO, null);
    case "commitAndActivate":
      return encode(PacketType.commitAndActivate, packet.zxid, designatedLeader.encode(packet));
    case "informAndActivate":
      return encode(PacketType.informAndActivate, packet.transaction.header.zxid, Buffer.concat([designatedLeader.encode(packet), packet.transaction.payload]));
    default:
      return assertNever(packet);
  }
}

/** A transaction of which only its bytes are at hand. */
export function encodeProposed(kind: "proposal" | "inform", zxid: Zxid, payload: Buffer): Buffer[] {
  return encode(PacketType[kind], zxid, payload);
}

function encode(type: PacketType, zxid: Zxid, data: Buffer | null, authinfo: readonly Id[] | null = null): Buffer[] {
  const writer = new Writer();
  quorumPacket.write(writer, { type, zxid, data, authinfo });
  return writer.finish();
}

/** Undefined where the packet is none that a learner sends, or its data is not what belongs to it. */
export function decodeLearnerPacket(packet: QuorumPacket): LearnerPacket | undefined {
  const { type, zxid } = packet;
  const data = packet.data ?? NO_DATA;
  switch (type) {
    case PacketType.followerInfo:
    case PacketType.observerInfo: {
      if (zxid < 0) return undefined;
      // Older members send less; who they are is in the first eight bytes.
      const info = data.length < SERVER_ID_BYTES ? undefined : learnerInfo.decode(data.length >= INFO_BYTES ? data : Buffer.concat([data, Buffer.alloc(INFO_BYTES - data.length)]));
      return { kind: "info", observer: type === PacketType.observerInfo, acceptedEpoch: epochOf(zxid), serverId: info?.serverid, configVersion: info?.configVersion ?? 0 };
    }
    case PacketType.ackEpoch: {
      const epoch = currentEpochRecord.decode(data);
      if (epoch === undefined || zxid < 0) return undefined;
      return { kind: "ackEpoch", lastZxid: zxid, currentEpoch: epoch.currentEpoch < 0 ? undefined : epoch.currentEpoch };
    }
    case PacketType.ack:
      return { kind: "ack", zxid };
    case PacketType.ping: {
      const touched = decodeTouched(data);
      return touched && { kind: "ping", zxid, touched };
    }
    case PacketType.revalidate: {
      const touch = touchedSession.decode(data);
      return touch && { kind: "revalidate", ...touch };
    }
    case PacketType.request: {
      const reader = new Reader(data);
      const head = learnerRequest.read(reader);
      return reader.bad ? undefined : { kind: "request", request: { ...head, body: data.subarray(reader.position), ids: packet.authinfo } };
    }
    default:
      return undefined;
  }
}

function decodeTouched(data: Buffer): Touch[] | undefined {
  const reader = new Reader(data);
  const touched: Touch[] = [];
  while (reader.remaining > 0 && !reader.bad) touched.push(touchedSession.read(reader));
  return reader.bad ? undefined : touched;
}

/** Undefined where the packet is none that a leader sends, or its data is not what belongs to it. */
export function decodeLeaderPacket(packet: QuorumPacket): LeaderPacket | undefined {
  const { type, zxid } = packet;
  const data = packet.data ?? NO_DATA;
  switch (type) {
    case PacketType.leaderInfo:
      return zxid < 0 || protocolVersion.decode(data) === undefined ? undefined : { kind: "leaderInfo", epoch: epochOf(zxid) };
    case PacketType.diff:
      return sequenced("diff", zxid);
    case PacketType.trunc:
      return sequenced("trunc", zxid);
    case PacketType.snap:
      return sequenced("snap", zxid);
    case PacketType.newLeader:
      return zxid < 0 ? undefined : { kind: "newLeader", epoch: epochOf(zxid), config: packet.data?.toString() };
    case PacketType.upToDate:
      return { kind: "upToDate" };
    case PacketType.proposal:
    case PacketType.inform: {
      const transaction = decodeProposed(data, zxid);
      return transaction && { kind: type === PacketType.proposal ? "proposal" : "inform", transaction };
    }
    case PacketType.commit:
      return zxid < 0 ? undefined : { kind: "commit", zxid };
    case PacketType.ping:
      return { kind: "ping", zxid };
    case PacketType.revalidate: {
      const answer = revalidation.decode(data);
      return answer && { kind: "revalidated", ...answer };
    }
    case PacketType.sync:
      return { kind: "sync" };
    case PacketType.commitAndActivate: {
      const designated = designatedLeader.decode(data);
      return designated && { kind: "commitAndActivate", zxid, ...designated };
    }
    case PacketType.informAndActivate: {
      const designated = designatedLeader.decode(data);
      const transaction = decodeProposed(data.subarray(LEADER_ID_BYTES), zxid);
      return designated && transaction && { kind: "informAndActivate", transaction, ...designated };
    }
    default:
      return undefined;
  }
}

function sequenced(kind: "diff" | "trunc" | "snap", zxid: Zxid): LeaderPacket | undefined {
  return zxid < 0 ? undefined : { kind, zxid };
}

function decodeProposed(data: Buffer, zxid: Zxid): Transaction | undefined {
  const transaction = decodeTransaction(data);
  return transaction?.header.zxid === zxid ? transaction : undefined;
}
