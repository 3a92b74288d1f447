import { Reader } from "../../src/codec/reader.ts";
import { Writer } from "../../src/codec/writer.ts";
import { must } from "../../src/lib/assert.ts";
import { ErrorCode } from "../../src/zookeeper/protocol/errors.ts";
import { counterOf, toHex, type SessionId, type Zxid } from "../../src/zookeeper/protocol/ids.ts";
import { decodeMulti, readMultiResults, writeMultiResults, type MultiOp } from "../../src/zookeeper/protocol/multi.ts";
import { CreateFlag, OpCode } from "../../src/zookeeper/protocol/op-codes.ts";
import * as records from "../../src/zookeeper/protocol/records.ts";
import { encodeTransaction, type Transaction, type TxnBody } from "../../src/zookeeper/protocol/transactions.ts";
import type { Call, Reply, Transcript } from "./client-tap.ts";
import { follows } from "./history.ts";
import { Model, type Origin } from "./model.ts";
import { Violation } from "./violation.ts";

/** What a request had to come to: its transaction and its answer. */
interface Expected {
  readonly body: TxnBody;
  readonly err: number;
  readonly reply: Buffer;
}

const NO_BODY = Buffer.alloc(0);
const WRITES: ReadonlySet<number> = new Set([OpCode.create, OpCode.delete, OpCode.setData, OpCode.setACL, OpCode.multi, OpCode.closeSession]);
/** The leader's word that the session may not speak, or not through this member: it changes nothing. */
const SESSION_ERRORS: ReadonlySet<number> = new Set([ErrorCode.sessionExpired, ErrorCode.sessionMoved]);

export interface HistoryObserver {
  /** The model is what it was at the reply's zxid. */
  reply(reply: Reply, model: Model): void;
  /** The model has just taken this transaction. */
  transaction(zxid: Zxid, model: Model): void;
}

/**
 * Holds what clients saw against one order of transactions: each is the request of a session that sent it, once, in
 * the order in which the session sent them, and did what it should have done right after those before it; each
 * answered write is among them; and each read is what the tree was at the zxid in its answer.
 * With `strangers` there are sessions that nobody has listened to: what they did is taken as it is.
 * Returns the model as the last transaction leaves it.
 */
export function checkHistory(history: readonly Transaction[], transcripts: readonly Transcript[], observer: HistoryObserver, { strangers = false } = {}): Model {
  const checker = new HistoryCheck(transcripts, strangers);
  checkNumbers(history);
  const replies = transcripts
    .flatMap((transcript) => transcript.heard)
    .filter((heard) => heard.kind === "reply")
    .toSorted((a, b) => a.zxid - b.zxid || a.at - b.at);
  let next = 0;
  for (const transaction of history) {
    for (let reply = replies[next]; reply !== undefined && reply.zxid < transaction.header.zxid; reply = replies[++next]) checker.read(reply, observer);
    checker.apply(transaction);
    observer.transaction(transaction.header.zxid, checker.model);
  }
  const last = history.at(-1)?.header.zxid ?? 0;
  for (const reply of replies.slice(next)) {
    // A leader begins with the zero of its epoch.
    if (reply.zxid > last && counterOf(reply.zxid) !== 0) throw new Violation("committed is kept", `${describe(reply.call)} was answered at zxid 0x${toHex(reply.zxid)}, and the history ends at 0x${toHex(last)}`);
    checker.read(reply, observer);
  }
  for (const reply of replies) checker.answered(reply);
  checker.inRealTime(transcripts);
  return checker.model;
}

function checkNumbers(history: readonly Transaction[]): void {
  let last = 0 as Zxid;
  for (const { header } of history) {
    const { zxid } = header;
    if (!follows(last, zxid)) throw new Violation("no gaps", `transaction 0x${toHex(zxid)} follows 0x${toHex(last)}`);
    last = zxid;
  }
}

export function describe(call: Call): string {
  const { transcript, xid, type, atMs } = call;
  const name = Object.entries(OpCode).find(([, code]) => code === type)?.[0] ?? String(type);
  return `${transcript.client}'s ${name} (session 0x${toHex(transcript.session)}, xid ${xid}, sent to ${transcript.server} at ${atMs.toFixed(3)} ms)`;
}

class HistoryCheck {
  readonly model = new Model();
  /** By session, then by xid. */
  readonly #calls = new Map<SessionId, Map<number, Call>>();
  readonly #connections = new Map<SessionId, number>();
  /** Each request's transaction. */
  readonly #done = new Map<Call, { readonly zxid: Zxid; readonly expected: Expected }>();
  readonly #lastXid = new Map<SessionId, number>();

  readonly #strangers: boolean;

  constructor(transcripts: readonly Transcript[], strangers: boolean) {
    this.#strangers = strangers;
    for (const transcript of transcripts) {
      const { session } = transcript;
      const calls = this.#calls.get(session) ?? new Map<number, Call>();
      this.#calls.set(session, calls);
      this.#connections.set(session, (this.#connections.get(session) ?? 0) + 1);
      for (const call of transcript.calls) if (WRITES.has(call.type)) calls.set(call.xid, call);
    }
  }

  apply({ header, body, payload }: Transaction): void {
    const { clientId: session, cxid, zxid, time: wallMs } = header;
    const origin: Origin = { zxid, session, wallMs };
    if (cxid === 0) {
      this.#applyOwn(origin, body);
      return;
    }
    if (this.#strangers && !this.#calls.has(session)) {
      this.#applyStrange(origin, body);
      return;
    }
    const call = this.#calls.get(session)?.get(cxid);
    if (call === undefined) throw new Violation("only what was asked", `transaction 0x${toHex(zxid)} of session 0x${toHex(session)} has xid ${cxid}, and the session sent no such write`);
    if (this.#done.has(call)) throw new Violation("once", `${describe(call)} is transaction 0x${toHex(must(this.#done.get(call), "first").zxid)} and 0x${toHex(zxid)}`);
    const refused = this.#refused(call, zxid, body);
    if (refused === undefined) {
      if (cxid <= (this.#lastXid.get(session) ?? 0)) throw new Violation("fifo", `${describe(call)} is transaction 0x${toHex(zxid)}, after a later request of its session`);
      this.#lastXid.set(session, cxid);
    }
    const expected = refused ?? this.#evaluate(origin, call);
    const wanted = encodeTransaction({ clientId: session, cxid, zxid, time: wallMs }, expected.body);
    if (!wanted.payload.equals(payload)) throw new Violation("order of effects", `${describe(call)} became transaction 0x${toHex(zxid)} ${JSON.stringify(body)}, expected ${JSON.stringify(expected.body)}`);
    this.#done.set(call, { zxid, expected });
  }

  /** What members do by themselves. */
  #applyOwn(origin: Origin, body: TxnBody): void {
    const id = `0x${toHex(origin.session)}`;
    switch (body.type) {
      case OpCode.createSession:
        if (this.model.sessions.has(origin.session)) throw new Violation("sessions", `${id} is opened a second time by transaction 0x${toHex(origin.zxid)}`);
        this.model.openSession(origin.session, body.record.timeOut);
        return;
      case OpCode.closeSession:
        this.model.closeSession(origin);
        return;
      default:
        throw new Violation("only what was asked", `transaction 0x${toHex(origin.zxid)} of session ${id} has no xid: ${JSON.stringify(body)}`);
    }
  }

  /** A transaction whose request nobody has seen. */
  #applyStrange(origin: Origin, body: TxnBody): void {
    switch (body.type) {
      case OpCode.error:
        return;
      case OpCode.closeSession:
        this.model.closeSession(origin);
        return;
      case OpCode.setACL:
        this.model.setAcl(body.record.path, body.record.acl ?? [], -1);
        return;
      case OpCode.multi:
        if (body.record.txns.every(({ type }) => type !== OpCode.error)) for (const each of body.record.txns) this.#applyStrange(origin, each);
        return;
      case OpCode.check:
        return;
      default: {
        const step = this.model.step(origin, operationOf(body));
        if (typeof step === "number") throw new Violation("order of effects", `transaction 0x${toHex(origin.zxid)} ${JSON.stringify(body)} can't follow those before it: ${step}`);
      }
    }
  }

  /** The leader may refuse a session that is closing, or speaks through another member by now. */
  #refused(call: Call, zxid: Zxid, body: TxnBody): Expected | undefined {
    const { session } = call.transcript;
    const state = this.model.sessions.get(session);
    if (state === undefined) throw new Violation("sessions", `${describe(call)} became transaction 0x${toHex(zxid)}, and its session was never opened`);
    const err = firstError(body);
    if (err === undefined || !SESSION_ERRORS.has(err)) {
      if (state.closed !== undefined && call.type !== OpCode.closeSession) throw new Violation("sessions", `${describe(call)} became transaction 0x${toHex(zxid)}, after its session ended with 0x${toHex(state.closed)}`);
      return undefined;
    }
    const plausible = err === ErrorCode.sessionExpired ? state.closed !== undefined : (this.#connections.get(session) ?? 0) > 1;
    if (!plausible) throw new Violation("sessions", `${describe(call)} was refused with ${err} by transaction 0x${toHex(zxid)}, without a reason`);
    if (body.type !== OpCode.multi) return { body, err, reply: NO_BODY };
    const writer = new Writer();
    writeMultiResults(
      writer,
      body.record.txns.flatMap((sub) => (sub.type === OpCode.error ? [{ type: sub.type, record: { err: sub.record.err } }] : [])),
    );
    return { body, err: 0, reply: writer.finishBuffer() };
  }

  #evaluate(origin: Origin, { type, body }: Call): Expected {
    const failed = (err: ErrorCode): Expected => ({ body: { type: OpCode.error, record: { err } }, err, reply: NO_BODY });
    const single = (operation: Parameters<Model["step"]>[1]): Expected => {
      const step = this.model.step(origin, operation);
      if (typeof step === "number") return failed(step);
      const { txn, result } = step;
      if (result.type === OpCode.create) return { body: txn, err: 0, reply: records.pathRecord.encode(result.record) };
      return { body: txn, err: 0, reply: result.type === OpCode.setData ? records.statResponse.encode(result.record) : NO_BODY };
    };
    switch (type) {
      case OpCode.create:
        return single({ type, record: must(records.createRequest.decode(body), "create") });
      case OpCode.delete:
        return single({ type, record: must(records.deleteRequest.decode(body), "delete") });
      case OpCode.setData:
        return single({ type, record: must(records.setDataRequest.decode(body), "setData") });
      case OpCode.setACL: {
        const { path, acl, version } = must(records.setACLRequest.decode(body), "setACL");
        const done = this.model.setAcl(path, acl ?? [], version);
        return typeof done === "number" ? failed(done) : { body: done.txn, err: 0, reply: records.statResponse.encode({ stat: done.stat }) };
      }
      case OpCode.multi: {
        const { txn, results } = this.model.multi(origin, must(decodeMulti(body), "multi"));
        const writer = new Writer();
        writeMultiResults(writer, results);
        return { body: txn, err: 0, reply: writer.finishBuffer() };
      }
      case OpCode.closeSession:
        this.model.closeSession(origin);
        return { body: { type, record: {} }, err: 0, reply: NO_BODY };
      default:
        throw new Error(`request ${type} is no write`);
    }
  }

  /** The answer of a write is the one that its transaction had to have. */
  answered(reply: Reply): void {
    const { call, err, body, zxid } = reply;
    if (!WRITES.has(call.type)) return;
    const done = this.#done.get(call);
    if (done === undefined) {
      if (SESSION_ERRORS.has(err)) return;
      throw new Violation("acknowledged is kept", `${describe(call)} was answered with ${err} at zxid 0x${toHex(zxid)}, and is not in the history`);
    }
    const { expected } = done;
    if (err !== expected.err || !body.equals(expected.reply)) throw new Violation("answers", `${describe(call)}, transaction 0x${toHex(done.zxid)}, was answered with ${err} ${show(call, body)}, expected ${expected.err} ${show(call, expected.reply)}`);
    if (zxid < done.zxid) throw new Violation("answers", `${describe(call)}, transaction 0x${toHex(done.zxid)}, was answered at zxid 0x${toHex(zxid)}`);
  }

  /** What somebody had seen before a write was asked for comes before that write. */
  inRealTime(transcripts: readonly Transcript[]): void {
    const calls = transcripts.flatMap((transcript) => transcript.calls).filter((call) => this.#done.has(call));
    const replies = transcripts.flatMap((transcript) => transcript.heard).filter((heard) => heard.kind === "reply");
    const inOrder = [...calls, ...replies].toSorted((a, b) => a.at - b.at);
    let newest: Reply | undefined;
    for (const item of inOrder) {
      if ("zxid" in item) {
        if (item.zxid > (newest?.zxid ?? 0)) newest = item;
        continue;
      }
      const { zxid } = must(this.#done.get(item), "transaction");
      if (newest !== undefined && zxid <= newest.zxid) throw new Violation("real time", `${describe(item)} became transaction 0x${toHex(zxid)}, after ${describe(newest.call)} had been answered at 0x${toHex(newest.zxid)}`);
    }
  }

  /** The answer of a read is the tree of its zxid. */
  read(reply: Reply, observer: HistoryObserver): void {
    const { call, err, body } = reply;
    observer.reply(reply, this.model);
    const expected = this.#expectedRead(call);
    if (expected === undefined) return;
    const got = call.type === OpCode.getChildren2 && err === 0 ? sortChildren(body) : body;
    if (err === expected.err && got.equals(expected.reply)) return;
    throw new Violation("reads", `${describe(call)} was answered at zxid 0x${toHex(reply.zxid)} with ${err} ${show(call, got)}, expected ${expected.err} ${show(call, expected.reply)}`);
  }

  #expectedRead({ type, body }: Call): { readonly err: number; readonly reply: Buffer } | undefined {
    const { model } = this;
    if (type !== OpCode.exists && type !== OpCode.getData && type !== OpCode.getChildren2 && type !== OpCode.getACL) return undefined;
    const { path } = must(records.pathRecord.decode(body), "path");
    const stat = model.statOf(path);
    if (stat === undefined) return { err: ErrorCode.noNode, reply: NO_BODY };
    switch (type) {
      case OpCode.exists:
        return { err: 0, reply: records.statResponse.encode({ stat }) };
      case OpCode.getData:
        return { err: 0, reply: records.getDataResponse.encode({ data: model.dataOf(path), stat }) };
      case OpCode.getChildren2:
        return { err: 0, reply: records.getChildren2Response.encode({ children: model.childrenOf(path).toSorted(), stat }) };
      case OpCode.getACL:
        return { err: 0, reply: records.getACLResponse.encode({ acl: [...model.aclOf(path)], stat }) };
    }
  }
}

/** What a client may have asked for that came to this. */
function operationOf(body: TxnBody): MultiOp {
  switch (body.type) {
    case OpCode.create:
      return { type: body.type, record: { path: body.record.path, data: body.record.data, acl: body.record.acl ?? [], flags: body.record.ephemeral ? CreateFlag.ephemeral : CreateFlag.persistent } };
    case OpCode.delete:
      return { type: body.type, record: { path: body.record.path, version: -1 } };
    case OpCode.setData:
      return { type: body.type, record: { path: body.record.path, data: body.record.data, version: -1 } };
    default:
      throw new Error(`the model knows no transaction ${body.type}`);
  }
}

function firstError(body: TxnBody): number | undefined {
  if (body.type === OpCode.error) return body.record.err;
  if (body.type !== OpCode.multi) return undefined;
  for (const sub of body.record.txns) if (sub.type === OpCode.error) return sub.record.err;
  return undefined;
}

function sortChildren(body: Buffer): Buffer {
  const response = records.getChildren2Response.decode(body);
  return response === undefined ? body : records.getChildren2Response.encode({ children: response.children.toSorted(), stat: response.stat });
}

/** A body as people read it. */
function show({ type }: Call, body: Buffer): string {
  if (body.length === 0) return "without a body";
  const schemas: Readonly<Record<number, { decode(bytes: Buffer): unknown }>> = {
    [OpCode.create]: records.pathRecord,
    [OpCode.setData]: records.statResponse,
    [OpCode.setACL]: records.statResponse,
    [OpCode.exists]: records.statResponse,
    [OpCode.getData]: records.getDataResponse,
    [OpCode.getChildren2]: records.getChildren2Response,
    [OpCode.getACL]: records.getACLResponse,
  };
  const decoded = type === OpCode.multi ? readMultiResults(new Reader(body)) : schemas[type]?.decode(body);
  return JSON.stringify(decoded ?? body.toString("hex"), (_key, value: unknown) => (typeof value === "bigint" ? `0x${toHex(value)}` : value));
}
