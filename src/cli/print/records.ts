import type { ConsumedRecord } from "../../kafka/client/consumer.ts";

/** Bytes to print for the bytes of a field. */
export type Show = (bytes: Buffer) => Buffer;

export interface RecordFormat {
  readonly timestamp: boolean;
  readonly partition: boolean;
  readonly offset: boolean;
  readonly headers: boolean;
  readonly key: boolean;
  readonly value: boolean;
  readonly keySeparator: Buffer;
  readonly lineSeparator: Buffer;
  readonly headersSeparator: Buffer;
  /** In place of what is null. */
  readonly nullLiteral: Buffer;
  /** Without one, the bytes as they are. */
  readonly showKey?: Show | undefined;
  readonly showValue?: Show | undefined;
  readonly showHeader?: Show | undefined;
}

export const DEFAULT_FORMAT: RecordFormat = {
  timestamp: false, partition: false, offset: false, headers: false, key: false, value: true,
  keySeparator: Buffer.from("\t"), lineSeparator: Buffer.from("\n"), headersSeparator: Buffer.from(","), nullLiteral: Buffer.from("null"),
};

/**
 * One record as kafka-console-consumer.sh prints it: what is asked for, in the order of the flags above, the key's
 * separator between and the line's behind. Bytes are not looked at where no deserializer is given.
 * Source: core/…/tools/ConsoleConsumer.scala of Apache Kafka 2.7.1, DefaultMessageFormatter.
 */
export function formatRecord(record: ConsumedRecord, format: RecordFormat): Buffer {
  const { timestamp, timestampType, partition, offset, headers, key, value } = record;
  const show = (bytes: Buffer | null, how: Show | undefined): Buffer => {
    const present = bytes ?? format.nullLiteral;
    return how === undefined ? present : how(present);
  };
  const fields: Buffer[][] = [];
  if (format.timestamp) fields.push([Buffer.from(timestamp < 0 ? "NO_TIMESTAMP" : `${timestampType}:${timestamp}`)]);
  if (format.partition) fields.push([Buffer.from(`Partition:${partition}`)]);
  if (format.offset) fields.push([Buffer.from(`Offset:${offset}`)]);
  if (format.headers) fields.push(headers.length === 0 ? [Buffer.from("NO_HEADERS")] : headers.flatMap((header, index) => [...(index === 0 ? [] : [format.headersSeparator]), Buffer.from(`${header.key}:`), show(header.value, format.showHeader)]));
  if (format.key) fields.push([show(key, format.showKey)]);
  if (format.value) fields.push([show(value, format.showValue)]);
  return Buffer.concat(fields.flatMap((field, index) => [...field, index < fields.length - 1 ? format.keySeparator : format.lineSeparator]));
}
