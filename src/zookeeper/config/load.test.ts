import { expect, test } from "vitest";
import { OperationalError } from "../../lib/error.ts";
import { loadMemberConfig } from "./load.ts";

function disk(files: Record<string, string>): { readFile(path: string): Promise<Buffer> } {
  return {
    readFile: (path) => {
      const text = files[path];
      return text === undefined ? Promise.reject(new OperationalError(path === "/locked" ? "EACCES" : "ENOENT", `no ${path}`)) : Promise.resolve(Buffer.from(text, "latin1"));
    },
  };
}

const servers = "server.1=a:1:2\nserver.2=b:1:2\nserver.3=c:1:2\n";

test("reads the file, myid in its dataDir and the file of server lines, whose name holds the version", async () => {
  const files = { "/zoo.cfg": "dataDir= /d \ninitLimit=1\nsyncLimit=1\ndynamicConfigFile=/zoo.cfg.dynamic.100000002", "/d/myid": "3\n", "/zoo.cfg.dynamic.100000002": servers };
  const { config } = await loadMemberConfig(disk(files), "/zoo.cfg");
  expect(config).toMatchObject({ myId: 3, ensemble: { version: 0x1_0000_0002 }, self: { host: "c" } });
});

test("a member that stands alone needs no myid", async () => {
  expect((await loadMemberConfig(disk({ "/zoo.cfg": "dataDir=/d" }), "/zoo.cfg")).config.mode).toBe("standalone");
});

test("says which file can't be read and why", async () => {
  await expect(loadMemberConfig(disk({}), "/zoo.cfg")).rejects.toThrow("/zoo.cfg can't be read: there is no such file");
  await expect(loadMemberConfig(disk({}), "/locked")).rejects.toThrow("/locked can't be read: no /locked");
  const missing = { "/zoo.cfg": "dataDir=/d\ndynamicConfigFile=/gone" };
  await expect(loadMemberConfig(disk(missing), "/zoo.cfg")).rejects.toThrow("/gone can't be read");
});
