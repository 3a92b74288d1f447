import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { arbitraryStruct, frugally, hostileBytes, SEED } from "../../../test/support/arbitrary-message.ts";
import { interpretRead, interpretWrite } from "../../codec/interpret.ts";
import { Reader } from "../../codec/reader.ts";
import type { Fields } from "../../codec/model.ts";
import type { Schema } from "../../codec/schema.ts";
import { Writer } from "../../codec/writer.ts";
import { errorCode } from "../../lib/error.ts";
import { decodeRecord } from "../coordinators/group/group-records.ts";
import { parseLeaderEpochs, parseOffsets } from "../log/checkpoint.ts";
import { decodeSnapshot } from "../log/producer-snapshot.ts";
import type { Api } from "../protocol/api.ts";
import { apis } from "../protocol/apis.ts";
import { decodeAssignment, decodeSubscription, encodeAssignment, encodeSubscription, subscribedTopics } from "../protocol/consumer-protocol.ts";
import { requestHeader, responseHeader } from "../protocol/header.ts";
import { batchIsControl, Codec, wholeBatchSize } from "../records/batch.ts";
import { buildBatch } from "../records/build.ts";
import { readEndTxnMarker } from "../records/control.ts";
import { downConvert, needsDownConversion, upConvert } from "../records/conversion.ts";
import { legacyMessage } from "../records/legacy.ts";
import { RecordReader } from "../records/record-reader.ts";
import { checkProduceFormat, checkReplicated, RecordsValidator, type ProduceRules } from "../records/validate.ts";

/** What Kafka's side reads from others: any bytes are a value, or what the decoder says of bytes that it can't read. */

const schemas: readonly Schema<Fields>[] = [requestHeader, responseHeader, ...(Object.values(apis) as readonly Api[]).flatMap(({ request, response }) => [request, response])];
const messages = schemas.map((schema): [string, Schema<Fields>] => [schema.name, schema]);
const versionsOf = ({ versions }: Schema<Fields>): number[] => Array.from({ length: versions.last - versions.first + 1 }, (_, index) => versions.first + index);

describe.each(messages)("%s", (_name, schema) => {
  test("in every version: what is written is read back as the plain interpreter reads it, and any bytes are a value or bad", () => {
    for (const version of versionsOf(schema)) {
      const value = arbitraryStruct(schema.fields, version);
      fc.assert(
        fc.property(value, (drawn) => {
          const encoded = schema.encode(drawn, version);
          const writer = new Writer();
          interpretWrite(schema, version, writer, drawn);
          expect(encoded.equals(writer.finishBuffer())).toBe(true);
          const reader = new Reader(encoded);
          const decoded = schema.read(reader, version);
          expect([reader.bad, reader.remaining]).toEqual([false, 0]);
          expect(schema.encode(decoded, version).equals(encoded)).toBe(true);
        }),
        { numRuns: 5, seed: SEED },
      );
      const bytes = hostileBytes(value.map((drawn) => schema.encode(drawn, version)));
      fc.assert(
        fc.property(bytes, (input) => {
          const [compiled, plain] = [new Reader(input), new Reader(input)];
          const values = frugally(() => [schema.read(compiled, version), interpretRead(schema, version, plain)]);
          expect(compiled.bad).toBe(plain.bad);
          expect(compiled.position).toBeLessThanOrEqual(input.length);
          if (!compiled.bad) expect(values[0]).toEqual(values[1]);
        }),
        { numRuns: 15, seed: SEED },
      );
    }
  });
});

const records = fc.array(fc.record({ key: fc.option(fc.uint8Array({ maxLength: 20 }).map((key) => Buffer.from(key))), value: fc.option(fc.uint8Array({ maxLength: 60 }).map((value) => Buffer.from(value))), timestamp: fc.nat() }), { minLength: 1, maxLength: 5 });
const batch = fc.record({ records, codec: fc.constantFrom(...Object.values(Codec)) }).map((drawn) => buildBatch(drawn.records, { codec: drawn.codec }));
const message = fc
  .record({ magic: fc.constantFrom(0 as const, 1 as const), offset: fc.nat(), key: fc.constant(null), value: fc.uint8Array({ maxLength: 60 }).map((value) => Buffer.from(value)), timestamp: fc.nat(), codec: fc.constantFrom(0, 1, 2, 3), appendTime: fc.boolean() })
  .map((drawn) => legacyMessage(drawn));
const UNPACKED_BYTES_MAX = 1024 * 1024;

function last<T>(steps: Generator<undefined, T>): T {
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
  }
}

describe("records", () => {
  test("any bytes are batches, a refusal or a problem: for the validator, the follower, the reader and both conversions", () => {
    const validator = new RecordsValidator();
    const reader = new RecordReader();
    const rules: ProduceRules = { origin: "client", maxMessageBytes: 1_000_000, timestampType: "CreateTime", timestampDifferenceMaxMs: Infinity, compacted: false };
    fc.assert(
      fc.property(hostileBytes(fc.oneof(batch, message)), (input) => {
        frugally(() => {
          validator.validate(Buffer.from(input), rules, 1);
          checkReplicated(input);
          for (const version of [0, 3, 7, 11]) checkProduceFormat(input, version);
          const limits = { bytesMax: UNPACKED_BYTES_MAX, unpackedBytesMax: UNPACKED_BYTES_MAX };
          last(upConvert(input, limits));
          for (const magic of [0, 1] as const) {
            needsDownConversion([input], magic);
            last(downConvert([input], { magic, fetchOffset: 0, ...limits }));
          }
          const size = wholeBatchSize(input, 0, input.length);
          if (size <= 0) return;
          if (batchIsControl(input, 0)) readEndTxnMarker(input, 0, size);
          reader.open(input, 0, size, UNPACKED_BYTES_MAX);
          for (let count = 0; reader.next(); count++) expect(count).toBeLessThan(UNPACKED_BYTES_MAX);
        });
      }),
      { numRuns: 2000, seed: SEED },
    );
  });
});

describe("what lies in the log directories and in __consumer_offsets", () => {
  test("any bytes are records of a group, producers, offsets or epochs, or said to be none", () => {
    const any = hostileBytes(fc.constantFrom(Buffer.from("0001000567726f757000057468656d6500000000", "hex"), Buffer.from("0002000567726f7570", "hex"), Buffer.from("0\n1\ntopic 0 5\n"), Buffer.from("0\n1\n3 17\n")));
    fc.assert(
      fc.property(any, any, fc.boolean(), (key, value, tombstone) => {
        frugally(() => {
          decodeRecord(key, tombstone ? null : value);
          decodeSnapshot(value);
          for (const parse of [parseOffsets, parseLeaderEpochs]) {
            try {
              parse(value.toString("latin1"), "/a-checkpoint");
            } catch (error) {
              expect(errorCode(error)).toBe("ERR_CHECKPOINT");
            }
          }
        });
      }),
      { numRuns: 2000, seed: SEED },
    );
  });
});

describe("what members of a group tell each other", () => {
  test("any bytes are a subscription or an assignment, or undefined", () => {
    const subscription = encodeSubscription({ topics: ["a", "b"], userData: null, ownedPartitions: [{ topic: "a", partitions: [1] }] }, 1);
    const assignment = encodeAssignment({ assignedPartitions: [{ topic: "a", partitions: [1, 2] }], userData: Buffer.from("x") }, 1);
    fc.assert(
      fc.property(hostileBytes(fc.constantFrom(subscription, assignment)), (input) => {
        frugally(() => [decodeSubscription(input), decodeAssignment(input), subscribedTopics(input)]);
      }),
      { numRuns: 2000, seed: SEED },
    );
  });
});
