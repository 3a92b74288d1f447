import type { Fields } from "../../codec/model.ts";
import type { Input, Schema } from "../../codec/schema.ts";
import { Writer } from "../../codec/writer.ts";

interface Part<F extends Fields> {
  readonly schema: Schema<F>;
  readonly version: number;
  readonly value: Input<Schema<F>>;
}

/** A message as it goes over a connection: int32 length, header, body. Record batches are not copied. */
export function encodeFrame<H extends Fields, B extends Fields>(header: Part<H>, body: Part<B>): readonly Buffer[] {
  const writer = new Writer();
  writer.int32(0);
  header.schema.write(writer, header.value, header.version);
  body.schema.write(writer, body.value, body.version);
  const length = writer.length - 4;
  const chunks = writer.finish();
  Writer.patchInt32(chunks, 0, length);
  return chunks;
}
