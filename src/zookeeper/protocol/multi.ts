import type { Fields } from "../../codec/model.ts";
import { Reader } from "../../codec/reader.ts";
import type { Decoded, Schema } from "../../codec/schema.ts";
import type { Writer } from "../../codec/writer.ts";
import { OpCode } from "./op-codes.ts";
import {
  checkVersionRequest,
  create2Response,
  createRequest,
  createTTLRequest,
  deleteRequest,
  errorResponse,
  getChildrenResponse,
  getDataResponse,
  multiHeader,
  noFields,
  pathRecord,
  readRequest,
  setDataRequest,
  statResponse,
  type CheckVersionRequest,
  type CreateRequest,
  type CreateTTLRequest,
  type DeleteRequest,
  type NoFields,
  type ReadRequest,
  type SetDataRequest,
} from "./records.ts";

/**
 * Bodies of multi and multiRead: elements with a header each, then a header that says done.
 * Sources: MultiOperationRecord and MultiResponse (MultiTransactionRecord in 3.5.9).
 */

export type MultiOp =
  | { readonly type: typeof OpCode.create | typeof OpCode.create2 | typeof OpCode.createContainer; readonly record: CreateRequest }
  | { readonly type: typeof OpCode.createTTL; readonly record: CreateTTLRequest }
  | { readonly type: typeof OpCode.delete; readonly record: DeleteRequest }
  | { readonly type: typeof OpCode.setData; readonly record: SetDataRequest }
  | { readonly type: typeof OpCode.check; readonly record: CheckVersionRequest };

export type MultiReadOp = { readonly type: typeof OpCode.getData | typeof OpCode.getChildren; readonly record: ReadRequest };

/** Results of createTTL and createContainer come as create2. An error of 0 stands for an operation before the one that failed. */
export type MultiResult =
  | { readonly type: typeof OpCode.create; readonly record: Decoded<typeof pathRecord> }
  | { readonly type: typeof OpCode.create2; readonly record: Decoded<typeof create2Response> }
  | { readonly type: typeof OpCode.setData; readonly record: Decoded<typeof statResponse> }
  | { readonly type: typeof OpCode.delete | typeof OpCode.check; readonly record: NoFields }
  | { readonly type: typeof OpCode.getData; readonly record: Decoded<typeof getDataResponse> }
  | { readonly type: typeof OpCode.getChildren; readonly record: Decoded<typeof getChildrenResponse> }
  | { readonly type: typeof OpCode.error; readonly record: Decoded<typeof errorResponse> };


type Schemas<T extends number> = Readonly<Record<T, Schema<Fields>>>;

const WRITES: Schemas<MultiOp["type"]> = {
  [OpCode.create]: createRequest,
  [OpCode.create2]: createRequest,
  [OpCode.createContainer]: createRequest,
  [OpCode.createTTL]: createTTLRequest,
  [OpCode.delete]: deleteRequest,
  [OpCode.setData]: setDataRequest,
  [OpCode.check]: checkVersionRequest,
};

const READS: Schemas<MultiReadOp["type"]> = { [OpCode.getData]: readRequest, [OpCode.getChildren]: readRequest };

const RESULTS: Schemas<MultiResult["type"]> = {
  [OpCode.create]: pathRecord,
  [OpCode.create2]: create2Response,
  [OpCode.setData]: statResponse,
  [OpCode.delete]: noFields,
  [OpCode.check]: noFields,
  [OpCode.getData]: getDataResponse,
  [OpCode.getChildren]: getChildrenResponse,
  [OpCode.error]: errorResponse,
};

const DONE = { type: -1, done: true, err: -1 };

interface Element<T extends number> {
  readonly type: T;
  readonly record: unknown;
}

function readAll<T extends number, E extends Element<T>>(reader: Reader, schemas: Schemas<T>): E[] | undefined {
  const elements: E[] = [];
  for (;;) {
    const header = multiHeader.read(reader);
    if (reader.bad) return undefined;
    if (header.done) return elements;
    if (!Object.hasOwn(schemas, header.type)) return undefined;
    const type = header.type as T;
    elements.push({ type, record: schemas[type].read(reader) } as E);
  }
}

function writeAll<T extends number>(writer: Writer, schemas: Schemas<T>, elements: readonly Element<T>[], errOf: (element: Element<T>) => number): void {
  for (const element of elements) {
    multiHeader.write(writer, { type: element.type, done: false, err: errOf(element) });
    schemas[element.type].write(writer, element.record as Record<string, unknown>);
  }
  multiHeader.write(writer, DONE);
}

/** Undefined where the body does not parse or holds a type that a multi may not. */
export function decodeMulti(body: Buffer): MultiOp[] | undefined {
  return readAll(new Reader(body), WRITES);
}

export function writeMulti(writer: Writer, operations: readonly MultiOp[]): void {
  writeAll(writer, WRITES, operations, () => -1);
}

export function decodeMultiRead(body: Buffer): MultiReadOp[] | undefined {
  return readAll(new Reader(body), READS);
}

export function writeMultiRead(writer: Writer, operations: readonly MultiReadOp[]): void {
  writeAll(writer, READS, operations, () => -1);
}

export function readMultiResults(reader: Reader): MultiResult[] | undefined {
  return readAll(reader, RESULTS);
}

export function writeMultiResults(writer: Writer, results: readonly MultiResult[]): void {
  writeAll(writer, RESULTS, results, (result) => (result.type === OpCode.error ? (result.record as { err: number }).err : 0));
}
