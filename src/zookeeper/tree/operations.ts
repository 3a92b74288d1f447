import { int, juteRecord } from "../../codec/jute.ts";
import type { Fields } from "../../codec/model.ts";
import { Reader } from "../../codec/reader.ts";
import type { Decoded, Input, Schema } from "../../codec/schema.ts";
import type { Writer } from "../../codec/writer.ts";
import { assert, must } from "../../lib/assert.ts";
import { ErrorCode } from "../protocol/errors.ts";
import type { Zxid } from "../protocol/ids.ts";
import { decodeMulti, decodeMultiRead, writeMultiResults, type MultiOp, type MultiResult } from "../protocol/multi.ts";
import { OpCode } from "../protocol/op-codes.ts";
import * as records from "../protocol/records.ts";
import { encodeTransaction, type SubTxnType, type Transaction, type TxnBody } from "../protocol/transactions.ts";
import { AclExpansion } from "./acl.ts";
import type { Applied } from "./apply.ts";
import * as prepare from "./prepare.ts";
import type { Origin, PrepareContext, PrepareEnvironment } from "./prepare.ts";
import * as read from "./read.ts";
import type { Answer, ReadContext } from "./read.ts";
import type { DataTree } from "./tree.ts";

/**
 * Every operation in one table. A write is prepared into a transaction, which is proposed and logged by others,
 * applied by its type (`apply.ts`, because learners and replay have transactions without requests), and answered;
 * a read is answered from the tree at once. Sources: ZooDefs.OpCode, Request.isValid,
 * PrepRequestProcessor, FinalRequestProcessor.
 *
 * Left out: a check outside a multi, which Apache logs in a form that nobody can read back, is unknown here.
 */
export type Operation = WriteOperation | ReadOperation | OtherOperation;

interface Common {
  /** As the four-letter word `cons` shows it. */
  readonly label: string;
  /** `client`: any request · `multi`: inside a multi only · `server`: made by members themselves. */
  readonly from: "client" | "multi" | "server";
}

export interface WriteOperation extends Common {
  readonly kind: "write";
  /** The request's record; `reader.bad` where the body does not hold one. */
  decode(reader: Reader): unknown;
  prepare(context: PrepareContext, request: unknown): TxnBody | ErrorCode;
  /** The body of the reply to one that succeeded, right after it was applied to `tree`. */
  reply(writer: Writer, applied: Applied, tree: DataTree): void;
}

export interface ReadOperation extends Common {
  readonly kind: "read";
  /** Writes the reply's body; writes nothing where it returns an error. */
  serve(context: ReadContext, body: Buffer, writer: Writer): ErrorCode;
}

/** The connection's and the pipeline's own business; a sync is answered with its path. */
export interface OtherOperation extends Common {
  readonly kind: "sync" | "ping" | "connection";
}

function write<F extends Fields>(
  label: string,
  request: Schema<F>,
  prepareOne: (context: PrepareContext, request: Decoded<Schema<F>>) => TxnBody | ErrorCode,
  reply: WriteOperation["reply"],
  from: Common["from"] = "client",
): WriteOperation {
  return {
    kind: "write",
    label,
    from,
    decode: (reader) => request.read(reader),
    prepare: prepareOne,
    reply,
  };
}

function serving<F extends Fields>(label: string, request: Schema<F>, answer: (context: ReadContext, request: Decoded<Schema<F>>, writer: Writer) => ErrorCode): ReadOperation {
  return {
    kind: "read",
    label,
    from: "client",
    serve: (context, body, writer) => {
      const decoded = request.decode(body);
      return decoded === undefined ? ErrorCode.marshallingError : answer(context, decoded, writer);
    },
  };
}

function reading<F extends Fields, R extends Fields>(label: string, request: Schema<F>, response: Schema<R>, answer: (context: ReadContext, request: Decoded<Schema<F>>) => Answer<Input<Schema<R>>>): ReadOperation {
  return serving(label, request, (context, decoded, writer) => {
    const body = answer(context, decoded);
    if (typeof body === "number") return body;
    response.write(writer, body);
    return ErrorCode.ok;
  });
}

function other(kind: OtherOperation["kind"], label: string): OtherOperation {
  return { kind, label, from: "client" };
}

const createSessionRequest = juteRecord("CreateSessionRequest", { timeOut: int() });

const stat = (applied: Applied) => must(applied.stat, "stat of a successful write");
const nothing = () => undefined;
const replyPath = (writer: Writer, applied: Applied) => records.pathRecord.write(writer, { path: applied.path });
const replyPathAndStat = (writer: Writer, applied: Applied) => records.create2Response.write(writer, { path: applied.path, stat: stat(applied) });
const replyStat = (writer: Writer, applied: Applied) => records.statResponse.write(writer, { stat: stat(applied) });

const replyConfig = (writer: Writer, applied: Applied, tree: DataTree) =>
  records.getDataResponse.write(writer, { data: tree.dataOf(must(tree.find(applied.path), "configuration's node")), stat: stat(applied) });

function creating(type: prepare.CreateOp) {
  return (context: PrepareContext, request: records.CreateRequest & { readonly ttl?: number }) => prepare.prepareCreate(context, type, request, request.ttl ?? -1);
}

const TABLE: Readonly<Partial<Record<OpCode, Operation>>> = {
  [OpCode.create]: write("CREA", records.createRequest, creating(OpCode.create), replyPath),
  [OpCode.create2]: write("CREA", records.createRequest, creating(OpCode.create2), replyPathAndStat),
  [OpCode.createContainer]: write("CREA", records.createRequest, creating(OpCode.createContainer), replyPathAndStat),
  [OpCode.createTTL]: write("CREA", records.createTTLRequest, creating(OpCode.createTTL), replyPathAndStat),
  [OpCode.delete]: write("DELE", records.deleteRequest, prepare.prepareDelete, nothing),
  [OpCode.setData]: write("SETD", records.setDataRequest, prepare.prepareSetData, replyStat),
  [OpCode.setACL]: write("SETA", records.setACLRequest, prepare.prepareSetAcl, replyStat),
  [OpCode.check]: write("CHEC", records.checkVersionRequest, prepare.prepareCheck, nothing, "multi"),
  [OpCode.reconfig]: write("RECO", records.reconfigRequest, prepare.prepareReconfig, replyConfig),
  [OpCode.createSession]: write("SESS", createSessionRequest, (context, request) => prepare.prepareCreateSession(context, request.timeOut), nothing, "server"),
  [OpCode.closeSession]: write("CLOS", records.noFields, prepare.prepareCloseSession, nothing),
  [OpCode.multi]: {
    kind: "write",
    label: "MULT",
    from: "client",
    decode: (reader) => decodeWhole(reader, decodeMulti),
    prepare: (context, request) => prepareMulti(context, request as readonly MultiOp[]),
    reply: (writer, applied) => writeMultiResults(writer, must(applied.results, "results of a multi").map(multiResult)),
  },
  [OpCode.deleteContainer]: {
    kind: "write",
    label: "DELE",
    from: "server",
    decode: (reader) => reader.string(reader.remaining),
    prepare: (context, request) => prepare.prepareDeleteContainer(context, request as string),
    reply: nothing,
  },

  [OpCode.exists]: reading("EXIS", records.readRequest, records.statResponse, read.exists),
  [OpCode.getData]: reading("GETD", records.readRequest, records.getDataResponse, read.getData),
  [OpCode.getChildren]: reading("GETC", records.readRequest, records.getChildrenResponse, read.getChildren),
  [OpCode.getChildren2]: reading("GETC", records.readRequest, records.getChildren2Response, read.getChildren),
  [OpCode.getACL]: reading("GETA", records.pathRecord, records.getACLResponse, (context, { path }) => read.getAcl(context, path)),
  [OpCode.getAllChildrenNumber]: reading("GETACN", records.pathRecord, records.getAllChildrenNumberResponse, (context, { path }) => read.getAllChildrenNumber(context, path)),
  [OpCode.getEphemerals]: reading("GETE", records.getEphemeralsRequest, records.getEphemeralsResponse, (context, { prefixPath }) => read.getEphemerals(context, prefixPath)),
  [OpCode.whoAmI]: reading("HOMI", records.noFields, records.whoAmIResponse, read.whoAmI),
  [OpCode.setWatches]: serving("SETW", records.setWatches, (context, lists) => {
    read.restoreWatches(context, lists);
    return ErrorCode.ok;
  }),
  [OpCode.setWatches2]: serving("STW2", records.setWatches2, (context, lists) => {
    read.restoreAllWatches(context, lists);
    return ErrorCode.ok;
  }),
  [OpCode.addWatch]: reading("ADDW", records.addWatchRequest, records.errorResponse, (context, { path, mode }) => {
    const err = read.addWatch(context, path, mode);
    return err === ErrorCode.ok ? { err } : err;
  }),
  [OpCode.checkWatches]: serving("CHKW", records.checkWatchesRequest, (context, { path, type }) => read.checkWatches(context, path, type)),
  [OpCode.removeWatches]: serving("REMW", records.removeWatchesRequest, (context, { path, type }) => read.removeWatches(context, path, type)),
  [OpCode.multiRead]: { kind: "read", label: "MLTR", from: "client", serve: serveMultiRead },

  [OpCode.sync]: other("sync", "SYNC"),
  [OpCode.ping]: other("ping", "PING"),
  [OpCode.auth]: other("connection", "NA"),
  [OpCode.sasl]: other("connection", "NA"),
};

/** Undefined for what a client may not ask for: answered with `unimplemented`, then the connection is closed. */
export function clientOperation(type: number): Operation | undefined {
  const operation = TABLE[type as OpCode];
  return operation?.from === "client" ? operation : undefined;
}

/** What a server asks for on behalf of a client that connects. */
export const createSessionOperation: Operation = must(TABLE[OpCode.createSession], "createSession");

export interface WriteRequest extends Origin {
  readonly type: number;
  readonly cxid: number;
  readonly body: Buffer;
}

/**
 * The transaction of a write, to be applied under `zxid`: what was asked for, or an error transaction with the
 * reason. `wallMs` is the leader's clock, which becomes the times of znodes.
 */
export function prepareRequest(environment: PrepareEnvironment, request: WriteRequest, zxid: Zxid, wallMs: number): Transaction {
  const operation = writeOperation(request.type);
  const reader = new Reader(request.body);
  const decoded = operation.decode(reader);
  const prepared = reader.bad ? ErrorCode.marshallingError : operation.prepare({ environment, origin: request, zxid, expansion: new AclExpansion() }, decoded);
  const body: TxnBody = typeof prepared === "number" ? { type: OpCode.error, record: { err: prepared } } : prepared;
  return encodeTransaction({ clientId: request.sessionId, cxid: request.cxid, zxid, time: wallMs }, body);
}

/** Writes the body of the reply to an applied write, where `applied.err` is ok; a multi has a body either way. */
export function writeReply(type: number, applied: Applied, tree: DataTree, writer: Writer): void {
  writeOperation(type).reply(writer, applied, tree);
}

function writeOperation(type: number): WriteOperation {
  const operation = TABLE[type as OpCode];
  assert(operation?.kind === "write", `operation ${type} is a write`);
  return operation;
}

function decodeWhole<T>(reader: Reader, decode: (body: Buffer) => T | undefined): T | undefined {
  const value = decode(reader.bytes(reader.remaining));
  if (value === undefined) reader.fail();
  return value;
}

/** All share the zxid; each sees what those before it will have done. After a failure the rest is not looked at. */
function prepareMulti(context: PrepareContext, operations: readonly MultiOp[]): TxnBody {
  const { state } = context.environment;
  const txns: TxnBody<SubTxnType>[] = [];
  let failed = false;
  state.begin();
  for (const operation of operations) {
    const prepared = failed ? ErrorCode.runtimeInconsistency : prepareSub(context, operation);
    if (typeof prepared !== "number") {
      txns.push(prepared);
      continue;
    }
    failed = true;
    txns.push({ type: OpCode.error, record: { err: prepared } });
  }
  if (failed) state.rollback();
  else state.commit();
  return { type: OpCode.multi, record: { txns } };
}

function prepareSub(context: PrepareContext, operation: MultiOp): TxnBody<SubTxnType> | ErrorCode {
  switch (operation.type) {
    case OpCode.create:
    case OpCode.create2:
    case OpCode.createContainer:
      return prepare.prepareCreate(context, prepare.createOpOfFlags(operation.record.flags), operation.record, -1);
    case OpCode.createTTL: {
      const type = prepare.createOpOfFlags(operation.record.flags);
      return prepare.prepareCreate(context, type, operation.record, type === OpCode.createTTL ? operation.record.ttl : -1);
    }
    case OpCode.delete:
      return prepare.prepareDelete(context, operation.record);
    case OpCode.setData:
      return prepare.prepareSetData(context, operation.record);
    case OpCode.check:
      return prepare.prepareCheck(context, operation.record);
  }
}

function multiResult(applied: Applied): MultiResult {
  switch (applied.type) {
    case OpCode.create:
      return { type: OpCode.create, record: { path: applied.path } };
    case OpCode.create2:
    case OpCode.createTTL:
    case OpCode.createContainer:
      return { type: OpCode.create2, record: { path: applied.path, stat: stat(applied) } };
    case OpCode.setData:
      return { type: OpCode.setData, record: { stat: stat(applied) } };
    case OpCode.delete:
    case OpCode.deleteContainer:
      return { type: OpCode.delete, record: {} };
    case OpCode.check:
      return { type: OpCode.check, record: {} };
    default:
      return { type: OpCode.error, record: { err: applied.err } };
  }
}

/** Each by itself; watches are not set. */
function serveMultiRead(context: ReadContext, body: Buffer, writer: Writer): ErrorCode {
  const operations = decodeMultiRead(body);
  if (operations === undefined) return ErrorCode.marshallingError;
  const results = operations.map(({ type, record }): MultiResult => {
    const asked = { path: record.path, watch: false };
    if (type === OpCode.getData) {
      const answer = read.getData(context, asked);
      return typeof answer === "number" ? { type: OpCode.error, record: { err: answer } } : { type, record: { data: answer.data, stat: answer.stat } };
    }
    const answer = read.getChildren(context, asked);
    return typeof answer === "number" ? { type: OpCode.error, record: { err: answer } } : { type, record: { children: [...answer.children] } };
  });
  writeMultiResults(writer, results);
  return ErrorCode.ok;
}
