import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import type { Connection } from "../net.ts";
import { realHost } from "./host.ts";

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

  test("nobody listening: ECONNREFUSED; a taken port: EADDRINUSE", async () => {
    const listener = await host.net.listen({ host: "127.0.0.1", port: 0 }, () => undefined);
    await expect(host.net.listen({ host: "127.0.0.1", port: listener.port }, () => undefined)).rejects.toMatchObject({ code: "EADDRINUSE" });
    await listener.close();
    await expect(host.net.connect({ host: "127.0.0.1", port: listener.port, timeoutMs: 1000 })).rejects.toMatchObject({ code: "ECONNREFUSED" });
  });
});
