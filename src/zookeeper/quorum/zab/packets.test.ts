import { describe, expect, test } from "vitest";
import { juteLimits } from "../../jute/limits.ts";
import { makeZxid, sessionId } from "../../protocol/ids.ts";
import { OpCode } from "../../protocol/op-codes.ts";
import { quorumPacket } from "../../protocol/quorum.ts";
import { encodeTransaction } from "../../protocol/transactions.ts";
import { decodeLeaderPacket, decodeLearnerPacket, encodeLeaderPacket, encodeLearnerPacket, PacketStream, type LeaderPacket, type LearnerPacket } from "./packets.ts";

const session = sessionId(0x0100_0000_1234_0000n);
const zxid = makeZxid(3, 7);
const transaction = encodeTransaction({ clientId: session, cxid: 4, zxid, time: 1_700_000_000_000 }, { type: OpCode.setData, record: { path: "/a", data: Buffer.from("x"), version: 2 } });
const limits = juteLimits();

const fromLearner: LearnerPacket[] = [
  { kind: "info", observer: false, acceptedEpoch: 5, serverId: 2, configVersion: 0 },
  { kind: "info", observer: true, acceptedEpoch: 0, serverId: 9, configVersion: 0x1_0000_0003 },
  { kind: "ackEpoch", lastZxid: zxid, currentEpoch: 3 },
  { kind: "ackEpoch", lastZxid: zxid, currentEpoch: undefined },
  { kind: "ack", zxid },
  { kind: "ping", zxid, touched: [] },
  { kind: "ping", zxid, touched: [{ sessionId: session, timeOut: 4000 }, { sessionId: sessionId(-2n), timeOut: 6000 }] },
  { kind: "revalidate", sessionId: session, timeOut: 30_000 },
  { kind: "request", request: { sessionId: session, cxid: 12, type: OpCode.delete, body: Buffer.from("body"), ids: [{ scheme: "ip", id: "10.0.0.1" }] } },
  { kind: "request", request: { sessionId: session, cxid: 0, type: OpCode.closeSession, body: Buffer.alloc(0), ids: null } },
];

const fromLeader: LeaderPacket[] = [
  { kind: "leaderInfo", epoch: 6 },
  { kind: "diff", zxid },
  { kind: "trunc", zxid },
  { kind: "snap", zxid },
  { kind: "newLeader", epoch: 6, config: "server.1=a:2888:3888:participant\nversion=0" },
  { kind: "newLeader", epoch: 6, config: undefined },
  { kind: "upToDate" },
  { kind: "proposal", transaction },
  { kind: "inform", transaction },
  { kind: "commit", zxid },
  { kind: "ping", zxid },
  { kind: "revalidated", sessionId: session, alive: true },
  { kind: "sync" },
  { kind: "commitAndActivate", zxid, leader: 2n },
  { kind: "informAndActivate", transaction, leader: 3n },
];

describe("quorum packets", () => {
  test("every packet of either side comes back as it went, in one stream, whatever the chunks", () => {
    const learner = Buffer.concat(fromLearner.flatMap((packet) => encodeLearnerPacket(packet)));
    const leader = Buffer.concat(fromLeader.flatMap((packet) => encodeLeaderPacket(packet)));
    for (const bytes of [1, 3, 50, 10_000]) {
      expect(readAll(PacketStream.ofLearner(limits), learner, bytes)).toEqual(fromLearner);
      expect(readAll(PacketStream.ofLeader(limits), leader, bytes)).toEqual(fromLeader);
    }
  });

  test("the bytes are those of Apache's members", () => {
    const hex = (chunks: Buffer[]): string => Buffer.concat(chunks).toString("hex").replaceAll(/(.{8})(?=.)/g, "$1 ");
    // Type, zxid, length and data, and no ids: FOLLOWERINFO, ACK and an answered PING.
    expect(hex(encodeLearnerPacket({ kind: "info", observer: false, acceptedEpoch: 1, serverId: 2, configVersion: 0 }))).toBe(
      "0000000b 00000001 00000000 00000014 00000000 00000002 00010000 00000000 00000000 ffffffff",
    );
    expect(hex(encodeLearnerPacket({ kind: "ack", zxid }))).toBe("00000003 00000003 00000007 ffffffff ffffffff");
    expect(hex(encodeLearnerPacket({ kind: "ping", zxid, touched: [] }))).toBe("00000005 00000003 00000007 00000000 ffffffff");
    expect(hex(encodeLearnerPacket({ kind: "ackEpoch", lastZxid: zxid, currentEpoch: undefined }))).toBe("00000012 00000003 00000007 00000004 ffffffff ffffffff");
    expect(hex(encodeLeaderPacket({ kind: "leaderInfo", epoch: 2 }))).toBe("00000011 00000002 00000000 00000004 00010000 ffffffff");
    expect(hex(encodeLeaderPacket({ kind: "upToDate" }))).toBe("0000000c ffffffff ffffffff ffffffff ffffffff");
    expect(hex(encodeLeaderPacket({ kind: "sync" }))).toBe("00000007 00000000 00000000 ffffffff ffffffff");
  });

  test("who an older member is, is read from as much as it sends", () => {
    const info = (data: Buffer | null): LearnerPacket | undefined => decodeLearnerPacket({ type: 11, zxid: makeZxid(1, 0), data, authinfo: null });
    expect(info(null)).toMatchObject({ kind: "info", serverId: undefined });
    expect(info(Buffer.from("0000000000000007", "hex"))).toMatchObject({ kind: "info", serverId: 7, configVersion: 0 });
    expect(info(Buffer.from("000000000000000700010000", "hex"))).toMatchObject({ kind: "info", serverId: 7, configVersion: 0 });
  });

  test("what 3.6 and later append to a proposal is not taken over", () => {
    const longer = Buffer.concat([transaction.payload, Buffer.from("0000000200000000deadbeef", "hex")]);
    expect(decodeLeaderPacket({ type: 2, zxid, data: longer, authinfo: null })).toEqual({ kind: "proposal", transaction });
  });

  test("a packet of the wrong side, with another zxid than its transaction's or with too little data is refused", () => {
    expect(decodeLearnerPacket({ type: 2, zxid, data: transaction.payload, authinfo: null })).toBeUndefined();
    expect(decodeLeaderPacket({ type: 3, zxid, data: null, authinfo: null })).toBeUndefined();
    expect(decodeLeaderPacket({ type: 2, zxid: makeZxid(3, 8), data: transaction.payload, authinfo: null })).toBeUndefined();
    for (const type of [1, 6, 18]) expect(decodeLearnerPacket({ type, zxid, data: Buffer.alloc(3), authinfo: null })).toBeUndefined();
    for (const type of [2, 6, 9, 17, 19]) expect(decodeLeaderPacket({ type, zxid, data: Buffer.alloc(3), authinfo: null })).toBeUndefined();
    const stream = PacketStream.ofLeader(limits);
    stream.push(quorumPacket.encode({ type: 99, zxid, data: null, authinfo: null }));
    expect(() => stream.next()).toThrow(/type 99/);
  });

  test("a packet longer than the limits is given up instead of gathered", () => {
    const stream = PacketStream.ofLearner(juteLimits(2048));
    const endless = Buffer.alloc(1024 * 1024);
    endless.writeInt32BE(1, 0);
    endless.writeInt32BE(0x7fff_ffff, 12);
    stream.push(endless);
    expect(() => stream.next()).toThrow(expect.objectContaining({ code: "ZK_PACKET" }));
  });

  test("what follows a SNAP packet can be taken out of the stream, and the packets after it be read", () => {
    const stream = PacketStream.ofLeader(limits);
    stream.push(Buffer.concat([...encodeLeaderPacket({ kind: "snap", zxid }), Buffer.from("snapshot"), ...encodeLeaderPacket({ kind: "upToDate" })]));
    expect(stream.next()).toEqual({ kind: "snap", zxid });
    const rest = stream.takeRest();
    expect(rest.subarray(0, 8).toString()).toBe("snapshot");
    expect(stream.next()).toBeUndefined();
    stream.push(rest.subarray(8));
    expect(stream.next()).toEqual({ kind: "upToDate" });
  });
});

function readAll<P extends LearnerPacket | LeaderPacket>(stream: PacketStream<P>, bytes: Buffer, chunkBytes: number): P[] {
  const packets: P[] = [];
  for (let at = 0; at < bytes.length; at += chunkBytes) {
    stream.push(bytes.subarray(at, at + chunkBytes));
    for (let packet = stream.next(); packet !== undefined; packet = stream.next()) packets.push(packet);
  }
  return packets;
}
