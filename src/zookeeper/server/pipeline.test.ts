import { beforeEach, expect, test } from "vitest";
import type { Connection } from "../../host/net.ts";
import { Reader } from "../../codec/reader.ts";
import { BufferPool } from "../../lib/buffer-pool.ts";
import { ErrorCode } from "../protocol/errors.ts";
import { sessionId, zxid, type SessionId } from "../protocol/ids.ts";
import { OpCode } from "../protocol/op-codes.ts";
import { pathRecord, readRequest, replyHeader } from "../protocol/records.ts";
import { encodeTransaction, type TxnBody } from "../protocol/transactions.ts";
import { BUILT_IN_PROVIDERS } from "../tree/acl.ts";
import { applyTransaction } from "../tree/apply.ts";
import { clientOperation } from "../tree/operations.ts";
import { DataTree } from "../tree/tree.ts";
import { must } from "../../lib/assert.ts";
import { ClientConnection } from "./connection.ts";
import { ClientRequest, RequestPipeline } from "./pipeline.ts";
import type { Role } from "./role.ts";
import { ServerStats } from "./stats.ts";

/** A follower's place, seen from the pipeline: writes leave for elsewhere, and what is committed comes from there. */
let pipeline: RequestPipeline;
let lastZxid: number;
let closedSessions: SessionId[];

const [MINE, OTHER] = [sessionId(1n), sessionId(2n)];

beforeEach(() => {
  const tree = new DataTree({ extendedTypes: false, emulate353Ttl: false }, { watchEvent: () => undefined, quotaExceeded: () => undefined });
  const role: Role = {
    mode: "follower",
    tree,
    outstandingMax: 3,
    latestZxid: zxid(0),
    start: () => undefined,
    stop: () => undefined,
    newSession: () => MINE,
    touch: () => true,
    revalidate: () => undefined,
    submit: () => undefined,
    sync: () => undefined,
    apply: (transaction) => applyTransaction(tree, transaction),
    describeSessions: () => [],
    monitored: () => ({}),
  };
  lastZxid = 0;
  closedSessions = [];
  pipeline = new RequestPipeline({
    clock: { monotonicMs: () => 0, wallMs: () => 0 },
    policy: { skipAcl: false, providers: BUILT_IN_PROVIDERS },
    stats: new ServerStats(),
    role,
    sessionOpened: () => undefined,
    sessionClosed: (session) => closedSessions.push(session),
  });
});

class Client {
  readonly answers: string[] = [];
  readonly connection: ClientConnection;
  ended = false;
  paused = false;

  constructor(session: SessionId) {
    const nothing = (): void => undefined;
    const socket: Connection = {
      remoteHost: "10.0.0.1",
      remotePort: 1,
      localHost: "10.0.0.2",
      localPort: 2,
      bufferedBytes: 0,
      closed: false,
      start: nothing,
      write: (bytes) => {
        const { xid, err } = replyHeader.read(new Reader(bytes, 4));
        this.answers.push(err === 0 ? `${xid}` : `${xid}: ${err}`);
        return true;
      },
      pause: () => (this.paused = true),
      resume: () => (this.paused = false),
      end: () => (this.ended = true),
      destroy: nothing,
      reset: nothing,
    };
    const listener = { active: nothing, received: nothing, sent: nothing, connect: nothing, request: nothing, command: nothing, refused: nothing, closed: nothing };
    this.connection = new ClientConnection(socket, listener, { id: 1, buffers: new BufferPool(), frameBytesMax: 1000, timeoutMs: 1000, wallMs: 0 });
    this.connection.session = session;
  }

  ask(cxid: number, type: OpCode, body: Buffer = Buffer.alloc(0)): void {
    pipeline.submit(new ClientRequest(this.connection, must(clientOperation(type), "operation"), type, cxid, body, 0));
  }
}

function commit(session: SessionId, cxid: number, body: TxnBody): void {
  lastZxid += 1;
  pipeline.commit(encodeTransaction({ clientId: session, cxid, zxid: zxid(lastZxid), time: 0 }, body));
}

const created = (path: string): TxnBody => ({ type: OpCode.create, record: { path, data: null, acl: null, ephemeral: false, parentCVersion: 1 } });
const failed = (err: ErrorCode): TxnBody => ({ type: OpCode.error, record: { err } });
const exists = (path: string): Buffer => readRequest.encode({ path, watch: false });

test("other members' commits take effect without an answer, and answer nobody who waits", () => {
  const client = new Client(MINE);
  client.ask(5, OpCode.create);
  client.ask(6, OpCode.exists, exists("/theirs"));
  commit(OTHER, 5, created("/theirs"));
  commit(MINE, 4, created("/from-before-the-session-moved"));
  expect(client.answers).toEqual([]);
  commit(MINE, 5, created("/mine"));
  expect(client.answers).toEqual(["5", "6"]);
});

test("a write whose connection has gone is awaited all the same: the next connection may count from the same xid", () => {
  const [before, after] = [new Client(MINE), new Client(MINE)];
  before.ask(1, OpCode.create);
  before.connection.end();
  after.ask(1, OpCode.create);
  after.ask(2, OpCode.ping);
  commit(MINE, 1, created("/before"));
  expect(after.answers).toEqual([]);
  commit(MINE, 1, failed(ErrorCode.nodeExists));
  expect(after.answers).toEqual([`1: ${ErrorCode.nodeExists}`, "2"]);
  expect(before.answers).toEqual([]);
});

test("a member's own closing of a session is not taken for the request with the same cxid", () => {
  const client = new Client(MINE);
  client.ask(0, OpCode.create);
  commit(MINE, 0, { type: OpCode.closeSession, record: {} });
  expect(client.answers).toEqual([]);
  expect(closedSessions).toEqual([MINE]);
});

test("a session that has moved is not answered but closed, since the client speaks through another member", () => {
  const client = new Client(MINE);
  client.ask(1, OpCode.create);
  commit(MINE, 1, failed(ErrorCode.sessionMoved));
  expect(client.answers).toEqual([]);
  expect(client.ended).toBe(true);
});

test("syncs are done in the order in which they were asked, each in its session's turn", () => {
  const [one, other] = [new Client(MINE), new Client(OTHER)];
  one.ask(1, OpCode.create);
  one.ask(2, OpCode.sync, pathRecord.encode({ path: "/" }));
  other.ask(1, OpCode.sync, pathRecord.encode({ path: "/" }));
  pipeline.synced();
  expect([one.answers, other.answers]).toEqual([[], []]);
  pipeline.synced();
  expect([one.answers, other.answers]).toEqual([[], ["1"]]);
  commit(MINE, 1, created("/a"));
  expect(one.answers).toEqual(["1", "2"]);
});

test("whoever asks while too much is under way is read from again once that has changed", () => {
  const [busy, late] = [new Client(MINE), new Client(OTHER)];
  for (const cxid of [1, 2, 3]) busy.ask(cxid, OpCode.create);
  late.ask(1, OpCode.create);
  expect([busy.paused, late.paused]).toEqual([false, true]);
  expect(pipeline.outstanding).toBe(4);
  commit(MINE, 1, created("/1"));
  expect(late.paused).toBe(true);
  commit(OTHER, 1, created("/2"));
  expect(late.paused).toBe(false);
});
