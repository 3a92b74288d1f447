import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Connection, ConnectionHandlers } from "../net.ts";
import type { SimNode } from "./node.ts";
import type { WorldOptions } from "./options.ts";
import { World } from "./world.ts";

interface Side {
  readonly connection: Connection;
  readonly chunks: Buffer[];
  text(): string;
  ended: boolean;
  drains: number;
  /** Undefined while it is open. */
  closed: { error: Error | undefined; atMs: number } | undefined;
}

function watch(world: World, connection: Connection, handlers: Partial<ConnectionHandlers> = {}): Side {
  const side: Side = { connection, chunks: [], text: () => Buffer.concat(side.chunks).toString(), ended: false, drains: 0, closed: undefined };
  connection.start({
    data: (chunk) => side.chunks.push(chunk),
    drain: () => side.drains++,
    close(error) {
      expect(side.closed).toBeUndefined();
      side.closed = { error, atMs: world.nowMs };
    },
    ...handlers,
  });
  return side;
}

interface Pair {
  readonly world: World;
  readonly a: SimNode;
  readonly b: SimNode;
  /** a's end and b's. */
  readonly client: Side;
  readonly server: Side;
}

async function pair(options: Partial<WorldOptions> = {}, handlers: { client?: Partial<ConnectionHandlers>; server?: Partial<ConnectionHandlers> } = {}): Promise<Pair> {
  const world = new World({ seed: 1, ...options });
  const [a, b] = [world.addNode("a"), world.addNode("b")];
  let server: Side | undefined;
  await world.settle(b.host.net.listen({ port: 9092 }, (connection) => (server = watch(world, connection, handlers.server))));
  const client = watch(world, await world.settle(a.host.net.connect({ host: "b", port: 9092, timeoutMs: 1000 })), handlers.client);
  await world.run({ until: () => server !== undefined, withinMs: 1000 });
  return { world, a, b, client, server: server as Side };
}

const text = (from: string): Buffer => Buffer.from(from);

describe("a stream", () => {
  test("brings every byte in order whatever the writes, cuts, pauses and directions", async () => {
    const writes = fc.array(fc.tuple(fc.integer({ min: 1, max: 30_000 }), fc.integer({ min: 0, max: 3 })), { maxLength: 25 });
    await fc.assert(
      fc.asyncProperty(fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }), writes, writes, async (seed, forth, back) => {
        const { world, a, b, client, server } = await pair({ seed, net: { splitsPerMille: 500, windowBytes: 40_000, spikesPerMille: 100 } });
        const sent = new Map<Side, Buffer[]>([
          [client, []],
          [server, []],
        ]);
        for (const [side, node, plan] of [
          [client, a, forth],
          [server, b, back],
        ] as const) {
          let atMs = 0;
          for (const [length, gapMs] of plan) {
            const bytes = world.prng(`${node.name}${atMs}${length}`).bytes(length);
            node.host.timers.after((atMs += gapMs), () => {
              sent.get(side)?.push(bytes);
              side.connection.write(bytes);
              if (gapMs === 2) side.connection.pause();
              if (gapMs === 2) node.host.timers.after(3, () => side.connection.resume());
            });
          }
        }
        await world.run({ forMs: 5000 });
        expect(Buffer.concat(server.chunks).equals(Buffer.concat(sent.get(client) ?? []))).toBe(true);
        expect(Buffer.concat(client.chunks).equals(Buffer.concat(sent.get(server) ?? []))).toBe(true);
        client.connection.end();
        await world.run({ forMs: 5000 });
        expect([client.closed?.error, server.closed?.error]).toEqual([undefined, undefined]);
        expect([client.closed, server.closed]).not.toContain(undefined);
        expect([a.resources.connections, b.resources.connections]).toEqual([0, 0]);
      }),
      { numRuns: 60 },
    );
  });

  test("what one turn writes arrives together unless it is cut; a cut may fall anywhere", async () => {
    const whole = await pair({ net: { splitsPerMille: 0 } });
    whole.client.connection.write(text("one "));
    whole.client.connection.write(text("turn"));
    await whole.world.run({ forMs: 100 });
    expect(whole.server.chunks.map(String)).toEqual(["one turn"]);
    const cut = await pair({ net: { splitsPerMille: 1000 } });
    cut.client.connection.write(text("one turn"));
    await cut.world.run({ forMs: 100 });
    expect(cut.server.chunks.length).toBeGreaterThan(1);
    expect(cut.server.text()).toBe("one turn");
  });

  test("a chunk is the receiver's own memory", async () => {
    const { world, client, server } = await pair();
    const bytes = text("abc");
    client.connection.write(bytes);
    await world.run({ forMs: 100 });
    server.chunks[0]?.fill(0);
    expect(bytes.toString()).toBe("abc");
  });

  test("has the addresses that a socket has", async () => {
    const { a, b, client, server } = await pair();
    expect([a.address, b.address]).toEqual(["10.0.0.1", "10.0.0.2"]);
    expect(client.connection).toMatchObject({ localHost: "10.0.0.1", remoteHost: "10.0.0.2", remotePort: 9092 });
    expect(server.connection).toMatchObject({ localHost: "10.0.0.2", localPort: 9092, remoteHost: "10.0.0.1", remotePort: client.connection.localPort });
  });

  test("a receiver that does not read fills the window: write returns false, bytes stay queued, drain comes once it reads", async () => {
    const { world, client, server } = await pair({ net: { windowBytes: 100_000, highWaterBytes: 16_384 } });
    server.connection.pause();
    let sent = 0;
    for (let n = 0; n < 20; n++) {
      expect(client.connection.write(Buffer.alloc(10_000, n))).toBe(n === 0);
      sent += 10_000;
    }
    expect(client.connection.bufferedBytes).toBe(200_000);
    await world.run({ forMs: 1000 });
    expect(client.connection.bufferedBytes).toBe(100_000);
    expect([server.chunks.length, client.drains]).toEqual([0, 0]);
    server.connection.resume();
    await world.run({ forMs: 1000 });
    expect([Buffer.concat(server.chunks).length, client.drains, client.connection.bufferedBytes]).toEqual([sent, 1, 0]);
  });
});

describe("the end of a stream", () => {
  test("end() sends what is queued; both sides see a plain close and nothing more is written", async () => {
    const { world, client, server } = await pair();
    client.connection.write(Buffer.alloc(1_000_000, 1));
    client.connection.end();
    expect(client.connection.write(text("late"))).toBe(false);
    await world.run({ forMs: 1000 });
    expect(Buffer.concat(server.chunks).length).toBe(1_000_000);
    expect([client.closed, server.closed]).toMatchObject([{ error: undefined }, { error: undefined }]);
    expect([client.connection.closed, server.connection.closed]).toEqual([true, true]);
  });

  test("with an `end` handler the other half stays open, until the one who ended has waited two seconds", async () => {
    const ends: number[] = [];
    const { world, client, server } = await pair({}, { server: { end: () => ends.push(1) } });
    client.connection.end();
    await world.run({ forMs: 500 });
    expect(ends).toEqual([1]);
    expect([client.closed, server.closed]).toEqual([undefined, undefined]);
    await world.run({ forMs: 2000 });
    expect(client.closed).toMatchObject({ error: undefined });
    server.connection.write(text("anyone?"));
    await world.run({ forMs: 500 });
    expect(server.closed).toMatchObject({ error: { code: "ECONNRESET" } });
  });

  test("destroy() closes at once, tells its own side later, and the peer sees an end", async () => {
    const { world, client, server } = await pair();
    client.connection.destroy();
    expect([client.connection.closed, client.closed, client.connection.write(text("x"))]).toEqual([true, undefined, false]);
    await world.run({ forMs: 100 });
    expect([client.closed, server.closed]).toMatchObject([{ error: undefined }, { error: undefined }]);
  });

  test("destroy() with input unread, and reset(), reach the peer as ECONNRESET", async () => {
    const unread = await pair();
    unread.client.connection.pause();
    unread.server.connection.write(text("unread"));
    await unread.world.run({ forMs: 100 });
    unread.client.connection.destroy();
    const reset = await pair();
    reset.client.connection.reset();
    for (const { world, client, server } of [unread, reset]) {
      await world.run({ forMs: 100 });
      expect(client.closed).toMatchObject({ error: undefined });
      expect(server.closed).toMatchObject({ error: { code: "ECONNRESET" } });
    }
  });

  test("a reset leaves the peer with a prefix of what was sent, cut anywhere", async () => {
    const received = new Set<number>();
    for (let seed = 0; seed < 30; seed++) {
      const { world, client, server } = await pair({ seed, net: { splitsPerMille: 800, windowBytes: 1_000_000 } });
      const bytes = world.prng("bytes").bytes(5000);
      client.connection.write(bytes);
      await world.run({ forMs: 0.4 });
      client.connection.reset();
      await world.run({ forMs: 100 });
      const got = Buffer.concat(server.chunks);
      expect(bytes.subarray(0, got.length).equals(got)).toBe(true);
      expect(server.closed?.error).toMatchObject({ code: "ECONNRESET" });
      received.add(got.length);
    }
    expect(received.size).toBeGreaterThan(5);
  });

  test("a paused receiver learns of a reset when it reads on, or when it writes", async () => {
    for (const learn of [(side: Side) => side.connection.resume(), (side: Side) => side.connection.write(text("x"))]) {
      const { world, client, server } = await pair();
      server.connection.pause();
      client.connection.reset();
      await world.run({ forMs: 1000 });
      expect(server.closed).toBeUndefined();
      learn(server);
      await world.run({ forMs: 100 });
      expect(server.closed).toMatchObject({ error: { code: "ECONNRESET" } });
    }
  });

  test("close is told to a connection that is started only after its end", async () => {
    const world = new World({ seed: 1 });
    const node = world.addNode("a");
    const listener = await world.settle(node.host.net.listen({ port: 0 }, (connection) => watch(world, connection)));
    const connection = await world.settle(node.host.net.connect({ host: "localhost", port: listener.port, timeoutMs: 10 }));
    connection.destroy();
    await world.run({ forMs: 10 });
    const side = watch(world, connection);
    await world.run({ forMs: 10 });
    expect(side.closed).toBeDefined();
  });
});

describe("connecting and listening", () => {
  test("localhost and the node's own name reach the node itself; a listener on localhost is nobody else's", async () => {
    const world = new World({ seed: 1 });
    const [a, b] = [world.addNode("a"), world.addNode("b")];
    const remotes: string[] = [];
    const accept = (connection: Connection): void => {
      remotes.push(`${connection.remoteHost} at ${connection.localHost}`);
      watch(world, connection);
    };
    await world.settle(a.host.net.listen({ host: "127.0.0.1", port: 1 }, accept));
    await world.settle(a.host.net.listen({ host: "0.0.0.0", port: 2 }, accept));
    const connect = (node: SimNode, host: string, port: number): Promise<Connection> => world.settle(node.host.net.connect({ host, port, timeoutMs: 1000 }));
    await connect(a, "localhost", 1);
    await connect(a, "a", 2);
    await connect(b, "10.0.0.1", 2);
    await expect(connect(b, "a", 1)).rejects.toMatchObject({ code: "ECONNREFUSED" });
    await expect(connect(b, "localhost", 1)).rejects.toMatchObject({ code: "ECONNREFUSED" });
    await world.run({ forMs: 10 });
    expect(remotes).toEqual(["127.0.0.1 at 127.0.0.1", "10.0.0.1 at 10.0.0.1", "10.0.0.2 at 10.0.0.1"]);
  });

  test("a taken port: EADDRINUSE; another's address: EADDRNOTAVAIL; a closed listener frees its port and keeps its connections", async () => {
    const { world, b, client, server } = await pair();
    const listen = (host: string | undefined, port: number) => world.settle(b.host.net.listen({ host, port }, () => undefined));
    await expect(listen("127.0.0.1", 9092)).rejects.toMatchObject({ code: "EADDRINUSE" });
    await expect(listen("10.0.0.1", 1)).rejects.toMatchObject({ code: "EADDRNOTAVAIL" });
    const [one, two] = [await listen(undefined, 0), await listen("b", 0)];
    expect(one.port).not.toBe(two.port);
    await one.close();
    await expect(world.settle(b.host.net.connect({ host: "b", port: one.port, timeoutMs: 10 }))).rejects.toMatchObject({ code: "ECONNREFUSED" });
    await listen(undefined, one.port);
    client.connection.write(text("still"));
    await world.run({ forMs: 10 });
    expect(server.text()).toBe("still");
  });

  test("an unknown name: ENOTFOUND; an address without a machine, or a machine without power: ETIMEDOUT", async () => {
    const { world, a, b } = await pair();
    const connect = (host: string) => world.settle(a.host.net.connect({ host, port: 9092, timeoutMs: 300 }));
    await expect(connect("nobody")).rejects.toMatchObject({ code: "ENOTFOUND" });
    const began = world.nowMs;
    await expect(connect("10.0.0.77")).rejects.toMatchObject({ code: "ETIMEDOUT" });
    expect(world.nowMs - began).toBe(300);
    b.powerLoss();
    await expect(connect("b")).rejects.toMatchObject({ code: "ETIMEDOUT" });
    b.start();
    await expect(connect("b")).rejects.toMatchObject({ code: "ECONNREFUSED" });
  });

  test("a paused node's system accepts for it; the process sees connection and bytes when it goes on", async () => {
    const world = new World({ seed: 1 });
    const [a, b] = [world.addNode("a"), world.addNode("b")];
    let server: Side | undefined;
    await world.settle(b.host.net.listen({ port: 1 }, (connection) => (server = watch(world, connection))));
    b.pause();
    const client = watch(world, await world.settle(a.host.net.connect({ host: "b", port: 1, timeoutMs: 1000 })));
    client.connection.write(text("hello"));
    await world.run({ forMs: 1000 });
    expect(server).toBeUndefined();
    b.resume();
    await world.run({ forMs: 10 });
    expect(server?.text()).toBe("hello");
  });
});

describe("faults of the network", () => {
  test("a partition holds bytes and handshakes back both ways; after heal() all of it arrives, in order", async () => {
    const { world, a, client, server } = await pair();
    world.net.partition(["a"], ["b"]);
    client.connection.write(text("1"));
    server.connection.write(text("2"));
    let connected: string | undefined;
    const connect = async (): Promise<void> => {
      const { connection } = watch(world, await a.host.net.connect({ host: "b", port: 9092, timeoutMs: 10_000 }));
      connected = connection.remoteHost;
    };
    void connect();
    await world.run({ forMs: 5000 });
    client.connection.write(text("3"));
    await world.run({ forMs: 1000 });
    expect([client.text(), server.text(), connected]).toEqual(["", "", undefined]);
    world.net.heal();
    await world.run({ forMs: 1000 });
    expect([client.text(), server.text(), connected]).toEqual(["2", "13", "10.0.0.2"]);
  });

  test("a one-way partition lets the other direction through, but not its acknowledgements", async () => {
    const { world, client, server } = await pair({ net: { windowBytes: 1000 } });
    world.net.partition(["a"], ["b"], { oneWay: true });
    client.connection.write(text("lost for now"));
    server.connection.write(Buffer.alloc(1500));
    await world.run({ forMs: 5000 });
    expect([Buffer.concat(client.chunks).length, server.text(), server.connection.bufferedBytes]).toEqual([1000, "", 500]);
    world.net.heal();
    await world.run({ forMs: 1000 });
    expect([Buffer.concat(client.chunks).length, server.text()]).toEqual([1500, "lost for now"]);
  });

  test("isolate() cuts one node off and leaves the others and itself alone", async () => {
    const world = new World({ seed: 1 });
    const nodes = ["a", "b", "c"].map((name) => world.addNode(name));
    for (const node of nodes) await world.settle(node.host.net.listen({ port: 1 }, (connection) => void watch(world, connection)));
    world.net.isolate("b");
    const reaches = async (from: number, host: string): Promise<boolean> => {
      const attempt = nodes[from]?.host.net.connect({ host, port: 1, timeoutMs: 100 });
      return world.settle(Promise.resolve(attempt).then(() => true, () => false));
    };
    expect([await reaches(0, "c"), await reaches(1, "b"), await reaches(0, "b"), await reaches(1, "c")]).toEqual([true, true, false, false]);
  });

  test("bytes that nobody acknowledges for too long end their connection with ETIMEDOUT; an idle one lives through it", async () => {
    const { world, client, server } = await pair({ net: { ackTimeoutMs: 20_000 } });
    world.net.partition(["a"], ["b"]);
    client.connection.write(text("x"));
    await world.run({ forMs: 19_000 });
    expect(client.closed).toBeUndefined();
    await world.run({ forMs: 2000 });
    expect(client.closed).toMatchObject({ error: { code: "ETIMEDOUT" } });
    expect(server.closed).toBeUndefined();
    world.net.heal();
    server.connection.write(text("anyone?"));
    await world.run({ forMs: 1000 });
    expect(server.closed).toMatchObject({ error: { code: "ECONNRESET" } });
  });

  test("a clogged road delivers nothing for its time, then everything", async () => {
    const { world, client, server } = await pair();
    world.net.clog("a", "b", 500);
    client.connection.write(text("slow"));
    server.connection.write(text("quick"));
    await world.run({ forMs: 400 });
    expect([client.text(), server.text()]).toEqual(["quick", ""]);
    await world.run({ forMs: 200 });
    expect(server.text()).toBe("slow");
  });

  test("resetConnections() and the drawn resets break both ends", async () => {
    const asked = await pair();
    expect(asked.world.net.resetConnections(asked.b, asked.a)).toBe(1);
    const drawn = await pair({ net: { resetsPerMillion: 1_000_000 } });
    drawn.client.connection.write(text("never"));
    for (const { world, client, server } of [asked, drawn]) {
      await world.run({ forMs: 100 });
      expect([client.closed, server.closed]).toMatchObject([{ error: { code: "ECONNRESET" } }, { error: { code: "ECONNRESET" } }]);
      expect(server.text()).toBe("");
    }
  });
});

describe("a node that goes", () => {
  test("killed: its peers see a reset or an end, as drawn, after what its system had taken; its port is free", async () => {
    const seen = new Set<string>();
    for (let seed = 0; seed < 20; seed++) {
      const { world, a, b, client, server } = await pair({ seed });
      server.connection.write(text("last words"));
      await world.run({ forMs: 0.05 });
      b.kill();
      await world.run({ forMs: 100 });
      expect(server.closed).toBeUndefined();
      expect(client.closed).toBeDefined();
      if (client.closed?.error === undefined) expect(client.text()).toBe("last words");
      seen.add(client.closed?.error === undefined ? "end" : "ECONNRESET");
      await expect(world.settle(a.host.net.connect({ host: "b", port: 9092, timeoutMs: 100 }))).rejects.toMatchObject({ code: "ECONNREFUSED" });
      await world.settle(b.start().net.listen({ port: 9092 }, () => undefined));
    }
    expect([...seen].toSorted((x, y) => x.localeCompare(y))).toEqual(["ECONNRESET", "end"]);
  });

  test("half open: one end hears of the break at once, the other when it writes", async () => {
    const { world, a, b, client, server } = await pair();
    expect(world.net.halfOpen(a, b)).toBe(1);
    await world.run({ forMs: 10_000 });
    expect(client.closed).toMatchObject({ error: { code: "ECONNRESET" } });
    expect(server.closed).toBeUndefined();
    server.connection.write(text("still there?"));
    await world.run({ forMs: 1000 });
    expect(server.closed).toMatchObject({ error: { code: "ECONNRESET" } });
  });

  test("without power: its peers stay half open, and learn of it when they write to its next life", async () => {
    const { world, b, client } = await pair();
    b.powerLoss();
    await world.run({ forMs: 10_000 });
    client.connection.write(text("hello?"));
    await world.run({ forMs: 10_000 });
    expect(client.closed).toBeUndefined();
    b.start();
    await world.run({ forMs: 1000 });
    expect(client.closed).toMatchObject({ error: { code: "ECONNRESET" } });
  });

  test("killed, and then without power: what its system had still to send never comes", async () => {
    const { world, b, client, server } = await pair({ net: { latencyMs: [5, 5], spikesPerMille: 0 } });
    server.connection.write(text("last words"));
    await world.run({ forMs: 1 });
    b.kill();
    b.powerLoss();
    await world.run({ forMs: 1000 });
    b.start();
    await world.run({ forMs: 1000 });
    expect([client.text(), client.closed]).toEqual(["", undefined]);
  });

  test("a connect that its own side gave up on is not left open on the other", async () => {
    const world = new World({ seed: 1, net: { latencyMs: [5, 5], spikesPerMille: 0 } });
    const [a, b] = [world.addNode("a"), world.addNode("b")];
    const accepted: Side[] = [];
    await world.settle(b.host.net.listen({ port: 1 }, (connection) => accepted.push(watch(world, connection))));
    await expect(world.settle(a.host.net.connect({ host: "b", port: 1, timeoutMs: 7 }))).rejects.toMatchObject({ code: "ETIMEDOUT" });
    await world.run({ forMs: 1000 });
    expect(accepted.map((side) => side.closed !== undefined)).toEqual([true]);
    expect([a.resources.connections, b.resources.connections]).toEqual([0, 0]);
  });
});
