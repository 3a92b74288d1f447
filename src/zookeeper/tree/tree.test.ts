import { describe, expect, test } from "vitest";
import { digestOf, digestProvider, ipProvider } from "./acl.ts";
import { packName, StatTable } from "./nodes.ts";
import { ownershipOf, ttlMsOf, ttlOwner } from "./owner.ts";
import { isValidPath, parentPath, sequenceSuffix } from "./paths.ts";
import { formatQuota, parseQuota } from "./quota.ts";
import { zxid } from "../protocol/ids.ts";
import { DataTree } from "./tree.ts";

describe("paths", () => {
  test.each(["/", "/a", "/a/b", "/a.b", "/..a", "/a..", "/...", "/a b", "/é/日本", "/a/.b", "/\uffef"])("%j is valid", (path) => {
    expect(isValidPath(path)).toBe(true);
  });

  test.each(["", "a", "a/b", "/a/", "//a", "/a//b", "/.", "/..", "/a/.", "/a/..", "/./a", "/../a", "/a/../b", "/a\u0000", "/\u0001", "/\u001f", "/\u007f", "/\u009f", "/\ud800", "/😀", "/\ue000", "/\uf8ff", "/\ufff0", "/\uffff"])("%j is not", (path) => {
    expect(isValidPath(path)).toBe(false);
  });

  test("the parent is what stands before the last slash", () => {
    expect([parentPath("/a"), parentPath("/a/b"), parentPath("/a/"), parentPath("/"), parentPath("//x")]).toEqual(["/", "/a", "/a", "/", "/"]);
  });

  test("a suffix has ten digits, or nine behind a minus", () => {
    expect([0, 12, 2147483647, -1, -12, -2147483648].map(sequenceSuffix)).toEqual(["0000000000", "0000000012", "2147483647", "-000000001", "-000000012", "-2147483648"]);
  });
});

describe("owners", () => {
  const plain = { extendedTypes: false, emulate353Ttl: false };
  const extended = { extendedTypes: true, emulate353Ttl: false };

  test("what an owner means depends on the extended types", () => {
    const ttl = ttlOwner(0xffffffffff);
    expect([0n, 5n, -(1n << 63n), ttl, -5n << 40n].map((owner) => ownershipOf(owner, plain))).toEqual(["none", "session", "container", "session", "session"]);
    expect([0n, 5n, -(1n << 63n), ttl].map((owner) => ownershipOf(owner, extended))).toEqual(["none", "session", "container", "ttl"]);
    expect(ownershipOf(-2n, { extendedTypes: true, emulate353Ttl: true })).toBe("ttl");
    expect(() => ownershipOf(BigInt.asIntN(64, 0xff00010000000001n), extended)).toThrow("extended type");
    expect(ttlMsOf(ttl)).toBe(0xffffffffff);
  });
});

describe("authentication schemes", () => {
  test("the digest of super:test is the one of the reference's documentation", () => {
    expect(digestOf("super:test")).toBe("super:D/InIHSb7yEEbrWz8b9l71RjZJU=");
  });

  test("a digest id has a user and a digest", () => {
    expect(["a:b", ":b", "a:b:", "a", "a:", "a:b:c", "", "a::b"].map((id) => digestProvider.accepts(id))).toEqual([true, true, true, false, false, false, false, false]);
  });

  test("ip ids are IPv4 addresses or networks", () => {
    expect(["10.0.0.1", "10.0.0.0/8", "0.0.0.0/0", "10.0.0.1/32", "10.0.0", "10.0.0.256", "10.0.0.1/33", "10.0.0.1/", "::1", "10.0.0.1/8/9"].map((id) => ipProvider.accepts(id))).toEqual([true, true, true, true, false, false, false, false, false, false]);
    expect(ipProvider.matches("10.1.2.3", "10.0.0.0/8")).toBe(true);
    expect(ipProvider.matches("10.1.2.3", "10.1.2.128/25")).toBe(false);
    expect(ipProvider.matches("10.1.2.3", "0.0.0.0/0")).toBe(true);
    expect(ipProvider.matches("::1", "0.0.0.0/0")).toBe(false);
    expect(ipProvider.matches("200.1.2.3", "200.1.2.3")).toBe(true);
  });
});

test("quota texts of both forms", () => {
  expect(parseQuota("count=5,bytes=-1")).toEqual({ count: 5, bytes: -1 });
  expect(parseQuota("count=5,bytes=10=;byteHardLimit=10;countHardLimit=-1")).toEqual({ count: 5, bytes: 10 });
  expect(parseQuota("nonsense")).toEqual({ count: -1, bytes: -1 });
  expect(formatQuota({ count: 1, bytes: 2 })).toBe("count=1,bytes=2");
});

test("rows of the stat table are used again, over pages", () => {
  const table = new StatTable();
  const numbers = (n: number) => ({ czxid: zxid(n), mzxid: zxid(n + 1), pzxid: zxid(n + 2), ctime: n + 3, mtime: n + 4, version: n + 5, cversion: n + 6, aversion: n + 7 });
  const rows = Array.from({ length: 10_000 }, (_, n) => table.allocate(numbers(n)));
  table.release(5000);
  expect(table.allocate(numbers(2 ** 40))).toBe(5000);
  const read = (row: number) => [table.czxid(row), table.mzxid(row), table.pzxid(row), table.ctime(row), table.mtime(row), table.version(row), table.cversion(row), table.aversion(row)];
  for (const row of [0, 4095, 4096, 9999]) expect(read(rows[row] ?? -1)).toEqual([0, 1, 2, 3, 4, 5, 6, 7].map((offset) => row + offset));
  expect(read(5000).slice(0, 5)).toEqual([0, 1, 2, 3, 4].map((offset) => 2 ** 40 + offset));
});

test("a huge directory is split, and finds, lists and forgets its names all the same", () => {
  const tree = new DataTree({ extendedTypes: false, emulate353Ttl: false }, { watchEvent: () => undefined, quotaExceeded: () => undefined });
  const paths = Array.from({ length: 40_000 }, (_, n) => `/n${n}`);
  for (const [n, path] of paths.entries()) tree.create({ path, data: null, acl: null, owner: 0n, parentCVersion: -1 }, zxid(n + 1), 0);
  expect(tree.root.childCount).toBe(40_001);
  expect(new Set(tree.childrenOf(tree.root))).toEqual(new Set(["zookeeper", ...paths.map((path) => path.slice(1))]));
  expect(paths.every((path) => tree.find(path)?.name === path.slice(1))).toBe(true);
  for (const path of paths) tree.delete(path, zxid(50_000));
  expect([tree.root.childCount, tree.nodeCount, tree.find("/n7")]).toEqual([1, 5, undefined]);
});

test("packed names equal the given ones", () => {
  for (const name of ["a", "partition-000000012", "ünïcödé-and-日本語-names"]) expect(packName(`/${name}`.slice(1))).toBe(name);
});
