import { describe, expect, test } from "vitest";
import type { Timers } from "../clock.ts";
import type { TraceEntry } from "./schedule.ts";
import { World } from "./world.ts";

const sleep = (timers: Timers, ms: number): Promise<void> => new Promise((resolve) => void timers.after(ms, resolve));

describe("a run", () => {
  test("passes world time only, event by event, and ends at the time asked for", async () => {
    const world = new World({ seed: 1 });
    const { timers, clock } = world.addNode("a").host;
    const began = clock.monotonicMs();
    const fired: number[] = [];
    for (const ms of [30, 10, 20.5, 1000]) timers.after(ms, () => fired.push(clock.monotonicMs() - began));
    await world.run({ forMs: 100 });
    expect(fired.map((ms) => Number(ms.toFixed(3)))).toEqual([10, 20.5, 30]);
    expect(world.nowMs).toBe(100);
    await world.run({ untilMs: 1000 });
    expect(fired).toHaveLength(4);
  });

  test("lets every microtask run before the next event", async () => {
    const world = new World({ seed: 1 });
    const { timers } = world.addNode("a").host;
    const steps: string[] = [];
    const deep = async (name: string): Promise<void> => {
      for (let depth = 0; depth < 20; depth++) await Promise.resolve();
      steps.push(`${name} settled`);
    };
    for (let n = 0; n < 100; n++) {
      timers.after(n, () => {
        steps.push(`${n} began`);
        void deep(`${n}`);
      });
    }
    await world.run({ forMs: 200 });
    expect(steps).toEqual(Array.from({ length: 100 }, (_, n) => [`${n} began`, `${n} settled`]).flat());
  });

  test("stops at the event after which `until` holds", async () => {
    const world = new World({ seed: 1 });
    let count = 0;
    for (let n = 1; n <= 10; n++) world.after(n, () => count++);
    await world.run({ until: () => count === 3, withinMs: 100 });
    expect(world.nowMs).toBe(3);
  });

  test("fails when the time is up, when nothing is left to happen, and after too many events", async () => {
    const late = new World({ seed: 5 });
    late.after(50, () => undefined);
    await expect(late.run({ until: () => false, withinMs: 10 })).rejects.toMatchObject({ code: "ETIMEDOUT", message: expect.stringContaining("seed 5, 10 ms") as unknown });
    await expect(late.run({ until: () => false, withinMs: 100 })).rejects.toMatchObject({ code: "EDEADLK" });
    const endless = new World({ seed: 5, eventsMax: 100 });
    const again = (): void => void endless.after(1, again);
    again();
    await expect(endless.run({ forMs: 1000 })).rejects.toMatchObject({ code: "EOVERFLOW" });
  });

  test("fails where the test's own event throws", async () => {
    const world = new World({ seed: 1 });
    world.after(1, () => {
      throw new RangeError("checker");
    });
    await expect(world.run({ forMs: 10 })).rejects.toThrow("checker");
  });

  test("settle() passes a value and an error on, and runs no event past it", async () => {
    const world = new World({ seed: 1 });
    const { timers, disk } = world.addNode("a").host;
    await world.settle(sleep(timers, 5));
    expect(world.nowMs).toBe(5);
    await expect(world.settle(disk.readFile("/none"))).rejects.toMatchObject({ code: "ENOENT" });
  });

  test("events of one instant happen in an order that the seed draws", async () => {
    const order = async (seed: number): Promise<string> => {
      const world = new World({ seed });
      let seen = "";
      for (const name of "abcdef") world.after(1, () => (seen += name));
      await world.run({ forMs: 2 });
      return seen;
    };
    const orders = await Promise.all([1, 2, 3, 4, 5].map(order));
    expect(new Set(orders).size).toBeGreaterThan(1);
    expect(await order(1)).toBe(orders[0]);
  });

  test("a cancelled timer never runs, and many of them take no room", async () => {
    const world = new World({ seed: 1 });
    const { timers } = world.addNode("a").host;
    let ran = 0;
    for (let n = 0; n < 10_000; n++) timers.after(30_000, () => ran++).cancel();
    const kept = timers.after(10, () => ran++);
    await world.run({ forMs: 60_000 });
    kept.cancel();
    expect(ran).toBe(1);
    expect(world.events).toBe(1);
  });

  test("onEvent shows what enters the hash, and a mark is part of it", async () => {
    const run = async (word: number): Promise<{ hash: string; trace: TraceEntry[] }> => {
      const trace: TraceEntry[] = [];
      const world = new World({ seed: 1, onEvent: (entry) => trace.push(entry) });
      world.after(1, () => world.mark(word));
      await world.run({ forMs: 2 });
      return { hash: world.hash, trace };
    };
    const [one, other] = [await run(1), await run(2)];
    expect(one.hash).toMatch(/^[0-9a-f]{16}$/);
    expect(one.hash).not.toBe(other.hash);
    expect(one.trace.at(-1)).toEqual({ timeUs: 1000, kind: 18, node: 0, size: 1 });
  });
});

describe("a life", () => {
  test("after kill() none of its timers, soons and promises comes to anything, and its calls do nothing", async () => {
    const world = new World({ seed: 1 });
    const node = world.addNode("a");
    const { timers, disk, net } = node.host;
    const seen: string[] = [];
    timers.after(10, () => seen.push("timer"));
    timers.soon(() => seen.push("soon"));
    void disk.open("/a", "write").then(() => seen.push("open"));
    void net.listen({ port: 1 }, () => undefined).then(() => seen.push("listen"));
    node.kill();
    timers.after(1, () => seen.push("late timer"));
    timers.soon(() => seen.push("late soon"));
    void disk.readFile("/a").finally(() => seen.push("late read"));
    void net.connect({ host: "a", port: 1, timeoutMs: 5 }).finally(() => seen.push("late connect"));
    expect(() => disk.openSync("/a", "write")).toThrow("life of a is over");
    expect(node.up).toBe(false);
    node.start();
    await world.run({ forMs: 1000 });
    expect(seen).toEqual([]);
    expect(node.lives).toBe(2);
  });

  test("a paused node does nothing until it is resumed; then all that came due happens in its order", async () => {
    const world = new World({ seed: 1 });
    const node = world.addNode("a");
    const { timers, clock } = node.host;
    const began = clock.monotonicMs();
    const seen: [string, number][] = [];
    const at = (name: string) => () => void seen.push([name, Math.round(clock.monotonicMs() - began)]);
    timers.after(5, at("first"));
    timers.after(10, at("second"));
    const cancelled = timers.after(8, at("cancelled"));
    timers.after(80, at("third"));
    node.pause();
    world.after(50, () => cancelled.cancel());
    world.after(60, () => node.resume());
    await world.run({ forMs: 100 });
    expect(seen).toEqual([
      ["first", 60],
      ["second", 60],
      ["third", 80],
    ]);
  });

  test("a node killed while it is paused loses what came due", async () => {
    const world = new World({ seed: 1 });
    const node = world.addNode("a");
    let ran = false;
    node.host.timers.after(1, () => (ran = true));
    node.pause();
    await world.run({ forMs: 10 });
    node.kill();
    node.start();
    node.resume();
    await world.run({ forMs: 10 });
    expect(ran).toBe(false);
  });

  test("Host.fail ends the life at once and fails the run, naming node, reason and seed", async () => {
    const world = new World({ seed: 77 });
    const node = world.addNode("a");
    const { host } = node;
    const { timers, log } = host;
    let later = false;
    timers.after(5, () => {
      log.info("about to break", { zxid: 12 });
      host.fail(new Error("index behind log"));
      timers.after(1, () => (later = true));
    });
    const run = world.run({ forMs: 100 });
    await expect(run).rejects.toMatchObject({ code: "EFAILED" });
    await expect(run).rejects.toThrow(/a stopped itself in life 1: index behind log\nseed 77, 5 ms[^]*about to break \{ zxid: 12 \}/);
    expect(node.up).toBe(false);
    expect(later).toBe(false);
  });

  test("an expected failure is recorded and the run goes on", async () => {
    const world = new World({ seed: 1, expected: (failure) => failure.reason.message === "fsync" });
    const node = world.addNode("a");
    node.host.timers.after(5, () => node.host.fail(new Error("fsync")));
    await world.run({ forMs: 10 });
    expect(world.failures).toMatchObject([{ node: "a", life: 1, atMs: 5 }]);
  });

  test("an error that a callback throws is the end of its node", async () => {
    const world = new World({ seed: 1, expected: () => true });
    const [a, b] = [world.addNode("a"), world.addNode("b")];
    a.host.timers.after(5, () => {
      throw new TypeError("undefined is not a function");
    });
    await world.run({ forMs: 10 });
    expect([a.up, b.up]).toEqual([false, true]);
  });

  test("a rejection that nobody handles is the end of its node", async () => {
    // The test runner would count it as a failure of its own.
    const others = process.listeners("unhandledRejection");
    process.removeAllListeners("unhandledRejection");
    try {
      const world = new World({ seed: 1, expected: () => true });
      const [a, b] = [world.addNode("a"), world.addNode("b")];
      a.host.timers.after(5, () => void a.host.disk.readFile("/none"));
      b.host.timers.after(5, () => void b.host.disk.readFile("/none").catch(() => undefined));
      await world.run({ forMs: 10 });
      expect(world.failures).toMatchObject([{ node: "a", reason: { code: "ENOENT" } }]);
    } finally {
      for (const listener of others) process.on("unhandledRejection", listener);
    }
  });

  test("soon() callbacks keep their order", async () => {
    const world = new World({ seed: 4 });
    const { timers } = world.addNode("a").host;
    const seen: number[] = [];
    for (let n = 0; n < 50; n++) timers.soon(() => seen.push(n));
    await world.run({ forMs: 1 });
    expect(seen).toEqual(Array.from({ length: 50 }, (_, n) => n));
  });

  test("randomness differs between nodes and lives, and comes from the seed", () => {
    const draws = (seed: number): string[] => {
      const world = new World({ seed });
      const [a, b] = [world.addNode("a"), world.addNode("b")];
      const first = [a, b].map((node) => node.host.random.bytes(16).toString("hex"));
      a.kill();
      return [...first, a.start().random.bytes(16).toString("hex")];
    };
    expect(new Set([...draws(1), ...draws(2)]).size).toBe(6);
    expect(draws(1)).toEqual(draws(1));
  });

  test("the log tail keeps the last lines over all lives, with component and fields", async () => {
    const world = new World({ seed: 1, logLinesMax: 3 });
    const node = world.addNode("a");
    node.host.log.info("dropped");
    node.host.log.child("log").child("cleaner").warn("first", { offset: 3 });
    node.kill();
    node.start().log.debug("second");
    node.host.log.error("third");
    expect(node.log.lines()).toEqual(["0.000 ms warn a/1 log.cleaner: first { offset: 3 }", "0.000 ms debug a/2: second", "0.000 ms error a/2: third"]);
  });

  test("logging leaves the hash alone, and prints only where it is asked to", async () => {
    const run = async (message: string, print?: (line: string) => void): Promise<string> => {
      const world = new World({ seed: 1, ...(print === undefined ? {} : { print }) });
      const { timers, log } = world.addNode("a").host;
      timers.after(1, () => log.info(message));
      await world.run({ forMs: 10 });
      return world.hash;
    };
    const printed: string[] = [];
    expect(await run("one", (line) => printed.push(line))).toBe(await run("another"));
    expect(printed).toEqual(["1.000 ms info a/1: one"]);
  });
});

describe("clocks", () => {
  test("stepping the wall clock leaves durations alone", async () => {
    const world = new World({ seed: 1, epochMs: 1_000_000 });
    const node = world.addNode("a");
    const { clock } = node.host;
    const began = clock.monotonicMs();
    await world.run({ forMs: 10 });
    node.clock.step(-5000);
    await world.run({ forMs: 10 });
    expect(clock.wallMs()).toBe(1_000_000 + 20 - 5000);
    expect(clock.monotonicMs() - began).toBeCloseTo(20, 3);
  });

  test("a timer fires at least its delay later by its own clock, whatever the drift, also one that changes meanwhile", async () => {
    for (const [first, then] of [
      [0, 0],
      [137, 137],
      [-20_000, -20_000],
      [100_000, -100_000],
      [-100_000, 100_000],
    ] as const) {
      const world = new World({ seed: 1 });
      const node = world.addNode("a");
      node.clock.setDrift(first);
      const { clock, timers } = node.host;
      const began = clock.monotonicMs();
      let took = 0;
      timers.after(1000.25, () => (took = clock.monotonicMs() - began));
      world.after(500, () => node.clock.setDrift(then));
      await world.run({ forMs: 2000 });
      expect(took).toBeGreaterThanOrEqual(1000.25 - 1e-6);
      if (first === then) expect(took).toBeLessThan(1000.26);
    }
  });

  test("drawn skew, drift and lateness stay within their bounds and differ between nodes", async () => {
    const world = new World({ seed: 9, epochMs: 0, clockSkewMsMax: 100, clockDriftPpmMax: 200, timerLateMsMax: 3 });
    const nodes = [1, 2, 3, 4].map((n) => world.addNode(`n${n}`));
    const walls = nodes.map((node) => node.host.clock.wallMs());
    expect(Math.max(...walls.map(Math.abs))).toBeLessThanOrEqual(100);
    expect(new Set(walls).size).toBeGreaterThan(1);
    const fired: number[] = [];
    for (const node of nodes) node.host.timers.after(10, () => fired.push(world.nowMs));
    await world.run({ forMs: 20 });
    for (const ms of fired) expect(ms).toBeGreaterThan(9.99);
    for (const ms of fired) expect(ms).toBeLessThan(13.01);
    expect(new Set(fired).size).toBe(4);
  });
});
