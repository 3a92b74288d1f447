import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { afterEach, describe, expect, test } from "vitest";
import { realNetwork } from "../host/real/net.ts";
import { must } from "../lib/assert.ts";
import { toError } from "../lib/error.ts";
import { describeTaken, parseSockets, takenPorts } from "./ports.ts";

const children: ChildProcess[] = [];
afterEach(async () => {
  for (const child of children.splice(0)) {
    const gone = once(child, "exit");
    child.kill("SIGKILL");
    await gone;
  }
});

/** A process of its own that holds a port of `address`. */
async function hold(address: string): Promise<{ pid: number; port: number; script: string }> {
  const script = `require("node:net").createServer().listen(0, "${address}", function () { console.log(this.address().port) })`;
  const child = spawn(process.execPath, ["-e", script], { stdio: ["ignore", "pipe", "inherit"] });
  children.push(child);
  const [chunk] = (await once(child.stdout, "data")) as [Buffer];
  return { pid: must(child.pid, "pid"), port: Number(chunk.toString()), script };
}

async function freePort(): Promise<number> {
  const listener = await realNetwork.listen({ host: "localhost", port: 0 }, () => undefined);
  await listener.close();
  return listener.port;
}

test("free ports are found free, and are free afterwards", async () => {
  const listen = { flag: "--kafka-port", host: "localhost", port: await freePort() };
  expect(await takenPorts([listen])).toEqual([]);
  expect(await takenPorts([listen])).toEqual([]);
});

test.each(["127.0.0.1", "0.0.0.0"])("a port that a process has at %s is taken for localhost, and on Linux the process is named", async (address) => {
  const { pid, port } = await hold(address);
  const free = { flag: "--zookeeper-port", host: "localhost", port: await freePort() };
  const taken = await takenPorts([free, { flag: "--kafka-port", host: "localhost", port }]);
  expect(taken).toHaveLength(1);
  const [only] = taken;
  expect(only).toMatchObject({ flag: "--kafka-port", host: "localhost", port });
  if (process.platform !== "linux") return;
  expect(only?.holder?.pid).toBe(pid);
  expect(describeTaken(must(only, "taken port"))).toMatch(new RegExp(`^port ${port} is taken by process ${pid} \\(.*node.*\\): free it, or choose another with --kafka-port$`));
});

test("a holder that can't be told is another process", () => {
  expect(describeTaken({ flag: "--quorum-port", host: "localhost", port: 2888, holder: undefined })).toBe("port 2888 is taken by another process: free it, or choose another with --quorum-port");
  const holder = { pid: 4242, command: "node server.js" };
  expect(describeTaken({ flag: "--kafka-port", host: "localhost", port: 9092, holder })).toBe("port 9092 is taken by process 4242 (node server.js): free it, or choose another with --kafka-port");
});

test("an address of another machine is no taken port but an error that says so", async () => {
  const error = await takenPorts([{ flag: "--kafka-port", host: "192.0.2.1", port: 9092 }]).then(() => undefined, toError);
  expect(error).toMatchObject({ code: "ERR_LISTEN" });
  expect(error?.message).toMatch(/^port 9092 of 192\.0\.2\.1 can't be opened .*--host$/);
});

describe("the sockets that Linux lists", () => {
  test("are read with addresses, ports, states and inodes; other lines are skipped", () => {
    const tcp =
      "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n" +
      "   0: 0100007F:2384 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 123456 1 0000000000000000 100 0 0 10 0\n" +
      "   1: 0100007F:BEEF 0100007F:2384 01 00000000:00000000 00:00000000 00000000  1000        0 123457 1 0000000000000000 20 4 30 10 -1\n";
    const tcp6 =
      "   0: 00000000000000000000000001000000:0885 00000000000000000000000000000000:0000 0A 0:0 0:0 0  0 0 7 1 0 100 0 0 10 0\n" +
      "   1: 0000000000000000FFFF00000100007F:0885 00000000000000000000000000000000:0000 0A 0:0 0:0 0  0 0 8 1 0 100 0 0 10 0\n" +
      "   2: 00000000000000000000000000000000:0885 00000000000000000000000000000000:0000 0A 0:0 0:0 0  0 0 9 1 0 100 0 0 10 0\n";
    expect(parseSockets(tcp)).toEqual([
      { address: "127.0.0.1", port: 9092, listening: true, inode: 123_456 },
      { address: "127.0.0.1", port: 48_879, listening: false, inode: 123_457 },
    ]);
    expect(parseSockets(tcp6).map(({ address, port, inode }) => [address, port, inode])).toEqual([
      ["::1", 2181, 7],
      ["127.0.0.1", 2181, 8],
      ["::", 2181, 9],
    ]);
  });
});
