import * as fc from "fast-check";
import { beforeEach, describe, expect, test } from "vitest";
import { ALICE, BOB, dump, Member, multiBody, open, T0 } from "../../../test/support/zookeeper-tree.ts";
import { Reader } from "../../codec/reader.ts";
import { Writer } from "../../codec/writer.ts";
import { ErrorCode } from "../protocol/errors.ts";
import { sessionId } from "../protocol/ids.ts";
import { readMultiResults, type MultiOp } from "../protocol/multi.ts";
import { CreateFlag, OpCode, Perms } from "../protocol/op-codes.ts";
import * as records from "../protocol/records.ts";
import type { AclEntry, Id } from "../protocol/records.ts";
import { decodeTransaction } from "../protocol/transactions.ts";
import { digestOf } from "./acl.ts";
import { applyTransaction } from "./apply.ts";
import { clientOperation, writeReply } from "./operations.ts";
import type { WatcherId } from "./watches.ts";

let member: Member;
beforeEach(() => {
  member = new Member();
});

describe("a new tree", () => {
  test("has the system's nodes and counts the root twice", () => {
    expect(member.tree.nodeCount).toBe(5);
    expect(member.stat("/zookeeper/config")).toMatchObject({ czxid: 0, aversion: -1, dataLength: 0 });
    expect(member.tree.find("/zookeeper/config")?.acl.entries).toEqual([{ perms: Perms.read, id: { scheme: "world", id: "anyone" } }]);
    expect(member.tree.find("")).toBe(member.tree.root);
    expect(member.tree.find("/")).toBe(member.tree.root);
    for (const none of ["zookeeper", "/zookeeper/", "//zookeeper", "/none", "/zookeeper/none/x"]) expect(member.tree.find(none)).toBeUndefined();
  });

  test.each(["/", "/zookeeper", "/zookeeper/quota", "/zookeeper/config"])("%s cannot be deleted", (path) => {
    expect(member.delete(path).err).toBe(ErrorCode.badArguments);
  });

  test("its size counts paths and data as approximateDataSize does", () => {
    expect(member.tree.approximateDataSize).toBe("/".length + "/zookeeper/zookeeper/quota/zookeeper/config".length);
    member.create("/abc", { data: "12345" });
    member.set("/abc", "1");
    expect(member.tree.approximateDataSize).toBe("/".length + "/zookeeper/zookeeper/quota/zookeeper/config".length + 4 + 1);
    member.delete("/abc");
    expect(member.tree.approximateDataSize).toBe("/".length + "/zookeeper/zookeeper/quota/zookeeper/config".length);
  });
});

describe("what each write changes", () => {
  test("create: the node's numbers, and the parent's children, pzxid and cversion", () => {
    expect(member.create("/a", { data: "xyz" }).applied.path).toBe("/a");
    expect(member.stat("/a")).toEqual({ czxid: 1, mzxid: 1, pzxid: 1, ctime: T0, mtime: T0, version: 0, cversion: 0, aversion: 0, ephemeralOwner: 0n, dataLength: 3, numChildren: 0 });
    expect(member.stat("/")).toMatchObject({ cversion: 2 * 1 - 2, numChildren: 2, pzxid: 1, mzxid: 0, version: 0 });
  });

  test("the shown cversion counts creations and deletions", () => {
    member.create("/a");
    for (const name of ["x", "y", "z"]) member.create(`/a/${name}`);
    expect(member.stat("/a").cversion).toBe(3);
    member.delete("/a/y");
    expect(member.stat("/a")).toMatchObject({ cversion: 4, numChildren: 2, pzxid: 5, mzxid: 1 });
  });

  test("setData: data, version, mzxid and mtime of the node, nothing of the parent", () => {
    member.create("/a");
    member.now += 5;
    const { applied } = member.set("/a", "12");
    expect(applied.stat).toEqual(member.stat("/a"));
    expect(member.stat("/a")).toMatchObject({ version: 1, mzxid: 2, mtime: T0 + 5, ctime: T0, pzxid: 1, cversion: 0, dataLength: 2 });
    expect(member.stat("/").pzxid).toBe(1);
  });

  test("setACL: aversion and the ACL alone", () => {
    member.create("/a");
    const before = member.stat("/a");
    member.now += 5;
    member.setAcl("/a", [{ perms: Perms.all, id: { scheme: "world", id: "anyone" } }, { perms: Perms.read, id: { scheme: "ip", id: "10.0.0.0/8" } }]);
    expect(member.stat("/a")).toEqual({ ...before, aversion: 1 });
    expect(member.tree.acls.size).toBe(2);
  });

  test("null data stays null, empty stays empty", () => {
    member.create("/null", { data: null });
    member.create("/empty", { data: "" });
    const read = (path: string) => records.getDataResponse.decode(member.read(OpCode.getData, records.readRequest, { path, watch: false }).body)?.data;
    expect(read("/null")).toBeNull();
    expect(read("/empty")).toEqual(Buffer.alloc(0));
    member.set("/empty", null);
    expect(read("/empty")).toBeNull();
    expect(member.stat("/empty").dataLength).toBe(0);
  });

  test("bytes of all values come back", () => {
    const bytes = Buffer.from(Array.from({ length: 256 }, (_, value) => value));
    member.write(OpCode.create, records.createRequest.encode({ path: "/bytes", data: bytes, acl: open, flags: 0 }));
    const { body } = member.read(OpCode.getData, records.readRequest, { path: "/bytes", watch: false });
    expect(records.getDataResponse.decode(body)?.data).toEqual(bytes);
  });

  test("closeSession: the session and its ephemerals, each parent's pzxid", () => {
    member.write(OpCode.createSession, Buffer.from("00001000", "hex"));
    expect(member.tree.sessions.get(ALICE)).toBe(4096);
    member.create("/p");
    member.create("/p/e", { flags: CreateFlag.ephemeral });
    member.create("/f", { flags: CreateFlag.ephemeral });
    member.create("/g", { flags: CreateFlag.ephemeral, session: BOB });
    expect(member.tree.ephemeralsOf(ALICE)).toEqual(["/p/e", "/f"]);
    expect(member.stat("/p/e").ephemeralOwner).toBe(ALICE);
    const { txn } = member.write(OpCode.closeSession, Buffer.alloc(0));
    expect(txn.payload.length).toBe(32);
    expect([member.exists("/p/e"), member.exists("/f"), member.exists("/g")]).toEqual([ErrorCode.noNode, ErrorCode.noNode, ErrorCode.ok]);
    expect(member.stat("/p").pzxid).toBe(txn.header.zxid);
    expect(member.tree.sessions.has(ALICE)).toBe(false);
    expect(member.tree.ephemeralCount).toBe(1);
  });

  test("a failed write changes nothing but the last zxid", () => {
    const before = dump(member.tree) as Record<string, unknown>;
    const { err, txn } = member.create("/none/x");
    expect(err).toBe(ErrorCode.noNode);
    expect(txn.header.type).toBe(OpCode.error);
    expect(dump(member.tree)).toEqual({ ...before, zxid: 1 });
  });
});

describe("sequential names", () => {
  test("take the parent's count of creations, which non-sequential children raise too", () => {
    member.create("/q");
    const path = () => member.create("/q/n-", { flags: CreateFlag.persistentSequential }).applied.path;
    expect([path(), path()]).toEqual(["/q/n-0000000000", "/q/n-0000000001"]);
    member.create("/q/other");
    member.delete("/q/n-0000000000");
    expect(path()).toBe("/q/n-0000000003");
    expect(member.create("/q/", { flags: CreateFlag.ephemeralSequential }).applied.path).toBe("/q/0000000004");
  });

  test("wrap around as an int does", () => {
    member.create("/q");
    const node = member.tree.find("/q");
    const path = () => member.create("/q/n", { flags: CreateFlag.persistentSequential }).applied.path;
    if (node !== undefined) member.tree.stats.setCversion(node.row, 2147483647);
    expect([path(), path()]).toEqual(["/q/n2147483647", "/q/n-2147483648"]);
    if (node !== undefined) member.tree.stats.setCversion(node.row, -2);
    expect([path(), path(), path()]).toEqual(["/q/n-000000002", "/q/n-000000001", "/q/n0000000000"]);
  });

  test("are numbered in the order of preparing, before anything is applied", () => {
    const body = records.createRequest.encode({ path: "/n", data: null, acl: open, flags: CreateFlag.persistentSequential });
    for (let i = 0; i < 3; i++) member.prepare(OpCode.create, body);
    expect([member.applyNext(), member.applyNext(), member.applyNext()].map(({ applied }) => applied.path)).toEqual(["/n0000000000", "/n0000000001", "/n0000000002"]);
    expect(member.state.size).toBe(0);
  });
});

describe("checks", () => {
  test.each<[string, () => ErrorCode, ErrorCode]>([
    ["a flag out of range", () => member.create("/x", { flags: 7 }).err, ErrorCode.badArguments],
    ["a TTL while TTLs are off", () => member.create("/x", { flags: 5, type: OpCode.createTTL, ttl: 5 }).err, ErrorCode.unimplemented],
    ["a TTL for a mode without", () => member.create("/x", { type: OpCode.createTTL, ttl: 5 }).err, ErrorCode.badArguments],
    ["an unknown session", () => member.create("/x", { session: sessionId(9n) }).err, ErrorCode.sessionExpired],
    ["a path without a slash", () => member.create("x").err, ErrorCode.badArguments],
    ["an empty ACL", () => member.create("/x", { acl: [] }).err, ErrorCode.invalidACL],
    ["a missing parent", () => member.create("/p/x").err, ErrorCode.noNode],
    ["a missing parent before an invalid path", () => member.create("/p/../x").err, ErrorCode.noNode],
    ["an invalid path", () => member.create("/zookeeper/..").err, ErrorCode.badArguments],
    ["an existing node", () => member.create("/zookeeper").err, ErrorCode.nodeExists],
    ["the root", () => member.create("/").err, ErrorCode.nodeExists],
    ["deleting with a slash at the end", () => member.delete("/zookeeper/").err, ErrorCode.noNode],
    ["deleting what is not there", () => member.delete("/x").err, ErrorCode.noNode],
    ["setting what is not there", () => member.set("/x", "").err, ErrorCode.noNode],
    ["setting an invalid path", () => member.set("/x//y", "").err, ErrorCode.badArguments],
    ["an ACL for what is not there", () => member.setAcl("/x", open).err, ErrorCode.noNode],
    ["a body that does not parse", () => member.write(OpCode.create, Buffer.from("000000", "hex")).err, ErrorCode.marshallingError],
    ["a null path", () => member.write(OpCode.delete, Buffer.from("ffffffffffffffff", "hex")).err, ErrorCode.marshallingError],
    ["a reconfiguration where it is off", () => member.write(OpCode.reconfig, records.reconfigRequest.encode({ joiningServers: null, leavingServers: null, newMembers: null, curConfigId: -1 })).err, ErrorCode.reconfigDisabled],
    ["exists with a NUL", () => member.exists("/a\0"), ErrorCode.badArguments],
  ])("%s", (_name, attempt, expected) => {
    expect(attempt()).toBe(expected);
  });

  test("versions: -1 is any, another must be the current one", () => {
    member.create("/a");
    expect(member.set("/a", "", 0).err).toBe(ErrorCode.ok);
    expect(member.set("/a", "", 0).err).toBe(ErrorCode.badVersion);
    expect(member.setAcl("/a", open, 1).err).toBe(ErrorCode.badVersion);
    expect(member.setAcl("/a", open, 0).err).toBe(ErrorCode.ok);
    expect(member.delete("/a", 0).err).toBe(ErrorCode.badVersion);
    expect(member.delete("/a", 1).err).toBe(ErrorCode.ok);
  });

  test("a node with children stays, an ephemeral one gets none", () => {
    member.create("/a");
    member.create("/a/b", { flags: CreateFlag.ephemeral });
    expect(member.delete("/a").err).toBe(ErrorCode.notEmpty);
    expect(member.create("/a/b/c").err).toBe(ErrorCode.noChildrenForEphemerals);
  });

  test("a node may be made again and its parent deleted while the deletions are only prepared", () => {
    member.create("/a");
    member.create("/a/e", { flags: CreateFlag.ephemeral });
    member.prepare(OpCode.closeSession, Buffer.alloc(0));
    member.prepare(OpCode.create, records.createRequest.encode({ path: "/a/e", data: null, acl: open, flags: 0 }), BOB);
    member.prepare(OpCode.delete, records.deleteRequest.encode({ path: "/a/e", version: 0 }), BOB);
    member.prepare(OpCode.delete, records.deleteRequest.encode({ path: "/a", version: -1 }), BOB);
    expect([member.applyNext(), member.applyNext(), member.applyNext(), member.applyNext()].map(({ err }) => err)).toEqual([0, 0, 0, 0]);
    expect(member.exists("/a")).toBe(ErrorCode.noNode);
  });
});

describe("containers and TTLs", () => {
  test("the op code makes the container, not the flag, and a TTL needs extended types", () => {
    member.create("/plain", { flags: CreateFlag.container });
    member.create("/container", { type: OpCode.createContainer });
    expect([member.tree.find("/plain")?.owner, member.tree.find("/container")?.owner]).toEqual([0n, -(1n << 63n)]);
    expect(member.stat("/container").ephemeralOwner).toBe(0n);
    expect(member.create("/container/child").err).toBe(ErrorCode.ok);
  });

  test("containers that have had children and TTL nodes that are over are up for deletion, which checks again", () => {
    member = new Member({ extendedTypes: true });
    member.create("/fresh", { type: OpCode.createContainer });
    member.create("/used", { type: OpCode.createContainer });
    member.create("/used/x");
    member.create("/ttl", { type: OpCode.createTTL, flags: CreateFlag.persistentWithTtl, ttl: 100 });
    expect(member.tree.find("/ttl")?.owner).toBe(BigInt.asIntN(64, 0xff00000000000064n));
    expect(member.stat("/ttl").ephemeralOwner).toBe(0n);
    expect(member.tree.expiredNodes(T0 + 100)).toEqual([]);
    member.delete("/used/x");
    expect(member.tree.expiredNodes(T0 + 101)).toEqual(["/used", "/ttl"]);
    expect(member.write(OpCode.deleteContainer, Buffer.from("/ttl")).err).toBe(ErrorCode.ok);
    member.create("/used/y");
    expect(member.write(OpCode.deleteContainer, Buffer.from("/used")).err).toBe(ErrorCode.notEmpty);
    member.create("/e", { flags: CreateFlag.ephemeral });
    expect(member.write(OpCode.deleteContainer, Buffer.from("/e")).err).toBe(ErrorCode.badVersion);
    expect(member.tree.expiredNodes(T0 + 1000)).toEqual([]);
  });

  test("clients may not ask for what members make, nor for a bare check", () => {
    for (const type of [OpCode.deleteContainer, OpCode.createSession, OpCode.check, OpCode.error, OpCode.notification, 999]) expect(clientOperation(type)).toBeUndefined();
    expect(clientOperation(OpCode.closeSession)?.kind).toBe("write");
    expect(clientOperation(OpCode.sync)?.label).toBe("SYNC");
  });
});

describe("ACLs", () => {
  const alice: Id = { scheme: "digest", id: digestOf("alice:secret") };

  test("each operation asks for its permission, on the parent for create and delete", () => {
    const only = (perms: number): AclEntry[] => [{ perms, id: { scheme: "world", id: "anyone" } }];
    member.create("/none", { acl: only(0) });
    member.create("/none2", { acl: only(Perms.all & ~Perms.delete) });
    member.create("/none2/child", { acl: only(0) });
    const refused = ErrorCode.noAuth;
    expect([member.create("/none/x").err, member.set("/none", "").err, member.setAcl("/none", open).err, member.getData("/none"), member.getChildren("/none")]).toEqual([refused, refused, refused, refused, refused]);
    expect(member.exists("/none")).toBe(ErrorCode.ok);
    expect(member.delete("/none2/child").err).toBe(refused);
    expect(member.multi([{ type: OpCode.check, record: { path: "/none", version: -1 } }]).err).toBe(refused);
    expect(member.delete("/none").err).toBe(ErrorCode.ok);
  });

  test("`auth` becomes the ids held, without ip", () => {
    const auth: AclEntry[] = [{ perms: Perms.all, id: { scheme: "auth", id: "whatever" } }];
    expect(member.create("/a", { acl: auth }).err).toBe(ErrorCode.invalidACL);
    member.ids.push(alice);
    expect(member.create("/a", { acl: auth }).err).toBe(ErrorCode.ok);
    expect(member.tree.find("/a")?.acl.entries).toEqual([{ perms: Perms.all, id: alice }]);
    member.ids.pop();
    expect(member.set("/a", "x").err).toBe(ErrorCode.noAuth);
    member.ids.push({ scheme: "super", id: "" });
    expect(member.set("/a", "x").err).toBe(ErrorCode.ok);
  });

  test("`auth` expands to so much in a request and no further", () => {
    const auth: AclEntry[] = [{ perms: Perms.all, id: { scheme: "auth", id: "" } }];
    for (let n = 0; n < 10; n++) member.ids.push({ scheme: "digest", id: `${n}:${"x".repeat(10_000)}` });
    const create = (path: string): MultiOp => ({ type: OpCode.create, record: { path, data: null, acl: auth, flags: 0 } });
    expect(member.multi([create("/a")]).err).toBe(ErrorCode.ok);
    expect(member.multi([create("/b"), create("/c")]).err).toBe(ErrorCode.invalidACL);
    expect(member.create("/d", { acl: auth }).err).toBe(ErrorCode.ok);
  });

  test("who may read but not administer sees no digest", () => {
    member.ids.push(alice);
    member.create("/a", { acl: [{ perms: Perms.all, id: alice }, { perms: Perms.read, id: { scheme: "world", id: "anyone" } }] });
    const shown = () => records.getACLResponse.decode(member.read(OpCode.getACL, records.pathRecord, { path: "/a" }).body)?.acl[0]?.id.id;
    expect(shown()).toBe(alice.id);
    member.ids.pop();
    expect(shown()).toBe("alice:x");
  });

  test("skipACL lets everything through", () => {
    member = new Member({ skipAcl: true });
    member.create("/none", { acl: [{ perms: 0, id: { scheme: "world", id: "anyone" } }] });
    expect(member.set("/none", "x").err).toBe(ErrorCode.ok);
  });

  test("equal ACLs are kept once and forgotten with their last node", () => {
    const acl: AclEntry[] = [{ perms: Perms.read, id: { scheme: "ip", id: "10.0.0.1" } }, { perms: Perms.all, id: { scheme: "world", id: "anyone" } }];
    const before = member.tree.acls.size;
    member.create("/a", { acl });
    member.create("/b", { acl: [...acl, ...acl] });
    expect(member.tree.find("/a")?.acl).toBe(member.tree.find("/b")?.acl);
    expect(member.tree.acls.size).toBe(before + 1);
    member.delete("/a");
    member.setAcl("/b", open);
    expect(member.tree.acls.size).toBe(before);
  });
});

describe("watches", () => {
  test("an event for the node's watchers, then for the parent's, each once", () => {
    member.getChildren("/", 2);
    member.exists("/a", 1);
    member.create("/a");
    expect(member.takeEvents()).toEqual(["1 nodeCreated /a", "2 nodeChildrenChanged /"]);
    member.create("/b");
    expect(member.takeEvents()).toEqual([]);
  });

  test("a deletion tells data watchers, child watchers who have not heard, then the parent's", () => {
    member.create("/a");
    member.create("/a/b");
    member.getData("/a/b", 1);
    member.getChildren("/a/b", 1);
    member.getChildren("/a/b", 2);
    member.getChildren("/a", 3);
    member.delete("/a/b");
    expect(member.takeEvents()).toEqual(["1 nodeDeleted /a/b", "2 nodeDeleted /a/b", "3 nodeChildrenChanged /a"]);
    expect(member.tree.watches.data.size + member.tree.watches.child.size).toBe(0);
  });

  test("setData tells data watchers only; setACL, checks and failures tell nobody", () => {
    member.create("/a");
    member.getData("/a", 1);
    member.getChildren("/a", 2);
    member.setAcl("/a", open);
    member.set("/a", "", 7);
    member.multi([{ type: OpCode.check, record: { path: "/a", version: -1 } }, { type: OpCode.setData, record: { path: "/a", data: null, version: 9 } }]);
    expect(member.takeEvents()).toEqual([]);
    member.set("/a", "");
    expect(member.takeEvents()).toEqual(["1 nodeDataChanged /a"]);
  });

  test("exists watches what is missing, getData and getChildren do not, and repeating gives one event", () => {
    expect([member.exists("/a", 1), member.exists("/a", 1), member.getData("/a", 2), member.getChildren("/a", 3)]).toEqual(Array.from({ length: 4 }, () => ErrorCode.noNode));
    member.create("/a");
    expect(member.takeEvents()).toEqual(["1 nodeCreated /a"]);
  });

  test("persistent watches stay, recursive ones hear of descendants but never of changed children", () => {
    const add = (path: string, mode: number, watcher: WatcherId) => member.read(OpCode.addWatch, records.addWatchRequest, { path, mode }, watcher);
    expect(records.errorResponse.decode(add("/a", 0, 1).body)).toEqual({ err: 0 });
    add("/a", 1, 2);
    add("/", 1, 3);
    expect(add("/a", 2, 1).err).toBe(ErrorCode.marshallingError);
    member.create("/a");
    member.create("/a/b");
    member.set("/a/b", "");
    member.delete("/a/b");
    expect(member.takeEvents()).toEqual([
      "1 nodeCreated /a", "2 nodeCreated /a", "3 nodeCreated /a",
      "2 nodeCreated /a/b", "3 nodeCreated /a/b", "1 nodeChildrenChanged /a",
      "2 nodeDataChanged /a/b", "3 nodeDataChanged /a/b",
      "2 nodeDeleted /a/b", "3 nodeDeleted /a/b", "1 nodeChildrenChanged /a",
    ]);
  });

  test("a one-shot watch beside a persistent one is used up alone", () => {
    member.create("/a");
    member.read(OpCode.addWatch, records.addWatchRequest, { path: "/a", mode: 0 });
    member.getData("/a", 1);
    const check = (type: number) => member.read(OpCode.checkWatches, records.checkWatchesRequest, { path: "/a", type }).err;
    expect([1, 2, 3, 4, 5].map(check)).toEqual([ErrorCode.noWatcher, 0, 0, 0, ErrorCode.noWatcher]);
    member.set("/a", "");
    member.set("/a", "");
    expect(member.takeEvents()).toEqual(["1 nodeDataChanged /a", "1 nodeDataChanged /a"]);
    expect([2, 3, 4, 6].map(check)).toEqual([ErrorCode.noWatcher, 0, 0, ErrorCode.marshallingError]);
    expect(member.read(OpCode.removeWatches, records.removeWatchesRequest, { path: "/a", type: 3 }).err).toBe(ErrorCode.ok);
    expect(member.read(OpCode.removeWatches, records.removeWatchesRequest, { path: "/a", type: 3 }).err).toBe(ErrorCode.noWatcher);
    member.set("/a", "");
    expect(member.takeEvents()).toEqual([]);
  });

  test("setWatches tells what was missed, in the order of its lists, and sets the rest", () => {
    for (const path of ["/changed", "/same", "/children", "/quiet", "/born"]) member.create(path);
    const seen = member.tree.lastZxid;
    member.set("/changed", "x");
    member.create("/children/x");
    const err = member.read(OpCode.setWatches2, records.setWatches2, {
      relativeZxid: seen,
      dataWatches: ["/gone", "/changed", "/same"],
      existWatches: ["/born", "/unborn"],
      childWatches: ["/gone2", "/children", "/quiet"],
      persistentWatches: ["/p"],
      persistentRecursiveWatches: ["/r"],
    }).err;
    expect(err).toBe(ErrorCode.ok);
    expect(member.takeEvents()).toEqual(["1 nodeDeleted /gone", "1 nodeDataChanged /changed", "1 nodeCreated /born", "1 nodeDeleted /gone2", "1 nodeChildrenChanged /children"]);
    member.set("/same", "x");
    member.create("/unborn");
    member.create("/quiet/x");
    member.create("/p");
    member.create("/r");
    member.create("/r/s");
    expect(member.takeEvents()).toEqual(["1 nodeDataChanged /same", "1 nodeCreated /unborn", "1 nodeChildrenChanged /quiet", "1 nodeCreated /p", "1 nodeCreated /r", "1 nodeCreated /r/s"]);
  });

  test("a connection's watches go with it", () => {
    member.create("/a");
    for (const watcher of [1, 2]) {
      member.getData("/a", watcher);
      member.getChildren("/a", watcher);
      member.read(OpCode.addWatch, records.addWatchRequest, { path: "/", mode: 1 }, watcher);
    }
    member.tree.watches.removeWatcher(1);
    expect([...member.tree.watches.data.watchers()].map(([watcher, paths]) => [watcher, [...paths]])).toEqual([[2, ["/a", "/"]]]);
    expect([...member.tree.watches.child.paths()].map(([path, watchers]) => [path, [...watchers]])).toEqual([["/a", [2]]]);
    member.set("/a", "");
    expect(member.takeEvents()).toEqual(["2 nodeDataChanged /a"]);
  });
});

describe("multi", () => {
  const create = (path: string, flags = 0): MultiOp => ({ type: OpCode.create, record: { path, data: null, acl: open, flags } });

  test("operations see each other and share a zxid", () => {
    const { err, txn, applied } = member.multi([create("/a"), create("/a/b"), { type: OpCode.setData, record: { path: "/a", data: Buffer.from("x"), version: 0 } }, create("/a/n", CreateFlag.persistentSequential), { type: OpCode.delete, record: { path: "/a/b", version: 0 } }]);
    expect(err).toBe(ErrorCode.ok);
    expect(member.stat("/a")).toMatchObject({ czxid: 1, mzxid: 1, pzxid: 1, version: 1, numChildren: 1, cversion: 3 });
    const writer = new Writer();
    writeReply(txn.header.type, applied, member.tree, writer);
    const results = readMultiResults(new Reader(writer.finishBuffer()));
    expect(results?.map(({ type }) => type)).toEqual([OpCode.create, OpCode.create, OpCode.setData, OpCode.create, OpCode.delete]);
    expect(results?.[3]).toMatchObject({ record: { path: "/a/n0000000001" } });
    expect(results?.[2]).toMatchObject({ record: { stat: { version: 1, dataLength: 1, numChildren: 1 } } });
  });

  test("the first failure undoes all, names the others 0 and -2, and its preparation leaves no trace", () => {
    member.create("/q");
    const before = dump(member.tree) as Record<string, unknown>;
    const { txn, applied } = member.multi([create("/q/n", CreateFlag.persistentSequential), create("/a"), { type: OpCode.check, record: { path: "/a", version: 4 } }, create("/b")]);
    expect(txn.header.type).toBe(OpCode.multi);
    expect(txn.body).toMatchObject({ record: { txns: [{ type: OpCode.create }, { type: OpCode.create }, { type: -1, record: { err: ErrorCode.badVersion } }, { type: -1, record: { err: -2 } }] } });
    const writer = new Writer();
    writeReply(OpCode.multi, applied, member.tree, writer);
    expect(readMultiResults(new Reader(writer.finishBuffer()))?.map(({ type, record }) => [type, (record as { err: number }).err])).toEqual([[-1, 0], [-1, 0], [-1, -103], [-1, -2]]);
    expect(dump(member.tree)).toEqual({ ...before, zxid: 2 });
    expect(member.state.size).toBe(0);
    expect(member.create("/q/n", { flags: CreateFlag.persistentSequential }).applied.path).toBe("/q/n0000000000");
  });

  test("a failure restores what earlier requests have prepared", () => {
    member.create("/q");
    const sequential = records.createRequest.encode({ path: "/q/n", data: null, acl: open, flags: CreateFlag.persistentSequential });
    member.prepare(OpCode.create, sequential);
    member.prepare(OpCode.multi, multiBody([create("/q/n", CreateFlag.persistentSequential), { type: OpCode.delete, record: { path: "/none", version: 0 } }]));
    member.prepare(OpCode.create, sequential);
    expect([member.applyNext(), member.applyNext(), member.applyNext()].map(({ applied }) => applied.path)).toEqual(["/q/n0000000000", "", "/q/n0000000001"]);
  });

  test("the flag decides what a create makes, and create2 counts as create", () => {
    const record = { path: "/c", data: null, acl: open, flags: CreateFlag.container };
    const { txn } = member.multi([{ type: OpCode.create2, record }, { type: OpCode.createContainer, record: { ...record, path: "/d", flags: 0 } }]);
    expect(txn.body).toMatchObject({ record: { txns: [{ type: OpCode.createContainer }, { type: OpCode.create }] } });
  });

  test("a multi with a type it may not hold fails as a whole", () => {
    const body = multiBody([create("/a")]);
    body.writeInt32BE(OpCode.setACL, 0);
    expect(member.write(OpCode.multi, body)).toMatchObject({ err: ErrorCode.marshallingError, txn: { header: { type: OpCode.error } } });
  });

  test("events come operation by operation", () => {
    for (const path of ["/a", "/b"]) member.exists(path, 1);
    member.getChildren("/", 2);
    member.multi([create("/b"), create("/a")]);
    expect(member.takeEvents()).toEqual(["1 nodeCreated /b", "2 nodeChildrenChanged /", "1 nodeCreated /a"]);
  });
});

describe("quotas", () => {
  const usage = () => member.tree.find("/zookeeper/quota/a/zookeeper_stats")?.data;

  test("usage is counted below the nearest limit, and going over is said", () => {
    member.create("/a", { data: "12" });
    member.create("/a/b", { data: "345" });
    member.create("/zookeeper/quota/a");
    member.create("/zookeeper/quota/a/zookeeper_limits", { data: "count=3,bytes=-1" });
    member.create("/zookeeper/quota/a/zookeeper_stats", { data: "count=0,bytes=0" });
    expect(usage()).toBe("count=2,bytes=5");
    const before = member.stat("/zookeeper/quota/a/zookeeper_stats");
    member.create("/a/c", { data: null });
    member.set("/a/c", "1234");
    member.set("/a/b", null);
    expect(usage()).toBe("count=3,bytes=6");
    expect(member.stat("/zookeeper/quota/a/zookeeper_stats")).toMatchObject({ version: before.version, mzxid: before.mzxid });
    expect(member.exceeded).toEqual([]);
    member.create("/a/d");
    expect(member.exceeded).toEqual(["/a"]);
    member.delete("/a/d");
    member.delete("/zookeeper/quota/a/zookeeper_limits");
    member.create("/a/e");
    expect(usage()).toBe("count=3,bytes=6");
    member.create("/ab");
    expect(usage()).toBe("count=3,bytes=6");
  });
});

test("getEphemerals, getAllChildrenNumber and whoAmI", () => {
  member.create("/a");
  member.create("/a/e", { flags: CreateFlag.ephemeral });
  member.create("/f", { flags: CreateFlag.ephemeral });
  const ephemerals = (prefixPath: string | null) => records.getEphemeralsResponse.decode(member.read(OpCode.getEphemerals, records.getEphemeralsRequest, { prefixPath }).body)?.ephemerals;
  expect([ephemerals(null), ephemerals(" / "), ephemerals("/a")]).toEqual([["/a/e", "/f"], ["/a/e", "/f"], ["/a/e"]]);
  const count = (path: string) => records.getAllChildrenNumberResponse.decode(member.read(OpCode.getAllChildrenNumber, records.pathRecord, { path }).body)?.totalNumber;
  expect([count("/"), count("/a"), count("/f"), count("/zookeeper")]).toEqual([6, 1, 0, 2]);
  member.ids.push({ scheme: "digest", id: "alice:xyz" });
  expect(records.whoAmIResponse.decode(member.read(OpCode.whoAmI, records.noFields, {}).body)?.clientInfo).toEqual([{ authScheme: "ip", user: "127.0.0.1" }, { authScheme: "digest", user: "alice" }]);
});

/** A small world, so that operations meet. */
const anyPath = fc.constantFrom("/a", "/b", "/a/x", "/a/y", "/a/x/z", "/b/x", "/zookeeper/quota/a", "/zookeeper/quota/a/zookeeper_limits", "/zookeeper/quota/a/zookeeper_stats");
const anyAcl = fc.constantFrom<readonly AclEntry[]>(open, [{ perms: 31, id: { scheme: "ip", id: "127.0.0.1" } }], [{ perms: 29, id: { scheme: "world", id: "anyone" } }]);
const anyCreate = fc.record({ path: anyPath, data: fc.option(fc.constant(Buffer.from("count=1,bytes=2"))), acl: anyAcl, flags: fc.constantFrom(0, 0, 0, 1, 2, 3) });
const anyDelete = fc.record({ path: anyPath, version: fc.constantFrom(-1, -1, 0) });
const anySet = fc.record({ path: anyPath, data: fc.option(fc.constant(Buffer.from("data"))), version: fc.constantFrom(-1, -1, 0, 1) });
const anyMulti = fc.array(
  fc.oneof(
    anyCreate.map((record): MultiOp => ({ type: OpCode.create, record })),
    anyDelete.map((record): MultiOp => ({ type: OpCode.delete, record })),
    anySet.map((record): MultiOp => ({ type: OpCode.setData, record })),
  ),
  { maxLength: 3 },
);
const anyRequest = fc.oneof(
  { weight: 6, arbitrary: fc.tuple(fc.constantFrom(OpCode.create, OpCode.create2, OpCode.createContainer), anyCreate).map(([type, record]) => ({ type, body: records.createRequest.encode(record) })) },
  { weight: 4, arbitrary: anyDelete.map((record) => ({ type: OpCode.delete, body: records.deleteRequest.encode(record) })) },
  { weight: 3, arbitrary: anySet.map((record) => ({ type: OpCode.setData, body: records.setDataRequest.encode(record) })) },
  { weight: 2, arbitrary: fc.record({ path: anyPath, acl: anyAcl, version: fc.constant(-1) }).map((record) => ({ type: OpCode.setACL, body: records.setACLRequest.encode(record) })) },
  { weight: 2, arbitrary: anyMulti.map((operations) => ({ type: OpCode.multi, body: multiBody(operations) })) },
  { weight: 1, arbitrary: fc.constant({ type: OpCode.closeSession, body: Buffer.alloc(0) }) },
  { weight: 1, arbitrary: fc.constant({ type: OpCode.createSession, body: Buffer.from("00001000", "hex") }) },
);
const anyRun = fc.array(fc.tuple(anyRequest, fc.constantFrom(ALICE, BOB)), { minLength: 1, maxLength: 60 });

test("preparing ahead gives the transactions that preparing one by one gives", () => {
  fc.assert(
    fc.property(anyRun, fc.array(fc.boolean(), { minLength: 1 }), (run, applyNow) => {
      const [serial, ahead] = [new Member(), new Member()];
      let waiting = 0;
      run.forEach(([{ type, body }, session], at) => {
        const { err } = serial.write(type, body, session);
        // Prepared and applied agree: what prepare lets through succeeds.
        expect(serial.log.at(-1)?.header.type === OpCode.error || serial.log.at(-1)?.header.type === OpCode.multi || err === ErrorCode.ok).toBe(true);
        ahead.prepare(type, body, session);
        waiting += 1;
        for (; waiting > 0 && applyNow[(at + waiting) % applyNow.length] === true; waiting--) ahead.applyNext();
      });
      for (; waiting > 0; waiting--) ahead.applyNext();
      expect(ahead.log).toEqual(serial.log);
      expect(serial.log.map((txn) => decodeTransaction(txn.payload))).toEqual(serial.log);
      expect(dump(ahead.tree)).toEqual(dump(serial.tree));
      expect(ahead.state.size).toBe(0);
    }),
    { numRuns: 300 },
  );
});

test("replaying a log over a tree that is ahead of it ends where the log ends", () => {
  fc.assert(
    fc.property(anyRun, fc.nat(), fc.nat(), (run, a, b) => {
      const origin = new Member();
      for (const [{ type, body }, session] of run) origin.write(type, body, session);
      const reached = a % (run.length + 1);
      const from = b % (reached + 1);
      const again = new Member();
      for (const txn of origin.log.slice(0, reached)) applyTransaction(again.tree, txn);
      for (const txn of origin.log.slice(from)) applyTransaction(again.tree, txn);
      expect(dump(again.tree)).toEqual(dump(origin.tree));
    }),
    { numRuns: 500 },
  );
});
