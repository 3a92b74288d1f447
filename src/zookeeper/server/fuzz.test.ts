import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { arbitraryStruct, frugally, hostileBytes, SEED } from "../../../test/support/arbitrary-message.ts";
import { interpretRead, interpretWrite } from "../../codec/interpret.ts";
import type { Fields } from "../../codec/model.ts";
import { Reader } from "../../codec/reader.ts";
import { Schema } from "../../codec/schema.ts";
import { Writer } from "../../codec/writer.ts";
import type { Disk, File } from "../../host/disk.ts";
import { must } from "../../lib/assert.ts";
import { errorCode } from "../../lib/error.ts";
import { juteLimits } from "../jute/limits.ts";
import { decodeConnectRequest } from "../protocol/connect.ts";
import { NO_SESSION, ZXID_ZERO, type Zxid } from "../protocol/ids.ts";
import { decodeMulti, decodeMultiRead, readMultiResults, writeMulti } from "../protocol/multi.ts";
import { OpCode } from "../protocol/op-codes.ts";
import * as quorum from "../protocol/quorum.ts";
import * as records from "../protocol/records.ts";
import * as transactions from "../protocol/transactions.ts";
import { decodeInitialMessage, decodeNotification, encodeInitialMessage, encodeNotification } from "../quorum/election/notification.ts";
import { PacketStream } from "../quorum/zab/packets.ts";
import { LogFileReader, logHeader, putEntry, ENTRY_FRAMING_BYTES } from "../store/log-format.ts";
import { TreeReader } from "../store/snapshot-format.ts";
import { DataTree } from "../tree/tree.ts";

/** What ZooKeeper's side reads from clients, members and files: any bytes are a value, or what the decoder says of bytes that it can't read. */

const schemas = [records, quorum, transactions].flatMap((declared) => Object.values(declared).filter((value): value is Schema<Fields> => value instanceof Schema));

describe.each(schemas.map((schema): [string, Schema<Fields>] => [schema.name, schema]))("%s", (_name, schema) => {
  test("what is written is read back as the plain interpreter reads it, and any bytes are a value or bad", () => {
    const value = arbitraryStruct(schema.fields, 0);
    fc.assert(
      fc.property(value, (drawn) => {
        const encoded = schema.encode(drawn);
        const writer = new Writer();
        interpretWrite(schema, 0, writer, drawn);
        expect(encoded.equals(writer.finishBuffer())).toBe(true);
        const decoded = must(schema.decode(encoded), "what was written");
        expect(schema.encode(decoded).equals(encoded)).toBe(true);
      }),
      { numRuns: 30, seed: SEED },
    );
    fc.assert(
      fc.property(hostileBytes(value.map((drawn) => schema.encode(drawn))), (input) => {
        const [compiled, plain] = [new Reader(input), new Reader(input)];
        const values = frugally(() => [schema.read(compiled), interpretRead(schema, 0, plain)]);
        expect([compiled.bad, compiled.position <= input.length]).toEqual([plain.bad, true]);
        if (!compiled.bad) expect(values[0]).toEqual(values[1]);
      }),
      { numRuns: 100, seed: SEED },
    );
  });
});

const RUNS = { numRuns: 1500, seed: SEED };
const txn = transactions.encodeTransaction({ clientId: NO_SESSION, cxid: 1, zxid: 1 as Zxid, time: 1 }, { type: OpCode.create, record: { path: "/a", data: Buffer.from("data"), acl: null, ephemeral: false, parentCVersion: 1 } });

describe("what clients send", () => {
  test("any bytes are a connect request or a multi, or undefined", () => {
    const connect = records.connectRequest.encode({ protocolVersion: 0, lastZxidSeen: ZXID_ZERO, timeOut: 1, sessionId: NO_SESSION, passwd: Buffer.alloc(16) });
    const writer = new Writer();
    writeMulti(writer, [{ type: OpCode.create, record: { path: "/a", data: Buffer.from("x"), acl: [], flags: 0 } }, { type: OpCode.check, record: { path: "/a", version: 1 } }]);
    fc.assert(
      fc.property(hostileBytes(fc.constantFrom(connect, writer.finishBuffer())), (input) => {
        frugally(() => [decodeConnectRequest(input), decodeMulti(input), decodeMultiRead(input), readMultiResults(new Reader(input))]);
      }),
      RUNS,
    );
  });
});

describe("what members send", () => {
  test("any bytes on the election port are a notification or a greeting, or said to be none", () => {
    const notification = encodeNotification("looking", { leader: 1, zxid: 5, round: 1, peerEpoch: 1 }, Buffer.from("server.1=a:1:2"));
    const greeting = encodeInitialMessage(3, { host: "localhost", port: 3888 });
    fc.assert(
      fc.property(hostileBytes(fc.constantFrom(notification, notification.subarray(4), greeting)), (input) => {
        frugally(() => [decodeNotification(input), decodeInitialMessage(input)]);
      }),
      RUNS,
    );
  });

  test("any bytes on the quorum port, however they are cut, are packets or ZK_PACKET", () => {
    const packet = quorum.quorumPacket.encode({ type: quorum.PacketType.followerInfo, zxid: 1 as Zxid, data: quorum.learnerInfo.encode({ serverid: 1, protocolVersion: quorum.QUORUM_PROTOCOL_VERSION, configVersion: 0 }), authinfo: [] });
    const proposal = quorum.quorumPacket.encode({ type: quorum.PacketType.proposal, zxid: 1 as Zxid, data: txn.payload, authinfo: null });
    fc.assert(
      fc.property(hostileBytes(fc.constantFrom(packet, proposal, Buffer.concat([packet, proposal]))), fc.integer({ min: 1, max: 60 }), (input, size) => {
        for (const packets of [PacketStream.ofLearner(juteLimits()), PacketStream.ofLeader(juteLimits())]) {
          try {
            for (let at = 0; at < input.length; at += size) {
              packets.push(input.subarray(at, at + size));
              while (packets.next() !== undefined);
            }
          } catch (error) {
            expect(errorCode(error)).toBe("ZK_PACKET");
          }
        }
      }),
      RUNS,
    );
  });
});

describe("what lies in the files", () => {
  test("any bytes are a transaction or undefined, and a tree, a problem or a wait for more", () => {
    const { emulate353Ttl, extendedTypes } = { emulate353Ttl: false, extendedTypes: false };
    const listener = { watchEvent: () => undefined, quotaExceeded: () => undefined };
    fc.assert(
      fc.property(hostileBytes(fc.constant(txn.payload)), (input) => {
        frugally(() => {
          transactions.decodeTransaction(input);
          new TreeReader(new DataTree({ emulate353Ttl, extendedTypes }, listener), 1000).push(Buffer.from(input));
        });
      }),
      RUNS,
    );
  });

  test("any bytes as a transaction log give transactions and an end that says how", async () => {
    const entry = Buffer.alloc(ENTRY_FRAMING_BYTES + txn.payload.length);
    putEntry(entry, 0, txn.payload);
    const log = Buffer.concat([logHeader(), entry, entry]);
    await fc.assert(
      fc.asyncProperty(hostileBytes(fc.constant(log)), async (input) => {
        const file = { read: (into: Buffer, position: number) => Promise.resolve(position >= input.length ? 0 : input.copy(into, 0, position)), close: () => Promise.resolve() } as Partial<File> as File;
        const reader = await LogFileReader.open({ open: () => Promise.resolve(file) } as Partial<Disk> as Disk, "/log.1", { payloadBytesMax: 100_000 });
        let count = 0;
        for (let batch = await reader.next(); batch !== undefined; batch = await reader.next()) count += batch.length;
        expect([count <= 3, reader.end === undefined, reader.position <= input.length]).toEqual([true, false, true]);
      }),
      RUNS,
    );
  });
});
