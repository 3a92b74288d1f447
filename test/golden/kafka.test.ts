import { describe, expect, test } from "vitest";
import { Reader } from "../../src/codec/reader.ts";
import { Writer } from "../../src/codec/writer.ts";
import { requestHeader, requestHeaderVersion } from "../../src/kafka/protocol/header.ts";
import { apiVersions, apiVersionsRequest } from "../../src/kafka/protocol/messages/api-versions.ts";

/** The first request of real clients, as they sent it: an int32 length, the header and the body. */
const recorded = [
  {
    client: "librdkafka 2.0.2",
    version: 3,
    hex: "000000240012000300000001000772646b61666b61000b6c696272646b61666b6106322e302e3200",
    body: { clientSoftwareName: "librdkafka", clientSoftwareVersion: "2.0.2" },
    clientId: "rdkafka",
  },
  {
    client: "kafka-python 2.0.2",
    version: 0,
    hex: "0000001c001200000000000100126b61666b612d707974686f6e2d322e302e32",
    body: { clientSoftwareName: "", clientSoftwareVersion: "" },
    clientId: "kafka-python-2.0.2",
  },
];

describe.each(recorded)("ApiVersions request of $client", ({ version, hex, body, clientId }) => {
  const frame = Buffer.from(hex, "hex");

  test("decodes, and encodes to the same bytes", () => {
    const reader = new Reader(frame);
    expect(reader.int32()).toBe(frame.length - 4);
    const headerVersion = requestHeaderVersion(apiVersions, version);
    const header = requestHeader.read(reader, headerVersion);
    expect(header).toEqual({ requestApiKey: 18, requestApiVersion: version, correlationId: 1, clientId });
    const decoded = apiVersionsRequest.read(reader, version);
    expect(decoded).toEqual(body);
    expect([reader.bad, reader.remaining]).toEqual([false, 0]);

    const writer = new Writer();
    writer.int32(0);
    requestHeader.write(writer, header, headerVersion);
    apiVersionsRequest.write(writer, decoded, version);
    const chunks = writer.finish();
    Writer.patchInt32(chunks, 0, writer.length - 4);
    expect(Buffer.concat(chunks).toString("hex")).toBe(hex);
  });
});
