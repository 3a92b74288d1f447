import { boolean, buffer, int, juteRecord, long, time, ustring, vector } from "../../codec/jute.ts";
import type { Fields } from "../../codec/model.ts";
import { Reader } from "../../codec/reader.ts";
import type { Decoded, Input, Schema } from "../../codec/schema.ts";
import { Writer } from "../../codec/writer.ts";
import { assert } from "../../lib/assert.ts";
import { OpCode } from "./op-codes.ts";
import { acl, noFields, sessionIdField, zxidField, type NoFields } from "./records.ts";

/**
 * Transactions as the log, proposals and the committed window hold them: a header, then the record that belongs
 * to its type. Sources: zookeeper.jute (org.apache.zookeeper.txn), SerializeUtils.deserializeTxn.
 */

const nullable = { nullable: true } as const;
const aclOf = { path: ustring(), data: buffer(nullable), acl: vector(acl, nullable) };

export const txnHeader = juteRecord("TxnHeader", { clientId: sessionIdField(), cxid: int(), zxid: zxidField(), time: time(), type: int() });
/** `time` is the leader's wall clock in milliseconds. */
export type TxnHeader = Readonly<Decoded<typeof txnHeader>>;

const createTxn = juteRecord("CreateTxn", { ...aclOf, ephemeral: boolean(), parentCVersion: int() });
const createTxnV0 = juteRecord("CreateTxnV0", { ...aclOf, ephemeral: boolean() });
const createTTLTxn = juteRecord("CreateTTLTxn", { ...aclOf, parentCVersion: int(), ttl: long() });
const createContainerTxn = juteRecord("CreateContainerTxn", { ...aclOf, parentCVersion: int() });
const deleteTxn = juteRecord("DeleteTxn", { path: ustring() });
/** `version` is the resulting one, here and in SetACLTxn. */
const setDataTxn = juteRecord("SetDataTxn", { path: ustring(), data: buffer(nullable), version: int() });
const setACLTxn = juteRecord("SetACLTxn", { path: ustring(), acl: vector(acl, nullable), version: int() });
const checkVersionTxn = juteRecord("CheckVersionTxn", { path: ustring(), version: int() });
const createSessionTxn = juteRecord("CreateSessionTxn", { timeOut: int() });
const errorTxn = juteRecord("ErrorTxn", { err: int() });
const subTxn = juteRecord("Txn", { type: int(), data: buffer() });
const multiTxn = juteRecord("MultiTxn", { txns: vector(subTxn) });

export type CreateTxn = Readonly<Input<typeof createTxn>>;

interface RecordOf {
  [OpCode.create]: CreateTxn;
  [OpCode.create2]: CreateTxn;
  [OpCode.createTTL]: Readonly<Input<typeof createTTLTxn>>;
  [OpCode.createContainer]: Readonly<Input<typeof createContainerTxn>>;
  [OpCode.delete]: Readonly<Input<typeof deleteTxn>>;
  [OpCode.deleteContainer]: Readonly<Input<typeof deleteTxn>>;
  [OpCode.setData]: Readonly<Input<typeof setDataTxn>>;
  [OpCode.reconfig]: Readonly<Input<typeof setDataTxn>>;
  [OpCode.setACL]: Readonly<Input<typeof setACLTxn>>;
  [OpCode.check]: Readonly<Input<typeof checkVersionTxn>>;
  [OpCode.createSession]: Readonly<Input<typeof createSessionTxn>>;
  /** 3.5.9 writes nothing; the list that 3.6 and later append is left unread. */
  [OpCode.closeSession]: NoFields;
  [OpCode.error]: Readonly<Input<typeof errorTxn>>;
  [OpCode.multi]: { readonly txns: readonly TxnBody<SubTxnType>[] };
}

export type TxnType = keyof RecordOf;
export type TxnRecord<T extends TxnType> = RecordOf[T];
/** What a multi may hold. 15 comes from leaders of 3.8.2 and later only. */
export type SubTxnType = Exclude<TxnType, typeof OpCode.multi | typeof OpCode.reconfig | typeof OpCode.setACL | typeof OpCode.createSession | typeof OpCode.closeSession>;

/** A record with its type: what a transaction does. */
export type TxnBody<T extends TxnType = TxnType> = { [K in T]: { readonly type: K; readonly record: RecordOf[K] } }[T];

/** `payload` is header and record as they stand in logs and proposals. */
export interface Transaction {
  readonly header: TxnHeader;
  readonly body: TxnBody;
  readonly payload: Buffer;
}

const SUB_SCHEMAS: Readonly<Record<SubTxnType, Schema<Fields>>> = {
  [OpCode.create]: createTxn,
  [OpCode.create2]: createTxn,
  [OpCode.createTTL]: createTTLTxn,
  [OpCode.createContainer]: createContainerTxn,
  [OpCode.delete]: deleteTxn,
  [OpCode.deleteContainer]: deleteTxn,
  [OpCode.setData]: setDataTxn,
  [OpCode.check]: checkVersionTxn,
  [OpCode.error]: errorTxn,
};

const SCHEMAS: Readonly<Record<Exclude<TxnType, typeof OpCode.multi>, Schema<Fields>>> = {
  ...SUB_SCHEMAS,
  [OpCode.reconfig]: setDataTxn,
  [OpCode.setACL]: setACLTxn,
  [OpCode.createSession]: createSessionTxn,
  [OpCode.closeSession]: noFields,
};

export function encodeTransaction(header: Omit<TxnHeader, "type">, body: TxnBody): Transaction {
  const whole: TxnHeader = { clientId: header.clientId, cxid: header.cxid, zxid: header.zxid, time: header.time, type: body.type };
  const writer = new Writer();
  txnHeader.write(writer, whole);
  if (body.type === OpCode.multi) multiTxn.write(writer, { txns: body.record.txns.map((sub) => ({ type: sub.type, data: SUB_SCHEMAS[sub.type].encode(sub.record) })) });
  else SCHEMAS[body.type].write(writer, body.record);
  return { header: whole, body, payload: writer.finishBuffer() };
}

/**
 * Undefined where the bytes hold no transaction of a known type. Bytes after the record (the digest and the list
 * of closed ephemerals that 3.6 and later append) are cut off the payload, because they are not verified.
 */
export function decodeTransaction(bytes: Buffer): Transaction | undefined {
  const reader = new Reader(bytes);
  const header = txnHeader.read(reader);
  const body = reader.bad ? undefined : readBody(reader, header.type);
  return body && { header, body, payload: bytes.subarray(0, reader.position) };
}

function readBody(reader: Reader, type: number): TxnBody | undefined {
  // Outside a multi Apache logs a check that it cannot read back either.
  if (type === OpCode.check) return undefined;
  if (type === OpCode.multi) {
    const { txns } = multiTxn.read(reader);
    const decoded = txns.map((sub) => (isSubType(sub.type) ? decodeSub(sub.type, sub.data) : undefined));
    return reader.bad || !decoded.every((sub) => sub !== undefined) ? undefined : { type, record: { txns: decoded } };
  }
  if (!isType(type)) return undefined;
  const at = reader.position;
  const record = SCHEMAS[type].read(reader);
  if (!reader.bad) return bodyOf(type, record);
  if (type !== OpCode.create) return undefined;
  reader.bad = false;
  reader.position = at;
  const old = createTxnV0.read(reader);
  return reader.bad ? undefined : { type, record: { ...old, parentCVersion: -1 } };
}

function decodeSub(type: SubTxnType, data: Buffer): TxnBody<SubTxnType> | undefined {
  const record = SUB_SCHEMAS[type].decode(data);
  return record && (bodyOf(type, record) as TxnBody<SubTxnType>);
}

/** The schema tables pair each type with its record; the compiler cannot follow that. */
function bodyOf(type: TxnType, record: unknown): TxnBody {
  assert(type !== OpCode.multi, "a multi has no schema of its own");
  return { type, record } as TxnBody;
}

function isType(type: number): type is keyof typeof SCHEMAS {
  return Object.hasOwn(SCHEMAS, type);
}

function isSubType(type: number): type is SubTxnType {
  return Object.hasOwn(SUB_SCHEMAS, type);
}

export const fileHeader = juteRecord("FileHeader", { magic: int(), version: int(), dbid: long() });
