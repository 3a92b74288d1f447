import { describe, expect, test } from "vitest";
import type { Connection } from "../../../host/net.ts";
import type { SimNode } from "../../../host/sim/node.ts";
import { withTripwires } from "../../../host/sim/tripwires.ts";
import { World } from "../../../host/sim/world.ts";
import { must } from "../../../lib/assert.ts";
import { Connections } from "./connections.ts";
import { encodeInitialMessage } from "./notification.ts";

const PORT = 3888;

function frameOf(text: string): Buffer {
  const frame = Buffer.alloc(4 + text.length);
  frame.writeInt32BE(text.length, 0);
  frame.write(text, 4);
  return frame;
}

class End {
  readonly heard: string[] = [];
  readonly connections: Connections;

  constructor(node: SimNode, id: number, options: { bindTries?: number } = {}) {
    this.connections = new Connections({
      host: node.host,
      id,
      address: { host: `n${id}`, port: PORT },
      listenHost: undefined,
      addressOf: (peer) => (peer >= 1 && peer <= 3 ? { host: `n${peer}`, port: PORT } : undefined),
      connectTimeoutMs: 5000,
      handshakeTimeoutMs: 10_000,
      bindTries: options.bindTries ?? 3,
      onMessage: (from, message) => this.heard.push(`${from}: ${message.toString()}`),
    });
  }

  send(to: number, text: string): void {
    this.connections.send(to, frameOf(text));
  }
}

/** A socket in the hands of the test. */
class Raw {
  readonly chunks: Buffer[] = [];
  closed = false;
  readonly connection: Connection;

  constructor(connection: Connection) {
    this.connection = connection;
    connection.start({ data: (chunk) => this.chunks.push(chunk), close: () => (this.closed = true) });
  }

  get bytes(): Buffer {
    return Buffer.concat(this.chunks);
  }
}

interface Stage {
  readonly world: World;
  readonly nodes: readonly SimNode[];
  /** A member with its port open. */
  readonly begin: (id: number) => Promise<End>;
  readonly call: (from: number, to: number, ...bytes: Buffer[]) => Promise<Raw>;
}

function play(act: (stage: Stage) => Promise<void>): Promise<void> {
  return withTripwires(async () => {
    const world = new World({ seed: 7 });
    const nodes = [1, 2, 3, 4].map((id) => world.addNode(`n${id}`));
    const nodeOf = (id: number): SimNode => must(nodes[id - 1], "node");
    await act({
      world,
      nodes,
      begin: async (id) => {
        const end = new End(nodeOf(id), id);
        await world.settle(end.connections.listen());
        return end;
      },
      call: async (from, to, ...bytes) => {
        const connecting = nodeOf(from)
          .host.net.connect({ host: `n${to}`, port: PORT, timeoutMs: 1000 })
          .then((connection) => new Raw(connection));
        const raw = await world.settle(connecting);
        for (const some of bytes) raw.connection.write(some);
        return raw;
      },
    });
  });
}

describe("a pair", () => {
  test("has one connection, whoever sends first, opened by the larger: the smaller says who it is and hangs up", () =>
    play(async ({ world, nodes, begin }) => {
      const [one, two] = [await begin(1), await begin(2)];
      one.send(2, "a");
      expect(one.connections.delivered).toBe(false);
      await world.run({ forMs: 100 });
      expect(two.heard).toEqual(["1: a"]);
      expect(one.connections.delivered).toBe(true);
      two.send(1, "b");
      one.send(2, "c");
      await world.run({ forMs: 100 });
      expect([one.heard, two.heard]).toEqual([["2: b"], ["1: a", "1: c"]]);
      expect(nodes.map((node) => node.resources.connections)).toEqual([1, 1, 0, 0]);
      await world.run({ forMs: 20_000 });
      expect([one.connections.connected, two.connections.connected]).toEqual([[2], [1]]);
    }));

  test("is dialled back by the larger though it has nothing to say, on the same connection from then on", () =>
    play(async ({ world, nodes, begin, call }) => {
      const three = await begin(3);
      const smaller = await begin(1);
      const caller = await call(2, 3, encodeInitialMessage(1, { host: "n1", port: PORT }));
      await world.run({ forMs: 100 });
      expect(caller.closed).toBe(true);
      expect(three.connections.connected).toEqual([1]);
      expect(smaller.connections.connected).toEqual([3]);
      expect(nodes.map((node) => node.resources.connections)).toEqual([1, 0, 1, 0]);
    }));

  test("begins anew when the smaller calls, whatever the larger believes of the connection before", () =>
    play(async ({ world, begin, call }) => {
      const [one, three] = [await begin(1), await begin(3)];
      three.send(1, "a");
      await world.run({ forMs: 100 });
      const before = one.connections.connected;
      await call(2, 3, encodeInitialMessage(1, { host: "n1", port: PORT }));
      await world.run({ forMs: 100 });
      expect([before, one.connections.connected, three.connections.connected]).toEqual([[3], [3], [1]]);
      expect(one.heard).toEqual(["3: a", "3: a"]);
    }));

  test("whose larger has come while the smaller still dialled is left as it is: the dial ends without a word", () =>
    play(async ({ world, nodes, begin, call }) => {
      const one = await begin(1);
      const callers: Raw[] = [];
      await world.settle(nodes[1]!.host.net.listen({ port: PORT }, (connection) => callers.push(new Raw(connection))));
      world.net.clog(nodes[0]!, nodes[1]!, 300);
      one.send(2, "a");
      one.send(2, "b");
      one.connections.connectAll();
      const link = await call(2, 1, encodeInitialMessage(2, { host: "n2", port: PORT }));
      await world.run({ forMs: 600 });
      expect(callers.map(({ bytes, closed }) => [bytes.length, closed])).toEqual([[0, true]]);
      expect(link.bytes).toEqual(frameOf("b"));
    }));

  test("that sends at the same moment settles on one connection, in any order of events", async () => {
    for (let seed = 1; seed <= 50; seed++) {
      await withTripwires(async () => {
        const world = new World({ seed, net: { latencyMs: [0.1, 30] } });
        const nodes = [1, 2, 3].map((id) => world.addNode(`n${id}`));
        const ends = nodes.map((node, index) => new End(node, index + 1));
        await world.settle(Promise.all(ends.map(({ connections }) => connections.listen())));
        for (const [index, end] of ends.entries()) for (const to of [1, 2, 3]) if (to !== index + 1) end.send(to, "hello");
        await world.run({ forMs: 500 });
        expect(nodes.map((node) => node.resources.connections)).toEqual([2, 2, 2]);
        expect(ends.map(({ heard }) => [...new Set(heard)].toSorted())).toEqual([["2: hello", "3: hello"], ["1: hello", "3: hello"], ["1: hello", "2: hello"]]);
      });
    }
  });
});

describe("a message", () => {
  test("waits for its peer, in a slot where the newest replaces it; connectAll tries again", () =>
    play(async ({ world, begin }) => {
      const two = await begin(2);
      for (const text of ["a", "b", "c"]) two.send(1, text);
      await world.run({ forMs: 100 });
      expect(two.connections.delivered).toBe(false);
      const one = await begin(1);
      await world.run({ forMs: 100 });
      expect(one.heard).toEqual([]);
      two.connections.connectAll();
      await world.run({ forMs: 100 });
      expect(one.heard).toEqual(["2: c"]);
      expect(two.connections.delivered).toBe(true);
    }));

  test("that was sent last is sent again at the head of a new connection with nothing queued", () =>
    play(async ({ world, nodes, begin }) => {
      const [one, two] = [await begin(1), await begin(2)];
      two.send(1, "a");
      await world.run({ forMs: 100 });
      world.net.resetConnections(nodes[0]!, nodes[1]!);
      await world.run({ forMs: 100 });
      expect(two.connections.connected).toEqual([]);
      one.send(2, "x");
      await world.run({ forMs: 100 });
      expect([one.heard, two.heard]).toEqual([["2: a", "2: a"], ["1: x"]]);
      world.net.resetConnections(nodes[0]!, nodes[1]!);
      two.send(1, "b");
      await world.run({ forMs: 100 });
      expect(one.heard.slice(2)).toEqual(["2: b"]);
    }));

  test("waits in the slot while the system takes no more, and goes when it does", () =>
    play(async ({ world, nodes, begin }) => {
      const [one, two] = [await begin(1), await begin(2)];
      two.send(1, "a");
      await world.run({ forMs: 100 });
      nodes[0]!.pause();
      const large = "x".repeat(100_000);
      for (let index = 0; index < 50; index++) {
        two.send(1, `${index} ${large}`);
        await world.run({ forMs: 10 });
      }
      nodes[0]!.resume();
      await world.run({ forMs: 1000 });
      const numbers = one.heard.slice(1).map((text) => Number(text.slice(3).split(" ")[0]));
      expect(numbers.length).toBeLessThan(20);
      expect(numbers.at(-1)).toBe(49);
      expect(numbers).toEqual(numbers.toSorted((a, b) => a - b));
    }));

  test("may be cut anywhere, and begin in the same bytes as the initial message", () =>
    play(async ({ world, begin, call }) => {
      const one = await begin(1);
      const all = Buffer.concat([encodeInitialMessage(2, { host: "n2", port: PORT }), frameOf("a"), frameOf("bc")]);
      await call(2, 1, all);
      await world.run({ forMs: 100 });
      const caller = await call(3, 1);
      const bytes = Buffer.concat([encodeInitialMessage(3, { host: "n3", port: PORT }), frameOf("defg")]);
      for (const byte of bytes) {
        caller.connection.write(Buffer.from([byte]));
        await world.run({ forMs: 2 });
      }
      await world.run({ forMs: 100 });
      expect(one.heard).toEqual(["2: a", "2: bc", "3: defg"]);
    }));

  test("of an impossible length ends the connection; what came before it counts", () =>
    play(async ({ world, nodes, begin, call }) => {
      const one = await begin(1);
      for (const length of [0, -1, 512 * 1024 + 1]) {
        const head = Buffer.alloc(4);
        head.writeInt32BE(length, 0);
        const caller = await call(2, 1, encodeInitialMessage(2, { host: "n2", port: PORT }), frameOf("a"), head, frameOf("lost"));
        await world.run({ forMs: 100 });
        expect(caller.closed).toBe(true);
      }
      expect(one.heard).toEqual(["2: a", "2: a", "2: a"]);
      expect(nodes[0]!.resources.connections).toBe(0);
    }));
});

describe("a caller", () => {
  test("with a larger id takes the place of the connection before", () =>
    play(async ({ world, begin, call }) => {
      const one = await begin(1);
      const hello = encodeInitialMessage(3, { host: "n3", port: PORT });
      const before = await call(3, 1, hello);
      await world.run({ forMs: 100 });
      const after = await call(3, 1, hello, frameOf("new"));
      await world.run({ forMs: 100 });
      expect([before.closed, after.closed, one.connections.connected]).toEqual([true, false, [3]]);
      one.send(3, "answer");
      await world.run({ forMs: 100 });
      expect(after.bytes).toEqual(frameOf("answer"));
    }));

  test("with this member's own id is left alone until its time is over", () =>
    play(async ({ world, nodes, begin, call }) => {
      const one = await begin(1);
      const caller = await call(2, 1, encodeInitialMessage(1, { host: "n1", port: PORT }), frameOf("a"));
      await world.run({ forMs: 9000 });
      expect([caller.closed, one.heard, one.connections.connected]).toEqual([false, [], []]);
      await world.run({ forMs: 1500 });
      expect(caller.closed).toBe(true);
      expect(nodes[0]!.resources.connections).toBe(0);
    }));

  test("that does not say who it is has as long, and one that talks of something else is shown out at once", () =>
    play(async ({ world, begin, call }) => {
      await begin(1);
      const silent = await call(2, 1, Buffer.alloc(3));
      const other = await call(3, 1, Buffer.from("\xffHTTP/1.1 ".repeat(3), "latin1"));
      await world.run({ forMs: 1000 });
      expect([silent.closed, other.closed]).toEqual([false, true]);
      await world.run({ forMs: 9500 });
      expect(silent.closed).toBe(true);
    }));

  test("who is no member is dialled back where it says that it listens, or not at all; nothing is kept of it afterwards", () =>
    play(async ({ world, nodes, begin, call }) => {
      const three = await begin(3);
      const callers: Raw[] = [];
      await world.settle(nodes[3]!.host.net.listen({ port: 4000 }, (connection) => callers.push(new Raw(connection))));
      // Id 0 is not in the configuration; an observer without an id gets a negative one.
      const anonymous = encodeInitialMessage(0, { host: "n4", port: 4000 });
      Buffer.from("7fffffffffffffff", "hex").copy(anonymous, 8);
      await call(4, 3, encodeInitialMessage(0, { host: "n4", port: 4000 }));
      await call(4, 3, anonymous);
      await call(4, 3, encodeInitialMessage(-7, { host: "0.0.0.0", port: 4000 }));
      await world.run({ forMs: 100 });
      expect(callers.map(({ bytes }) => bytes)).toEqual([encodeInitialMessage(3, { host: "n3", port: PORT }), encodeInitialMessage(3, { host: "n3", port: PORT })]);
      expect(three.connections.connected.toSorted((a, b) => a - b)).toEqual([-1, 0]);
      callers[0]!.connection.write(frameOf("hi"));
      await world.run({ forMs: 100 });
      expect(three.heard.length).toBe(1);
      for (const { connection } of callers) connection.destroy();
      await world.run({ forMs: 100 });
      expect([three.connections.connected, three.connections.delivered]).toEqual([[], false]);
    }));

  test("who is no member takes nobody's place, however many there were", () =>
    play(async ({ world, begin, call }) => {
      const [one, two] = [await begin(1), await begin(2)];
      for (let id = 100; id < 1300; id++) {
        const caller = await call(4, 1, encodeInitialMessage(id, { host: "n4", port: 4000 }));
        await world.run({ forMs: 5 });
        caller.connection.destroy();
      }
      one.send(2, "a");
      await world.run({ forMs: 100 });
      expect(two.heard).toEqual(["1: a"]);
    }));

  test("from before the initial message gives its bare id", () =>
    play(async ({ world, begin, call }) => {
      const one = await begin(1);
      const id = Buffer.alloc(8);
      id.writeUInt8(3, 7);
      await call(3, 1, id, frameOf("a"));
      await world.run({ forMs: 100 });
      expect(one.heard).toEqual(["3: a"]);
    }));
});

describe("the port", () => {
  test("is tried again each second while it is taken", () =>
    play(async ({ world, nodes }) => {
      const taken = await world.settle(nodes[0]!.host.net.listen({ port: PORT }, () => undefined));
      const end = new End(nodes[0]!, 1);
      const listening = end.connections.listen();
      await world.run({ forMs: 1500 });
      await taken.close();
      const beganMs = world.nowMs;
      await world.settle(listening);
      expect(world.nowMs - beganMs).toBeGreaterThan(400);
      expect(world.nowMs - beganMs).toBeLessThan(600);
    }));

  test("is given up after as many tries as are allowed", () =>
    play(async ({ world, nodes }) => {
      await world.settle(nodes[0]!.host.net.listen({ port: PORT }, () => undefined));
      await expect(world.settle(new End(nodes[0]!, 1).connections.listen())).rejects.toMatchObject({ code: "EADDRINUSE" });
      expect(world.nowMs).toBeGreaterThan(2000);
      expect(world.nowMs).toBeLessThan(2100);
      const endless = new End(nodes[0]!, 1, { bindTries: 0 });
      const listening = endless.connections.listen();
      await world.run({ forMs: 10_000 });
      await world.settle(Promise.all([endless.connections.close(), listening]));
      expect(nodes[0]!.resources.listeners).toBe(1);
    }));
});

test("after close nothing is left open, nothing is dialled and nothing heard, though a dial was under way", () =>
  play(async ({ world, nodes, begin, call }) => {
    const [two, three] = [await begin(2), await begin(3)];
    two.send(3, "a");
    await call(1, 2, Buffer.alloc(3));
    await world.run({ forMs: 100 });
    two.send(1, "b");
    three.send(2, "late");
    await world.settle(two.connections.close());
    two.send(3, "c");
    two.connections.connectAll();
    await world.run({ forMs: 1000 });
    expect(nodes[1]!.resources).toMatchObject({ connections: 0, listeners: 0 });
    expect(two.heard).toEqual([]);
    expect(three.heard).toEqual(["2: a"]);
  }));
