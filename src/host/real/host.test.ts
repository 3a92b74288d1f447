import { spawnSync } from "node:child_process";
import type * as dns from "node:dns/promises";
import { mkdtempSync, rmSync } from "node:fs";
import { Server } from "node:net";
import { networkInterfaces, tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test, vi } from "vitest";
import { errorCode } from "../../lib/error.ts";
import type { Connection } from "../net.ts";
import { realHost } from "./host.ts";

/** What the name service knows in these tests; the sockets are real. */
const names = vi.hoisted(() => new Map<string, readonly string[]>());
vi.mock("node:dns/promises", async (importOriginal) => ({
  ...(await importOriginal<typeof dns>()),
  lookup: (name: string) => Promise.resolve((names.get(name) ?? []).map((address) => ({ address, family: address.includes(":") ? 6 : 4 }))),
}));
const hasIpv6 = Object.values(networkInterfaces()).some((addresses) => addresses?.some(({ address }) => address === "::1"));

const host = realHost({ logLevel: "silent" });
const directory = mkdtempSync(join(tmpdir(), "odradek-host-"));
afterAll(() => rmSync(directory, { recursive: true }));

describe("files", () => {
  test("chunks are written one after the other, synchronously and not, and read back", async () => {
    const file = await host.disk.open(join(directory, "a"), "write");
    file.writeSync([Buffer.from("abc"), Buffer.alloc(0), Buffer.from("def")], 0);
    await file.write([Buffer.from("ghi"), Buffer.from("j")], 6);
    await file.dataSync();
    const into = Buffer.alloc(20);
    expect(file.readSync(into, 2)).toBe(8);
    expect(into.toString("latin1", 0, 8)).toBe("cdefghij");
    expect(await file.read(Buffer.alloc(4), 8)).toBe(2);
    file.truncateSync(4);
    expect(file.sizeSync()).toBe(4);
    await file.close();
  });

  test("more chunks than one writev takes are all written", async () => {
    const file = await host.disk.open(join(directory, "many"), "truncate");
    const chunks = Array.from({ length: 3000 }, (_, i) => Buffer.from([i & 0xff, i >> 8]));
    await file.write(chunks, 0);
    file.writeSync(chunks, 6000);
    expect(await host.disk.readFile(file.path)).toEqual(Buffer.concat([...chunks, ...chunks]));
    await file.close();
  });

  test("operations called without waiting take effect in their order", async () => {
    const file = await host.disk.open(join(directory, "order"), "truncate");
    const done = [file.write([Buffer.from("1234")], 0), file.truncate(2), file.write([Buffer.from("x")], 2), file.sync()];
    await Promise.all(done);
    expect((await host.disk.readFile(file.path)).toString()).toBe("12x");
    await file.close();
  });

  test("a synchronous write may be made while a sync is under way, and not while a write is", async () => {
    const file = await host.disk.open(join(directory, "overtaking"), "truncate");
    const syncing = file.dataSync();
    file.writeSync([Buffer.from("ab")], 0);
    await syncing;
    const writing = file.write([Buffer.from("cd")], 2);
    expect(() => file.writeSync([Buffer.from("x")], 0)).toThrow("would overtake 1 asynchronous");
    await writing;
    file.writeSync([Buffer.from("e")], 4);
    expect((await host.disk.readFile(file.path)).toString()).toBe("abcde");
    await file.close();
  });

  test("a missing file: stat says undefined, remove is silent, reading fails with ENOENT", async () => {
    const missing = join(directory, "missing");
    expect(await host.disk.stat(missing)).toBeUndefined();
    await host.disk.remove(missing);
    await expect(host.disk.readFile(missing)).rejects.toMatchObject({ code: "ENOENT" });
  });

  test("the lock excludes another process, a JVM's FileChannel too, until it is released", async () => {
    const path = join(directory, ".lock");
    const lock = await host.disk.lock(path);
    expect(lock).toBeDefined();
    // fcntl(F_SETLK) is what FileChannel.tryLock calls; python's lockf is the same call.
    const tryFcntl = () => spawnSync("python3", ["-c", `import fcntl;fcntl.lockf(open(${JSON.stringify(path)},"a"),fcntl.LOCK_EX|fcntl.LOCK_NB)`]);
    const taken = tryFcntl();
    if (taken.error !== undefined) console.warn("SKIPPED the check from a second process: no python3 on this machine");
    else expect(taken.status).not.toBe(0);
    expect(await host.disk.lock(path)).toBeUndefined();
    await lock?.release();
    if (taken.error === undefined) expect(tryFcntl().status).toBe(0);
    const again = await host.disk.lock(path);
    expect(again).toBeDefined();
    await again?.release();
  });
});

describe("sockets", () => {
  async function pair(): Promise<{ client: Connection; server: Connection; close: () => Promise<void> }> {
    let accept: (connection: Connection) => void;
    const accepted = new Promise<Connection>((resolve) => {
      accept = resolve;
    });
    const listener = await host.net.listen({ host: "127.0.0.1", port: 0 }, (connection) => accept(connection));
    const client = await host.net.connect({ host: "127.0.0.1", port: listener.port, timeoutMs: 1000 });
    return { client, server: await accepted, close: () => listener.close() };
  }

  function collect(connection: Connection): { bytes: () => string; closed: Promise<Error | undefined> } {
    let received = "";
    const closed = new Promise<Error | undefined>((resolve) => {
      connection.start({ data: (chunk) => (received += chunk.toString()), close: resolve });
    });
    return { bytes: () => received, closed };
  }

  test("what is written before the end arrives, and both sides see a plain close", async () => {
    const { client, server, close } = await pair();
    const [atServer, atClient] = [collect(server), collect(client)];
    client.write(Buffer.from("hello "));
    client.write(Buffer.from("world"));
    client.end();
    expect(client.write(Buffer.from("late"))).toBe(false);
    expect(await atServer.closed).toBeUndefined();
    expect(await atClient.closed).toBeUndefined();
    expect(atServer.bytes()).toBe("hello world");
    await close();
  });

  test("a reset reaches the peer as ECONNRESET", async () => {
    const { client, server, close } = await pair();
    const [atServer, atClient] = [collect(server), collect(client)];
    client.reset();
    expect(await atServer.closed).toMatchObject({ code: "ECONNRESET" });
    await atClient.closed;
    await close();
  });

  test("a full peer makes write return false, and drain follows once it reads", async () => {
    const { client, server, close } = await pair();
    let drained = false;
    const closed = new Promise((resolve) => {
      client.start({ data: () => undefined, drain: () => (drained = true), close: resolve });
    });
    const chunk = Buffer.alloc(1 << 20);
    let sent = 0;
    do sent += chunk.length;
    while (client.write(chunk) || sent < 32 << 20);
    expect(client.bufferedBytes).toBeGreaterThan(0);
    let received = 0;
    await new Promise<void>((resolve) => {
      server.start({ data: (bytes) => (received += bytes.length) === sent && resolve(), close: () => undefined });
    });
    expect(drained).toBe(true);
    server.destroy();
    await closed;
    await close();
  });

  test("small and large pieces of one turn arrive in their order, are counted until then, and each is told that it was taken", async () => {
    const { client, server, close } = await pair();
    const [atServer, atClient] = [collect(server), collect(client)];
    const pieces = Array.from({ length: 500 }, (_, index) => Buffer.from(`${index},`.repeat(index % 50 === 0 ? 1000 : 1)));
    const taken: number[] = [];
    for (const [index, piece] of pieces.entries()) client.write(piece, index % 7 === 0 ? () => taken.push(index) : undefined);
    const text = Buffer.concat(pieces).toString();
    expect(client.bufferedBytes).toBe(text.length);
    client.end();
    await Promise.all([atServer.closed, atClient.closed]);
    expect(atServer.bytes()).toBe(text);
    expect(taken).toEqual([...pieces.keys()].filter((index) => index % 7 === 0));
    await close();
  });

  test("drain follows a write that returned false also where all of it leaves at the turn's end", async () => {
    const { client, server, close } = await pair();
    const atServer = collect(server);
    const drained = new Promise<void>((resolve) => {
      client.start({ data: () => undefined, drain: resolve, close: () => undefined });
    });
    while (client.write(Buffer.alloc(100)));
    await drained;
    expect(client.write(Buffer.alloc(1))).toBe(true);
    client.end();
    server.end();
    await atServer.closed;
    await close();
  });

  test("nobody listening: ECONNREFUSED; a taken port: EADDRINUSE", async () => {
    const listener = await host.net.listen({ host: "127.0.0.1", port: 0 }, () => undefined);
    await expect(host.net.listen({ host: "127.0.0.1", port: listener.port }, () => undefined)).rejects.toMatchObject({ code: "EADDRINUSE" });
    await listener.close();
    await expect(host.net.connect({ host: "127.0.0.1", port: listener.port, timeoutMs: 1000 })).rejects.toMatchObject({ code: "ECONNREFUSED" });
  });

  describe("at a name", () => {
    // Of 127.0.0.0/8 other systems than Linux have 127.0.0.1 only.

    /** The address that was reached, or why none was. */
    async function reach(address: string, port: number): Promise<string> {
      try {
        const connection = await host.net.connect({ host: address, port, timeoutMs: 1000 });
        const reached = connection.remoteHost;
        connection.destroy();
        return reached;
      } catch (error) {
        return errorCode(error) ?? String(error);
      }
    }

    test("localhost answers on 127.0.0.1 and, where the machine has it, ::1, on one port, until it is closed", async () => {
      const listener = await host.net.listen({ host: "localhost", port: 0 }, (connection) => connection.destroy());
      const { port } = listener;
      expect(listener.host).toBe("127.0.0.1");
      expect(await reach("127.0.0.1", port)).toBe("127.0.0.1");
      if (hasIpv6) expect(await reach("::1", port)).toBe("::1");
      else console.warn("SKIPPED ::1: this machine has no such address");
      await listener.close();
      expect(await reach("127.0.0.1", port)).toBe("ECONNREFUSED");
      if (hasIpv6) expect(await reach("::1", port)).toBe("ECONNREFUSED");
    });

    test.runIf(hasIpv6)("a literal address opens no other", async () => {
      const listener = await host.net.listen({ host: "::1", port: 0 }, (connection) => connection.destroy());
      expect(await reach("::1", listener.port)).toBe("::1");
      expect(await reach("127.0.0.1", listener.port)).toBe("ECONNREFUSED");
      await listener.close();
    });

    test.runIf(process.platform === "linux")("every address is opened once, though the name service gives one twice", async () => {
      names.set("twice.test", ["127.0.0.1", "127.0.0.2", "127.0.0.1"]);
      const listener = await host.net.listen({ host: "twice.test", port: 0 }, (connection) => connection.destroy());
      expect(await reach("127.0.0.2", listener.port)).toBe("127.0.0.2");
      await listener.close();
    });

    test("an address that this machine lacks is left out, and is the error where there is no other", async () => {
      names.set("partly.test", ["192.0.2.1", "127.0.0.1"]);
      const listener = await host.net.listen({ host: "partly.test", port: 0 }, (connection) => connection.destroy());
      expect(await reach("127.0.0.1", listener.port)).toBe("127.0.0.1");
      await listener.close();
      names.set("nowhere.test", ["192.0.2.1"]);
      await expect(host.net.listen({ host: "nowhere.test", port: 0 }, () => undefined)).rejects.toMatchObject({ code: "EADDRNOTAVAIL" });
    });

    test.runIf(process.platform === "linux")("taken at one of the addresses: EADDRINUSE, and nothing is left open at the others", async () => {
      names.set("two.test", ["127.0.0.1", "127.0.0.2"]);
      const holder = await host.net.listen({ host: "127.0.0.2", port: 0 }, () => undefined);
      await expect(host.net.listen({ host: "two.test", port: holder.port }, () => undefined)).rejects.toMatchObject({ code: "EADDRINUSE" });
      expect(await reach("127.0.0.1", holder.port)).toBe("ECONNREFUSED");
      await holder.close();
    });

    test.runIf(process.platform === "linux")("a free port of the first address that is taken at the second is given up for another", async () => {
      names.set("two.test", ["127.0.0.1", "127.0.0.2"]);
      // oxlint-disable-next-line typescript/unbound-method -- below it is applied to its own server
      const listen = Server.prototype.listen;
      const chosen: number[] = [];
      const spy = vi.spyOn(Server.prototype, "listen").mockImplementation(function spied(this: Server, ...args: unknown[]) {
        const options = args[0] as { host: string; port: number };
        if (options.host === "127.0.0.2" && chosen.push(options.port) === 1) {
          process.nextTick(() => this.emit("error", Object.assign(new Error("taken"), { code: "EADDRINUSE" })));
          return this;
        }
        return Reflect.apply(listen, this, args) as Server;
      });
      const listener = await host.net.listen({ host: "two.test", port: 0 }, (connection) => connection.destroy());
      spy.mockRestore();
      expect(chosen).toHaveLength(2);
      expect(listener.port).toBe(chosen[1]);
      expect(await reach("127.0.0.2", listener.port)).toBe("127.0.0.2");
      await listener.close();
    });
  });
});
