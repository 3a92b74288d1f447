import { expect, test } from "vitest";
import { errorCode, OperationalError } from "../../lib/error.ts";
import { loadBrokerConfig } from "./load.ts";

const disk = {
  readFile: (path: string): Promise<Buffer> =>
    path === "/server.properties"
      ? Promise.resolve(Buffer.from("broker.id=1\nzookeeper.connect=a:1,b/k\nlog.dirs=/l", "latin1"))
      : Promise.reject(new OperationalError("ENOENT", `no ${path}`)),
};

test("reads the file with the command line's overrides over it", async () => {
  const loaded = await loadBrokerConfig(disk, "/server.properties", ["--override", "broker.id=2", "--override=broker.rack=r=1", "--override", "host.name"]);
  expect(loaded.config).toMatchObject({ brokerId: 2, brokerRack: "r=1", logDirs: ["/l"] });
  expect(loaded.static.get("host.name")?.value).toBe("");
});

test("says which file can't be read, and what arguments are possible", async () => {
  await expect(loadBrokerConfig(disk, "/gone", [])).rejects.toThrow("/gone can't be read: no /gone");
  for (const args of [["server.properties"], ["--override"]]) {
    const error: unknown = await loadBrokerConfig(disk, "/server.properties", args).catch((thrown: unknown) => thrown);
    expect(errorCode(error)).toBe("ERR_USAGE");
  }
});
