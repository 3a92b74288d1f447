import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { realHost } from "../../src/host/real/host.ts";
import { Writer } from "../../src/codec/writer.ts";
import { writeMulti, writeMultiRead, type MultiOp } from "../../src/zookeeper/protocol/multi.ts";
import { ZXID_ZERO } from "../../src/zookeeper/protocol/ids.ts";
import { CreateFlag, OpCode, WatcherType } from "../../src/zookeeper/protocol/op-codes.ts";
import * as records from "../../src/zookeeper/protocol/records.ts";
import { apacheKafkaClassPath } from "../support/apache-kafka.ts";
import { comparableAnswer, fourLetterWord, hasDebianZooKeeper, startApacheZooKeeper } from "../support/apache-zookeeper.ts";
import { eventually } from "../support/processes.ts";
import { ZooKeeperEnsemble } from "../support/zookeeper-ensemble.ts";
import { startOurZooKeeper } from "../support/zookeeper-member.ts";
import { Wire } from "../support/zookeeper-wire.ts";

/**
 * The same bytes to our member and to Apache's server: what comes back is compared byte by byte, but for times and
 * the session's id. Kafka 2.7.1 brings ZooKeeper 3.5.9 along.
 */

const OPEN = [{ perms: 31, id: { scheme: "world", id: "anyone" } }];
const host = realHost({ logLevel: "silent" });

type Ask = readonly [type: number, body?: Buffer];

const create = (path: string, options: { flags?: number; data?: Buffer | null; acl?: typeof OPEN } = {}): Buffer =>
  records.createRequest.encode({ path, data: options.data === undefined ? Buffer.from("x") : options.data, acl: options.acl ?? OPEN, flags: options.flags ?? 0 });
const createTtl = (path: string, flags: number, ttl: number): Buffer => records.createTTLRequest.encode({ path, data: null, acl: OPEN, flags, ttl });
const read = (path: string, watch = false): Buffer => records.readRequest.encode({ path, watch });
const path = (text: string): Buffer => records.pathRecord.encode({ path: text });
const remove = (text: string, version = -1): Buffer => records.deleteRequest.encode({ path: text, version });
const set = (text: string, version = -1, data: Buffer | null = Buffer.from("y")): Buffer => records.setDataRequest.encode({ path: text, data, version });
const setAcl = (text: string, acl: typeof OPEN, version = -1): Buffer => records.setACLRequest.encode({ path: text, acl, version });
const acl = (scheme: string, id: string, perms = 31): typeof OPEN => [{ perms, id: { scheme, id } }];
const auth = (scheme: string, text: string): Buffer => records.authPacket.encode({ type: 0, scheme, auth: Buffer.from(text) });
const multi = (...operations: readonly MultiOp[]): Buffer => {
  const writer = new Writer();
  writeMulti(writer, operations);
  return writer.finishBuffer();
};
const multiRead = (...paths: readonly string[]): Buffer => {
  const writer = new Writer();
  writeMultiRead(
    writer,
    paths.flatMap((text) => [
      { type: OpCode.getData, record: { path: text, watch: false } },
      { type: OpCode.getChildren, record: { path: text, watch: false } },
    ]),
  );
  return writer.finishBuffer();
};
const in1 = (type: typeof OpCode.create, text: string, flags: CreateFlag = CreateFlag.persistent): MultiOp => ({ type, record: { path: text, data: Buffer.from("m"), acl: OPEN, flags } });
const nullString = Buffer.from("ffffffff", "hex");

/** Each on a session of its own; what is asked in a turn goes out together. */
const SCENES: Readonly<Record<string, readonly Ask[]>> = {
  "creates": [
    [OpCode.create, create("/a")],
    [OpCode.create, create("/a")],
    [OpCode.create2, create("/a/null", { data: null })],
    [OpCode.create2, create("/a/empty", { data: Buffer.alloc(0) })],
    [OpCode.create, create("/a/s-", { flags: 2 })],
    [OpCode.create2, create("/a/es-", { flags: 3 })],
    [OpCode.create, create("/a/e", { flags: 1 })],
    [OpCode.create, create("/a/e/child")],
    [OpCode.create, create("/a/", { flags: 2 })],
    [OpCode.createContainer, create("/a/c", { flags: 4 })],
    [OpCode.createContainer, create("/a/c0")],
    [OpCode.create, create("/a/c4", { flags: 4 })],
    [OpCode.create, create("/a/bad", { flags: 7 })],
    [OpCode.create, create("/a/bad", { flags: -1 })],
    [OpCode.create, create("/a/ttl", { flags: 5 })],
    [OpCode.createTTL, createTtl("/a/ttl", 5, 1000)],
    [OpCode.createTTL, createTtl("/a/ttl", 0, 1000)],
    [OpCode.create, create("/missing/child")],
    [OpCode.create, create("/missing/child", { flags: 2 })],
    [OpCode.exists, read("/a")],
    [OpCode.getChildren2, read("/a/c")],
  ],
  "paths that are none": ["", "x", "/", "//", "/x/", "/a/../b", "/./b", "/x\0y", "/x\u0001", "/x\ue000", "/é", "/x\u{1f600}"].flatMap((text): Ask[] => [
    [OpCode.create, create(text)],
    [OpCode.setData, set(text)],
    [OpCode.delete, remove(text)],
    [OpCode.exists, read(text)],
    [OpCode.getACL, path(text)],
  ]),
  "null paths": [
    [OpCode.exists, Buffer.concat([nullString, Buffer.from([0])])],
    [OpCode.getData, Buffer.concat([nullString, Buffer.from([0])])],
    [OpCode.sync, nullString],
  ],
  "reads": [
    [OpCode.create, create("/r")],
    [OpCode.create, create("/r/only")],
    [OpCode.getData, read("/r")],
    [OpCode.getData, read("")],
    [OpCode.getData, read("/none")],
    [OpCode.getChildren, read("/r")],
    [OpCode.getChildren, read("/none")],
    [OpCode.getChildren2, read("/r")],
    [OpCode.getChildren2, read("/r/only")],
    [OpCode.exists, read("/none")],
    [OpCode.getACL, path("/r")],
    [OpCode.getACL, path("/zookeeper/config")],
    [OpCode.getACL, path("/none")],
    [OpCode.sync, path("/whatever")],
    [OpCode.ping],
  ],
  "changes": [
    [OpCode.create, create("/w")],
    [OpCode.setData, set("/w", 0)],
    [OpCode.setData, set("/w", 0)],
    [OpCode.setData, set("/w", -1, null)],
    [OpCode.setData, set("/none")],
    [OpCode.getData, read("/w")],
    [OpCode.create, create("/w/child")],
    [OpCode.delete, remove("/w")],
    [OpCode.delete, remove("/w/child", 5)],
    [OpCode.delete, remove("/w/child", 0)],
    [OpCode.delete, remove("/w/child")],
    [OpCode.delete, remove("/zookeeper/quota")],
    [OpCode.delete, remove("/none/none")],
    [OpCode.exists, read("/w")],
    [OpCode.setData, set("/zookeeper/config")],
    [OpCode.reconfig, records.reconfigRequest.encode({ joiningServers: null, leavingServers: "1", newMembers: null, curConfigId: -1 })],
  ],
  "ACLs": [
    [OpCode.create, create("/acl", { acl: acl("auth", "") })],
    [OpCode.create, create("/acl", { acl: [] })],
    [OpCode.create, create("/acl", { acl: acl("nobody", "knows") })],
    [OpCode.create, create("/acl", { acl: acl("ip", "10.0.0.1/33") })],
    [OpCode.create, create("/acl", { acl: acl("digest", "nocolon") })],
    [OpCode.create, create("/acl", { acl: acl("world", "nobody") })],
    [OpCode.auth, auth("digest", "ada:secret")],
    [OpCode.auth, auth("digest", "ada:secret")],
    [OpCode.auth, auth("ip", "")],
    [OpCode.create, create("/acl", { acl: [...acl("auth", ""), ...acl("auth", "ignored")] })],
    [OpCode.getACL, path("/acl")],
    [OpCode.setACL, setAcl("/acl", [...acl("digest", "eve:abc", 1), ...acl("ip", "127.0.0.1", 17), ...acl("ip", "127.0.0.1", 17)], 0)],
    [OpCode.getACL, path("/acl")],
    [OpCode.setACL, setAcl("/acl", acl("digest", "eve:abc"), 0)],
    [OpCode.setACL, setAcl("/acl", acl("digest", "eve:abc", 16))],
    [OpCode.getData, read("/acl")],
    [OpCode.getACL, path("/acl")],
    [OpCode.exists, read("/acl")],
    [OpCode.setData, set("/acl")],
    [OpCode.create, create("/acl/child")],
    [OpCode.setACL, setAcl("/acl", OPEN)],
    [OpCode.setACL, setAcl("/none", OPEN)],
  ],
  "multis": [
    [OpCode.multi, multi(in1(OpCode.create, "/m"), { type: OpCode.setData, record: { path: "/m", data: null, version: 0 } }, { type: OpCode.check, record: { path: "/m", version: 1 } }, in1(OpCode.create, "/m/s-", CreateFlag.persistentSequential))],
    [OpCode.multi, multi(in1(OpCode.create, "/m/e", CreateFlag.ephemeral), in1(OpCode.create, "/m/c", CreateFlag.container), { type: OpCode.delete, record: { path: "/m/e", version: 0 } })],
    [OpCode.multi, multi(in1(OpCode.create, "/m/1"), { type: OpCode.check, record: { path: "/m", version: 9 } }, in1(OpCode.create, "/m/2"))],
    [OpCode.multi, multi({ type: OpCode.delete, record: { path: "/none", version: -1 } })],
    [OpCode.multi, multi()],
    [OpCode.multi, Buffer.concat([records.multiHeader.encode({ type: OpCode.getData, done: false, err: -1 }), read("/m"), multi()])],
    [OpCode.multi, Buffer.from([1, 2, 3])],
    [OpCode.getChildren2, read("/m/c")],
    [OpCode.exists, read("/m")],
  ],
  "watches": [
    [OpCode.exists, read("/v", true)],
    [OpCode.getData, read("/v", true)],
    [OpCode.create, create("/v")],
    [OpCode.getData, read("/v", true)],
    [OpCode.getData, read("/v", true)],
    [OpCode.getChildren, read("/v", true)],
    [OpCode.checkWatches, records.checkWatchesRequest.encode({ path: "/v", type: WatcherType.children })],
    [OpCode.checkWatches, records.checkWatchesRequest.encode({ path: "/v", type: 9 })],
    [OpCode.create, create("/v/child")],
    [OpCode.checkWatches, records.checkWatchesRequest.encode({ path: "/v", type: WatcherType.children })],
    [OpCode.setData, set("/v")],
    [OpCode.setData, set("/v")],
    [OpCode.getChildren2, read("/v", true)],
    [OpCode.exists, read("/v", true)],
    [OpCode.setACL, setAcl("/v", OPEN)],
    [OpCode.removeWatches, records.removeWatchesRequest.encode({ path: "/v", type: WatcherType.data })],
    [OpCode.removeWatches, records.removeWatchesRequest.encode({ path: "/v", type: WatcherType.data })],
    [OpCode.delete, remove("/v/child")],
    [OpCode.getData, read("/v", true)],
    [OpCode.getChildren, read("/v", true)],
    [OpCode.delete, remove("/v")],
    [OpCode.exists, read("/v", true)],
    [OpCode.multi, multi(in1(OpCode.create, "/v"), in1(OpCode.create, "/v/x"), { type: OpCode.delete, record: { path: "/v/x", version: -1 } }, { type: OpCode.delete, record: { path: "/v", version: -1 } })],
    [OpCode.setWatches, records.setWatches.encode({ relativeZxid: ZXID_ZERO, dataWatches: ["/gone", "/zookeeper"], existWatches: ["/zookeeper", "/later"], childWatches: ["/gone", "/"] })],
    [OpCode.create, create("/later")],
    [OpCode.delete, remove("/later")],
  ],
  "bodies that are none": [OpCode.create, OpCode.delete, OpCode.setData, OpCode.getData, OpCode.exists, OpCode.sync, OpCode.setACL, OpCode.createTTL, OpCode.setWatches, OpCode.removeWatches].map((type): Ask => [type, Buffer.from([0, 0])]),
  "the end of a session": [[OpCode.create, create("/end", { flags: 1 })], [OpCode.closeSession]],
  "an unknown operation": [[OpCode.create, create("/u")], [99]],
  "a notification": [[OpCode.notification]],
  "an unknown scheme": [[OpCode.auth, auth("kerberos", "ada")]],
  "an AuthPacket that is none": [[OpCode.auth, Buffer.from([0])]],
  "SASL where there is none": [[OpCode.sasl, records.saslToken.encode({ token: Buffer.alloc(0) })]],
};

/** Since 3.6 and 3.7. */
const NEWER_SCENES: Readonly<Record<string, readonly Ask[]>> = {
  "what 3.6 and 3.7 added": [
    [OpCode.create, create("/new")],
    [OpCode.create, create("/new/e", { flags: 1 })],
    [OpCode.getEphemerals, records.getEphemeralsRequest.encode({ prefixPath: "/" })],
    [OpCode.getEphemerals, records.getEphemeralsRequest.encode({ prefixPath: "/x" })],
    [OpCode.getEphemerals, records.getEphemeralsRequest.encode({ prefixPath: "/ne" })],
    [OpCode.getAllChildrenNumber, path("/new")],
    [OpCode.getAllChildrenNumber, path("/none")],
    [OpCode.whoAmI],
    [OpCode.multiRead, multiRead("/new", "/none")],
    [OpCode.multiRead, multiRead()],
    [OpCode.addWatch, records.addWatchRequest.encode({ path: "/new", mode: 0 })],
    [OpCode.addWatch, records.addWatchRequest.encode({ path: "/new/e", mode: 1 })],
    [OpCode.addWatch, records.addWatchRequest.encode({ path: "/new", mode: 7 })],
    [OpCode.setData, set("/new")],
    [OpCode.setData, set("/new")],
    [OpCode.setData, set("/new/e")],
    [OpCode.create, create("/new/two")],
    [OpCode.delete, remove("/new/e")],
    [OpCode.removeWatches, records.removeWatchesRequest.encode({ path: "/new", type: WatcherType.any })],
    [OpCode.setData, set("/new")],
    [OpCode.setWatches2, records.setWatches2.encode({ relativeZxid: ZXID_ZERO, dataWatches: ["/new"], existWatches: [], childWatches: [], persistentWatches: ["/new"], persistentRecursiveWatches: ["/new/two"] })],
    [OpCode.setData, set("/new/two")],
    [OpCode.delete, remove("/new/two")],
  ],
};

const ANSWER_MS = 5000;

async function play(port: number, scenes: Readonly<Record<string, readonly Ask[]>>): Promise<Record<string, string[]>> {
  const transcripts: Record<string, string[]> = {};
  for (const [name, asks] of Object.entries(scenes)) {
    const wire = await Wire.open(host.net, "127.0.0.1", port);
    wire.connect();
    await eventually("a session", () => wire.connected !== undefined);
    const transcript = [`connected: ${wire.connected?.frameBytes} bytes, timeout ${wire.connected?.timeOut}`];
    for (const [index, [type, body]] of asks.entries()) {
      const before = wire.replies.length;
      const xid = type === OpCode.ping ? -2 : index;
      wire.request(xid, type, body);
      const deadline = host.clock.monotonicMs() + ANSWER_MS;
      while (!wire.closed && !wire.replies.slice(before).some((reply) => reply.xid === xid) && host.clock.monotonicMs() < deadline) await sleep(1);
      for (const { xid: answered, zxid, err, body: answer } of wire.replies.slice(before)) transcript.push(`op ${type}: xid ${answered} zxid ${zxid} err ${err} ${masked(answer, wire.connected?.sessionId ?? 0n)}`);
    }
    await sleep(50);
    transcript.push(wire.closed ? "closed" : "open");
    wire.destroy();
    transcripts[name] = transcript;
  }
  return transcripts;
}

/** Times of today and the session's id stand for themselves; ours holds a time, so it is looked for first. */
function masked(body: Buffer, session: bigint): string {
  const id = Buffer.alloc(8);
  id.writeBigInt64BE(session);
  let text = "";
  let at = 0;
  for (let found = body.indexOf(id); found >= 0; found = body.indexOf(id, at)) {
    text += `${maskTimes(body.subarray(at, found))}<session>`;
    at = found + id.length;
  }
  return text + maskTimes(body.subarray(at));
}

function maskTimes(bytes: Buffer): string {
  let text = "";
  for (let at = 0; at < bytes.length; ) {
    const isTime = at + 8 <= bytes.length && Math.abs(Number(bytes.readBigInt64BE(at)) - host.clock.wallMs()) < 3_600_000;
    text += isTime ? "<time>" : bytes.toString("hex", at, at + 1);
    at += isTime ? 8 : 1;
  }
  return text;
}

/** The same with an ensemble of ours and one of Apache's, at a member of this role. */
async function compareRole(role: "leader" | "follower" | "observer"): Promise<void> {
  const transcripts = await Promise.all(
    (["apache-3.5.9", "odradek"] as const).map(async (kind) => {
      const ensemble = await ZooKeeperEnsemble.plan([kind, kind, kind, kind]);
      try {
        await ensemble.start(2, 3);
        await ensemble.start();
        const modes = await Promise.all(ensemble.members.map((member) => member.mode()));
        return await play(ensemble.members[modes.indexOf(role)]?.port ?? 0, SCENES);
      } finally {
        await ensemble.close();
      }
    }),
  );
  const [expected, actual] = transcripts;
  expect(actual).toEqual(expected);
}

async function compare(apache: { readonly classPath?: string }, scenes: Readonly<Record<string, readonly Ask[]>>): Promise<void> {
  const [theirs, ours] = [await startApacheZooKeeper(apache), await startOurZooKeeper()];
  try {
    const [expected, actual] = [await play(theirs.port, scenes), await play(ours.port, scenes)];
    expect(actual).toEqual(expected);
  } finally {
    await theirs.stop();
    await ours.stop();
  }
}

/** Each word's answer while one client is there, with an ephemeral node and a watch. */
async function words(port: number): Promise<Record<string, string[]>> {
  const wire = await Wire.open(host.net, "127.0.0.1", port);
  wire.connect();
  wire.request(1, OpCode.create, create("/e", { flags: 1 }));
  wire.request(2, OpCode.getData, read("/e", true));
  await eventually("answers", () => wire.replies.length === 2);
  const answers: Record<string, string[]> = {};
  for (const word of ["ruok", "isro", "gtmk", "srvr", "stat", "cons", "conf", "dirs", "dump", "wchs", "wchc", "wchp", "mntr", "crst", "srst", "none", "telnet"]) {
    answers[word] = comparableAnswer(await fourLetterWord(port, word));
  }
  wire.destroy();
  return answers;
}

const classPath359 = await apacheKafkaClassPath("2.7.1");
if (!hasDebianZooKeeper) console.warn("SKIPPED the comparison with Apache ZooKeeper 3.8.0: no /usr/share/java/zookeeper.jar (apt-get install zookeeper)");

describe("our member answers byte for byte", () => {
  test.runIf(classPath359 !== undefined)("as Apache ZooKeeper 3.5.9", { timeout: 120_000 }, () => compare({ classPath: classPath359 ?? "" }, SCENES));
  test.runIf(classPath359 !== undefined)("as Apache ZooKeeper 3.5.9 to four-letter words, but for numbers and the counts of file descriptors", async () => {
    const [theirs, ours] = [await startApacheZooKeeper({ classPath: classPath359 ?? "" }), await startOurZooKeeper()];
    try {
      expect(await words(ours.port)).toEqual(await words(theirs.port));
    } finally {
      await theirs.stop();
      await ours.stop();
    }
  });
  test.runIf(classPath359 !== undefined).each(["leader", "follower", "observer"] as const)("as Apache ZooKeeper 3.5.9 in an ensemble, there as a %s", { timeout: 120_000 }, (role) => compareRole(role));
  test.runIf(hasDebianZooKeeper)("as Apache ZooKeeper 3.8.0, what newer clients ask", { timeout: 120_000 }, () => compare({}, { ...SCENES, ...NEWER_SCENES }));
});
