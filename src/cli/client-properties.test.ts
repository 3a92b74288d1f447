import { expect, test } from "vitest";
import { World } from "../host/sim/world.ts";
import { errorCode } from "../lib/error.ts";
import { parseBootstrap } from "./bootstrap.ts";
import { ClientSettings, readProperties } from "./client-properties.ts";

const world = new World({ seed: 1 });
const { disk } = world.addNode("client").host;

test("pairs are split at the first equals sign and win over the file, which is ISO 8859-1", async () => {
  const writing = async (): Promise<void> => {
    const file = await disk.open("/client.properties", "truncate");
    await file.write([Buffer.from("acks=1\nclient.id=caf\xe9\n", "latin1")], 0);
    await file.close();
  };
  await world.settle(writing());
  const file = { option: "--producer.config", path: "/client.properties" };
  const read = await world.settle(readProperties({ disk, file, pairs: { option: "--producer-property", values: ["acks=a=b", "flag", "empty="] } }));
  expect([...read.values()].map(({ key, value, origin, line }) => [key, value, origin, line])).toEqual([
    ["acks", "a=b", "--producer-property", undefined],
    ["client.id", "café", "/client.properties", 2],
    ["flag", "", "--producer-property", undefined],
    ["empty", "", "--producer-property", undefined],
  ]);
  const missing = readProperties({ disk, file: { option: "--producer.config", path: "/nosuch" } });
  await expect(world.settle(missing)).rejects.toThrow("--producer.config: /nosuch does not exist");
  expect(await missing.catch(errorCode)).toBe("ERR_USAGE");
});

test("brokers are named by host and port, IPv6 in brackets; without a port only where there is a default", () => {
  expect(parseBootstrap("a:1, b.example:65535,[::1]:9092", "--bootstrap-server")).toEqual([{ host: "a", port: 1 }, { host: "b.example", port: 65_535 }, { host: "::1", port: 9092 }]);
  expect(parseBootstrap("a,[::1]", "--bootstrap", { defaultPort: 9092 })).toEqual([{ host: "a", port: 9092 }, { host: "::1", port: 9092 }]);
});

test.each(["", "a", "a:", "a:0", "a:65536", "a:1,", ":1", "::1", "a:b"])("%j names no broker", (bad) => {
  expect(() => parseBootstrap(bad, "--bootstrap-server")).toThrow(/^--bootstrap-server .*expected host:port/);
});

test("what is not understood or not supported is wrong usage that names the place; what has no effect is named too", () => {
  const settings = (...pairs: readonly string[]): ClientSettings => new ClientSettings(new Map(pairs.map((pair) => pair.split("=") as [string, string]).map(([key, value]) => [key, { key, value, origin: "c.properties", line: 3 }])), ["linger.ms", "acks", "enable.idempotence"]);
  const good = settings("linger.ms= 5", "acks=all", "ssl.key.password=x", "security.protocol=PLAINTEXT", "bootstrap.servers=x:1", "enable.idempotence=False");
  expect([good.number("linger.ms"), good.text("acks"), good.flag("enable.idempotence"), good.number("batch.size")]).toEqual([5, "all", false, undefined]);
  expect(good.notices).toEqual(["c.properties:3: ssl.key.password has no effect here"]);
  expect(() => settings("security.protocol=SASL_SSL")).toThrow("c.properties:3: security.protocol=SASL_SSL: only PLAINTEXT");
  expect(() => settings("linger.ms=1.5").number("linger.ms")).toThrow("c.properties:3: linger.ms=1.5: expected a whole number");
  expect(() => settings("enable.idempotence=yes").flag("enable.idempotence")).toThrow("expected true or false");
  expect(() => settings("acks=some").parsed("acks", () => undefined, "all or a number")).toThrow("expected all or a number");
});
