import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Reader } from "../../codec/reader.ts";
import { Writer } from "../../codec/writer.ts";
import { RecordStream } from "../jute/stream.ts";
import { juteLimits } from "../jute/limits.ts";
import { decodeConnectRequest, firstSessionId, isPasswordOf, sessionPassword, writeConnectResponse, INVALID_SESSION } from "./connect.ts";
import { counterOf, epochOf, makeZxid, sessionId, toHex, zxid } from "./ids.ts";
import { decodeMulti, readMultiResults, writeMulti, writeMultiResults, type MultiOp, type MultiResult } from "./multi.ts";
import { OpCode } from "./op-codes.ts";
import { quorumAuthPacket, quorumPacket, QUORUM_AUTH_MAGIC } from "./quorum.ts";
import { connectRequest, replyHeader, stat, type Stat } from "./records.ts";
import { decodeTransaction, encodeTransaction, type TxnBody } from "./transactions.ts";

/** Bytes, set apart for the reader. */
const hex = (spaced: string) => spaced.replaceAll(" ", "");
const header = { clientId: sessionId(0x0100000000000001n), cxid: 7, zxid: zxid(0x100000002), time: 0x18bcfe56800 };
const world = [{ perms: 31, id: { scheme: "world", id: "anyone" } }];
const someStat: Stat = { czxid: zxid(1), mzxid: zxid(2), ctime: 3, mtime: 4, version: 5, cversion: 6, aversion: 7, ephemeralOwner: 8n, dataLength: 9, numChildren: 10, pzxid: zxid(11) };

describe("session passwords and ids", () => {
  test.each([
    [0x0100000000000000n, "f22acd4a97e69d6d20a49bb638eadb38"],
    [0x0001000012345678n, "007804ac6839d526b41e047435626984"],
    [0x02000000abcd0001n, "3ce2a199a29138d5a4a928c4efc3a49a"],
  ])("the password of %x is the one that java.util.Random gives", (id, password) => {
    expect(sessionPassword(sessionId(id)).toString("hex")).toBe(password);
    expect(isPasswordOf(sessionId(id), Buffer.from(password, "hex"))).toBe(true);
    expect(isPasswordOf(sessionId(id), null)).toBe(false);
  });

  test("session 0 has no password", () => {
    expect(isPasswordOf(sessionId(0n), sessionPassword(sessionId(0n)))).toBe(false);
  });

  test("the first id has the server's byte on top, then 40 bits of the clock, and is never a container's owner", () => {
    expect(toHex(firstSessionId(1, 0x123456789a))).toBe("1123456789a0000");
    expect(toHex(firstSessionId(254, 0x12_3456789abc))).toBe("fe3456789abc0000");
    expect(firstSessionId(254, 5)).toBeLessThan(0n);
    expect(toHex(firstSessionId(128, 0))).toBe("8000000000000001");
  });
});

test("a zxid is epoch and counter", () => {
  const id = makeZxid(3, 0xfffffffe);
  expect(toHex(id)).toBe("3fffffffe");
  expect([epochOf(id), counterOf(id)]).toEqual([3, 0xfffffffe]);
  expect(toHex(-1)).toBe("ffffffffffffffff");
});

describe("connecting", () => {
  const request = { protocolVersion: 0, lastZxidSeen: zxid(5), timeOut: 30_000, sessionId: sessionId(0n), passwd: Buffer.alloc(16) };

  test("the readOnly byte is optional, and its absence is known", () => {
    const bytes = connectRequest.encode(request);
    expect(bytes.length).toBe(44);
    expect(decodeConnectRequest(bytes)?.readOnly).toBeUndefined();
    expect(decodeConnectRequest(Buffer.concat([bytes, Buffer.of(1)]))?.readOnly).toBe(true);
    expect(decodeConnectRequest(bytes.subarray(0, 43))).toBeUndefined();
  });

  test("a reply has 37 bytes with the readOnly byte and 36 without", () => {
    for (const [readOnly, length] of [[false, 37], [undefined, 36]] as const) {
      const writer = new Writer();
      writeConnectResponse(writer, INVALID_SESSION, readOnly);
      expect(writer.finishBuffer()).toEqual(Buffer.concat([Buffer.alloc(16), Buffer.from("00000010", "hex"), Buffer.alloc(length - 20)]));
    }
  });
});

describe("records have the reference's sizes", () => {
  test.each([
    ["Stat", stat.encode(someStat).length, 68],
    ["ReplyHeader", replyHeader.encode({ xid: 1, zxid: zxid(2), err: 0 }).length, 16],
    ["QuorumPacket with null data and authinfo", quorumPacket.encode({ type: 3, zxid: zxid(1), data: null, authinfo: null }).length, 20],
  ])("%s", (_name, length, expected) => {
    expect(length).toBe(expected);
  });

  test("the magic of a quorum authentication packet", () => {
    expect(quorumAuthPacket.encode({ magic: QUORUM_AUTH_MAGIC, status: 0, token: null }).subarray(0, 8).toString("hex")).toBe("5f2435013501edcc");
  });
});

const bodies: readonly TxnBody[] = [
  { type: OpCode.create, record: { path: "/a", data: null, acl: world, ephemeral: true, parentCVersion: 1 } },
  { type: OpCode.create2, record: { path: "/a", data: Buffer.from("x"), acl: null, ephemeral: false, parentCVersion: -1 } },
  { type: OpCode.createTTL, record: { path: "/t", data: Buffer.alloc(0), acl: world, parentCVersion: 4, ttl: 0xffffffffff } },
  { type: OpCode.createContainer, record: { path: "/c", data: null, acl: world, parentCVersion: 4 } },
  { type: OpCode.delete, record: { path: "/a" } },
  { type: OpCode.deleteContainer, record: { path: "/a" } },
  { type: OpCode.setData, record: { path: "/a", data: Buffer.from("y"), version: 3 } },
  { type: OpCode.reconfig, record: { path: "/zookeeper/config", data: Buffer.from("y"), version: -1 } },
  { type: OpCode.setACL, record: { path: "/a", acl: world, version: 3 } },
  { type: OpCode.createSession, record: { timeOut: 4000 } },
  { type: OpCode.closeSession, record: {} },
  { type: OpCode.error, record: { err: -101 } },
  {
    type: OpCode.multi,
    record: {
      txns: [
        { type: OpCode.check, record: { path: "/a", version: 3 } },
        { type: OpCode.create, record: { path: "/b", data: null, acl: world, ephemeral: false, parentCVersion: 2 } },
        { type: OpCode.error, record: { err: -2 } },
      ],
    },
  },
];

describe("transactions", () => {
  test.each(bodies.map((body) => [body.type, body] as const))("type %i survives encoding, and bytes after it are ignored", (type, body) => {
    const { header: whole, payload } = encodeTransaction(header, body);
    expect(whole.type).toBe(type);
    const decoded = decodeTransaction(Buffer.concat([payload, Buffer.from("00000002ffffffffffffffff", "hex")]));
    expect(decoded).toEqual({ header: whole, body, payload });
  });

  test("the bytes of a createSession transaction", () => {
    const { payload } = encodeTransaction(header, { type: OpCode.createSession, record: { timeOut: 30_000 } });
    expect(payload.toString("hex")).toBe(hex("0100000000000001 00000007 0000000100000002 0000018bcfe56800 fffffff6 00007530"));
  });

  test("a create of the time before parentCVersion asks for the old counting", () => {
    const { payload } = encodeTransaction(header, { type: OpCode.create, record: { path: "/a", data: null, acl: world, ephemeral: false, parentCVersion: 9 } });
    expect(decodeTransaction(payload.subarray(0, -4))?.body).toMatchObject({ record: { path: "/a", parentCVersion: -1 } });
  });

  test("an unknown type, a bare check and cut bytes are no transaction", () => {
    const { payload } = encodeTransaction(header, { type: OpCode.delete, record: { path: "/a" } });
    for (const type of [99, OpCode.check, 0]) {
      const bytes = Buffer.from(payload);
      bytes.writeInt32BE(type, 28);
      expect(decodeTransaction(bytes)).toBeUndefined();
    }
    expect(decodeTransaction(payload.subarray(0, -1))).toBeUndefined();
    expect(decodeTransaction(payload.subarray(0, 20))).toBeUndefined();
  });
});

describe("multi", () => {
  const operations: MultiOp[] = [
    { type: OpCode.check, record: { path: "/controller_epoch", version: 3 } },
    { type: OpCode.create, record: { path: "/b", data: null, acl: world, flags: 1 } },
    { type: OpCode.createTTL, record: { path: "/b", data: null, acl: world, flags: 5, ttl: 100 } },
    { type: OpCode.setData, record: { path: "/b", data: Buffer.from("x"), version: -1 } },
    { type: OpCode.delete, record: { path: "/b", version: 0 } },
  ];

  test("a request survives encoding", () => {
    const writer = new Writer();
    writeMulti(writer, operations);
    expect(decodeMulti(writer.finishBuffer())).toEqual(operations);
  });

  test("a request with another type in it, or without an end, is refused whole", () => {
    const writer = new Writer();
    writeMulti(writer, operations);
    const bytes = writer.finishBuffer();
    expect(decodeMulti(bytes.subarray(0, -1))).toBeUndefined();
    bytes.writeInt32BE(OpCode.setACL, 0);
    expect(decodeMulti(bytes)).toBeUndefined();
  });

  test("delete and check answer with a header alone, an error has its code twice", () => {
    const results: MultiResult[] = [
      { type: OpCode.delete, record: {} },
      { type: OpCode.check, record: {} },
      { type: OpCode.error, record: { err: -103 } },
      { type: OpCode.setData, record: { stat: someStat } },
    ];
    const writer = new Writer();
    writeMultiResults(writer, results);
    const bytes = writer.finishBuffer();
    expect(bytes.toString("hex").slice(0, 62)).toBe(hex("000000020000000000 0000000d0000000000 ffffffff00ffffff99 ffffff99"));
    expect(bytes.subarray(-9).toString("hex")).toBe("ffffffff01ffffffff");
    expect(readMultiResults(new Reader(bytes))).toEqual(results);
  });
});

describe("a stream of records", () => {
  test("gives the same packets however the bytes are cut", () => {
    const packets = [1, 2, 3].map((n) => ({ type: n, zxid: zxid(n), data: Buffer.alloc(n * 20, n), authinfo: n === 2 ? [{ scheme: "ip", id: "::1" }] : null }));
    const bytes = Buffer.concat(packets.map((packet) => quorumPacket.encode(packet)));
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1 }), (sizes) => {
        const stream = new RecordStream(1000);
        const seen = [];
        const taken: Buffer[] = [];
        for (let at = 0, i = 0; at < bytes.length; i++) {
          const size = sizes[i % sizes.length] ?? 1;
          stream.push(bytes.subarray(at, at + size));
          at += size;
          for (let packet = stream.read(quorumPacket); packet !== undefined; packet = stream.read(quorumPacket)) seen.push(packet);
          taken.push(Buffer.from(stream.takeRead()));
        }
        expect(seen).toEqual(packets);
        expect(Buffer.concat(taken).equals(bytes)).toBe(true);
        expect([stream.buffered, stream.malformed]).toEqual([0, false]);
      }),
    );
  });

  test("is malformed once more bytes wait than a record may have", () => {
    const stream = new RecordStream(64);
    stream.push(Buffer.from(hex("00000003 0000000000000001 7fffffff"), "hex"));
    expect(stream.read(quorumPacket)).toBeUndefined();
    expect(stream.malformed).toBe(false);
    stream.push(Buffer.alloc(64));
    expect(stream.read(quorumPacket)).toBeUndefined();
    expect(stream.malformed).toBe(true);
  });
});

test("the limits follow jute.maxbuffer and its extra size", () => {
  expect(juteLimits()).toEqual({ frameBytesMax: 1_048_575, fieldBytesMax: 2_097_150, transactionBytesMax: 2_621_438 });
  expect(juteLimits(4096, 0)).toMatchObject({ frameBytesMax: 4096, fieldBytesMax: 5120 });
});
