import { describe, expect, test } from "vitest";
import { Reader } from "../../src/codec/reader.ts";
import { Writer } from "../../src/codec/writer.ts";
import { decodeConnectRequest } from "../../src/zookeeper/protocol/connect.ts";
import { connectRequest } from "../../src/zookeeper/protocol/records.ts";

/** The first packet of real clients, as they sent it: an int32 length, then the request with its readOnly byte. */
const recorded = [
  { client: "kazoo 2.8.0", hex: "0000002d000000000000000000000000000027100000000000000000000000100000000000000000000000000000000000", timeOut: 10_000 },
  { client: "Apache's Java client 3.8.0", hex: "0000002d000000000000000000000000000075300000000000000000000000100000000000000000000000000000000000", timeOut: 30_000 },
];

describe.each(recorded)("ConnectRequest of $client", ({ hex, timeOut }) => {
  test("decodes, and encodes to the same bytes", () => {
    const frame = Buffer.from(hex, "hex");
    const request = decodeConnectRequest(frame.subarray(4));
    expect(new Reader(frame).int32()).toBe(frame.length - 4);
    expect(request).toEqual({ protocolVersion: 0, lastZxidSeen: 0, timeOut, sessionId: 0n, passwd: Buffer.alloc(16), readOnly: false });
    if (request === undefined) return;

    const writer = new Writer();
    writer.int32(frame.length - 4);
    connectRequest.write(writer, request);
    writer.bool(request.readOnly ?? false);
    expect(writer.finishBuffer().toString("hex")).toBe(hex);
  });
});
