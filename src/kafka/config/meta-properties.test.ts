import { describe, expect, test } from "vitest";
import { errorCode } from "../../lib/error.ts";
import { formatMetaProperties, parseMetaProperties, settleBrokerId } from "./meta-properties.ts";

test("meta.properties as Java writes it is understood, and ours reads back", () => {
  const java = "#\n#Sat May 01 10:00:00 UTC 2021\nbroker.id=3\nversion=0\ncluster.id=vPeOCWypqUOSepEvx0cbog\n";
  const owner = { brokerId: 3, clusterId: "vPeOCWypqUOSepEvx0cbog" };
  expect(parseMetaProperties(java, "/a/meta.properties")).toEqual(owner);
  expect(parseMetaProperties(formatMetaProperties(owner), "f")).toEqual(owner);
  expect(parseMetaProperties("version=0\nbroker.id=0", "f")).toEqual({ brokerId: 0, clusterId: undefined });
});

test.each(["broker.id=1", "version=1\nbroker.id=1", "version=0\nbroker.id=-1", "version=0\nbroker.id=x", ""])("%j can't be understood", (text) => {
  try {
    parseMetaProperties(text, "/a/meta.properties");
    expect.unreachable();
  } catch (error) {
    expect(errorCode(error)).toBe("ERR_META_PROPERTIES");
    expect(String(error)).toContain("/a/meta.properties");
  }
});

describe("the broker's number", () => {
  const owned = (...ids: number[]): Map<string, { brokerId: number; clusterId: string }> => new Map(ids.map((brokerId, index) => [`/d${index}`, { brokerId, clusterId: "c" }]));
  const config = (brokerId: number, brokerIdGenerationEnable = true): { brokerId: number; brokerIdGenerationEnable: boolean } => ({ brokerId, brokerIdGenerationEnable });

  test("is the stored one, else the configured one, else drawn", () => {
    expect(settleBrokerId(owned(7, 7), "c", config(-1))).toEqual({ kind: "known", brokerId: 7 });
    expect(settleBrokerId(owned(7), "c", config(7))).toEqual({ kind: "known", brokerId: 7 });
    expect(settleBrokerId(owned(), "c", config(5))).toEqual({ kind: "known", brokerId: 5 });
    expect(settleBrokerId(owned(), "c", config(-1))).toEqual({ kind: "draw" });
  });

  test("is refused where directories, cluster or configuration disagree, with what to do", () => {
    expect(() => settleBrokerId(owned(1, 2), "c", config(-1))).toThrow(/not one broker's: \/d0\/meta\.properties belongs to broker 1 of cluster c; \/d1\/meta\.properties belongs to broker 2/);
    expect(() => settleBrokerId(owned(1), "other", config(1))).toThrow(/leads to cluster other/);
    expect(() => settleBrokerId(owned(1), "c", config(2))).toThrow(/broker\.id=2, but \/d0\/meta\.properties belongs to broker 1 of cluster c\. .*empty its log\.dirs$/);
  });

  test("of a copied node is refused with the file, both numbers and the command that makes it a new one", () => {
    const copied = new Map([["/opt/kafka 2/logs", { brokerId: 1, clusterId: "c" }]]);
    expect(() => settleBrokerId(copied, "c", config(2))).toThrow(
      "broker.id=2, but /opt/kafka 2/logs/meta.properties belongs to broker 1 of cluster c. Correct broker.id; " +
        "or, if the directory was copied from that broker and is to be a new one, run: odradek fresh '/opt/kafka 2'",
    );
    expect(() => settleBrokerId(new Map([["/opt/kafka/logs", { brokerId: 1, clusterId: "c" }]]), "d", config(1))).toThrow(
      /^\/opt\/kafka\/logs\/meta\.properties belongs to broker 1 of cluster c, but zookeeper\.connect leads to cluster d\. .* run: odradek fresh \/opt\/kafka$/,
    );
  });
});
